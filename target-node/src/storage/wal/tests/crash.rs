//! Every operation of a history fails once in each way, and then the power goes. What was
//! acknowledged is there afterwards, what was not is there in part or not at all, in order, and
//! nothing else is.

use std::path::PathBuf;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::super::super::identity::Identity;
use super::super::super::load;
use super::super::super::vfs::Files;
use super::super::super::vfs::memory::{Fault, Memory};
use super::purge::{next_batch, take};
use super::*;

/// Groups of batches, each written and synced at once.
type History = Vec<Vec<Batch>>;

fn random_history(seed: u64, groups: usize) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut node = Recovered::default();
    let first = batch(1, Some((1, 1)), None, &[]);
    take(&mut node, &first);
    let mut history = vec![vec![first]];
    let (mut id, mut committed) = (1, 0);
    for _ in 1..groups {
        let mut group = Vec::new();
        for _ in 0..rng.random_range(1..=3) {
            id += 1;
            let batch = next_batch(&mut rng, id, &node, committed);
            take(&mut node, &batch);
            let floor = committed.max(node.base.index);
            committed = rng.random_range(floor..=node.last().index);
            group.push(batch);
        }
        history.push(group);
    }
    history
}

fn open_memory(disk: &Memory) -> Result<(Wal, Recovered, Repair), StorageError> {
    let files: Files = std::sync::Arc::new(disk.clone());
    let identity = Identity {
        cluster: "demo".to_owned(),
        node: 1,
        founders: [1].into(),
    };
    let dir = PathBuf::from("/data");
    make_dir(&*files, &dir)?;
    load(&files, &dir, &identity, SMALL)
}

/// Writes the history until something fails: how many groups were acknowledged.
fn write(disk: &Memory, history: &[Vec<Batch>]) -> (usize, Option<StorageError>) {
    let mut wal = match open_memory(disk) {
        Ok((wal, ..)) => wal,
        Err(error) => return (0, Some(error)),
    };
    for (count, group) in history.iter().enumerate() {
        if let Err(error) = wal.write(group) {
            return (count, Some(error));
        }
    }
    (history.len(), None)
}

/// What may be found: the state after the acknowledged groups, or any beginning of the next one.
pub(super) fn allowed(
    start: &Recovered,
    history: &[Vec<Batch>],
    acknowledged: usize,
) -> Vec<Recovered> {
    let mut node = start.clone();
    for batch in history[..acknowledged].iter().flatten() {
        take(&mut node, batch);
    }
    let mut states = vec![node.clone()];
    for batch in history.get(acknowledged).into_iter().flatten() {
        states.extend(beginnings(batch).iter().map(|part| {
            let mut state = node.clone();
            take(&mut state, part);
            state
        }));
        take(&mut node, batch);
    }
    states
}

/// A batch cut after each of its records.
fn beginnings(batch: &Batch) -> Vec<Batch> {
    let mut part = Batch {
        truncate_from: None,
        snapshot: None,
        drops_log: false,
        append: Vec::new(),
        ..batch.clone()
    };
    let mut parts = vec![part.clone()];
    part.truncate_from = batch.truncate_from;
    parts.push(part.clone());
    (part.snapshot, part.drops_log) = (batch.snapshot.clone(), batch.drops_log);
    parts.push(part.clone());
    for entry in &batch.append {
        part.append.push(entry.clone());
        parts.push(part.clone());
    }
    parts
}

/// True where the log that was found is this one, but for files that may be gone.
pub(super) fn is_same(found: &Recovered, state: &Recovered) -> bool {
    let kept = state
        .entries
        .iter()
        .filter(|entry| entry.id.index > found.base.index);
    (found.hard_state, &found.snapshot) == (state.hard_state, &state.snapshot)
        && found.last() == state.last()
        && kept.eq(&found.entries)
}

#[test]
fn whatever_fails_what_was_acknowledged_is_there_and_nothing_is_invented() {
    for seed in 0..3 {
        let history = random_history(seed, 25);
        let disk = Memory::new(seed);
        assert_eq!(write(&disk, &history).0, history.len());
        for place in 0..disk.operations() {
            for fault in [Fault::PowerLoss, Fault::Eio, Fault::NoSpace] {
                for luck in 0..3 {
                    let disk = Memory::new(luck);
                    disk.fail_after(place, fault);
                    let name = format!("history {seed}, operation {place}, {fault:?}, {luck}");
                    let (acknowledged, error) = write(&disk, &history);
                    let error = error.unwrap_or_else(|| panic!("{name}: not told"));
                    let is_full = matches!(error, StorageError::Full { .. });
                    assert_eq!(is_full, fault == Fault::NoSpace, "{name}: {error}");
                    disk.crash();
                    let opened =
                        open_memory(&disk).unwrap_or_else(|error| panic!("{name}: {error}"));
                    let states = allowed(&Recovered::default(), &history, acknowledged);
                    let is_allowed = states.iter().any(|state| is_same(&opened.1, state));
                    assert!(is_allowed, "{name}: {:?} after {:?}", opened.1, states[0]);
                }
            }
        }
    }
}

#[test]
fn a_recovered_log_goes_on_through_crash_after_crash() {
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let disk = Memory::new(seed);
        let mut node = Recovered::default();
        let (mut id, mut committed) = (0, 0);
        for life in 0..12 {
            let name = format!("seed {seed}, life {life}");
            let (mut wal, found, _) =
                open_memory(&disk).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(
                is_same(&found, &node),
                "{name}: {found:?} instead of {node:?}"
            );
            let mut history = Vec::new();
            let mut next = node.clone();
            for _ in 0..8 {
                id += 1;
                let batch = match id {
                    1 => batch(1, Some((1, 1)), None, &[]),
                    _ => next_batch(&mut rng, id, &next, committed),
                };
                take(&mut next, &batch);
                let floor = committed.max(next.base.index);
                committed = rng.random_range(floor..=next.last().index);
                history.push(vec![batch]);
            }
            disk.fail_after(rng.random_range(0..30), Fault::PowerLoss);
            let written = history.iter().take_while(|group| wal.write(group).is_ok());
            let acknowledged = written.count();
            disk.crash();
            let found = open_memory(&disk)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .1;
            let states = allowed(&node, &history, acknowledged);
            let state = states.into_iter().find(|state| is_same(&found, state));
            node = state.unwrap_or_else(|| panic!("{name}: {found:?}"));
            committed = committed.min(node.last().index).max(node.base.index);
            let snapshot = node
                .snapshot
                .as_ref()
                .map_or(0, |snapshot| snapshot.last.index);
            committed = committed.max(snapshot);
        }
    }
}
