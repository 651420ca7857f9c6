//! Snapshots named in the log, and the files that they make superfluous.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;

/// A log of many small files, with two snapshots on the way.
fn write_purged(dir: &Path) -> Wal {
    let (mut wal, ..) = open(dir).unwrap();
    wal.write(&[batch(1, Some((1, 1)), None, &[])]).unwrap();
    for index in 1..=300 {
        wal.write(&[batch(index, None, None, &[(1, index)])])
            .unwrap();
    }
    wal.write(&[Batch {
        snapshot: Some(snapshot(1, 200)),
        ..batch(301, None, None, &[])
    }])
    .unwrap();
    wal.write(&[Batch {
        snapshot: Some(snapshot(1, 250)),
        ..batch(302, None, None, &[(1, 301)])
    }])
    .unwrap();
    wal
}

#[test]
fn files_whose_entries_are_all_in_a_snapshot_are_removed_and_the_rest_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    drop(write_purged(dir.path()));
    let files = list(&Direct, dir.path()).unwrap();
    assert!(files[0] > 1, "{files:?}");
    let (mut wal, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered.snapshot, Some(snapshot(1, 250)));
    assert!(
        (1..=250).contains(&recovered.base.index),
        "{}",
        recovered.base
    );
    assert_eq!(recovered.base.term, 1);
    assert_eq!(recovered.last(), LogId::new(1, 301));
    wal.write(&[batch(302, None, Some(300), &[(1, 300)])])
        .unwrap();
    let (_, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered.last(), LogId::new(1, 300));
}

#[test]
fn a_crash_between_two_removals_leaves_a_log_that_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    drop(write_purged(dir.path()));
    let kept = list(&Direct, dir.path()).unwrap();
    // Before the snapshot, all files were there; each removal takes the oldest.
    let whole = tempfile::tempdir().unwrap();
    let (mut wal, ..) = open(whole.path()).unwrap();
    wal.write(&[batch(1, Some((1, 1)), None, &[])]).unwrap();
    for index in 1..=300 {
        wal.write(&[batch(index, None, None, &[(1, index)])])
            .unwrap();
    }
    drop(wal);
    for sequence in (1..kept[0]).rev() {
        let path = segment::path(whole.path(), sequence);
        fs::copy(&path, segment::path(dir.path(), sequence)).unwrap();
        let (_, recovered, _) = open(dir.path()).unwrap();
        assert_eq!(
            recovered.snapshot,
            Some(snapshot(1, 250)),
            "from {sequence} on"
        );
        assert_eq!(recovered.last(), LogId::new(1, 301), "from {sequence} on");
    }
}

fn damage(dir: &Path, index: u64) {
    let path = shelf(dir, OWNER).path(LogId::new(1, index));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
}

#[test]
fn without_its_newest_snapshot_a_log_is_read_back_from_the_one_before() {
    let is_gone = |path: &Path| fs::remove_file(path).unwrap();
    let is_cut = |path: &Path| fs::write(path, "half").unwrap();
    for spoil in [is_gone as fn(&Path), is_cut as fn(&Path)] {
        let dir = tempfile::tempdir().unwrap();
        drop(write_purged(dir.path()));
        spoil(&shelf(dir.path(), OWNER).path(LogId::new(1, 250)));
        for _ in 0..2 {
            let (_, recovered, repair) = open(dir.path()).unwrap();
            assert_eq!(repair.unreadable, Some(LogId::new(1, 250)));
            assert_eq!(recovered.snapshot, Some(snapshot(1, 200)));
            assert_eq!(recovered.last(), LogId::new(1, 301));
            assert!(recovered.holds(LogId::new(1, 201)) && recovered.base.index <= 200);
        }
        // The next snapshot may be older than the one that is gone.
        let (mut wal, ..) = open(dir.path()).unwrap();
        wal.write(&[Batch {
            snapshot: Some(snapshot(1, 240)),
            ..batch(303, None, None, &[])
        }])
        .unwrap();
        let (_, recovered, repair) = open(dir.path()).unwrap();
        assert_eq!(recovered.snapshot, Some(snapshot(1, 240)));
        assert_eq!(repair.unreadable, None);
    }
}

