//! What an administrator, or a harness, tells a node, on a port of its own.
//!
//! | method, path | body | answer |
//! |---|---|---|
//! | `GET /v1/health` | – | [`Health`] |
//! | `GET /v1/status`, `/v1/hash`, `/v1/log` | – | as on the client port |
//! | `POST /v1/cluster/transfer` | [`TransferRequest`] | [`Status`] |
//! | `POST /v1/cluster/{add-learner,add-voter,promote,remove}` | [`MemberRequest`] | [`Status`] |
//! | `POST /v1/cluster/change` | [`ChangeRequest`] | [`Status`] |
//! | `POST /v1/admin/campaign` | [`CampaignRequest`] | [`Status`] |
//! | `POST /v1/admin/step-down` | – | [`Status`] |
//! | `POST /v1/admin/promote-primary` | [`PromoteRequest`] | [`PromoteResponse`] |
//! | `POST /v1/admin/snapshot` | – | [`Status`] |
//! | `POST /v1/admin/compact` | [`CompactRequest`] | [`Status`] |
//! | `GET`, `POST /v1/admin/clock` | [`ClockRate`] | [`ClockRate`] |
//! | `GET`, `POST`, `DELETE /v1/admin/net-rules` | [`NetRule`] | list of [`NetRuleState`] |
//! | `DELETE /v1/admin/net-rules/{id}` | – | list of [`NetRuleState`] |
//! | `GET`, `POST`, `DELETE /v1/admin/failpoints` | [`FailpointRequest`] | [`Failpoints`] |
//! | `DELETE /v1/admin/failpoints/{site}` | – | [`Failpoints`] |
//! | `POST /v1/admin/trace` | [`TraceRequest`] | [`Status`] |
//! | `GET /v1/admin/trace?since=N` | – | NDJSON: a [`Record`](crate::trace::Record) a line |
//!
//! What a node cannot do in its mode of replication is refused with `UNSUPPORTED`. The status
//! in an answer is that right after the order; what it leads to on other nodes comes later.
//!
//! [`Status`]: super::Status

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// The node answers, and its driver too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// True where a leader is known.
    pub has_leader: bool,
    /// The highest index applied.
    pub applied: u64,
}

/// Hand the leadership over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// To this node.
    pub to: NodeId,
}

/// Change one member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRequest {
    /// The member; `--peer` has told all nodes where to reach it.
    pub id: NodeId,
}

/// Change the whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    /// Who votes then.
    pub voters: Vec<NodeId>,
    /// Who only learns then.
    #[serde(default)]
    pub learners: Vec<NodeId>,
}

/// Begin an election.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignRequest {
    /// Whether to ask first if it could be won; left out: as the node was told with `--pre-vote`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre: Option<bool>,
}

/// Make a node the primary, in the modes that have one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// The new epoch: above every one so far. Left out: the next that can be the node's own.
    #[serde(default)]
    pub epoch: Option<u64>,
}

/// A node is the primary from now on; it says so to the others once its disk has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoteResponse {
    /// Its epoch.
    pub epoch: u64,
}

/// Drop the entries that the newest snapshot stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactRequest {
    /// How many of them to keep.
    #[serde(default)]
    pub keep: u64,
}

/// How fast the node's clock runs: its ticks, and the time that its leases are measured in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockRate {
    /// 1 is right, 2 twice as fast; from 0.01 to 100.
    pub rate: f64,
}

/// Begin a trace, or end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceRequest {
    /// Whether there is to be one. Its last 10,000 lines are kept in memory.
    pub on: bool,
    /// A file to put every line at the end of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// What to do with some messages between nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetRule {
    /// What to do with them.
    pub action: NetAction,
    /// Where this node meets them.
    #[serde(default)]
    pub on: NetSide,
    /// From whom; empty: anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<NodeId>,
    /// To whom; empty: anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<NodeId>,
    /// Of which types; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Only of this term or a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term_min: Option<u64>,
    /// Only of this term or an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term_max: Option<u64>,
    /// For how many messages; left out: for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetAction {
    /// It is lost.
    #[default]
    Drop,
    /// It waits until the rule is removed, and then goes on.
    Hold,
    /// It comes twice; but for writes that are forwarded, and their answers.
    Duplicate,
}

/// Where a node meets a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetSide {
    /// When it sends it.
    #[default]
    Send,
    /// When it comes.
    Receive,
}

/// A rule, and what it has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetRuleState {
    /// Its name.
    pub id: u64,
    /// The rule.
    pub rule: NetRule,
    /// How many messages it was applied to.
    pub matched: u64,
    /// How many of them it holds.
    pub held: u64,
}

/// Do something the next time that the node comes by a place in its code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailpointRequest {
    /// The place: one of [`Failpoints::sites`].
    pub site: String,
    /// What to do there.
    pub action: FailpointAction,
    /// How often to come by before.
    #[serde(default)]
    pub skip: u64,
    /// How often to do it; left out: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// What to do at a place in the code: `"crash"`, `{"sleep": {"ms": 100}}`, `{"error": "EIO"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FailpointAction {
    /// The process kills itself with SIGKILL.
    Crash,
    /// The thread stands still. That of the driver serves clients and administrators too.
    Sleep {
        /// For so many milliseconds.
        ms: u64,
    },
    /// The system call fails; only at places that stand for one.
    Error(SystemError),
}

/// An error of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SystemError {
    /// An error of the device.
    #[serde(rename = "EIO")]
    Io,
    /// The disk is full.
    #[serde(rename = "ENOSPC")]
    NoSpace,
}

/// A place in the code where something was to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailpointState {
    /// What was asked for.
    #[serde(flatten)]
    pub request: FailpointRequest,
    /// How often the node came by since.
    pub hits: u64,
    /// How often it did it.
    pub fired: u64,
}

/// All places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failpoints {
    /// Those where something is to be done.
    pub set: Vec<FailpointState>,
    /// The names of all.
    pub sites: Vec<String>,
}
