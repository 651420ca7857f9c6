//! The log against crashes and damage: cut and changed at every byte.

mod crash;
mod damage;
mod enumeration;
mod purge;

use std::fs;

use super::super::vfs::{self, Direct};
use super::*;
use crate::raft::{Entry, LogId, Members, Opaque, Payload, Snapshot, Term};

const OWNER: u64 = 42;
const SMALL: u64 = 4096;

fn open(dir: &Path) -> Result<(Wal, Recovered, Repair), StorageError> {
    Wal::open(dir, shelf(dir, OWNER), OWNER, true, SMALL)
}

fn shelf(dir: &Path, owner: u64) -> Shelf {
    Shelf::open(&vfs::direct(), dir.join("snap"), owner).unwrap()
}

fn snapshot(term: Term, index: u64) -> Snapshot {
    Snapshot {
        last: LogId::new(term, index),
        members: Members::of([1].into()),
        state: Opaque::from(format!("state at {index}").into_bytes()),
    }
}

fn entry(term: Term, index: u64) -> Entry {
    let payload = Payload::Command(Opaque::from(format!("{index}@{term}").into_bytes()));
    Entry {
        id: LogId::new(term, index),
        payload,
    }
}

fn batch(id: BatchId, state: Option<(Term, u64)>, cut: Option<u64>, new: &[(Term, u64)]) -> Batch {
    Batch {
        id,
        hard_state: state.map(|(term, vote)| HardState {
            term,
            vote: Some(vote),
        }),
        truncate_from: cut,
        snapshot: None,
        drops_log: false,
        append: new
            .iter()
            .map(|&(term, index)| entry(term, index))
            .collect(),
    }
}

/// A history with everything in it: elections, entries, a divergent tail replaced, a snapshot of
/// the log's beginning, and one that stands for all of it.
fn history() -> Vec<Batch> {
    vec![
        batch(1, Some((1, 2)), None, &[]),
        batch(2, None, None, &[(1, 1), (1, 2)]),
        batch(3, None, None, &[(1, 3)]),
        batch(4, Some((3, 1)), Some(3), &[(3, 3), (3, 4)]),
        batch(5, None, None, &[(3, 5)]),
        Batch {
            snapshot: Some(snapshot(3, 4)),
            ..batch(6, None, None, &[(3, 6)])
        },
        Batch {
            snapshot: Some(snapshot(4, 9)),
            drops_log: true,
            ..batch(7, Some((4, 1)), None, &[(4, 10)])
        },
        batch(8, None, None, &[(4, 11)]),
    ]
}

/// What a node knows after the first `count` batches.
fn after(count: usize) -> Recovered {
    let mut recovered = Recovered::default();
    for batch in &history()[..count] {
        if let Some(state) = batch.hard_state {
            recovered.hard_state = state;
        }
        if let Some(first) = batch.truncate_from {
            recovered
                .entries
                .truncate(usize::try_from(first).unwrap() - 1);
        }
        if let Some(snapshot) = &batch.snapshot {
            if batch.drops_log {
                (recovered.base, recovered.entries) = (snapshot.last, Vec::new());
            }
            recovered.snapshot = Some(snapshot.clone());
        }
        recovered.entries.extend(batch.append.iter().cloned());
    }
    recovered
}

/// Writes the history, a sync each, and returns the file's bytes after each batch.
fn write_history(dir: &Path) -> Vec<Vec<u8>> {
    let (mut wal, ..) = open(dir).unwrap();
    let path = segment::path(dir, 1);
    let mut snapshots = vec![fs::read(&path).unwrap()];
    for batch in history() {
        assert_eq!(wal.write(std::slice::from_ref(&batch)).unwrap(), batch.id);
        snapshots.push(fs::read(&path).unwrap());
    }
    snapshots
}

/// Writes the first batches of the history, a sync each.
fn write_beginning(dir: &Path, count: usize) {
    let (mut wal, ..) = open(dir).unwrap();
    for batch in &history()[..count] {
        wal.write(std::slice::from_ref(batch)).unwrap();
    }
}

/// Writes so many entries, a sync each: enough of them go on in new files.
fn write_entries(dir: &Path, count: u64) {
    let (mut wal, ..) = open(dir).unwrap();
    wal.write(&[batch(1, Some((1, 1)), None, &[])]).unwrap();
    for index in 1..=count {
        wal.write(&[batch(index, None, None, &[(1, index)])])
            .unwrap();
    }
}

/// Reads a log that consists of these bytes.
fn reread(bytes: &[u8]) -> Result<(Recovered, usize), recover::Corruption> {
    let mut replay = recover::replay(&[(1, bytes.to_vec())], OWNER)?;
    let named = replay.snapshot.map(|last| snapshot(last.term, last.index));
    replay.recovered.snapshot = named;
    Ok((replay.recovered, replay.torn_bytes))
}

#[test]
fn what_was_written_is_read_back_after_every_batch() {
    let dir = tempfile::tempdir().unwrap();
    for (count, bytes) in write_history(dir.path()).iter().enumerate() {
        assert_eq!(reread(bytes), Ok((after(count), 0)));
    }
}

