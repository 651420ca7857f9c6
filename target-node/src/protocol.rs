//! What a client and a node say to each other: JSON over HTTP, one type per request and answer.
//!
//! | method, path | body | answer |
//! |---|---|---|
//! | `POST /v1/kv/get` | [`GetRequest`] | [`GetResponse`] |
//! | `POST /v1/kv/put` | [`PutRequest`] | [`PutResponse`] |
//! | `POST /v1/kv/cas` | [`CasRequest`] | [`CasResponse`] |
//! | `POST /v1/kv/delete` | [`DeleteRequest`] | [`DeleteResponse`] |
//! | `POST /v1/kv/append` | [`AppendRequest`] | [`AppendResponse`] |
//! | `POST /v1/kv/add` | [`AddRequest`] | [`AddResponse`] |
//! | `POST /v1/txn` | [`TransactionRequest`] | [`TransactionResponse`] |
//! | `POST /v1/dump` | [`DumpRequest`] | [`DumpResponse`] |
//! | `POST /v1/session/open` | [`OpenSessionRequest`] | [`SessionResponse`] |
//! | `POST /v1/session/keepalive`, `/close` | [`SessionRequest`] | [`SessionResponse`] |
//! | `GET /v1/status` | – | [`Status`] |
//! | `GET /v1/hash?index=N` | – | [`StateHash`], of what this node has applied |
//! | `GET /v1/log?from=N&to=N` | – | [`LogResponse`], 1000 entries at most |
//!
//! Every answer that is not 200 carries an [`ErrorBody`], and its `definite` flag is a promise:
//! *definite* means that the request was not applied and never will be. A compare-and-set that
//! found another value, or a transaction whose guards did not hold, is not an error but an
//! observation, and comes with 200.
//!
//! Every write takes a `session` ([`SessionTurn`]); without one, a write that is sent twice may be
//! applied twice.

pub mod admin;

mod error;
mod kv;
mod session;
mod status;
mod transaction;

use serde::{Deserialize, Serialize};

pub use admin::{
    FailpointAction, FailpointRequest, FailpointState, Failpoints, NetAction, NetRule,
    NetRuleState, NetSide, SystemError,
};
pub use error::{ErrorBody, ErrorCode, ErrorInfo, LeaderHint, Stage};
pub use kv::{
    AddRequest, AddResponse, AppendRequest, AppendResponse, CasRequest, CasResponse, Consistency,
    DeleteRequest, DeleteResponse, DumpRequest, DumpResponse, DumpedKey, GetRequest, GetResponse,
    PutRequest, PutResponse,
};
pub use session::{OpenSessionRequest, SessionRequest, SessionResponse, SessionTurn};
pub use status::{
    Digest, FollowerProgress, LogResponse, LoggedEntry, Modes, Role, StateHash, Status,
};
pub use transaction::{
    Compare, Guard, GuardTarget, MicroOp, TransactionRequest, TransactionResponse,
};

/// A node's number in its cluster, from 1.
pub type NodeId = u64;

/// Who answered, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The node that answered.
    pub node: NodeId,
    /// The term of the entry that carries a write; for a read the node's current term.
    pub term: u64,
    /// The index of the entry that carries a write; for a read the applied index it was made at.
    pub index: u64,
    /// The highest index that the node had applied when it answered.
    #[serde(default)]
    pub applied: u64,
    /// The leader as this node knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<NodeId>,
    /// For a read that the leader vouched for: everything acknowledged before it was asked is at or
    /// below this index, and `applied` had come to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_index: Option<u64>,
    /// True where the write had been applied before, in its session, and this is the answer of
    /// then.
    #[serde(default, skip_serializing_if = "is_false")]
    pub session_dup: bool,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}
