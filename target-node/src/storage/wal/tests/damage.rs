//! A log with any damage: refused, or read back to some point of its history, never as something
//! that was not written.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

/// One thing that may happen to a file.
#[derive(Clone, Debug)]
enum Edit {
    Set(usize, u8),
    Zero(usize, usize),
    Copy(usize, usize, usize),
    Cut(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = || 0_usize..1200;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (place(), 1_usize..600).prop_map(|(at, length)| Edit::Zero(at, length)),
        (place(), place(), 1_usize..200)
            .prop_map(|(from, to, length)| Edit::Copy(from, to, length)),
        (place()).prop_map(Edit::Cut),
    ]
}

fn apply(bytes: &mut [u8], edit: &Edit) {
    let within = |place: usize| place.min(bytes.len());
    match *edit {
        Edit::Set(at, byte) => {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        Edit::Zero(at, length) => {
            let range = within(at)..within(at + length);
            bytes[range].fill(0);
        }
        Edit::Copy(from, to, length) => {
            let length = length.min(bytes.len().saturating_sub(from.max(to)));
            if length > 0 {
                bytes.copy_within(from..from + length, to);
            }
        }
        // A file that is cut and laid out anew, as some repair tools do.
        Edit::Cut(at) => {
            let range = within(at)..;
            bytes[range].fill(0);
        }
    }
}

fn whole() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        write_history(dir.path()).pop().unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_is_done_to_a_log_it_is_refused_or_read_back_to_some_point(
        edits in proptest::collection::vec(edit(), 1..5),
    ) {
        let mut bytes = whole().to_vec();
        edits.iter().for_each(|edit| apply(&mut bytes, edit));
        if let Ok((recovered, _)) = reread(&bytes) {
            let mut points = (0..history().len()).map(|count| (after(count), after(count + 1)));
            let is_point = points.any(|(old, new)| is_between(&old, &recovered, &new));
            prop_assert!(is_point, "{recovered:?}");
        }
    }

    #[test]
    fn no_bytes_make_recovery_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = reread(&bytes);
        let mut behind_a_good_head = whole()[..HEAD + 40].to_vec();
        behind_a_good_head.extend_from_slice(&bytes);
        behind_a_good_head.resize(whole().len(), 0);
        let _ = reread(&behind_a_good_head);
    }
}

/// A disk that brings back what once stood in a sector gives a record that is valid in its place
/// and for its owner. Only the chain knows that it was not the last one written there.
#[test]
fn a_record_that_once_stood_at_its_place_is_not_taken_for_the_one_written_last() {
    let image = |byte: u8| {
        let dir = tempfile::tempdir().unwrap();
        let (mut wal, ..) = open(dir.path()).unwrap();
        let mut first = batch(1, Some((1, 1)), None, &[(1, 1)]);
        first.append[0].payload = Payload::Command(Opaque::from(vec![byte; 8]));
        wal.write(&[first]).unwrap();
        wal.write(&[batch(2, None, None, &[(1, 2)])]).unwrap();
        fs::read(segment::path(dir.path(), 1)).unwrap()
    };
    let (once, now) = (image(b'o'), image(b'n'));
    // The entry's record: 12 bytes of head, 17 of its name and kind, 8 of the command.
    const LENGTH: usize = 40;
    let payload = now.windows(8).position(|bytes| bytes == [b'n'; 8]).unwrap();
    let start = payload - 29;
    let mut stale = now.clone();
    stale[start..start + LENGTH].copy_from_slice(&once[start..start + LENGTH]);
    assert!(reread(&now).is_ok());
    let refusal = reread(&stale).unwrap_err();
    assert!(refusal.reason.contains("written last"), "{refusal:?}");
}
