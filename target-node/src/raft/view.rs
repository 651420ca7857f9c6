//! What a driver, a status page or a test may look at.

use super::Raft;
use super::entry::{Entry, Index, LogId, NodeId, Term};
use super::role::{Role, State};

impl Raft {
    /// This node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// What it plays.
    #[must_use]
    pub fn role(&self) -> Role {
        self.state.role()
    }

    /// Its term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// Whom it voted for in its term.
    #[must_use]
    pub fn vote(&self) -> Option<NodeId> {
        self.hard_state.vote
    }

    /// The leader of its term, if known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The highest index known to be committed.
    #[must_use]
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// The highest index handed out for applying.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The highest index on this node's own disk.
    #[must_use]
    pub fn durable(&self) -> Index {
        self.durability.durable()
    }

    /// The last entry.
    #[must_use]
    pub fn last(&self) -> LogId {
        self.log.last()
    }

    /// The entries from `first` to `last`, as far as there are any.
    #[must_use]
    pub fn entries(&self, first: Index, last: Index) -> &[Entry] {
        self.log.range(first, last)
    }

    /// Whether a node will have a vote, once the change that may be under way is over.
    pub(super) fn is_voter(&self, id: NodeId) -> bool {
        self.members().voters.contains(&id)
    }

    /// A leader's view of one follower: matched, next, and how appends are sent.
    #[must_use]
    pub fn progress(&self, follower: NodeId) -> Option<(Index, Index, &'static str)> {
        let State::Leader(leader) = &self.state else {
            return None;
        };
        let progress = leader.progress.get(&follower)?;
        Some((progress.matched(), progress.next(), progress.pace()))
    }
}
