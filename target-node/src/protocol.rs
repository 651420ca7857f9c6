//! What a client and a node say to each other: JSON over HTTP, one type per request and answer.
//!
//! | method, path | body | answer |
//! |---|---|---|
//! | `POST /v1/kv/get` | [`GetRequest`] | [`GetResponse`] |
//! | `POST /v1/kv/put` | [`PutRequest`] | [`PutResponse`] |
//! | `POST /v1/kv/cas` | [`CasRequest`] | [`CasResponse`] |
//! | `POST /v1/kv/append` | [`AppendRequest`] | [`AppendResponse`] |
//! | `GET /v1/status` | – | [`Status`] |
//! | `POST /v1/admin/promote-primary` | [`PromoteRequest`] | [`PromoteResponse`] |
//!
//! Every answer that is not 200 carries an [`ErrorBody`], and its `definite` flag is a promise:
//! *definite* means that the request was not applied and never will be. A compare-and-set that
//! found another value is not an error but an observation, and comes with 200.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A node's number in its cluster, from 1.
pub type NodeId = u64;

/// How a read is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// The leader confirms its leadership after the request came in (ReadIndex), and the node
    /// that was asked answers from its own state once it has applied that far.
    #[default]
    Linearizable,
    /// The leader answers from its lease, if it has one, and confirms its leadership if not.
    /// Linearizable as long as clocks keep the stated bound.
    Lease,
    /// The read waits for an entry of its own in the log.
    Log,
    /// Whatever this node has applied: may be old, and is not linearizable.
    Local,
}

/// Read one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetRequest {
    /// The key.
    pub key: String,
    /// How fresh the answer must be; left out: as the node was told with `--read-mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GetResponse {
    /// The value, absent where the key was never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Log index of the last change of the key, 0 where it was never written.
    pub mod_index: u64,
    /// How often the key was changed.
    pub version: u64,
    /// Who answered, and from where in the log.
    pub meta: Meta,
}

/// Set a key whatever it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutRequest {
    /// The key.
    pub key: String,
    /// Its new value: any JSON but `null`.
    pub value: Value,
}

/// A key was set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PutResponse {
    /// Who answered, and where in the log the write stands.
    pub meta: Meta,
}

/// Set a key if it holds what is expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CasRequest {
    /// The key.
    pub key: String,
    /// What it must hold; `null` or left out: it must never have been written.
    #[serde(default)]
    pub expect: Option<Value>,
    /// Its new value: any JSON but `null`.
    pub value: Value,
}

/// The outcome of a compare-and-set; finding another value is an outcome too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CasResponse {
    /// True where the key held what was expected and was set.
    pub succeeded: bool,
    /// What the key held before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Value>,
    /// Who answered, and where in the log the decision stands.
    pub meta: Meta,
}

/// Put an element at the end of the list in a key, which begins empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendRequest {
    /// The key.
    pub key: String,
    /// The element: any JSON but `null`.
    pub element: Value,
}

/// An element was put at the end of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppendResponse {
    /// How long the list is with it.
    pub length: u64,
    /// Who answered, and where in the log the append stands.
    pub meta: Meta,
}

/// Make a node the primary, in the modes that have one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// The new epoch: above every one so far. Left out: one above the node's own.
    #[serde(default)]
    pub epoch: Option<u64>,
}

/// A node is the primary from now on; it says so to the others once its disk has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoteResponse {
    /// Its epoch.
    pub epoch: u64,
}

/// Who answered, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The node that answered.
    pub node: NodeId,
    /// The term of the entry that carries a write; for a read the node's current term.
    pub term: u64,
    /// The index of the entry that carries a write; for a read the applied index it was made at.
    pub index: u64,
    /// The leader as this node knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<NodeId>,
}

/// The body of every answer that is not 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorInfo,
}

/// What went wrong, and what that proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// Which error.
    pub code: ErrorCode,
    /// True only where the request was not applied and never will be.
    pub definite: bool,
    /// How far the request had come.
    pub stage: Stage,
    /// One sentence for a person.
    pub message: String,
    /// Where to ask instead, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<NodeId>,
    /// The node's current term.
    pub term: u64,
}

