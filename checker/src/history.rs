//! What clients saw: operations, each with an invocation and one of three outcomes.
//!
//! ```text
//!   process 1   ├── write 1 ──┤ ok
//!   process 2        ├──── read ────┤ ok 1
//!   process 3   ├── write 2 ─ ─ ─ ─ ─ ─ ─ ─ ─ ▸   info: it may yet happen, or never
//!   ───────────────────────────────────────────▸ time
//! ```
//!
//! An operation takes effect at one instant between its invocation and its completion. One whose
//! completion comes strictly before another's invocation precedes it; equal times count as
//! concurrent, which can only hide a violation, never invent one.
//!
//! # Three outcomes, and why the third matters
//!
//! | outcome | what the client knows | what the checker may assume |
//! |---|---|---|
//! | [`Outcome::Ok`] | it happened, with this result | one instant between call and return |
//! | [`Outcome::Fail`] | it did not happen, and never will | nothing: it is left out |
//! | [`Outcome::Info`] | nothing: a timeout, say | any instant after the call, or none at all |
//!
//! Taking a timeout for a failure invents violations, and taking it for a success hides them. A
//! process is single-threaded, so whoever does not know what became of its operation retires; its
//! worker goes on under a new number. [`HistoryBuilder`] refuses everything else that clients
//! cannot have seen:
//!
//! ```
//! use ordeal_checker::history::{HistoryBuilder, MalformedHistory, Outcome, Process, Reason, Time};
//!
//! let mut history: HistoryBuilder<&str, u8> = HistoryBuilder::new();
//! let p1 = Process(1);
//! history.invoke(p1, Time(10), "write 1")?;
//! history.complete(p1, Time(20), Outcome::Info(Reason("timed out".into())))?;
//! assert_eq!(
//!     history.invoke(p1, Time(30), "read"),
//!     Err(MalformedHistory::Retired(p1, Time(30)))
//! );
//! let history = history.finish();
//! assert_eq!(history.operations()[0].returned(), None); // its completion bounds nothing
//! # Ok::<(), MalformedHistory>(())
//! ```
//!
//! Operations and results are whatever the model says; [`Event`] is one line of a history file,
//! before a model gave its values a meaning ([`format`](mod@crate::format) reads those).
//!
//! *[Contents](crate) · next: what the object could do, [`model`](crate::model).*

mod builder;
mod event;
pub use builder::{HistoryBuilder, MalformedHistory, Processes};
pub use event::{Event, EventError, EventKind};

use serde::{Deserialize, Serialize};
use std::fmt;

/// A point on the run's one monotonic clock, in nanoseconds since the run began.
///
/// Where an imported file has no clock it is the position of the event: only the order matters.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0 / 1_000;
        write!(f, "{}.{:06} s", us / 1_000_000, us % 1_000_000)
    }
}

/// A logical client: single-threaded, and retired by its first unknown outcome.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Process(pub u64);

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lives, number) = (self.0 / Process::LIFE, self.0 % Process::LIFE);
        match usize::try_from(lives) {
            Ok(lives @ 0..=3) => write!(f, "p{number}{}", "′".repeat(lives)),
            _ => write!(f, "p{number}′{lives}"),
        }
    }
}

impl Process {
    /// A file's process that goes on after an unknown outcome has this added to its number: it is
    /// another one from then on, and told as `p7′`.
    pub(crate) const LIFE: u64 = 1 << 32;
}

/// How an operation ended, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It happened, and this is what came back.
    Ok(R),
    /// It did not happen, and never will.
    Fail(Reason),
    /// Nobody knows: it may have happened, may yet happen, or may never.
    Info(Reason),
}

impl<R> Outcome<R> {
    /// The result of an operation that is known to have happened.
    pub fn ok(&self) -> Option<&R> {
        match self {
            Outcome::Ok(ret) => Some(ret),
            Outcome::Fail(_) | Outcome::Info(_) => None,
        }
    }

    /// True where the operation may or may not have happened.
    pub fn is_info(&self) -> bool {
        matches!(self, Outcome::Info(_))
    }
}

/// Why an operation failed or is unknown, in the words of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reason(pub String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An operation's place in its history: the rank of its invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub usize);

/// One operation from invocation to completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<O, R> {
    id: OperationId,
    process: Process,
    op: O,
    invoked: Time,
    completed: Option<Time>,
    outcome: Outcome<R>,
}

