//! What a log is made of: positions, entries, and the two numbers that must outlive a crash.

use std::fmt;
use std::sync::Arc;

use super::members::Members;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A node's number in its cluster, from 1.
pub type NodeId = u64;

/// Raft's logical clock: at most one leader in each.
pub type Term = u64;

/// A position in the log, from 1; 0 is the position before the first entry.
pub type Index = u64;

/// An entry's name: two entries of the same name are the same entry (Log Matching, Raft paper
/// section 5.3).
///
/// The order is the one elections use: the later term wins, and within a term the longer log
/// (section 5.4.1). The order of the fields makes the derived comparison just that.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LogId {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// Its position.
    pub index: Index,
}

impl LogId {
    /// The place before the first entry, on which all logs agree.
    pub const ZERO: Self = Self { term: 0, index: 0 };

    /// The entry at `index` created in `term`.
    #[must_use]
    pub const fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// Bytes that the core carries without looking inside; a clone shares them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opaque(Arc<[u8]>);

impl Opaque {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Opaque {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Opaque {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Opaque;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Opaque, E> {
                Ok(Opaque::from(bytes))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Opaque, E> {
                Ok(Opaque::from(bytes))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// What an entry is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a leader's first entry, whose commit carries all earlier ones with it.
    Noop,
    /// A command for the state machine.
    Command(Opaque),
    /// The configuration from here on.
    Members(Members),
}

impl Payload {
    /// How many bytes it carries.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Noop => 0,
            Self::Command(command) => command.as_bytes().len(),
            Self::Members(members) => 8 * (members.all().len() + 3),
        }
    }

    /// True where it carries no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub id: LogId,
    /// What it is for.
    pub payload: Payload,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.payload {
            Payload::Noop => write!(f, "{}", self.id),
            Payload::Command(command) => write!(f, "{}:{command:?}", self.id),
            Payload::Members(members) => write!(f, "{}:members={members}", self.id),
        }
    }
}

/// What a node must remember across a crash beside its log: one value, so that a vote can never
/// be read back with another term than the one it was given in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The highest term seen.
    pub term: Term,
    /// Who got this node's vote in that term.
    pub vote: Option<NodeId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_term_beats_a_longer_log() {
        assert!(LogId::new(3, 5) > LogId::new(2, 9));
        assert!(LogId::new(3, 6) > LogId::new(3, 5));
    }

    #[test]
    fn opaque_bytes_survive_the_wire_format() {
        let entry = Entry {
            id: LogId::new(2, 7),
            payload: Payload::Command(Opaque::from(&b"\0\xffx"[..])),
        };
        let bytes = postcard::to_stdvec(&entry).unwrap();
        assert_eq!(postcard::from_bytes::<Entry>(&bytes).unwrap(), entry);
    }
}