/// How far a request had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It never entered a log.
    PreAppend,
    /// It entered a log; what became of it is another question.
    PostAppend,
    /// It left this node, and no answer came.
    Unknown,
}

/// Which error: the closed list of what a node may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The request makes no sense: not JSON, an unknown field, a wrong type. Definite.
    Invalid,
    /// This node is handing its leadership over. Definite.
    TransferInProgress,
    /// The request is larger than this node takes. Definite.
    TooLarge,
    /// This node does not lead, and does not forward. Definite.
    NotLeader,
    /// This node knows no leader. Definite.
    NoLeader,
    /// Too many requests are waiting. Definite.
    Overloaded,
    /// The node is still recovering its log. Definite.
    Starting,
    /// Fewer replicas answered than a quorum has, and nothing was stored. Definite.
    NoQuorum,
    /// The mode of replication has no such operation. Definite.
    Unsupported,
    /// Another entry was committed at the request's index: it can never be applied. Definite.
    Superseded,
    /// No result in time. Indefinite for writes.
    Timeout,
    /// The node lost its leadership with the request in its log. Indefinite.
    LeadershipLost,
    /// The node is stopping with the request in flight. Indefinite.
    ShuttingDown,
    /// The request was forwarded and no answer came. Indefinite.
    ForwardFailed,
    /// A failure of the node itself. Indefinite.
    Internal,
}

/// What a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes entries from a leader.
    Follower,
    /// Asks whether it could win an election.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Takes requests and replicates them: the leader of Raft, or the primary of another mode.
    Leader,
    /// One among equals, where nobody leads.
    Replica,
}

/// The switches of a node, as its flags spell them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes {
    /// Whether it asks first if it would win an election.
    pub pre_vote: bool,
    /// Whether a leader steps down without a majority, and voters stay with a leader they hear.
    pub check_quorum: bool,
    /// How its election time-outs are drawn: `etcd`, `sofa` or `none`.
    pub election_jitter: String,
    /// What it does with a write when another node leads: `forward` or `reject`.
    pub client_routing: String,
    /// How the nodes keep copies: `raft`, `sync`, `semisync`, `async` or `quorum`.
    #[serde(default)]
    pub replication: String,
    /// What that mode was told, in words; empty where there is nothing to tell.
    #[serde(default)]
    pub replication_flags: String,
    /// How it makes reads that do not say how: `linearizable`, `lease`, `log` or `local`.
    #[serde(default)]
    pub read_mode: String,
}

/// A node's view of itself and its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// The cluster it belongs to.
    pub cluster: String,
    /// A number that is new with every start of the process.
    pub boot: u64,
    /// Its process id, by which a harness knows a restarted node from its predecessor.
    pub pid: u32,
    /// What it plays.
    pub role: Role,
    /// Its current term.
    pub term: u64,
    /// For whom it voted in this term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vote: Option<NodeId>,
    /// The leader as it knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<NodeId>,
    /// Highest index known to be committed.
    pub commit: u64,
    /// Highest index applied to the state machine.
    pub applied: u64,
    /// Highest index in its log.
    pub last: u64,
    /// Lowest index that is still in its log; one above `last` where the log is empty.
    #[serde(default)]
    pub first: u64,
    /// Last index in its newest snapshot, 0 where there is none.
    #[serde(default)]
    pub snapshot: u64,
    /// The voters of the configuration in effect.
    pub voters: Vec<NodeId>,
    /// Whether it is a semi-synchronous primary that has given up waiting for its backups.
    #[serde(default)]
    pub is_alone: bool,
    /// For how long a backup has heard nothing from its primary, in milliseconds: what an operator
    /// looks at who is to promote another. Absent where nobody is promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<u64>,
    /// What it was told to do in which way.
    #[serde(default)]
    pub modes: Modes,
    /// The seeded defects that are switched on; empty in a node that means well.
    pub defects: Vec<String>,
    /// Milliseconds since the process started.
    pub uptime_ms: u64,
}
