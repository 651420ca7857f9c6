//! Sessions: a client that numbers its requests may repeat one, and it is applied once.
//!
//! A client opens a session, numbers its requests in it, and tells with each below which number
//! it has all its answers. The machine keeps the answers from there on; a request whose number has
//! an answer is not applied again, but answered with it (Raft thesis, section 6.3).
//!
//! ```text
//!   seq     1   2   3   4   5   6
//!           └───┘   └───────┘   └── next
//!        acknowledged   kept answers: a repeat gets the same one
//!        SEQ_TOO_OLD
//! ```
//!
//! Time is that of the log: leaders stamp what concerns sessions, and the machine takes the
//! highest stamp for now. A session that was silent for longer than its time to live ends when an
//! entry says so, at the same place in every log; and when there are too many, opening one ends
//! the one that was silent longest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Applied;
use super::command::Outcome;
use super::digest::{self, Sum};

/// How many sessions there are at most. All nodes must agree on it.
const SESSIONS_MAX: usize = 4096;

/// How many answers a session keeps at most. All nodes must agree on it.
const ANSWERS_MAX: usize = 256;

/// A session's name: the index of the entry that opened it.
pub(crate) type SessionId = u64;

/// Milliseconds on the clock of the log, which counts from the cluster's beginning and stands
/// still while nobody leads.
pub(crate) type LogTime = u64;

/// A request's place in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) session: SessionId,
    pub(crate) seq: u64,
    /// The client has the answers to all below.
    pub(crate) acked_below: u64,
}

/// What is kept of one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    ttl_ms: u64,
    last_active: LogTime,
    acked_below: u64,
    answers: BTreeMap<u64, Applied>,
}

impl Session {
    fn hash(&self, id: SessionId) -> u64 {
        digest::chain_numbers(id, [self.ttl_ms, self.last_active, self.acked_below])
    }

    fn is_over(&self, now: LogTime) -> bool {
        self.last_active.saturating_add(self.ttl_ms) <= now
    }
}

/// The hash of an answer that is kept.
fn answer_hash(id: SessionId, seq: u64, answer: &Applied) -> u64 {
    let place = [seq, answer.id.term, answer.id.index];
    let outcome = serde_json::to_vec(&answer.outcome).expect("JSON values can be written as JSON");
    digest::chain(digest::chain_numbers(id, place), &outcome)
}

/// The hash of the time. The beginning has none, so that a log without sessions hashes to zero.
fn time_hash(time: LogTime) -> u64 {
    match time {
        0 => 0,
        time => digest::chain_numbers(0, [time]),
    }
}

/// All sessions, as a snapshot holds them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sessions {
    now: LogTime,
    table: BTreeMap<SessionId, Session>,
    #[serde(skip)]
    hash: Sum,
}

/// What a turn means.
#[derive(Debug, PartialEq)]
pub(super) enum Begun {
    /// It is new: apply it, and keep its answer.
    New,
    /// It was applied, and came to this.
    Repeat(Applied),
    /// It must not be applied.
    Refused(Outcome),
}

