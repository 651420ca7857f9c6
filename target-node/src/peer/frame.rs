//! A parcel as bytes on a connection.
//!
//! ```text
//! 0        4        8          12       16           24         32        40
//! │ u32 len│ u32 crc│ version 4 │ group  │ cluster    │ from     │ to      │ body
//! ```
//!
//! `len` counts everything behind `crc`, and `crc` covers it. Numbers are little-endian; the
//! cluster is told as a hash of its name, and by its full name in the first parcel. A node has one
//! group of Raft; the number is there so that one with several would be told apart, and refused.

use thiserror::Error;

use super::Parcel;
use crate::raft::NodeId;

const PREFIX: usize = 8;
const HEAD: usize = 32;
const VERSION: u32 = 4;
const GROUP: u32 = 0;

/// The longest frame that is taken: far more than an append carries.
const LENGTH_MAX: usize = 64 * 1024 * 1024;

/// Who speaks to whom, in which cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) cluster: u64,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
}

/// Why bytes are no frame. The connection is of no use any more: nobody knows where the next one
/// begins.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum FrameError {
    #[error("a frame of {0} bytes is too long")]
    Length(usize),
    #[error("the checksum of a frame does not match")]
    Checksum,
    #[error("a frame of version {0}; this node speaks version {VERSION}")]
    Version(u32),
    #[error("a frame for group {0} of several; this node has one, of number {GROUP}")]
    Group(u32),
    #[error("a parcel cannot be read: {0}")]
    Parcel(#[from] postcard::Error),
}

/// The cluster's name as a number.
pub(super) fn cluster_hash(name: &str) -> u64 {
    let low = crc32fast::hash(name.as_bytes());
    let high = crc32fast::hash(&[name.as_bytes(), &[0]].concat());
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a frame behind what is in `bytes`.
pub(super) fn encode(route: Route, parcel: &Parcel, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; PREFIX]);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&GROUP.to_le_bytes());
    for number in [route.cluster, route.from, route.to] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let body = postcard::to_stdvec(parcel).expect("parcels hold nothing that cannot be written");
    bytes.extend_from_slice(&body);
    let length = u32::try_from(bytes.len() - start - PREFIX).expect("appends are limited");
    let checksum = crc32fast::hash(&bytes[start + PREFIX..]);
    bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    bytes[start + 4..start + PREFIX].copy_from_slice(&checksum.to_le_bytes());
}

