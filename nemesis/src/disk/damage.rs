//! Bytes that change while nobody looks, and how to change them back.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::index};

use super::{
    content::PAGE,
    file::File,
    unit::Unit,
    volume::{ROOT, Volume},
};
use crate::{
    fault::{Damage, Keep},
    proof::Damaged,
};

/// What was there before.
pub(super) enum Undo {
    /// Bytes of files: what each was, and what it is.
    Bytes(Vec<Byte>),
    /// The end of a file.
    Tail {
        number: u64,
        cut_at: u64,
        bytes: Vec<u8>,
    },
    /// Everything.
    Whole(Box<Volume>),
}

pub(super) struct Byte {
    number: u64,
    at: u64,
    was: u8,
    is: u8,
}

/// Changes the volume; `None` when it holds nothing that could be changed.
///
/// Only its process was killed: what it wrote is durable by then, fsynced or not.
pub(super) fn damage(
    unit: &mut Unit,
    damage: Damage,
    rng: &mut ChaCha8Rng,
) -> Option<(Damaged, Undo)> {
    settle(&mut unit.volume);
    match damage {
        Damage::BitFlip(bits) => flip(&mut unit.volume, bits, rng),
        Damage::Truncate => truncate(&mut unit.volume, rng),
        Damage::Restore => {
            let older = unit.older.clone()?;
            Some(replace(unit, older))
        }
        Damage::Wipe => {
            let empty = unit.volume.emptied();
            Some(replace(unit, empty))
        }
    }
}

/// Everything is durable, and nobody has anything open.
fn settle(volume: &mut Volume) {
    volume.sync_all();
    let lost = volume.lose_power(Keep::Nothing, &mut ChaCha8Rng::seed_from_u64(0));
    assert_eq!(lost.bytes, 0, "all of it was synced");
}

/// The files that hold something, with how many bytes of them do.
fn files(volume: &Volume) -> Vec<(String, u64, u64)> {
    let files = volume.walk().into_iter().filter_map(|(path, number)| {
        let written = volume.file(number).ok()?.current().written();
        (written > 0).then(|| (path.display().to_string(), number, written))
    });
    files.collect()
}

/// Every stored bit has the same chance, and each is hit once at most: of fewer than that, all are.
fn flip(volume: &mut Volume, bits: u16, rng: &mut ChaCha8Rng) -> Option<(Damaged, Undo)> {
    let files = files(volume);
    let all: u64 = files.iter().map(|(_, _, written)| written).sum();
    if all == 0 {
        return None;
    }
    let mut damaged = Damaged::default();
    let mut undo = Vec::new();
    for (place, mask) in drawn(all, bits, rng) {
        let mut left = place;
        for (path, number, written) in &files {
            if left >= *written {
                left -= written;
                continue;
            }
            let file = volume.file_mut(*number).expect("found just now");
            let at = file.current().nth_stored(left).expect("among the written");
            let was = file.current().read(at, 1)[0];
            let is = was ^ mask;
            file.damage(|content| content.write(at, &[is]));
            damaged.bytes += 1;
            damaged.files.insert(path.clone());
            undo.push(Byte {
                number: *number,
                at,
                was,
                is,
            });
            break;
        }
    }
    Some((damaged, Undo::Bytes(undo)))
}

/// So many different bits of so many bytes: which bytes, and which bits of each.
fn drawn(bytes: u64, bits: u16, rng: &mut ChaCha8Rng) -> BTreeMap<u64, u8> {
    let all = usize::try_from(bytes.saturating_mul(8)).unwrap_or(usize::MAX);
    let mut masks: BTreeMap<u64, u8> = BTreeMap::new();
    for bit in index::sample(rng, all, all.min(usize::from(bits))) {
        *masks.entry(bit as u64 / 8).or_default() |= 1 << (bit % 8);
    }
    masks
}

fn truncate(volume: &mut Volume, rng: &mut ChaCha8Rng) -> Option<(Damaged, Undo)> {
    let files = files(volume);
    if files.is_empty() {
        return None;
    }
    let (path, number, _) = &files[rng.random_range(0..files.len())];
    let file = volume.file_mut(*number).expect("found just now");
    let len = file.current().len();
    let cut_at = len - rng.random_range(1..=len.min(PAGE as u64));
    let bytes = file.current().read(cut_at, PAGE);
    file.damage(|content| content.resize(cut_at));
    let damaged = Damaged {
        bytes: len - cut_at,
        files: [path.clone()].into(),
    };
    let number = *number;
    Some((
        damaged,
        Undo::Tail {
            number,
            cut_at,
            bytes,
        },
    ))
}

fn replace(unit: &mut Unit, other: Volume) -> (Damaged, Undo) {
    let (bytes, files) = difference(&unit.volume, &other);
    let before = std::mem::replace(&mut unit.volume, other);
    let damaged = Damaged { bytes, files };
    (damaged, Undo::Whole(Box::new(before)))
}

/// How many bytes of the one's files the other has not, and in which files.
fn difference(one: &Volume, other: &Volume) -> (u64, BTreeSet<String>) {
    let there: BTreeMap<_, _> = other.walk().into_iter().collect();
    let (mut bytes, mut files) = (0, BTreeSet::new());
    for (path, number) in one.walk() {
        let Ok(file) = one.file(number) else { continue };
        let found = there.get(&path).and_then(|number| other.file(*number).ok());
        let differ = file.current().differ(found.map(File::current));
        if differ > 0 || found.is_none() {
            bytes += differ;
            files.insert(path.display().to_string());
        }
    }
    (bytes, files)
}

impl Undo {
    /// Puts back what was there, wherever the damage is still as it was done.
    pub(super) fn apply(self, unit: &mut Unit) {
        settle(&mut unit.volume);
        match self {
            Self::Bytes(bytes) => {
                for Byte {
                    number,
                    at,
                    was,
                    is,
                } in bytes
                {
                    if let Ok(file) = unit.volume.file_mut(number)
                        && file.current().read(at, 1) == [is]
                    {
                        file.damage(|content| content.write(at, &[was]));
                    }
                }
            }
            Self::Tail {
                number,
                cut_at,
                bytes,
            } => {
                if let Ok(file) = unit.volume.file_mut(number)
                    && file.current().len() == cut_at
                {
                    file.damage(|content| content.write(cut_at, &bytes));
                }
            }
            Self::Whole(before) => unit.volume = *before,
        }
    }
}

impl Volume {
    /// The same disk with nothing on it.
    fn emptied(&self) -> Self {
        let mut empty = self.clone();
        let top = empty.directory_mut(ROOT).expect("always there");
        top.current.clear();
        top.durable.clear();
        empty.inodes.retain(|number, _| *number == ROOT);
        empty.nameless.clear();
        empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_bits_are_hit_as_asked_for_or_as_there_are() {
        for (bytes, bits) in [
            (16_384, 65_535),
            (16_384, 3),
            (1, 8),
            (1, 9),
            (5, 65_535),
            (2, 15),
        ] {
            for seed in 0..20 {
                let hit = drawn(bytes, bits, &mut ChaCha8Rng::seed_from_u64(seed));
                let count: u32 = hit.values().map(|mask| mask.count_ones()).sum();
                assert_eq!(
                    u64::from(count),
                    u64::from(bits).min(bytes * 8),
                    "{bytes}, {bits}"
                );
                assert!(hit.keys().all(|place| *place < bytes));
            }
        }
    }
}
