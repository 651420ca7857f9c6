//! What a core is told once, at its start.

use std::collections::BTreeSet;

use thiserror::Error;

use super::change::{ConfChange, Effect};
use super::entry::NodeId;
use crate::defect::Defects;

/// What a core is told once, at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Who votes at first, this node among them: until the log or a snapshot says otherwise. Empty
    /// for a node that waits to be taken in.
    pub voters: BTreeSet<NodeId>,
    /// How the voters are changed.
    pub conf_change: ConfChange,
    /// When a configuration takes effect; the same on all nodes.
    pub conf_effective: Effect,
    /// ET: a follower that hears nothing for so many ticks, and what [`Config::jitter`] adds,
    /// campaigns.
    pub election_ticks: u32,
    /// How the timeouts of elections are kept apart.
    pub jitter: Jitter,
    /// Ask first whether an election could be won, and only then raise the term.
    pub pre_vote: bool,
    /// A leader that has not heard a majority for an election timeout steps down, and nobody votes
    /// while it hears a leader.
    pub check_quorum: bool,
    /// Leaders may answer reads from a lease: see [`ReadMode::Lease`](super::ReadMode). Only with
    /// `check_quorum`, and only where all nodes have both.
    pub leases: bool,
    /// A leader speaks at least every so many ticks.
    pub heartbeat_ticks: u32,
    /// How much payload one append carries at most, unless a single entry has more.
    pub append_bytes_max: usize,
    /// How many bytes of a snapshot one message carries.
    pub chunk_bytes_max: usize,
    /// How many entries are kept below a snapshot, for followers that are only a little behind.
    pub trailing_entries: u64,
    /// How many appends may be under way to one follower.
    pub in_flight_max: usize,
    /// The first name for a read: above every name used in an earlier life of this node, so that
    /// a late answer to a question of then cannot answer one of now.
    pub first_read: u64,
    /// What is deliberately wrong.
    pub defects: Defects,
}

/// How election timeouts are drawn, so that split votes do not repeat for ever.
///
/// `Etcd` and `Sofa` have the same distribution, `[ET, 2*ET-1]`, and differ in when they draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Once for each role that the node takes on.
    #[default]
    Etcd,
    /// Anew for each silence: after ET without a word, a further random wait.
    Sofa,
    /// Not at all: everyone campaigns after exactly ET, and nodes that start together may split
    /// their votes for ever.
    None,
}

/// Why a configuration makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The node is not in its own cluster.
    #[error("node {id} is not among the voters {voters:?}: name it in the list of peers")]
    NotAVoter {
        /// The node.
        id: NodeId,
        /// The cluster.
        voters: BTreeSet<NodeId>,
    },
    /// Followers would campaign between two heartbeats.
    #[error(
        "the election timeout of {election_ticks} ticks must be more than the heartbeat interval \
         of {heartbeat_ticks}, which must be at least 1"
    )]
    Ticks {
        /// The election timeout.
        election_ticks: u32,
        /// The heartbeat interval.
        heartbeat_ticks: u32,
    },
    /// No append, or no snapshot, could ever be sent.
    #[error("the window must let at least one append be under way, and a chunk have one byte")]
    Window,
}

impl Config {
    /// A configuration with the limits that suit most clusters.
    #[must_use]
    pub fn new(id: NodeId, voters: BTreeSet<NodeId>) -> Self {
        Self {
            id,
            voters,
            conf_change: ConfChange::Joint,
            conf_effective: Effect::Append,
            election_ticks: 10,
            jitter: Jitter::Etcd,
            pre_vote: true,
            check_quorum: true,
            leases: true,
            heartbeat_ticks: 1,
            append_bytes_max: 256 * 1024,
            chunk_bytes_max: 64 * 1024,
            trailing_entries: 500,
            in_flight_max: 128,
            first_read: 1,
            defects: Defects::NONE,
        }
    }

    /// True where a leader may rely on a lease.
    pub(super) fn has_leases(&self) -> bool {
        self.leases && self.check_quorum
    }

    /// True where what a core relies on may be broken: there is a seeded defect, or changes of the
    /// members can give one term two leaders.
    pub(super) fn is_unsound(&self) -> bool {
        !self.defects.is_empty() || self.conf_change == ConfChange::DirectUnsafe
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`ConfigError`], in words.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !self.voters.contains(&self.id) && !self.voters.is_empty() {
            return Err(ConfigError::NotAVoter {
                id: self.id,
                voters: self.voters.clone(),
            });
        }
        if self.heartbeat_ticks == 0 || self.election_ticks <= self.heartbeat_ticks {
            return Err(ConfigError::Ticks {
                election_ticks: self.election_ticks,
                heartbeat_ticks: self.heartbeat_ticks,
            });
        }
        if self.in_flight_max == 0 || self.chunk_bytes_max == 0 {
            return Err(ConfigError::Window);
        }
        Ok(())
    }
}