/// The first frame in `bytes` and its length; none where it is not complete yet.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Route, Parcel, usize)>, FrameError> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = word(&prefix[..4]) as usize;
    if !(HEAD..=LENGTH_MAX).contains(&length) {
        return Err(FrameError::Length(length));
    }
    let Some(content) = rest.get(..length) else {
        return Ok(None);
    };
    if crc32fast::hash(content) != word(&prefix[4..]) {
        return Err(FrameError::Checksum);
    }
    let (head, body) = content.split_at(HEAD);
    let version = word(&head[..4]);
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let group = word(&head[4..8]);
    if group != GROUP {
        return Err(FrameError::Group(group));
    }
    let number = |at: usize| {
        u64::from_le_bytes(
            head[at..at + 8]
                .try_into()
                .expect("the head has three numbers"),
        )
    };
    let route = Route {
        cluster: number(8),
        from: number(16),
        to: number(24),
    };
    Ok(Some((route, postcard::from_bytes(body)?, PREFIX + length)))
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::raft::{Body, Entry, LogId, Members, Message, Opaque, Payload};

    const ROUTE: Route = Route {
        cluster: 5,
        from: 1,
        to: 2,
    };

    fn frames() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(
            ROUTE,
            &Parcel::Hello {
                cluster: "demo".to_owned(),
                client: "c:1".to_owned(),
                founders: [1, 2].into(),
            },
            &mut bytes,
        );
        let command = Opaque::from(&b"{}"[..]);
        encode(ROUTE, &Parcel::Propose { ticket: 3, command }, &mut bytes);
        bytes
    }

    /// One of each kind of talk.
    fn parcels() -> Vec<Parcel> {
        let entry = Entry {
            id: LogId::new(2, 7),
            payload: Payload::Command(Opaque::from(&b"{}"[..])),
        };
        let said = |body| {
            Parcel::Raft(Message {
                from: 1,
                to: 2,
                term: 2,
                body,
            })
        };
        vec![
            Parcel::Hello {
                cluster: "demo".to_owned(),
                client: "c:1".to_owned(),
                founders: [1, 2].into(),
            },
            Parcel::Propose {
                ticket: 3,
                command: Opaque::from(&b"{}"[..]),
            },
            Parcel::Proposed {
                ticket: 3,
                result: Opaque::from(&b"{}"[..]),
            },
            said(Body::Append {
                prev: LogId::new(1, 6),
                entries: vec![entry],
                commit: 6,
            }),
            said(Body::Vote {
                last: LogId::new(1, 6),
                is_transfer: false,
                committed: LogId::ZERO,
            }),
            said(Body::Snapshot {
                last: LogId::new(1, 6),
                members: Members::of([1, 2].into()),
                total: 2,
                offset: 0,
                chunk: Opaque::from(&b"{}"[..]),
            }),
        ]
    }

    #[test]
    fn frames_are_read_back_one_after_the_other() {
        let bytes = frames();
        let (route, parcel, used) = decode(&bytes).unwrap().unwrap();
        assert_eq!(
            (route, parcel),
            (
                ROUTE,
                Parcel::Hello {
                    cluster: "demo".to_owned(),
                    client: "c:1".to_owned(),
                    founders: [1, 2].into(),
                }
            )
        );
        let (_, parcel, rest) = decode(&bytes[used..]).unwrap().unwrap();
        assert!(matches!(parcel, Parcel::Propose { ticket: 3, .. }));
        assert_eq!(used + rest, bytes.len());
    }

    #[test]
    fn a_frame_for_another_group_is_refused() {
        let mut bytes = Vec::new();
        let command = Opaque::from(&b"{}"[..]);
        encode(ROUTE, &Parcel::Propose { ticket: 3, command }, &mut bytes);
        bytes[PREFIX + 4] = 7;
        let checksum = crc32fast::hash(&bytes[PREFIX..]);
        bytes[4..PREFIX].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(decode(&bytes), Err(FrameError::Group(7)));
    }

    #[test]
    fn half_a_frame_is_waited_for() {
        let bytes = frames();
        let (_, _, used) = decode(&bytes).unwrap().unwrap();
        for length in 0..used {
            assert_eq!(decode(&bytes[..length]).unwrap(), None);
        }
    }

    #[test]
    fn a_changed_byte_never_gives_a_parcel() {
        let (_, _, used) = decode(&frames()).unwrap().unwrap();
        for place in 0..used {
            let mut bytes = frames();
            bytes[place] ^= 0x10;
            assert!(!matches!(decode(&bytes), Ok(Some(_))), "byte {place}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = decode(&bytes);
        }

        /// The checksum holds, as a peer of another version would have it: what is in the frame is
        /// read or refused.
        #[test]
        fn no_content_makes_the_parser_panic(
            template in 0..parcels().len(),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            extra in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = Vec::new();
            encode(ROUTE, &parcels()[template], &mut bytes);
            bytes.extend_from_slice(&extra);
            for (place, byte) in edits {
                let place = PREFIX + place.index(bytes.len() - PREFIX);
                bytes[place] = byte;
            }
            let length = u32::try_from(bytes.len() - PREFIX).unwrap();
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            let checksum = crc32fast::hash(&bytes[PREFIX..]);
            bytes[4..PREFIX].copy_from_slice(&checksum.to_le_bytes());
            if let Ok(Some((_, parcel, used))) = decode(&bytes) {
                prop_assert_eq!(used, bytes.len());
                let _ = (parcel.label(), parcel.promise(), parcel.speaker());
            }
        }
    }
}