impl<O, R> Operation<O, R> {
    /// One that was answered so, or of which nobody knows what became.
    pub(crate) fn new(
        id: OperationId,
        process: Process,
        op: O,
        invoked: Time,
        answer: Option<(Time, R)>,
    ) -> Self {
        let (completed, outcome) = match answer {
            Some((at, ret)) => (Some(at), Outcome::Ok(ret)),
            None => (None, Outcome::Info(Reason::default())),
        };
        Operation {
            id,
            process,
            op,
            invoked,
            completed,
            outcome,
        }
    }

    pub(crate) fn renumber(&mut self, id: OperationId) {
        self.id = id;
    }

    /// Its place in the history.
    pub fn id(&self) -> OperationId {
        self.id
    }

    /// Who did it.
    pub fn process(&self) -> Process {
        self.process
    }

    /// What was asked.
    pub fn op(&self) -> &O {
        &self.op
    }

    /// When it was asked.
    pub fn invoked(&self) -> Time {
        self.invoked
    }

    /// When its client stopped waiting; `None` where it was still waiting at the end.
    ///
    /// For an unknown outcome this bounds nothing: see [`Operation::returned`].
    pub fn completed(&self) -> Option<Time> {
        self.completed
    }

    /// The instant before which it certainly took effect: its completion if that was `ok`.
    pub fn returned(&self) -> Option<Time> {
        self.outcome.ok().and(self.completed)
    }

    /// How it ended.
    pub fn outcome(&self) -> &Outcome<R> {
        &self.outcome
    }

    /// True where this operation certainly came before `other`.
    pub fn precedes(&self, other: &Self) -> bool {
        self.returned()
            .is_some_and(|returned| returned < other.invoked)
    }
}

/// How much of an operation is taken as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recall {
    /// All that its client knows.
    Known,
    /// That it happened between its call and its return; not what came back.
    Timed,
    /// When it began; not whether or when it happened.
    Begun,
    /// All but when it began, as if that had been at first.
    Early,
    /// Nothing but the question: it may have happened at any time, or never.
    Forgotten,
}

impl<O, R> Operation<O, R> {
    /// As it was and ended, but with another question, and another answer if it had one.
    pub(crate) fn with<P, S>(&self, op: P, ret: S) -> Operation<P, S> {
        let outcome = match &self.outcome {
            Outcome::Ok(_) => Outcome::Ok(ret),
            Outcome::Fail(reason) => Outcome::Fail(reason.clone()),
            Outcome::Info(reason) => Outcome::Info(reason.clone()),
        };
        Operation {
            id: self.id,
            process: self.process,
            op,
            invoked: self.invoked,
            completed: self.completed,
            outcome,
        }
    }

    /// The same operation with only as much of it as that: of its result nothing where it is only
    /// known that it happened.
    pub(crate) fn recalled(&self, recall: Recall) -> Operation<&O, Option<&R>> {
        let outcome = match (&self.outcome, recall) {
            (Outcome::Ok(ret), Recall::Known | Recall::Early) => Outcome::Ok(Some(ret)),
            (Outcome::Ok(_), Recall::Timed) => Outcome::Ok(None),
            (Outcome::Fail(reason), _) => Outcome::Fail(reason.clone()),
            _ => Outcome::Info(Reason::default()),
        };
        let invoked = match recall {
            Recall::Forgotten | Recall::Early => Time(0),
            Recall::Known | Recall::Timed | Recall::Begun => self.invoked,
        };
        Operation {
            id: self.id,
            process: self.process,
            op: &self.op,
            invoked,
            completed: self.completed,
            outcome,
        }
    }
}

/// Operations in order of invocation, well-formed by construction.
///
/// Every process has at most one operation open at a time, time never runs backwards within a
/// process, and nothing follows an unknown outcome. Only [`HistoryBuilder`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<O, R> {
    operations: Vec<Operation<O, R>>,
}

impl<O, R> History<O, R> {
    /// The operations, in order of invocation.
    pub fn operations(&self) -> &[Operation<O, R>] {
        &self.operations
    }

    /// The operation of that id.
    ///
    /// # Panics
    /// If the id belongs to another history.
    pub fn get(&self, id: OperationId) -> &Operation<O, R> {
        &self.operations[id.0]
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// True where nothing was ever asked.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}
