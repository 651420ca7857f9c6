//! The state machine: what the entries of a log lead to.
//!
//! The same entries in the same order lead to the same state and the same outcomes on every
//! node: no clock, no randomness, no order but that of the keys. Whoever has a log, of Raft or of
//! another kind, applies it with [`Machine::apply`], entry by entry without a gap.
//!
//! After each entry the machine knows three hashes; nodes that have applied the same index must
//! agree on all of them:
//!
//! | hash | of | differs where |
//! |---|---|---|
//! | `chain` | every entry applied so far, in order | another entry was applied |
//! | `state` | every key with all that is kept of it | applying came to something else |
//! | `sessions` | every session with its kept answers, and the time | the same, for sessions |
//!
//! They cost as much as the entry, whatever the state holds: see [`digest`].

mod command;
mod digest;
mod kv;
mod session;
mod transaction;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use command::{Applied, Command, Expect, Outcome, Proposal};
pub(crate) use kv::{Versioned, apply_alone};
pub(crate) use session::{LogTime, SessionId, Turn};

use crate::protocol::{Digest, StateHash};
use crate::raft::{Index, LogId, Opaque, Payload};
use kv::Kv;
use session::{Begun, Sessions};

/// The hash of what an entry carries.
pub(crate) fn payload_hash(payload: &Payload) -> Digest {
    Digest(match payload {
        Payload::Noop => 0,
        Payload::Command(bytes) => digest::chain(0, bytes.as_bytes()),
        Payload::Members(members) => digest::chain(1, &members.encode()),
    })
}

/// For how many indexes back the hashes are kept.
const RECENT_MAX: usize = 4096;

/// The state, and how it came about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Machine {
    kv: Kv,
    sessions: Sessions,
    /// The last entry applied.
    index: Index,
    chain: u64,
    /// The hashes after the last entries, the newest last.
    recent: VecDeque<StateHash>,
}

/// A machine as a snapshot holds it.
#[derive(Serialize, Deserialize)]
struct Image<'a> {
    index: Index,
    chain: Digest,
    state: Digest,
    sessions: Digest,
    keys: Cow<'a, BTreeMap<String, Versioned>>,
    session_table: Cow<'a, Sessions>,
}

/// Why a snapshot is no state.
#[derive(Debug, Error)]
pub(crate) enum StateError {
    /// It was written by another version, or by nobody.
    #[error("it cannot be read by this version: {0}")]
    Format(#[from] serde_json::Error),
    /// What it holds is not what it says.
    #[error("it says that its {what} hash to {told}, and they hash to {found}")]
    Hash {
        what: &'static str,
        told: Digest,
        found: Digest,
    },
}

impl Machine {
    /// Applies the next entry; what it came to, where it carries a proposal.
    pub(crate) fn apply(&mut self, id: LogId, payload: &Payload) -> Option<Applied> {
        let LogId { term, index } = id;
        self.index = index;
        let kind = match payload {
            Payload::Command(_) => 0,
            Payload::Noop => 1,
            Payload::Members(_) => 2,
        };
        self.chain = digest::chain_numbers(self.chain, [term, index, kind]);
        if let Payload::Members(members) = payload {
            self.chain = digest::chain(self.chain, &members.encode());
        }
        let applied = if let Payload::Command(bytes) = payload {
            self.chain = digest::chain(self.chain, bytes.as_bytes());
            Some(match Proposal::decode(bytes) {
                Some(proposal) => self.take(id, proposal),
                None => Applied::new(id, Outcome::refused("the entry is no proposal")),
            })
        } else {
            None
        };
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(self.hash());
        applied
    }

    fn take(&mut self, id: LogId, proposal: Proposal) -> Applied {
        let Proposal { command, turn, at } = proposal;
        self.sessions.advance(at.unwrap_or(0));
        let Some(turn) = turn else {
            return Applied::new(id, self.perform(id.index, command));
        };
        match self.sessions.begin(turn) {
            Begun::New => {
                let applied = Applied::new(id, self.perform(id.index, command));
                self.sessions.finish(turn, applied.clone());
                applied
            }
            Begun::Repeat(first) => Applied {
                is_repeat: true,
                ..first
            },
            Begun::Refused(outcome) => Applied::new(id, outcome),
        }
    }