#[test]
fn a_torn_write_is_cut_off_and_all_before_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = write_history(dir.path());
    for (count, pair) in snapshots.windows(2).enumerate() {
        let [before, written] = pair else {
            unreachable!()
        };
        let first = before
            .iter()
            .zip(written)
            .position(|(a, b)| a != b)
            .unwrap();
        let last = before
            .iter()
            .zip(written)
            .rposition(|(a, b)| a != b)
            .unwrap();
        for cut in first..=last {
            let mut torn = written.clone();
            torn[cut..].fill(0);
            let (recovered, _) = reread(&torn).unwrap();
            let (old, new) = (after(count), after(count + 1));
            assert!(
                is_between(&old, &recovered, &new),
                "batch {count} cut at {cut}: {recovered:?}"
            );
        }
    }
}

/// A batch may have been written in part: its records up to some point, nothing else.
fn is_between(old: &Recovered, found: &Recovered, new: &Recovered) -> bool {
    let is_state_known = [old.hard_state, new.hard_state].contains(&found.hard_state);
    let is_prefix_of = |whole: &Recovered| {
        (whole.base, &whole.snapshot) == (found.base, &found.snapshot)
            && whole.entries.starts_with(&found.entries)
    };
    is_state_known && (is_prefix_of(new) || is_prefix_of(old))
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = write_history(dir.path()).pop().unwrap();
    for length in 0..bytes.len() {
        assert!(reread(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn a_changed_byte_in_what_was_durable_is_refused_and_never_read_as_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = write_history(dir.path()).pop().unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let last_mark = end / 8 * 8 - 16;
    for place in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[place] ^= flip;
            match reread(&bad) {
                // Damage in the last mark or behind it is as good as a write cut short.
                Ok((recovered, _)) => {
                    assert!(place >= last_mark, "byte {place} went unnoticed");
                    assert_eq!(recovered, after(history().len()), "byte {place}");
                }
                Err(_) => assert!(place <= end, "byte {place} is behind everything"),
            }
        }
    }
}

#[test]
fn zeros_over_what_was_durable_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = write_history(dir.path()).pop().unwrap();
    bytes[HEAD + 48..HEAD + 96].fill(0);
    assert!(reread(&bytes).is_err());
    fs::write(segment::path(dir.path(), 1), bytes).unwrap();
    let refusal = open(dir.path()).unwrap_err();
    assert!(matches!(refusal, StorageError::Corrupt { .. }), "{refusal}");
}

#[test]
fn a_torn_tail_does_not_come_back_when_new_records_have_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = write_history(dir.path());
    let (before, written) = (&snapshots[1], &snapshots[2]);
    // The first of the two entries of batch 2 did not reach the disk, the second did.
    let first = before
        .iter()
        .zip(written)
        .position(|(a, b)| a != b)
        .unwrap();
    let mut torn = written.clone();
    torn[first] ^= 0xff;
    let last = torn.iter().rposition(|&byte| byte != 0).unwrap();
    torn[last / 8 * 8 - 16..].fill(0);
    fs::write(segment::path(dir.path(), 1), &torn).unwrap();

    let (mut wal, recovered, repair) = open(dir.path()).unwrap();
    assert_eq!(recovered, after(1));
    assert!(repair.torn_bytes > 0);
    wal.write(&[batch(9, None, None, &[(1, 1)])]).unwrap();
    let (_, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered.entries, [entry(1, 1)]);
}

#[test]
fn the_log_goes_on_in_new_files_and_is_read_back_from_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    write_entries(dir.path(), 500);
    let files = list(&Direct, dir.path()).unwrap();
    assert!(files.len() > 5, "{files:?}");
    let (_, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered.entries.len(), 500);

    // Without its last file, then without the last two, and so on.
    for &last in files.iter().skip(1).rev() {
        fs::remove_file(segment::path(dir.path(), last)).unwrap();
        let refusal = open(dir.path()).unwrap_err().to_string();
        let told = format!("file {last} of the log, in which it goes on, is gone");
        assert!(refusal.contains(&told), "{refusal}");
    }
}

#[test]
fn a_file_in_the_middle_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    write_entries(dir.path(), 500);
    fs::remove_file(segment::path(dir.path(), 3)).unwrap();
    let refusal = open(dir.path()).unwrap_err();
    assert!(refusal.to_string().contains("missing"), "{refusal}");
}

#[test]
fn a_write_larger_than_a_file_gets_a_file_of_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, ..) = open(dir.path()).unwrap();
    let payload = Payload::Command(Opaque::from(vec![7; 3 * 4096]));
    let large = Entry {
        id: LogId::new(1, 1),
        payload,
    };
    let hard_state = Some(HardState {
        term: 1,
        vote: None,
    });
    let batch = Batch {
        id: 1,
        hard_state,
        truncate_from: None,
        snapshot: None,
        drops_log: false,
        append: vec![large.clone()],
    };
    wal.write(&[batch]).unwrap();
    let (_, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered.entries, [large]);
}

#[test]
fn a_draft_of_an_interrupted_rotation_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    write_history(dir.path());
    fs::write(dir.path().join("next.tmp"), "half").unwrap();
    let (_, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered, after(history().len()));
    assert!(!dir.path().join("next.tmp").exists());
}

#[test]
fn the_log_of_another_node_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_history(dir.path());
    let refusal = Wal::open(
        dir.path(),
        shelf(dir.path(), OWNER + 1),
        OWNER + 1,
        true,
        SMALL,
    )
    .unwrap_err();
    assert!(refusal.to_string().contains("another node"), "{refusal}");
}

#[test]
fn a_log_that_is_gone_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = Wal::open(dir.path(), shelf(dir.path(), OWNER), OWNER, false, SMALL).unwrap_err();
    assert!(matches!(refusal, StorageError::Corrupt { .. }), "{refusal}");
}
