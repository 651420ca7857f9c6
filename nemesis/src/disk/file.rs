//! A file: what its readers see, what a power loss leaves, and the changes between the two.
//!
//! ```text
//!  durable ──pending[0]──pending[1]── … ──▶ current
//!     ▲ fsync: all of them applied here         ▲ read, write
//! ```
//!
//! Invariant: `pending` applied to `durable` gives `current`, unless the medium lies about writes,
//! or an fsync has failed: what it was to write is in `current` as long as the machine runs, and
//! will never be in `durable`, as on Linux (Rebello et al., "Can Applications Recover from fsync
//! Failures?", USENIX ATC 2020).

use std::ops::Range;

use rand::{RngExt, rngs::ChaCha8Rng};

use super::content::Content;
use crate::{fault::Keep, proof::Lost};

/// What a disk writes as a whole.
const SECTOR: u64 = 512;

/// So many bytes wait for an fsync at most: the oldest are then written out without one, as a
/// kernel does in time.
const PENDING_MAX: u64 = 64 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    Resize(u64),
    Zero(Range<u64>),
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Self::Write { at, bytes } => content.write(*at, bytes),
            Self::Resize(len) => content.resize(*len),
            Self::Zero(range) => content.zero(range.clone()),
        }
    }

    /// How many bytes were given to write.
    fn bytes(&self) -> u64 {
        match self {
            Self::Write { bytes, .. } => bytes.len() as u64,
            Self::Resize(_) | Self::Zero(_) => 0,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct File {
    current: Content,
    durable: Content,
    pending: Vec<Change>,
    /// The sum of their bytes.
    pending_bytes: u64,
    /// Bytes in `current` that the medium was never given, though it said so.
    lied: u64,
}

impl File {
    pub(super) fn current(&self) -> &Content {
        &self.current
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        self.change(Change::Write {
            at,
            bytes: bytes.to_vec(),
        });
    }

    /// A write that the medium says it has, and forgets: no fsync will make it durable.
    pub(super) fn write_in_vain(&mut self, at: u64, bytes: &[u8]) {
        self.current.write(at, bytes);
        self.lied += bytes.len() as u64;
    }

    pub(super) fn resize(&mut self, len: u64) {
        if len != self.current.len() {
            self.change(Change::Resize(len));
        }
    }

    pub(super) fn zero(&mut self, range: Range<u64>) {
        self.change(Change::Zero(range));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending_bytes += change.bytes();
        self.pending.push(change);
        if self.pending_bytes > PENDING_MAX {
            let half = self.pending.len().div_ceil(2);
            for old in self.pending.drain(..half) {
                old.apply(&mut self.durable);
            }
            self.pending_bytes = self.pending.iter().map(Change::bytes).sum();
        }
    }

    /// Whether an fdatasync has to write more than bytes in place: then the journal goes with it.
    pub(super) fn needs_journal(&self) -> bool {
        self.durable.len() != self.current.len()
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
        self.pending_bytes = 0;
    }

    /// An fsync that failed: what it was to write never will be. Returns how many bytes.
    pub(super) fn give_up_pending(&mut self) -> u64 {
        self.pending_bytes = 0;
        self.pending.drain(..).map(|change| change.bytes()).sum()
    }

    /// The power is gone.
    pub(super) fn lose_power(&mut self, keep: Keep, rng: &mut ChaCha8Rng, lost: &mut Lost) {
        let mut dropped = std::mem::take(&mut self.lied);
        let any = dropped > 0 || !self.pending.is_empty();
        for change in std::mem::take(&mut self.pending) {
            dropped += keep_some(&change, keep, rng, &mut self.durable);
        }
        self.pending_bytes = 0;
        if any && self.durable != self.current {
            lost.files += 1;
        }
        lost.bytes += dropped;
        self.current = self.durable.clone();
    }

    /// What bytes change on the medium itself, under everybody's feet.
    pub(super) fn damage(&mut self, change: impl Fn(&mut Content)) {
        self.sync();
        change(&mut self.durable);
        self.current = self.durable.clone();
    }
}

/// Applies as much of the change as survives; returns how many bytes did not.
fn keep_some(change: &Change, keep: Keep, rng: &mut ChaCha8Rng, durable: &mut Content) -> u64 {
    let survives = keep != Keep::Nothing && rng.random_bool(0.5);
    match (change, keep) {
        (Change::Write { at, bytes }, Keep::Torn) if survives => {
            let mut dropped = 0;
            for sector in sectors(*at, bytes.len()) {
                if rng.random_bool(0.75) {
                    durable.write(at + sector.start as u64, &bytes[sector]);
                } else {
                    dropped += sector.len() as u64;
                }
            }
            dropped
        }
        _ if survives => {
            change.apply(durable);
            0
        }
        _ => change.bytes(),
    }
}

/// The ranges of the bytes that lie in one sector each.
fn sectors(at: u64, length: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while from < length {
        let room = SECTOR - (at + from as u64) % SECTOR;
        let to = length.min(from + usize::try_from(room).expect("a sector is small"));
        ranges.push(from..to);
        from = to;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn lose(file: &mut File, keep: Keep, seed: u64) -> Lost {
        let mut lost = Lost::default();
        file.lose_power(keep, &mut ChaCha8Rng::seed_from_u64(seed), &mut lost);
        lost
    }

    #[test]
    fn what_was_synced_stays_and_nothing_else() {
        let mut file = File::default();
        file.write(0, b"kept");
        file.sync();
        file.write(2, b"lost");
        file.resize(100);
        assert_eq!(file.current().len(), 100);
        let lost = lose(&mut file, Keep::Nothing, 0);
        assert_eq!(file.current().read(0, 200), b"kept");
        assert_eq!((lost.files, lost.bytes), (1, 4));
        assert_eq!(lose(&mut file, Keep::Nothing, 0), Lost::default());
    }

    #[test]
    fn a_failed_fsync_gives_up_what_it_was_to_write() {
        let mut file = File::default();
        file.write(0, b"aaaa");
        file.sync();
        file.write(0, b"bb");
        assert_eq!(file.give_up_pending(), 2);
        assert_eq!(file.current().read(0, 9), b"bbaa", "still in the cache");
        file.write(3, b"c");
        file.sync();
        lose(&mut file, Keep::Nothing, 0);
        assert_eq!(
            file.current().read(0, 9),
            b"aaac",
            "the later fsync did not bring it"
        );
    }

    #[test]
    fn a_torn_write_keeps_whole_sectors() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut file = File::default();
            file.write(0, &[b'.'; 2048]);
            file.sync();
            file.write(100, &[b'Z'; 1900]);
            let lost = lose(&mut file, Keep::Torn, seed);
            let read = file.current().read(0, 4096);
            assert_eq!(read.len(), 2048);
            let new = read.iter().filter(|byte| **byte == b'Z').count() as u64;
            assert_eq!(new + lost.bytes, 1900);
            for sector in sectors(100, 1900) {
                let part = &read[sector.start + 100..sector.end + 100];
                assert!(part.iter().all(|byte| *byte == part[0]), "whole sectors");
            }
            seen.insert(new);
        }
        assert!(seen.contains(&0) && seen.len() > 3, "{seen:?}");
    }

    #[test]
    fn the_oldest_are_written_out_in_time() {
        let mut file = File::default();
        for _ in 0..70 {
            file.write(0, &vec![1; 1 << 20]);
        }
        assert!(file.pending_bytes <= PENDING_MAX);
        lose(&mut file, Keep::Nothing, 0);
        assert_eq!(file.current().len(), 1 << 20);
    }
}
