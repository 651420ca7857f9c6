//! What a core is told once, at its start.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::raft::{NodeId, Term};

/// Whose disks must hold a write before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// The primary's and every backup's (`sync`): one backup away, and no write is acknowledged.
    All,
    /// The primary's and any one backup's (`semisync`). Where none answers in so many ticks the
    /// primary goes on alone, as under [`Acknowledge::Own`], until a backup has caught up.
    One {
        /// How long a write waits.
        patience_ticks: u32,
    },
    /// The primary's (`async`).
    Own,
}

/// What a core is told once, at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// All nodes, this one among them.
    pub members: BTreeSet<NodeId>,
    /// When a write is acknowledged.
    pub acknowledge: Acknowledge,
    /// A primary speaks at least every so many ticks.
    pub heartbeat_ticks: u32,
    /// What got no answer in so many ticks is sent again.
    pub resend_ticks: u32,
    /// How much payload one append carries at most, unless a single entry has more.
    pub append_bytes_max: usize,
    /// How many bytes of a snapshot one message carries.
    pub chunk_bytes_max: usize,
    /// How many entries are kept below a snapshot.
    pub trailing_entries: u64,
    /// The first name for a read: above every name used in an earlier life of this node.
    pub first_read: u64,
}

/// Why a configuration makes no sense.
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
    /// Nothing would ever be sent, or everything all the time.
    #[error("intervals and sizes must be at least 1")]
    Zero,
    /// A write that waits for one backup would wait for ever.
    #[error("semisync needs a backup: name at least two nodes")]
    NoBackup,
}

impl Config {
    /// A configuration with the limits that suit most clusters.
    #[must_use]
    pub fn new(id: NodeId, members: BTreeSet<NodeId>, acknowledge: Acknowledge) -> Self {
        Self {
            id,
            members,
            acknowledge,
            heartbeat_ticks: 1,
            resend_ticks: 10,
            append_bytes_max: 1024 * 1024,
            chunk_bytes_max: 64 * 1024,
            trailing_entries: 500,
            first_read: 1,
        }
    }

    /// The only node that can be the primary of an epoch: they are dealt out in turn, the first to
    /// the node with the lowest number.
    ///
    /// # Panics
    /// Where there are no members, which [`Config::validate`] refuses.
    #[must_use]
    pub fn owner(&self, epoch: Term) -> NodeId {
        let turn = epoch.saturating_sub(1) % self.members.len() as u64;
        let turn = usize::try_from(turn).unwrap_or(0);
        let owner = self.members.iter().nth(turn);
        *owner.expect("a remainder is below the number of members")
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`ConfigError`], in words.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !self.members.contains(&self.id) {
            return Err(ConfigError::NotAMember {
                id: self.id,
                members: self.members.clone(),
            });
        }
        if self.heartbeat_ticks == 0 || self.resend_ticks == 0 || self.chunk_bytes_max == 0 {
            return Err(ConfigError::Zero);
        }
        if matches!(self.acknowledge, Acknowledge::One { .. }) && self.members.len() < 2 {
            return Err(ConfigError::NoBackup);
        }
        Ok(())
    }
}