#[test]
fn a_log_without_any_snapshot_that_leads_to_its_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(write_purged(dir.path()));
    damage(dir.path(), 200);
    damage(dir.path(), 250);
    let refusal = open(dir.path()).unwrap_err();
    let names_newest = refusal.to_string().contains("00fa-");
    assert!(
        matches!(refusal, StorageError::Corrupt { .. }) && names_newest,
        "{refusal}"
    );
}

#[test]
fn the_first_snapshot_can_be_done_without_and_one_that_stands_for_the_log_cannot() {
    let dir = tempfile::tempdir().unwrap();
    write_beginning(dir.path(), 6);
    fs::remove_file(shelf(dir.path(), OWNER).path(LogId::new(3, 4))).unwrap();
    let (mut wal, recovered, _) = open(dir.path()).unwrap();
    assert_eq!((recovered.snapshot, recovered.base), (None, LogId::ZERO));
    assert_eq!(recovered.entries, after(6).entries);
    wal.write(&history()[6..]).unwrap();
    drop(wal);
    fs::remove_file(shelf(dir.path(), OWNER).path(LogId::new(4, 9))).unwrap();
    assert!(open(dir.path()).is_err());
}

#[test]
fn a_log_whose_first_file_is_gone_without_a_snapshot_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_entries(dir.path(), 300);
    fs::remove_file(segment::path(dir.path(), 1)).unwrap();
    let refusal = open(dir.path()).unwrap_err();
    assert!(refusal.to_string().contains("missing"), "{refusal}");
}

#[test]
fn a_snapshot_whose_mark_was_torn_is_forgotten_and_the_one_before_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    write_beginning(dir.path(), 6);
    let path = segment::path(dir.path(), 1);
    let before = fs::read(&path).unwrap();
    // The next snapshot's file is there, but of its mark nothing reached the disk.
    shelf(dir.path(), OWNER).write(&snapshot(4, 9), 6).unwrap();
    let (_, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered, after(6));
    assert_eq!(fs::read_dir(dir.path().join("snap")).unwrap().count(), 1);
    assert!(fs::read(&path).unwrap().starts_with(&before[..HEAD]));
}

#[test]
fn a_log_that_ends_before_what_an_own_snapshot_saw_of_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_beginning(dir.path(), 6);
    let path = segment::path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    // As if the end had never been written: the marks are gone with it, and the records before the
    // place are whole. Only the snapshot at 4 knows better.
    let lost = (HEAD..whole.len()).step_by(8).filter_map(|end| {
        let mut bytes = whole.clone();
        bytes[end..].fill(0);
        let (recovered, _) = reread(&bytes).ok()?;
        (recovered.last().index < 4).then_some((bytes, recovered.last().index))
    });
    let lost: Vec<_> = lost.collect();
    assert!(lost.len() > 10);
    for (bytes, last) in lost {
        fs::write(&path, bytes).unwrap();
        let refusal = open(dir.path()).unwrap_err().to_string();
        let told = format!("the log ends with entry {last} here");
        assert!(refusal.contains(&told), "{refusal}");
        assert!(refusal.contains("durable up to entry 4"), "{refusal}");
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(open(dir.path()).unwrap().1, after(6));
}

#[test]
fn a_cut_before_the_place_where_the_first_file_began_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, ..) = open(dir.path()).unwrap();
    wal.write(&[batch(1, Some((1, 1)), None, &[])]).unwrap();
    let mut index = 0;
    while wal.files.len() < 3 {
        index += 1;
        wal.write(&[batch(index, None, None, &[(1, index)])])
            .unwrap();
    }
    // The newest file began where the log ended at `base`; now the log is cut before that, goes on
    // with another tail, and a snapshot lets all files but this one go.
    let (newest, base) = *wal.files.back().unwrap();
    let cut = base - 2;
    let tail: Vec<(Term, u64)> = (cut..=base + 3).map(|index| (2, index)).collect();
    wal.write(&[batch(900, Some((2, 1)), Some(cut), &tail)])
        .unwrap();
    for index in [base, base + 1] {
        wal.write(&[Batch {
            snapshot: Some(snapshot(2, index)),
            ..batch(901 + index, None, None, &[])
        }])
        .unwrap();
    }
    drop(wal);
    assert_eq!(list(&Direct, dir.path()).unwrap(), [newest]);
    let (_, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered.snapshot, Some(snapshot(2, base + 1)));
    assert_eq!(recovered.last(), LogId::new(2, base + 3));
    assert!(recovered.holds(LogId::new(2, base + 2)));
}

