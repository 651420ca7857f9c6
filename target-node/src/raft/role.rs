//! The roles a node can play.

use super::election::Candidate;
use super::replication::Leader;

/// What a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes entries from a leader.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Takes requests and replicates them.
    Leader,
}

/// A role with what it keeps; gone with the role.
#[derive(Debug)]
pub(super) enum State {
    Follower,
    Candidate(Candidate),
    Leader(Leader),
}

impl State {
    pub(super) fn role(&self) -> Role {
        match self {
            Self::Follower => Role::Follower,
            Self::Candidate(_) => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }
}