impl Sessions {
    /// After reading them back: the hash is not in the snapshot.
    pub(super) fn rehash(&mut self) {
        self.hash = Sum::default();
        self.hash.add(time_hash(self.now));
        for (&id, session) in &self.table {
            self.hash.add(session.hash(id));
            for (&seq, answer) in &session.answers {
                self.hash.add(answer_hash(id, seq, answer));
            }
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.get()
    }

    pub(super) fn now(&self) -> LogTime {
        self.now
    }

    /// A leader says how late it is.
    pub(super) fn advance(&mut self, at: LogTime) {
        if at > self.now {
            self.hash.subtract(time_hash(self.now));
            self.hash.add(time_hash(at));
            self.now = at;
        }
    }

    pub(super) fn open(&mut self, id: SessionId, ttl_ms: u64) -> Outcome {
        if self.table.len() >= SESSIONS_MAX {
            let oldest = self
                .table
                .iter()
                .min_by_key(|(_, session)| session.last_active);
            let oldest = oldest.map(|(&id, _)| id);
            self.remove(oldest.expect("the table is not empty"));
        }
        let session = Session {
            ttl_ms,
            last_active: self.now,
            acked_below: 0,
            answers: BTreeMap::new(),
        };
        self.hash.add(session.hash(id));
        self.table.insert(id, session);
        Outcome::Session { id }
    }

    pub(super) fn keep_alive(&mut self, id: SessionId) -> Outcome {
        match self.touch(id, 0) {
            Some(_) => Outcome::Session { id },
            None => Outcome::NoSession,
        }
    }

    pub(super) fn close(&mut self, id: SessionId) -> Outcome {
        match self.remove(id) {
            true => Outcome::Session { id },
            false => Outcome::NoSession,
        }
    }

    /// True where some session has been silent for too long.
    pub(super) fn is_any_over(&self, now: LogTime) -> bool {
        self.table.values().any(|session| session.is_over(now))
    }

    /// Ends all that have been silent for too long.
    pub(super) fn expire(&mut self) -> Outcome {
        let over = self.table.iter().filter(|(_, one)| one.is_over(self.now));
        let over: Vec<SessionId> = over.map(|(&id, _)| id).collect();
        for &id in &over {
            self.remove(id);
        }
        Outcome::Expired {
            count: over.len() as u64,
        }
    }

    pub(super) fn begin(&mut self, turn: Turn) -> Begun {
        let Some(session) = self.touch(turn.session, turn.acked_below) else {
            return Begun::Refused(Outcome::NoSession);
        };
        if turn.seq < session.acked_below {
            let acked_below = session.acked_below;
            return Begun::Refused(Outcome::SeqTooOld { acked_below });
        }
        if let Some(answer) = session.answers.get(&turn.seq) {
            return Begun::Repeat(answer.clone());
        }
        if session.answers.len() >= ANSWERS_MAX {
            let reason = format!(
                "the session keeps {ANSWERS_MAX} answers already: tell with acked_below which ones \
                 you have"
            );
            return Begun::Refused(Outcome::Refused { reason });
        }
        Begun::New
    }

    /// Keeps the answer to a turn that was begun.
    pub(super) fn finish(&mut self, turn: Turn, answer: Applied) {
        if let Some(session) = self.table.get_mut(&turn.session) {
            self.hash.add(answer_hash(turn.session, turn.seq, &answer));
            session.answers.insert(turn.seq, answer);
        }
    }

    /// The client of the session lives, and has all answers below a number.
    fn touch(&mut self, id: SessionId, acked_below: u64) -> Option<&Session> {
        let session = self.table.get_mut(&id)?;
        self.hash.subtract(session.hash(id));
        session.last_active = self.now;
        session.acked_below = session.acked_below.max(acked_below);
        self.hash.add(session.hash(id));
        for (seq, answer) in session
            .answers
            .extract_if(..session.acked_below, |_, _| true)
        {
            self.hash.subtract(answer_hash(id, seq, &answer));
        }
        Some(session)
    }

    fn remove(&mut self, id: SessionId) -> bool {
        let Some(session) = self.table.remove(&id) else {
            return false;
        };
        self.hash.subtract(session.hash(id));
        for (seq, answer) in &session.answers {
            self.hash.subtract(answer_hash(id, *seq, answer));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::LogId;

    fn answer(index: u64) -> Applied {
        Applied {
            id: LogId::new(1, index),
            outcome: Outcome::Add { value: 1 },
            is_repeat: false,
        }
    }

    fn turn(session: SessionId, seq: u64, acked_below: u64) -> Turn {
        Turn {
            session,
            seq,
            acked_below,
        }
    }

    /// Applies a turn as the machine does.
    fn take(sessions: &mut Sessions, turn: Turn, index: u64) -> Begun {
        let begun = sessions.begin(turn);
        if begun == Begun::New {
            sessions.finish(turn, answer(index));
        }
        let mut afresh = sessions.clone();
        afresh.rehash();
        assert_eq!(afresh, *sessions, "the hash is that of the table");
        begun
    }

    #[test]
    fn a_repeat_gets_the_first_answer_until_the_client_has_it() {
        let mut sessions = Sessions::default();
        sessions.advance(5);
        sessions.open(7, 100);
        assert_eq!(take(&mut sessions, turn(7, 1, 0), 8), Begun::New);
        assert_eq!(take(&mut sessions, turn(7, 2, 0), 9), Begun::New);
        assert_eq!(
            take(&mut sessions, turn(7, 1, 0), 10),
            Begun::Repeat(answer(8))
        );
        assert_eq!(take(&mut sessions, turn(7, 3, 2), 11), Begun::New);
        let old = Outcome::SeqTooOld { acked_below: 2 };
        assert_eq!(take(&mut sessions, turn(7, 1, 0), 12), Begun::Refused(old));
        assert_eq!(
            take(&mut sessions, turn(7, 2, 0), 13),
            Begun::Repeat(answer(9))
        );
        let unknown = take(&mut sessions, turn(8, 1, 0), 14);
        assert_eq!(unknown, Begun::Refused(Outcome::NoSession));
    }

    #[test]
    fn silence_ends_a_session_only_when_an_entry_says_so() {
        let mut sessions = Sessions::default();
        sessions.advance(1000);
        sessions.open(7, 100);
        sessions.open(8, 500);
        sessions.advance(1100);
        assert!(sessions.is_any_over(1100) && !sessions.is_any_over(1099));
        assert_eq!(sessions.keep_alive(7), Outcome::Session { id: 7 });
        assert_eq!(sessions.expire(), Outcome::Expired { count: 0 });
        sessions.advance(1200);
        sessions.advance(1150);
        assert_eq!(sessions.now(), 1200, "time does not go back");
        assert_eq!(sessions.expire(), Outcome::Expired { count: 1 });
        assert_eq!(sessions.keep_alive(7), Outcome::NoSession);
        assert_eq!(sessions.close(8), Outcome::Session { id: 8 });
        assert_eq!(sessions.close(8), Outcome::NoSession);
    }

    #[test]
    fn the_table_and_each_window_have_an_end() {
        let mut sessions = Sessions::default();
        sessions.open(1, 100);
        for seq in 1..=ANSWERS_MAX as u64 {
            assert_eq!(sessions.begin(turn(1, seq, 0)), Begun::New);
            sessions.finish(turn(1, seq, 0), answer(seq));
        }
        let full = sessions.begin(turn(1, 999, 0));
        assert!(matches!(full, Begun::Refused(Outcome::Refused { .. })));
        assert_eq!(take(&mut sessions, turn(1, 999, 3), 999), Begun::New);

        for id in 2..=SESSIONS_MAX as u64 {
            sessions.advance(id);
            sessions.open(id, 100);
        }
        sessions.keep_alive(1);
        sessions.open(99_999, 100);
        assert_eq!(sessions.keep_alive(2), Outcome::NoSession);
        assert_eq!(sessions.keep_alive(1), Outcome::Session { id: 1 });
    }
}
