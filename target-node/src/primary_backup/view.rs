//! What a driver, a status page or a test may look at.

use super::{Acknowledge, PrimaryBackup};
use crate::raft::{Entry, Index, LogId, NodeId, Role, Snapshot, Term};

impl PrimaryBackup {
    /// All other nodes.
    pub(super) fn peers(&self) -> Vec<NodeId> {
        let others = self.config.members.iter().copied();
        others.filter(|&id| id != self.config.id).collect()
    }

    /// This node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// What it plays: a primary leads, a backup follows.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.primary {
            Some(_) => Role::Leader,
            None => Role::Follower,
        }
    }

    /// Its epoch.
    #[must_use]
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The primary of its epoch.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.hard_state.vote
    }

    /// For how long a backup has not heard its primary; none for a primary.
    #[must_use]
    pub fn silent_ticks(&self) -> Option<u64> {
        self.primary.is_none().then_some(self.silent_ticks)
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

    /// The entry before the first that the log still has.
    #[must_use]
    pub fn base(&self) -> LogId {
        self.log.base()
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// The last entry in the newest snapshot; 0 where there is none.
    #[must_use]
    pub fn snapshot_index(&self) -> Index {
        let newest = self.snapshot.as_ref();
        newest.map_or(0, |snapshot| snapshot.last.index)
    }

    /// The entries from `first` to `last`, as far as there are any.
    #[must_use]
    pub fn entries(&self, first: Index, last: Index) -> &[Entry] {
        self.log.range(first, last)
    }

    /// True where what was committed at an index is in every log, and so stays there for ever.
    #[must_use]
    pub fn is_commit_final(&self) -> bool {
        self.config.acknowledge == Acknowledge::All
    }

    /// A primary's view of one backup: up to where their logs are known to be equal.
    #[must_use]
    pub fn matched(&self, backup: NodeId) -> Option<Index> {
        let backups = &self.primary.as_ref()?.backups;
        Some(backups.get(&backup)?.matched())
    }
}