    fn perform(&mut self, index: Index, command: Command) -> Outcome {
        match command {
            Command::OpenSession { ttl_ms } => self.sessions.open(index, ttl_ms),
            Command::KeepSession { session } => self.sessions.keep_alive(session),
            Command::CloseSession { session } => self.sessions.close(session),
            Command::ExpireSessions => self.sessions.expire(),
            Command::Put { .. }
            | Command::Delete { .. }
            | Command::Cas { .. }
            | Command::Append { .. }
            | Command::Add { .. }
            | Command::Transaction { .. } => self.kv.apply(index, command),
        }
    }

    /// How late it is by the log: the highest stamp applied.
    pub(crate) fn now(&self) -> LogTime {
        self.sessions.now()
    }

    /// True where a session has been silent for too long by then; an entry should end it.
    pub(crate) fn has_silent_session(&self, now: LogTime) -> bool {
        self.sessions.is_any_over(now)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Versioned> {
        self.kv.get(key)
    }

    /// All keys that begin with `prefix`, in order.
    pub(crate) fn scan<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Versioned)> {
        let from = self.kv.keys().range(prefix.to_owned()..);
        from.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// The last entry applied.
    pub(crate) fn index(&self) -> Index {
        self.index
    }

    /// The hashes after the last entry.
    pub(crate) fn hash(&self) -> StateHash {
        StateHash {
            index: self.index,
            chain: Digest(self.chain),
            state: Digest(self.kv.hash()),
            sessions: Digest(self.sessions.hash()),
        }
    }

    /// The hashes after the entry at `index`; none before that was applied, and none long after.
    pub(crate) fn hash_at(&self, index: Index) -> Option<StateHash> {
        if index == self.index {
            return Some(self.hash());
        }
        let oldest = self.recent.front()?.index;
        let place = usize::try_from(index.checked_sub(oldest)?).ok()?;
        self.recent.get(place).copied()
    }

    /// The whole state, for a snapshot: JSON, in the order of the keys.
    pub(crate) fn encode(&self) -> Opaque {
        let StateHash {
            index,
            chain,
            state,
            sessions,
        } = self.hash();
        let image = Image {
            index,
            chain,
            state,
            sessions,
            keys: Cow::Borrowed(self.kv.keys()),
            session_table: Cow::Borrowed(&self.sessions),
        };
        let bytes = serde_json::to_vec(&image).expect("JSON values can be written as JSON");
        Opaque::from(bytes)
    }

    /// The state in a snapshot.
    pub(crate) fn decode(state: &Opaque) -> Result<Self, StateError> {
        let image: Image<'_> = serde_json::from_slice(state.as_bytes())?;
        let kv = Kv::from_keys(image.keys.into_owned());
        let mut sessions = image.session_table.into_owned();
        sessions.rehash();
        for (what, told, found) in [
            ("keys", image.state, kv.hash()),
            ("sessions", image.sessions, sessions.hash()),
        ] {
            let found = Digest(found);
            if told != found {
                return Err(StateError::Hash { what, told, found });
            }
        }
        Ok(Self {
            kv,
            sessions,
            index: image.index,
            chain: image.chain.0,
            recent: VecDeque::new(),
        })
    }
}

impl Applied {
    fn new(id: LogId, outcome: Outcome) -> Self {
        Self {
            id,
            outcome,
            is_repeat: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(key: &str, value: serde_json::Value) -> Payload {
        let key = key.to_owned();
        let command = Command::Put {
            key,
            value,
            prev: false,
        };
        Payload::Command(Proposal::from(command).encode())
    }

    /// A proposal of a session, stamped with the time.
    fn in_session(command: Command, turn: Option<Turn>, at: LogTime) -> Payload {
        let at = Some(at);
        Payload::Command(Proposal { command, turn, at }.encode())
    }

    #[test]
    fn a_repeat_in_a_session_changes_nothing_also_after_a_snapshot() {
        let add = Command::Add {
            key: "n".to_owned(),
            delta: 5,
        };
        let mut machine = Machine::default();
        let open = Command::OpenSession { ttl_ms: 100 };
        let opened = machine.apply(LogId::new(1, 1), &in_session(open, None, 10));
        assert_eq!(opened.unwrap().outcome, Outcome::Session { id: 1 });
        let turn = Some(Turn {
            session: 1,
            seq: 1,
            acked_below: 0,
        });
        let request = in_session(add, turn, 20);
        let first = machine.apply(LogId::new(1, 2), &request).unwrap();
        let mut machine = Machine::decode(&machine.encode()).unwrap();
        let state = machine.hash().state;
        let second = machine.apply(LogId::new(2, 3), &request).unwrap();
        assert!(second.is_repeat && !first.is_repeat);
        assert_eq!((second.id, second.outcome), (first.id, first.outcome));
        assert_eq!(machine.hash().state, state);
        let expire = in_session(Command::ExpireSessions, None, 120);
        machine.apply(LogId::new(2, 4), &expire);
        let late = machine.apply(LogId::new(2, 5), &request).unwrap();
        assert_eq!(
            (late.outcome, machine.hash().state),
            (Outcome::NoSession, state)
        );
    }

    #[test]
    fn a_state_survives_its_snapshot_with_its_hashes() {
        let mut machine = Machine::default();
        machine.apply(LogId::new(1, 1), &Payload::Noop);
        machine.apply(LogId::new(1, 2), &put("x", json!({"deep": [1, null]})));
        machine.apply(LogId::new(1, 3), &put("", json!(["empty", 1.5])));
        let restored = Machine::decode(&machine.encode()).unwrap();
        assert_eq!(
            (&restored.kv, restored.hash()),
            (&machine.kv, machine.hash())
        );
        assert_eq!(restored.hash_at(3), Some(machine.hash()));
        assert_eq!(restored.encode(), machine.encode());
    }

    #[test]
    fn a_snapshot_that_is_none_or_was_changed_is_refused() {
        let none = Machine::decode(&Opaque::from(&b"[]"[..]));
        assert!(matches!(none, Err(StateError::Format(_))));
        let mut machine = Machine::default();
        machine.apply(LogId::new(1, 1), &put("x", json!("old")));
        let text = String::from_utf8(machine.encode().as_bytes().to_vec()).unwrap();
        let forged = Opaque::from(text.replace("old", "new").into_bytes());
        let refused = Machine::decode(&forged);
        assert!(
            matches!(refused, Err(StateError::Hash { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn every_index_has_its_hashes_for_a_while() {
        let mut machine = Machine::default();
        let mut seen = Vec::new();
        for index in 1..=5000 {
            machine.apply(LogId::new(1, index), &put("x", json!(index % 7)));
            seen.push(machine.hash());
        }
        assert_eq!(machine.hash_at(5000), seen.last().copied());
        assert_eq!(machine.hash_at(1000), Some(seen[999]));
        assert_eq!((machine.hash_at(10), machine.hash_at(5001)), (None, None));
    }

    #[test]
    fn the_chain_tells_entries_apart_and_the_state_does_not_see_them() {
        let (mut one, mut other) = (Machine::default(), Machine::default());
        one.apply(LogId::new(1, 1), &Payload::Noop);
        other.apply(LogId::new(2, 1), &Payload::Noop);
        assert_eq!(one.hash().state, other.hash().state);
        assert_ne!(one.hash().chain, other.hash().chain);
    }

    #[test]
    fn a_scan_finds_what_begins_with_the_prefix() {
        let mut machine = Machine::default();
        for (index, key) in (1..).zip(["a", "ab", "abc", "b"]) {
            machine.apply(LogId::new(1, index), &put(key, json!(1)));
        }
        let found: Vec<_> = machine.scan("ab").map(|(key, _)| key.as_str()).collect();
        assert_eq!(found, ["ab", "abc"]);
        assert_eq!(machine.scan("").count(), 4);
    }
}
