//! One record of the log as bytes.
//!
//! ```text
//! 0        4        8    9        12                    12+len
//! │ u32 len│ u32 crc│kind│ 0 0 0  │ payload             │ zeros to a multiple of 8
//! ```
//!
//! The checksum covers the segment's salt, the record's own offset, kind, length and payload. A
//! record is therefore valid only where it was written: one that lies elsewhere, or in another
//! node's file, is not taken for one of this log.
//!
//! That it was the record written *last* at its place, the [`Chain`] tells: a checksum of the
//! checksums of all records before, from file to file, which every sync mark repeats. A sector
//! that holds what stood there once, whole and valid, breaks it. All numbers are little-endian.

use crate::raft::{Entry, HardState, Index, LogId, Members, Opaque, Payload};

/// Bytes before the payload.
const HEAD: usize = 12;

/// Records begin at multiples of this, so that no length can be torn across two sectors.
pub(super) const ALIGNMENT: usize = 8;

/// What the log can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Put this at the end.
    Entry(Entry),
    /// Term and vote from now on.
    HardState(HardState),
    /// Drop the entry at this index and all behind it.
    TruncateFrom(Index),
    /// Everything before this offset of the file was durable when this was written: what is bad
    /// below is corruption, and not a write that a crash cut short. The records before this one
    /// are those of the chain.
    SyncMark(u64, Chain),
    /// The file of the snapshot that ends with this entry is durable. It stands for the whole log
    /// where the flag is set, and for a beginning of it that may be dropped where it is not.
    Snapshot(LogId, bool),
    /// The last in a file, and no part of the chain: the log goes on in the file of this place,
    /// which is durable with its name.
    GoesOn(u64),
}

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, and where the next one begins.
    Record(Record, usize),
    /// Zeros, as in the unused rest of a file.
    Nothing,
    /// Neither.
    Damage(&'static str),
}

/// A checksum of the checksums of all records from the first file on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain(pub(super) u32);

impl Chain {
    /// With the valid record at `offset`.
    pub(super) fn extended(self, bytes: &[u8], offset: usize) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(&bytes[offset + 4..offset + 8]);
        Self(hasher.finalize())
    }
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Self::Entry(_) => 1,
            Self::HardState(_) => 2,
            Self::TruncateFrom(_) => 3,
            Self::SyncMark(..) => 4,
            Self::Snapshot(..) => 5,
            Self::GoesOn(_) => 6,
        }
    }

    /// Writes the record behind what is in `bytes`, which will stand at `base` in the file.
    pub(super) fn encode(&self, salt: u64, base: u64, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; HEAD]);
        self.encode_payload(bytes);
        let length = u32::try_from(bytes.len() - start - HEAD)
            .expect("a request is limited to far less than 4 GiB");
        let offset = base + start as u64;
        let checksum = checksum(salt, offset, self.kind(), &bytes[start + HEAD..]);
        bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        bytes[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
        bytes[start + 8] = self.kind();
        let padded = (bytes.len() - start).next_multiple_of(ALIGNMENT);
        bytes.resize(start + padded, 0);
    }

    fn encode_payload(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Entry(entry) => {
                bytes.extend_from_slice(&entry.id.term.to_le_bytes());
                bytes.extend_from_slice(&entry.id.index.to_le_bytes());
                match &entry.payload {
                    Payload::Noop => bytes.push(0),
                    Payload::Command(command) => {
                        bytes.push(1);
                        bytes.extend_from_slice(command.as_bytes());
                    }
                    Payload::Members(members) => {
                        bytes.push(2);
                        bytes.extend_from_slice(&members.encode());
                    }
                }
            }
            Self::HardState(HardState { term, vote }) => {
                bytes.extend_from_slice(&term.to_le_bytes());
                bytes.extend_from_slice(&vote.unwrap_or(0).to_le_bytes());
            }
            Self::Snapshot(last, drops_log) => {
                bytes.extend_from_slice(&last.term.to_le_bytes());
                bytes.extend_from_slice(&last.index.to_le_bytes());
                bytes.push(u8::from(*drops_log));
            }
            Self::TruncateFrom(number) | Self::GoesOn(number) => {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            Self::SyncMark(durable, Chain(chain)) => {
                bytes.extend_from_slice(&durable.to_le_bytes());
                bytes.extend_from_slice(&chain.to_le_bytes());
            }
        }
    }

    fn decode_payload(kind: u8, payload: &[u8]) -> Option<Self> {
        let (number, rest) = number(payload)?;
        match kind {
            1 => {
                let (index, rest) = self::number(rest)?;
                let (&tag, bytes) = rest.split_first()?;
                let payload = match tag {
                    0 if bytes.is_empty() => Payload::Noop,
                    1 => Payload::Command(Opaque::from(bytes)),
                    2 => Payload::Members(Members::decode(bytes)?),
                    _ => return None,
                };
                Some(Self::Entry(Entry {
                    id: LogId::new(number, index),
                    payload,
                }))
            }
            2 => {
                let (vote, rest) = self::number(rest)?;
                let vote = (vote != 0).then_some(vote);
                rest.is_empty()
                    .then_some(Self::HardState(HardState { term: number, vote }))
            }
            3 => rest.is_empty().then_some(Self::TruncateFrom(number)),
            4 => {
                let chain = u32::from_le_bytes(rest.try_into().ok()?);
                Some(Self::SyncMark(number, Chain(chain)))
            }
            5 => {
                let (index, rest) = self::number(rest)?;
                let last = LogId::new(number, index);
                match rest {
                    [flag @ (0 | 1)] => Some(Self::Snapshot(last, *flag == 1)),
                    _ => None,
                }
            }
            6 => rest.is_empty().then_some(Self::GoesOn(number)),
            _ => None,
        }
    }
}