/// The next thing that may happen to a log whose end is `last` and of which `committed` never goes.
pub(super) fn next_batch(
    rng: &mut ChaCha8Rng,
    id: BatchId,
    node: &Recovered,
    committed: u64,
) -> Batch {
    let mut state = node.hard_state;
    if rng.random_bool(0.1) {
        state.term += 1;
    }
    let term = state.term;
    let last = node.last().index;
    let mut batch = batch(id, None, None, &[]);
    batch.hard_state = (state != node.hard_state).then_some(HardState { term, vote: None });
    let mut first = last + 1;
    match rng.random_range(0..20) {
        0 if batch.hard_state.is_some() || last > committed => {
            first = rng.random_range(committed + 1..=last + 1);
            batch.truncate_from = (first <= last).then_some(first);
        }
        1 if committed > node.snapshot.as_ref().map_or(0, |s| s.last.index) => {
            let entry = node
                .entries
                .iter()
                .find(|entry| entry.id.index == committed);
            batch.snapshot = entry.map(|entry| snapshot(entry.id.term, committed));
        }
        2 => {
            let index = committed + rng.random_range(1..60);
            (batch.snapshot, batch.drops_log) = (Some(snapshot(term, index)), true);
            first = index + 1;
        }
        _ => {}
    }
    let count = rng.random_range(0..6);
    batch.append = (first..first + count)
        .map(|index| entry(term, index))
        .collect();
    batch
}

pub(super) fn take(node: &mut Recovered, batch: &Batch) {
    node.hard_state = batch.hard_state.unwrap_or(node.hard_state);
    if let Some(first) = batch.truncate_from {
        node.entries.retain(|entry| entry.id.index < first);
    }
    if batch.drops_log {
        node.base = batch.snapshot.as_ref().unwrap().last;
        node.entries.clear();
    }
    if batch.snapshot.is_some() {
        node.snapshot.clone_from(&batch.snapshot);
    }
    node.entries.extend(batch.append.iter().cloned());
}

#[test]
fn whatever_happens_to_a_log_it_is_read_back_from_its_snapshot_on() {
    for seed in 0..8 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let (mut wal, mut node, _) = open(dir.path()).unwrap();
        node.hard_state.term = 1;
        wal.write(&[batch(1, Some((1, 1)), None, &[])]).unwrap();
        node.hard_state.vote = Some(1);
        let (mut committed, mut removed) = (0, 0);
        for id in 2..250 {
            let batch = next_batch(&mut rng, id, &node, committed);
            wal.write(std::slice::from_ref(&batch)).unwrap();
            take(&mut node, &batch);
            let floor = committed.max(node.base.index);
            committed = rng.random_range(floor..=node.last().index);
            if rng.random_bool(0.2) {
                drop(wal);
                let (again, found, _) = open(dir.path()).unwrap();
                wal = again;
                let name = format!("seed {seed}, batch {id}");
                assert_eq!(found.hard_state, node.hard_state, "{name}");
                assert_eq!(found.snapshot, node.snapshot, "{name}");
                let kept = node
                    .entries
                    .iter()
                    .filter(|e| e.id.index > found.base.index);
                assert!(kept.eq(&found.entries), "{name}");
                assert_eq!(found.last(), node.last(), "{name}");
                removed = removed.max(list(&Direct, dir.path()).unwrap()[0] - 1);
            }
        }
        assert!(removed > 0, "seed {seed} never let a file go");
    }
}
