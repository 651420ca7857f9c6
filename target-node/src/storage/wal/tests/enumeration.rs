//! A log of several files with a snapshot, torn and changed at every byte of each file.

use super::crash::{allowed, is_same};
use super::purge::take;
use super::*;

/// The smallest file there is.
const CAPACITY: u64 = 4096;

/// The bytes of all files, by their places.
type Image = Vec<(u64, Vec<u8>)>;

/// Elections, entries and a snapshot of the first few, over three files.
fn history() -> Vec<Batch> {
    let long = |term: Term, index: u64| Entry {
        payload: Payload::Command(Opaque::from(vec![u8::try_from(index).unwrap(); 700])),
        ..entry(term, index)
    };
    let entries = |id, first: u64, last: u64| Batch {
        append: (first..=last).map(|index| long(1, index)).collect(),
        ..batch(id, None, None, &[])
    };
    vec![
        batch(1, Some((1, 2)), None, &[]),
        entries(2, 1, 2),
        entries(3, 3, 4),
        Batch {
            snapshot: Some(snapshot(1, 2)),
            ..entries(4, 5, 6)
        },
        entries(5, 7, 8),
        batch(6, Some((3, 1)), Some(8), &[(3, 8), (3, 9)]),
        entries_in(7, 3, 10, 12),
        batch(8, None, None, &[(3, 13)]),
    ]
}

fn entries_in(id: BatchId, term: Term, first: u64, last: u64) -> Batch {
    let mut written = batch(id, None, None, &[]);
    written.append = (first..=last)
        .map(|index| Entry {
            payload: Payload::Command(Opaque::from(vec![b'x'; 500])),
            ..entry(term, index)
        })
        .collect();
    written
}

fn image(dir: &Path) -> Image {
    let places = sequences(&Direct, dir).unwrap();
    places
        .into_iter()
        .map(|place| (place, fs::read(segment::path(dir, place)).unwrap()))
        .collect()
}

/// What the files are after each batch.
fn images() -> Vec<Image> {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, ..) =
        Wal::open(dir.path(), shelf(dir.path(), OWNER), OWNER, true, CAPACITY).unwrap();
    let mut images = vec![image(dir.path())];
    for batch in history() {
        wal.write(&[batch]).unwrap();
        images.push(image(dir.path()));
    }
    let files = images.last().unwrap();
    assert!(files.len() >= 3, "{} files", files.len());
    images
}

fn reread(image: &Image) -> Result<Recovered, recover::Corruption> {
    let mut replay = recover::replay(image, OWNER)?;
    let named = replay.snapshot.map(|last| snapshot(last.term, last.index));
    replay.recovered.snapshot = named;
    Ok(replay.recovered)
}

fn groups() -> Vec<Vec<Batch>> {
    history().into_iter().map(|batch| vec![batch]).collect()
}

/// True where it is the state after so many batches, or any beginning of the next one.
fn is_point(found: &Recovered, acknowledged: usize) -> bool {
    let states = allowed(&Recovered::default(), &groups(), acknowledged);
    states.iter().any(|state| is_same(found, state))
}

#[test]
fn every_step_over_every_file_is_read_back() {
    let mut node = Recovered::default();
    for (count, image) in images().iter().enumerate() {
        if count > 0 {
            take(&mut node, &history()[count - 1]);
        }
        let found = reread(image).unwrap();
        assert!(is_same(&found, &node), "{count}: {found:?}");
    }
}

/// Power is lost in the middle of a batch: what it changes is there up to some byte of each file.
#[test]
fn a_batch_torn_at_any_byte_is_cut_off_also_where_it_begins_a_file() {
    let images = images();
    for (count, pair) in images.windows(2).enumerate() {
        let [before, after] = pair else {
            unreachable!()
        };
        for (place, written) in after {
            let old = before.iter().find(|(old, _)| old == place);
            // A new file is laid out whole under another name before it gets its own.
            let is_new = old.is_none();
            let old = old.map_or_else(|| vec![0; written.len()], |(_, bytes)| bytes.clone());
            let mut was_read = false;
            for cut in 0..written.len() {
                if old[cut] == written[cut] {
                    continue;
                }
                let mut torn = written.clone();
                torn[cut..].copy_from_slice(&old[cut..]);
                let files = after.iter().map(|(file, bytes)| match file == place {
                    true => (*file, torn.clone()),
                    false => (*file, bytes.clone()),
                });
                match reread(&files.collect()) {
                    Ok(found) => {
                        was_read = true;
                        let name = format!("batch {count}, file {place}, byte {cut}");
                        assert!(is_point(&found, count), "{name}: {found:?}");
                    }
                    // The head of a new file cannot be torn; behind it nothing is refused.
                    Err(refusal) => assert!(
                        is_new && !was_read,
                        "batch {count}, file {place}, byte {cut}: {refusal:?}"
                    ),
                }
            }
        }
    }
}

#[test]
fn a_file_of_several_that_is_cut_short_or_gone_is_refused() {
    let whole = images().pop().unwrap();
    for place in 0..whole.len() {
        for length in 0..whole[place].1.len() {
            let mut cut = whole.clone();
            cut[place].1.truncate(length);
            assert!(reread(&cut).is_err(), "file {place} of {length} bytes");
        }
        if place > 0 {
            let mut gone = whole.clone();
            gone.remove(place);
            if let Ok(found) = reread(&gone) {
                panic!("file {place} is not missed: {found:?}");
            }
        }
    }
}

#[test]
fn a_changed_byte_in_any_file_is_refused_or_changes_nothing() {
    let whole = images().pop().unwrap();
    let mut node = Recovered::default();
    for batch in history() {
        take(&mut node, &batch);
    }
    for place in 0..whole.len() {
        let is_last = place + 1 == whole.len();
        let bytes = &whole[place].1;
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        // Of the last file the mark at its end, which nothing protects yet; of those before it the
        // note that the log goes on, which the next one shows too.
        let unprotected = match is_last {
            true => end / 8 * 8 - 16,
            false => end / 8 * 8 - 8,
        };
        for at in 0..bytes.len() {
            let mut bad = whole.clone();
            bad[place].1[at] ^= 0x41;
            match reread(&bad) {
                Ok(found) => {
                    assert!(is_same(&found, &node), "file {place}, byte {at}: {found:?}");
                    assert!(at >= unprotected, "file {place}, byte {at} went unnoticed");
                }
                Err(_) => assert!(at <= end, "file {place}: byte {at} is behind everything"),
            }
        }
    }
}