/// Reads what stands at `offset`; never panics, whatever the bytes are.
pub(super) fn decode(bytes: &[u8], offset: usize, salt: u64) -> Found {
    let rest = bytes.get(offset..).unwrap_or(&[]);
    let Some((head, body)) = rest.split_at_checked(HEAD) else {
        return match rest.iter().all(|&byte| byte == 0) {
            true => Found::Nothing,
            false => Found::Damage("the file ends within a record"),
        };
    };
    if head.iter().all(|&byte| byte == 0) {
        return Found::Nothing;
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (length, expected, kind) = (word(0) as usize, word(4), head[8]);
    if head[9..] != [0; HEAD - 9] {
        return Found::Damage("reserved bytes are set");
    }
    let padded = (HEAD + length).next_multiple_of(ALIGNMENT);
    let (Some(payload), Some(padding)) = (body.get(..length), rest.get(HEAD + length..padded))
    else {
        return Found::Damage("a record reaches beyond the file");
    };
    if checksum(salt, offset as u64, kind, payload) != expected {
        return Found::Damage("the checksum does not match");
    }
    if padding.iter().any(|&byte| byte != 0) {
        return Found::Damage("padding is not zero");
    }
    match Record::decode_payload(kind, payload) {
        Some(record) => Found::Record(record, offset + padded),
        None => Found::Damage("a record of no known kind"),
    }
}

fn checksum(salt: u64, offset: u64, kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(&[kind]);
    hasher.update(&(payload.len() as u64).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> Vec<Record> {
        let command = Payload::Command(Opaque::from(&b"hello, log"[..]));
        vec![
            Record::HardState(HardState {
                term: 3,
                vote: Some(2),
            }),
            Record::Entry(Entry {
                id: LogId::new(3, 1),
                payload: Payload::Noop,
            }),
            Record::Entry(Entry {
                id: LogId::new(3, 2),
                payload: command,
            }),
            Record::Entry(Entry {
                id: LogId::new(3, 3),
                payload: Payload::Members(Members::of([1, 2, 4].into())),
            }),
            Record::TruncateFrom(2),
            Record::SyncMark(48, Chain(9)),
            Record::Snapshot(LogId::new(3, 2), false),
            Record::Snapshot(LogId::new(4, 9), true),
        ]
    }

    #[test]
    fn what_was_written_is_read_back() {
        let mut bytes = Vec::new();
        for record in records() {
            record.encode(7, 0, &mut bytes);
        }
        let mut offset = 0;
        for expected in records() {
            let Found::Record(record, next) = decode(&bytes, offset, 7) else {
                panic!("{offset}")
            };
            assert_eq!(record, expected);
            offset = next;
        }
        assert_eq!(decode(&bytes, offset, 7), Found::Nothing);
    }

    #[test]
    fn a_record_counts_only_where_and_for_whom_it_was_written() {
        let mut bytes = Vec::new();
        Record::SyncMark(0, Chain(9)).encode(7, 0, &mut bytes);
        let moved = [&[0; 8], &bytes[..]].concat();
        assert!(matches!(decode(&moved, 8, 7), Found::Damage(_)));
        assert!(matches!(decode(&bytes, 0, 8), Found::Damage(_)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            offset in 0_usize..220,
        ) {
            let _ = decode(&bytes, offset, 7);
        }

        #[test]
        fn no_single_changed_byte_is_taken_for_the_record(place in 0_usize..64, flip in 1_u8..) {
            let mut bytes = Vec::new();
            let command = Payload::Command(Opaque::from(&[9; 33][..]));
            let record = Record::Entry(Entry { id: LogId::new(1, 1), payload: command });
            record.encode(7, 0, &mut bytes);
            let place = place % bytes.len();
            bytes[place] ^= flip;
            prop_assert!(!matches!(decode(&bytes, 0, 7), Found::Record(..)));
        }
    }
}
