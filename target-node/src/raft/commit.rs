//! Commitment: when an entry is safe for ever (Raft paper sections 5.3 and 5.4.2).

use super::Raft;
use super::entry::{Entry, Index, LogId};
use super::role::{Role, State};
use crate::defect::Defect;

/// A leader counts on more than this node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgot {
    /// Up to here this node had acknowledged the log.
    pub commit: Index,
    /// Here it ends.
    pub last: Index,
}

impl Raft {
    /// The leader's rule: an entry of its *own* term that a majority holds durably is committed,
    /// and with it all before it. Entries of earlier terms are never committed by counting: a
    /// majority may hold one, and a later leader still overwrite it (figure 8).
    ///
    /// The leader counts itself like any other, by what is on its own disk.
    pub(super) fn advance_commit(&mut self) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        let own = self.durability.durable();
        let id = self.config.id;
        let agreed = self
            .quorum
            .agreed(|voter| match leader.progress.get(&voter) {
                Some(progress) => progress.matched(),
                None if voter == id => own,
                None => 0,
            });
        let is_own = self.log.term_at(agreed) == Some(self.term());
        if agreed > self.commit && (is_own || self.config.defects.has(Defect::CommitPriorTerm)) {
            self.commit = agreed;
        }
    }

    /// The follower's rule: what the leader says, and it never says more than the follower has
    /// acknowledged. A follower that has less has forgotten something.
    pub(super) fn learn_commit(&mut self, commit: Index) {
        let last = self.log.last().index;
        if commit > last && !self.config.is_unsound() {
            self.forgot = Some(Forgot { commit, last });
        }
        self.commit = self.commit.max(commit.min(last));
    }

    /// What shows that this node does not have what it has acknowledged, if anything does. It must
    /// not go on: what it may have forgotten besides is a vote.
    #[must_use]
    pub fn forgot(&self) -> Option<Forgot> {
        self.forgot
    }

    /// What a candidate or a voter knows to be committed, where this log has just that entry: then
    /// all before it is the same, too (log matching).
    ///
    /// Where configurations take effect when they are applied, an election can depend on it. A node
    /// with the longest log may not lead, as only others know that the configuration is committed
    /// that takes it in, or only it knows of the one that leaves it out; and it refuses its vote to
    /// those with shorter logs, who need it. A leader counts, and asks nobody.
    pub(super) fn learn_committed(&mut self, committed: LogId) {
        if self.role() != Role::Leader && self.log.contains(committed) {
            self.commit = self.commit.max(committed.index);
        }
    }

    /// The last entry that this node knows to be committed.
    pub(super) fn committed(&self) -> LogId {
        let term = self.log.term_at(self.commit).unwrap_or_default();
        LogId::new(term, self.commit)
    }

    /// True where the leader knows that its commit index is up to date: an entry of its own term
    /// is committed. Before that, its predecessor may have acknowledged more than it knows of.
    pub(super) fn has_committed_in_term(&self) -> bool {
        self.log.term_at(self.commit) == Some(self.term())
    }

    /// What may be applied now: committed, and on this node's own disk.
    pub(super) fn take_committed(&mut self) -> Vec<Entry> {
        let upto = self.commit.min(self.durability.durable());
        if self.applied < self.log.base().index {
            // A snapshot has come in place of what was to be applied; it has to be durable first.
            if upto < self.snapshot_index() {
                return Vec::new();
            }
            self.applied = self.snapshot_index();
            self.output.rebuild = true;
        }
        let entries = self.log.range(self.applied + 1, upto).to_vec();
        self.applied = self.applied.max(upto);
        self.note_applied();
        entries
    }
}
