//! What a node tells about itself.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::NodeId;

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
    /// What it does with a write when another node leads: `forward`, `redirect` or `reject`.
    pub client_routing: String,
    /// How it makes reads that do not say how: `linearizable`, `lease`, `log` or `local`.
    #[serde(default)]
    pub read_mode: String,
    /// How the nodes keep copies: `raft`, `sync`, `semisync`, `async` or `quorum`.
    #[serde(default)]
    pub replication: String,
    /// What that mode was told, in words; empty where there is nothing to tell.
    #[serde(default)]
    pub replication_flags: String,
}

/// A node's view of itself and its cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Hashes of its state machine, after the entry at `applied`.
    #[serde(default)]
    pub hash: StateHash,
    /// Highest index in its log.
    pub last: u64,
    /// Lowest index that is still in its log; one above `last` where the log is empty.
    #[serde(default)]
    pub first: u64,
    /// Last index in its newest snapshot, 0 where there is none.
    #[serde(default)]
    pub snapshot: u64,
    /// How many snapshots of leaders it has taken in the place of its log since it started.
    #[serde(default)]
    pub installed: u64,
    /// The voters of the configuration in effect.
    pub voters: Vec<NodeId>,
    /// Who voted before, while the change from one configuration to another is under way, and
    /// both have to agree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outgoing: Vec<NodeId>,
    /// Who gets the log and has no vote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learners: Vec<NodeId>,
    /// What a leader knows of the others' logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub progress: Vec<FollowerProgress>,
    /// Where the configuration in effect stands in the log: committed where `commit` has come to
    /// it; 0 for the first one.
    #[serde(default)]
    pub members_index: u64,
    /// For how long yet its lease as a leader runs, in milliseconds; absent where it holds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
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
    /// How fast its clock runs: 1 is right.
    #[serde(default = "right")]
    pub clock_rate: f64,
    /// The seeded defects that are switched on; empty in a node that means well.
    pub defects: Vec<String>,
    /// What its wall clock says, in nanoseconds since 1970; nothing that it does depends on it. 0
    /// where it does not tell.
    #[serde(default)]
    pub wall_ns: u64,
    /// Milliseconds since the process started.
    pub uptime_ms: u64,
}

/// What a leader knows of a follower's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowerProgress {
    /// Which follower.
    pub id: NodeId,
    /// Up to here it has the leader's log, on its disk.
    pub matched: u64,
    /// The first entry that it is to be sent next.
    pub next: u64,
    /// How it is sent: `probe`, `replicate` or `snapshot`.
    pub state: String,
}

fn right() -> f64 {
    1.0
}

/// What a state machine has come to after one entry, as hashes: nodes that have applied the same
/// index agree on all of them, or one of them is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHash {
    /// Index of the entry.
    pub index: u64,
    /// Of all entries up to it, in order.
    pub chain: Digest,
    /// Of all keys, with all that is kept of them.
    #[serde(rename = "state_hash")]
    pub state: Digest,
    /// Of all sessions, with the answers they keep, and the time of the log.
    #[serde(rename = "sessions_hash")]
    pub sessions: Digest,
}

/// A hash: 16 hexadecimal digits in JSON, whose numbers are not exact everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub u64);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = u64::from_str_radix(&text, 16).ok();
        number
            .filter(|_| text.len() == 16)
            .map(Self)
            .ok_or_else(|| de::Error::custom("a hash has 16 hexadecimal digits"))
    }
}

/// One entry of a node's log, as `GET /v1/log` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedEntry {
    /// Its position.
    pub index: u64,
    /// The term of the leader that made it.
    pub term: u64,
    /// `noop`, `command`, or what else there is.
    pub kind: String,
    /// The command, where it is one that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Value>,
    /// True where the node has applied it.
    pub applied: bool,
    /// The hash of all entries up to it, where the node has applied it not long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Digest>,
}

/// A part of a node's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogResponse {
    /// The entries, in order; those that a snapshot stands for are not there any more.
    pub entries: Vec<LoggedEntry>,
}
