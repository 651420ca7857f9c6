//! What a core is told once, at its start.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::raft::NodeId;

/// What a read does about replicas that are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    None,
    /// Tells them the newest value, and does not wait.
    Async,
    /// Answers only once W replicas have the newest value on their disks.
    Abd,
}

/// What a core is told once, at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// All nodes, this one among them.
    pub members: BTreeSet<NodeId>,
    /// N: how many replicas a key has.
    pub replicas: usize,
    /// W: how many must have stored a write before it is acknowledged.
    pub writes: usize,
    /// R: how many must have answered before a read, or a write's first half, goes on.
    pub reads: usize,
    /// What a read does about replicas that are behind.
    pub repair: Repair,
    /// What got no answer in so many ticks is sent again.
    pub resend_ticks: u32,
    /// An operation that is not done in so many ticks is given up.
    pub patience_ticks: u32,
    /// How many changes of registers there are from one snapshot to the next.
    pub snapshot_entries: u64,
    /// A number above that of every earlier life of this node.
    pub life: u64,
}

/// Why a node cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The node is not in its own cluster.
    #[error("node {id} is not among the members {members:?}: name it in the list of peers")]
    NotAMember {
        /// The node.
        id: NodeId,
        /// The cluster.
        members: BTreeSet<NodeId>,
    },
    /// More replicas than nodes, or none.
    #[error("a key has {replicas} replicas in a cluster of {members}: --n must be 1 to {members}")]
    Replicas {
        /// N.
        replicas: usize,
        /// How many nodes there are.
        members: usize,
    },
    /// More answers than replicas, or none.
    #[error("--{flag} {count} of {replicas} replicas: it must be 1 to {replicas}")]
    Count {
        /// `w` or `r`.
        flag: &'static str,
        /// What was asked for.
        count: usize,
        /// N.
        replicas: usize,
    },
    /// Nothing would ever be sent again, or given up.
    #[error("intervals must be at least 1")]
    Zero,
    /// The disk holds registers of another version.
    #[error(
        "the log or its snapshot holds no registers that this version can read: start the \
         version that wrote them"
    )]
    State,
}

impl Config {
    /// A configuration in which each write and each read asks a majority of all nodes.
    #[must_use]
    pub fn new(id: NodeId, members: BTreeSet<NodeId>) -> Self {
        let (replicas, majority) = (members.len(), members.len() / 2 + 1);
        Self {
            id,
            members,
            replicas,
            writes: majority,
            reads: majority,
            repair: Repair::None,
            resend_ticks: 10,
            patience_ticks: 100,
            snapshot_entries: 10_000,
            life: 1,
        }
    }

    /// Refuses what makes no sense. R + W <= N does: it is what makes a quorum no quorum.
    ///
    /// # Errors
    /// [`ConfigError`], in words.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (members, replicas) = (self.members.len(), self.replicas);
        if !self.members.contains(&self.id) {
            return Err(ConfigError::NotAMember {
                id: self.id,
                members: self.members.clone(),
            });
        }
        if !(1..=members).contains(&replicas) {
            return Err(ConfigError::Replicas { replicas, members });
        }
        for (flag, count) in [("w", self.writes), ("r", self.reads)] {
            if !(1..=replicas).contains(&count) {
                return Err(ConfigError::Count {
                    flag,
                    count,
                    replicas,
                });
            }
        }
        if self.resend_ticks == 0 || self.patience_ticks == 0 || self.snapshot_entries == 0 {
            return Err(ConfigError::Zero);
        }
        Ok(())
    }

    /// The replicas of a key: N neighbours on the ring of all nodes, from where the key's hash
    /// points.
    pub(super) fn replicas_of(&self, key: &str) -> Vec<NodeId> {
        let members: Vec<NodeId> = self.members.iter().copied().collect();
        let first = crc32fast::hash(key.as_bytes()) as usize % members.len();
        let ring = members.iter().cycle().skip(first);
        ring.take(self.replicas).copied().collect()
    }
}
