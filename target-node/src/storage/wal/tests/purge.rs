//! Snapshots named in the log, and the files that they make superfluous.

use super::*;

/// A log of many small files, with a snapshot on the way.
fn write_purged(dir: &Path) -> Wal {
    let (mut wal, ..) = open(dir).unwrap();
    wal.write(&[batch(1, Some((1, 1)), None, &[])]).unwrap();
    for index in 1..=300 {
        wal.write(&[batch(index, None, None, &[(1, index)])])
            .unwrap();
    }
    wal.write(&[Batch {
        snapshot: Some(snapshot(1, 250)),
        ..batch(301, None, None, &[(1, 301)])
    }])
    .unwrap();
    wal
}

#[test]
fn files_whose_entries_are_all_in_a_snapshot_are_removed_and_the_rest_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    drop(write_purged(dir.path()));
    let files = list(dir.path()).unwrap();
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
    let kept = list(dir.path()).unwrap();
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

#[test]
fn a_log_without_the_snapshot_it_names_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(write_purged(dir.path()));
    let snap = dir.path().join("snap");
    let file = fs::read_dir(&snap).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let refusal = open(dir.path()).unwrap_err();
    assert!(matches!(refusal, StorageError::Corrupt { .. }), "{refusal}");
    fs::remove_file(&file).unwrap();
    assert!(open(dir.path()).is_err());
}

#[test]
fn a_log_whose_first_file_is_gone_without_a_snapshot_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, ..) = open(dir.path()).unwrap();
    wal.write(&[batch(1, Some((1, 1)), None, &[])]).unwrap();
    for index in 1..=300 {
        wal.write(&[batch(index, None, None, &[(1, index)])])
            .unwrap();
    }
    drop(wal);
    fs::remove_file(segment::path(dir.path(), 1)).unwrap();
    let refusal = open(dir.path()).unwrap_err();
    assert!(refusal.to_string().contains("missing"), "{refusal}");
}

#[test]
fn a_snapshot_whose_mark_was_torn_is_forgotten_and_the_one_before_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, ..) = open(dir.path()).unwrap();
    for batch in &history()[..6] {
        wal.write(std::slice::from_ref(batch)).unwrap();
    }
    drop(wal);
    let path = segment::path(dir.path(), 1);
    let before = fs::read(&path).unwrap();
    // The next snapshot's file is there, but of its mark nothing reached the disk.
    shelf(dir.path(), OWNER).write(&snapshot(4, 9)).unwrap();
    let (_, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered, after(6));
    assert_eq!(fs::read_dir(dir.path().join("snap")).unwrap().count(), 1);
    assert!(fs::read(&path).unwrap().starts_with(&before[..HEAD]));
}
