//! What went wrong, and what that proves.

use serde::{Deserialize, Serialize};

use super::NodeId;

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
    pub leader: Option<LeaderHint>,
    /// The node's current term.
    pub term: u64,
}

/// Where to ask instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderHint {
    /// The leader.
    pub id: NodeId,
    /// Where clients reach it: `http://HOST:PORT`, where this node has been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// How far a request had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It never entered a log.
    PreAppend,
    /// It entered a log; what became of it is another question.
    PostAppend,
    /// It was applied, and came to nothing.
    Applied,
    /// It left this node, and no answer came.
    Unknown,
}

/// Which error: the closed list of what a node may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The request makes no sense: not JSON, an unknown field, a wrong type. Definite.
    Invalid,
    /// This node is no member of its cluster, or not any more. Definite.
    NotMember,
    /// The node is a learner, which has no vote: it cannot lead. Definite.
    Learner,
    /// The leadership was being handed over, and did not come back in time to this node. Definite.
    TransferInProgress,
    /// The request is larger than this node takes, or a list would be with it. Definite.
    TooLarge,
    /// This node does not lead, and does not forward; with `--client-routing redirect` the answer
    /// is a 307 with the leader's address. Definite.
    NotLeader,
    /// This node knows no leader. Definite.
    NoLeader,
    /// Too many requests are waiting. Definite.
    Overloaded,
    /// The node still reads back what is on its disk. Definite.
    Starting,
    /// Fewer replicas answered than a quorum has, and nothing was stored. Definite.
    NoQuorum,
    /// The mode of replication has no such operation. Definite.
    Unsupported,
    /// The change of the members before this one is not over. Definite.
    ConfchangePending,
    /// The members cannot be changed yet: the leader is new, or a learner has not caught up.
    /// Definite.
    ConfchangeNotReady,
    /// Another entry was committed at the request's index: it can never be applied. Definite.
    Superseded,
    /// There is no such session, or no more. Definite for the first attempt only.
    SessionUnknown,
    /// The client said that it has the answer to this number. Definite for the first attempt only.
    SeqTooOld,
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
