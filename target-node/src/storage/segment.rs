//! The head of a log file.
//!
//! ```text
//! 0          8       16      24             32         40      48      56    60
//! │ magic    │ owner │ seq   │ previous end │ capacity │ base  │ chain │ crc │ 0 │ records …
//! ```
//!
//! A file is laid out at full capacity before it gets its name, and never changes its size: one
//! that is shorter has lost something, and a sync need not wait for the file system's own books.

use std::path::{Path, PathBuf};

use super::record::Chain;
use crate::raft::Index;

/// Length of the head; the first record begins here.
pub(super) const HEAD: usize = 64;

/// How large a file is laid out unless a single write needs more.
pub(super) const CAPACITY: u64 = 16 * 1024 * 1024;

const MAGIC: &[u8; 8] = b"TNWAL\0\0\x02";

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Whose log it is: [`Identity::owner`](super::Identity::owner).
    pub(super) owner: u64,
    /// Its place among the files, from 1.
    pub(super) sequence: u64,
    /// Where the records of the file before it end; 0 for the first.
    pub(super) previous_end: u64,
    /// The size of this file.
    pub(super) capacity: u64,
    /// Where the log ended when this file was begun: the files before it are needed no more once
    /// a snapshot reaches as far.
    pub(super) base: Index,
    /// The chain of all records in the files before it.
    pub(super) chain: Chain,
}

impl Head {
    /// What every checksum in this file begins with.
    pub(super) fn salt(&self) -> u64 {
        self.owner ^ self.sequence.rotate_left(48)
    }

    pub(super) fn encode(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(MAGIC);
        let numbers = [
            self.owner,
            self.sequence,
            self.previous_end,
            self.capacity,
            self.base,
            u64::from(self.chain.0),
        ];
        for (number, place) in numbers.into_iter().zip(bytes[8..].chunks_exact_mut(8)) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32fast::hash(&bytes[..56]);
        bytes[56..60].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The head of a file; none where it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD] = bytes.first_chunk()?;
        let number = |place: usize| {
            let bytes = bytes[place..place + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        let head = Self {
            owner: number(8),
            sequence: number(16),
            previous_end: number(24),
            capacity: number(32),
            base: number(40),
            chain: Chain(u32::try_from(number(48)).ok()?),
        };
        (head.encode() == *bytes).then_some(head)
    }
}

/// The name of the file at a place.
pub(super) fn path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:016x}.wal"))
}

/// The place that a file's name tells; none where it is not the name of a segment.
pub(super) fn sequence(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    let sequence = u64::from_str_radix(digits, 16).ok()?;
    (digits == format!("{sequence:016x}")).then_some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_and_any_changed_byte_is_noticed() {
        let head = Head {
            owner: 9,
            sequence: 2,
            previous_end: 4096,
            capacity: CAPACITY,
            base: 17,
            chain: Chain(5),
        };
        let bytes = head.encode();
        assert_eq!(Head::decode(&bytes), Some(head));
        for place in 0..HEAD {
            let mut bad = bytes;
            bad[place] ^= 1;
            assert_eq!(Head::decode(&bad), None, "byte {place}");
        }
        assert_eq!(Head::decode(&bytes[..HEAD - 1]), None);
    }

    #[test]
    fn only_a_segments_own_name_tells_a_place() {
        assert_eq!(sequence("000000000000001f.wal"), Some(31));
        assert_eq!(sequence("1f.wal"), None);
        assert_eq!(sequence("000000000000001F.wal"), None);
        assert_eq!(sequence("next.tmp"), None);
    }
}
