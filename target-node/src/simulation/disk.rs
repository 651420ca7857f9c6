//! A disk that keeps for certain only what was synced.
//!
//! What a node finds there after a crash is always predicted by a model, batch by batch and record
//! by record. With [`Disks::Files`](super::Disks::Files) it is read back by the storage itself,
//! and the model says whether it may be so.

use std::collections::VecDeque;

use super::summary::Count;
use crate::raft::{Batch, BatchId, Recovered};
use crate::storage::SimulatedStorage;

/// What is synced, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Disk {
    synced: Recovered,
    pending: VecDeque<Batch>,
    files: Option<SimulatedStorage>,
}

impl Disk {
    /// From now on the log is kept in files; the seed decides what they lose.
    pub(super) fn use_files(&mut self, seed: u64) -> Result<(), String> {
        let files = SimulatedStorage::new(seed).map_err(|error| error.to_string())?;
        self.files = Some(files);
        Ok(())
    }

    pub(super) fn write(&mut self, batch: Batch) {
        self.pending.push_back(batch);
    }

    /// Everything up to this batch is durable.
    pub(super) fn sync(&mut self, upto: BatchId) -> Result<(), String> {
        if self.files.is_some() {
            let due = self.pending.iter().take_while(|batch| batch.id <= upto);
            let group: Vec<Batch> = due.cloned().collect();
            if let Some(files) = self.files.as_mut().filter(|_| !group.is_empty()) {
                files.write(&group).map_err(|error| error.to_string())?;
            }
        }
        while let Some(batch) = self.pending.pop_front_if(|batch| batch.id <= upto) {
            take(&mut self.synced, batch, usize::MAX);
        }
        Ok(())
    }

    /// The power fails. Of what was not synced some prefix of the records may have made it all
    /// the same, cut anywhere. Tells what became of that, if there was any.
    pub(super) fn crash(&mut self, luck: u8) -> Result<Vec<Count>, String> {
        let group: Vec<Batch> = self.pending.drain(..).collect();
        let count: usize = group.iter().map(size).sum();
        let mut told = Vec::new();
        let kept = if let Some(files) = &mut self.files {
            let found = files.crash(&group, u64::from(luck % 16));
            let (found, is_torn) = found.map_err(|error| error.to_string())?;
            let is_so = |&records: &usize| is_same(&found, &self.kept(&group, records));
            let Some(records) = (0..=count).find(is_so) else {
                return Err(format!(
                    "found {found:?} after {:?} and {group:?}",
                    self.synced
                ));
            };
            self.synced = found;
            told.extend(is_torn.then_some(Count::TornTails));
            records
        } else {
            let records = usize::from(luck) % (count + 1);
            self.synced = self.kept(&group, records);
            records
        };
        if count > 0 {
            let mut ends = group.iter().scan(0, |end, batch| {
                *end += size(batch);
                Some(*end)
            });
            told.extend(match kept {
                0 => Some(Count::UnsyncedLost),
                _ if kept == count => Some(Count::UnsyncedKept),
                _ => (!ends.any(|end| end == kept)).then_some(Count::UnsyncedTorn),
            });
        }
        Ok(told)
    }

    /// What the disk says when of these batches so many records have reached it.
    fn kept(&self, group: &[Batch], records: usize) -> Recovered {
        let mut state = self.synced.clone();
        let mut left = records;
        for batch in group {
            take(&mut state, batch.clone(), left);
            match left.checked_sub(size(batch)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        state
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
        if let Some(snapshot) = snapshot
            .as_ref()
            .filter(|_| is_purged && self.files.is_none())
            && snapshot.last.index > base.index
        {
            entries.retain(|entry| entry.id.index > snapshot.last.index);
            *base = snapshot.last;
        }
        self.synced.clone()
    }
}

/// True where the log that was found is the one predicted, but for files that may be gone.
fn is_same(found: &Recovered, predicted: &Recovered) -> bool {
    let kept = predicted.entries.iter();
    let kept = kept.filter(|entry| entry.id.index > found.base.index);
    (found.hard_state, &found.snapshot) == (predicted.hard_state, &predicted.snapshot)
        && found.last() == predicted.last()
        && kept.eq(&found.entries)
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
