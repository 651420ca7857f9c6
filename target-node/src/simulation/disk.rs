//! A disk that keeps for certain only what was synced.

use std::collections::VecDeque;

use crate::raft::{Batch, BatchId, Recovered};

/// What is synced, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Disk {
    synced: Recovered,
    pending: VecDeque<Batch>,
}

impl Disk {
    pub(super) fn write(&mut self, batch: Batch) {
        self.pending.push_back(batch);
    }

    /// Everything up to this batch is durable.
    pub(super) fn sync(&mut self, upto: BatchId) {
        while self.pending.front().is_some_and(|batch| batch.id <= upto) {
            let batch = self.pending.pop_front().expect("a front was just seen");
            take(&mut self.synced, batch, usize::MAX);
        }
    }

    /// The power fails. Of what was not synced some prefix of the records may have made it all
    /// the same, cut anywhere.
    pub(super) fn crash(&mut self, kept: u8) {
        let mut records = usize::from(kept % 8);
        for batch in self.pending.drain(..) {
            let size = size(&batch);
            take(&mut self.synced, batch, records);
            match records.checked_sub(size) {
                Some(rest) => records = rest,
                None => break,
            }
        }
        self.pending.clear();
    }

    pub(super) fn synced(&self) -> &Recovered {
        &self.synced
    }

    /// What a start finds. Files whose entries are all in the snapshot may be gone.
    pub(super) fn recover(&mut self, is_purged: bool) -> Recovered {
        let Recovered {
            snapshot,
            base,
            entries,
            ..
        } = &mut self.synced;
        if let Some(snapshot) = snapshot.as_ref().filter(|_| is_purged)
            && snapshot.last.index > base.index
        {
            entries.retain(|entry| entry.id.index > snapshot.last.index);
            *base = snapshot.last;
        }
        self.synced.clone()
    }
}

fn size(batch: &Batch) -> usize {
    let state = usize::from(batch.hard_state.is_some());
    let marks = usize::from(batch.truncate_from.is_some()) + usize::from(batch.snapshot.is_some());
    state + marks + batch.append.len()
}

/// Does what the first `records` records of a batch say, in the order of the log.
fn take(state: &mut Recovered, batch: Batch, records: usize) {
    let mut left = records;
    let mut next = || {
        let is_left = left > 0;
        left = left.saturating_sub(1);
        is_left
    };
    if let Some(hard_state) = batch.hard_state
        && next()
    {
        state.hard_state = hard_state;
    }
    if let Some(first) = batch.truncate_from {
        if !next() {
            return;
        }
        state.entries.retain(|entry| entry.id.index < first);
    }
    if let Some(snapshot) = batch.snapshot {
        if !next() {
            return;
        }
        if batch.drops_log {
            (state.base, state.entries) = (snapshot.last, Vec::new());
        }
        state.snapshot = Some(snapshot);
    }
    state.entries.extend(batch.append.into_iter().take(left));
}
