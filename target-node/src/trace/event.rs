//! What a line of a trace says.

use serde::{Deserialize, Serialize};

use crate::protocol::{Digest, Role, StateHash};
use crate::raft::{Index, LogId, NodeId, Term};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number, from 1 in each life of a node.
    pub seq: u64,
    /// When, on the monotonic clock that all processes of a machine share, in nanoseconds.
    pub time_ns: u64,
    /// Which node.
    pub node: NodeId,
    /// Which life of it: a number that grows.
    pub boot: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The trace begins: what the node has.
    Start {
        /// The cluster.
        cluster: String,
        /// Term and vote on its disk.
        #[serde(flatten)]
        hard_state: HardStateView,
        /// The entry before the first in its log.
        base: LogId,
        /// The last entry in its log.
        last: LogId,
        /// Who votes.
        voters: Vec<NodeId>,
        /// The seeded defects that are switched on.
        defects: Vec<String>,
    },
    /// It plays another role, or follows another leader.
    Role {
        /// What it plays.
        role: Role,
        /// In which term.
        term: Term,
        /// The leader as it knows it.
        leader: Option<NodeId>,
    },
    /// It entered a term.
    Term {
        /// Which.
        term: Term,
    },
    /// It decided on a vote.
    Vote {
        /// In which term.
        term: Term,
        /// For whom.
        candidate: NodeId,
    },
    /// Entries were put at the end of its log, and handed to the disk.
    Append {
        /// The entry before them.
        prev: LogId,
        /// The entries.
        entries: Vec<TracedEntry>,
    },
    /// Entries were cut off its log.
    Truncate {
        /// From this one on.
        from: Index,
    },
    /// The disk has everything up to a batch. Written by the thread that wrote it.
    Persisted {
        /// The number of the batch.
        batch: u64,
        /// Term and vote, where they changed.
        hard_state: Option<HardStateView>,
        /// From where the log on the disk was cut, before anything was put behind it.
        truncated: Option<Index>,
        /// The last entry of a snapshot that took the place of the whole log.
        installed: Option<LogId>,
        /// The last entry that was put on the disk.
        last: Option<LogId>,
    },
    /// Votes and acknowledgements leave the node: each binds it for ever.
    Promise {
        /// To whom.
        to: NodeId,
        /// `vote` (for itself), `vote_response` (granted), `append_response` (accepted).
        kind: String,
        /// In which term.
        term: Term,
        /// Up to where the log is acknowledged.
        matched: Option<Index>,
    },
    /// It knows more to be committed.
    Commit {
        /// Up to here.
        index: Index,
    },
    /// It applied an entry.
    Apply {
        /// The entry.
        id: LogId,
        /// The hash of what it carries.
        payload: Digest,
        /// The state afterwards.
        state: StateHash,
    },
    /// Its state is, or is to be, that of a snapshot.
    Snapshot {
        /// The last entry in it.
        last: LogId,
        /// Where it is from.
        source: SnapshotSource,
        /// The state in it, where the node has it in its state machine.
        state: Option<StateHash>,
    },
    /// The configuration that is in effect on this node from now on.
    Configuration {
        /// Who votes.
        voters: Vec<NodeId>,
        /// Who voted before, while both have to agree.
        #[serde(default)]
        outgoing: Vec<NodeId>,
    },
}

/// Term and vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardStateView {
    /// The term.
    pub term: Term,
    /// The vote in it.
    pub vote: Option<NodeId>,
}

/// One entry of a log, without what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedEntry {
    /// Its position.
    pub index: Index,
    /// The term of the leader that made it.
    pub term: Term,
    /// The hash of what it carries.
    pub payload: Digest,
}

/// Where a snapshot is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotSource {
    /// The node took it of its own state.
    Taken,
    /// The leader sent it, in place of the node's log.
    Received,
    /// The node's state machine was set to it.
    Restored,
}
