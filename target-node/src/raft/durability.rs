//! How much of the log is on this node's own disk.

use std::collections::VecDeque;

use super::entry::{HardState, Index};
use super::output::BatchId;
use super::snapshot::Snapshot;

/// Follows what was handed out for persisting, and what of it is known to be durable.
///
/// ```text
/// index       1 ── durable ─────────── handed ───────── last
///             │ on disk │ in batches under way │ not yet handed out │
/// ```
///
/// A truncation lowers every mark at once, also those of the batches under way: when such a batch
/// is then reported, it proves only the part of it that is still in the log. A count of entries
/// or a comparison of indexes would take the report for entries that were put there later.
#[derive(Debug)]
pub(crate) struct Durability {
    durable: Index,
    handed: Index,
    hard_state_handed: HardState,
    truncate_from: Option<Index>,
    /// Not yet handed out, and whether it stands for the whole log.
    snapshot: Option<(Snapshot, bool)>,
    last_batch: BatchId,
    /// Batches under way, each with the end of what is still in the log when it is durable.
    under_way: VecDeque<(BatchId, Index)>,
}

impl Durability {
    /// After recovery: everything that was read back is durable.
    pub(crate) fn new(last: Index, hard_state: HardState) -> Self {
        Self {
            durable: last,
            handed: last,
            hard_state_handed: hard_state,
            truncate_from: None,
            snapshot: None,
            last_batch: 0,
            under_way: VecDeque::new(),
        }
    }

    /// Up to where the log is on this node's disk.
    pub(crate) fn durable(&self) -> Index {
        self.durable
    }

    /// The last batch handed out.
    pub(crate) fn last_batch(&self) -> BatchId {
        self.last_batch
    }

    /// The number of the batch to come.
    pub(crate) fn next_batch(&self) -> BatchId {
        self.last_batch + 1
    }

    /// The log was cut before `first`.
    pub(crate) fn truncated(&mut self, first: Index) {
        let kept = first - 1;
        if kept < self.handed {
            self.truncate_from = Some(self.truncate_from.map_or(first, |cut| cut.min(first)));
            self.handed = kept;
        }
        self.durable = self.durable.min(kept);
        for (_, end) in &mut self.under_way {
            *end = (*end).min(kept);
        }
    }

    /// A snapshot of the node's own state was taken.
    pub(crate) fn compacted(&mut self, snapshot: Snapshot) {
        self.snapshot = Some((snapshot, false));
    }

    /// The whole log gave way to a snapshot. On the disk there is the old one until a batch says
    /// otherwise; of it only what is committed, up to `commit`, still means anything.
    pub(crate) fn replaced(&mut self, commit: Index, snapshot: Snapshot) {
        self.durable = self.durable.min(commit);
        for (_, end) in &mut self.under_way {
            *end = (*end).min(commit);
        }
        self.handed = snapshot.last.index;
        self.snapshot = Some((snapshot, true));
    }

    /// What has to be persisted now: the cut, and the range of entries behind `handed` up to
    /// `last`; none where nothing changed.
    pub(crate) fn hand_out(&mut self, last: Index, hard_state: HardState) -> Option<Handed> {
        let is_hard_state_new = hard_state != self.hard_state_handed;
        let is_log_new = self.truncate_from.is_some() || self.handed != last;
        if !is_hard_state_new && !is_log_new && self.snapshot.is_none() {
            return None;
        }
        let handed = Handed {
            id: self.next_batch(),
            hard_state: is_hard_state_new.then_some(hard_state),
            truncate_from: self.truncate_from.take(),
            snapshot: self.snapshot.take(),
            append_from: self.handed + 1,
        };
        self.last_batch = handed.id;
        self.hard_state_handed = hard_state;
        self.handed = last;
        self.under_way.push_back((handed.id, last));
        Some(handed)
    }

    /// Every batch up to `batch` is durable.
    pub(crate) fn persisted(&mut self, batch: BatchId) {
        while let Some(&(id, end)) = self.under_way.front()
            && id <= batch
        {
            self.durable = self.durable.max(end);
            self.under_way.pop_front();
        }
    }
}

/// What one batch consists of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) id: BatchId,
    pub(crate) hard_state: Option<HardState>,
    pub(crate) truncate_from: Option<Index>,
    pub(crate) snapshot: Option<(Snapshot, bool)>,
    pub(crate) append_from: Index,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARD: HardState = HardState {
        term: 1,
        vote: None,
    };

    #[test]
    fn entries_replaced_while_their_batch_was_under_way_do_not_count_as_durable() {
        let mut durability = Durability::new(0, HARD);
        let first = durability.hand_out(5, HARD).unwrap();
        durability.truncated(3);
        let second = durability.hand_out(6, HARD).unwrap();
        assert_eq!((second.truncate_from, second.append_from), (Some(3), 3));
        durability.persisted(first.id);
        assert_eq!(durability.durable(), 2);
        durability.persisted(second.id);
        assert_eq!(durability.durable(), 6);
    }

    #[test]
    fn what_was_never_handed_out_needs_no_cut_on_disk() {
        let mut durability = Durability::new(4, HARD);
        durability.truncated(6);
        assert!(durability.hand_out(4, HARD).is_none());
    }

    #[test]
    fn a_new_vote_alone_makes_a_batch() {
        let mut durability = Durability::new(4, HARD);
        let vote = HardState {
            term: 1,
            vote: Some(2),
        };
        let handed = durability.hand_out(4, vote).unwrap();
        assert_eq!((handed.hard_state, handed.append_from), (Some(vote), 5));
        assert!(durability.hand_out(4, vote).is_none());
    }
}
