//! The same question while the history still grows: a violation is told as soon as it is certain.
//!
//! ```text
//!   p1  ├─ write 1 ─┤                    ┊
//!   p2                  ├─ write 2 ─┤    ┊
//!   p3                       ├────────── ┊ read → 1 ──┤     p4's read is certain to be wrong as
//!   p4                                 ├ ┊ read → 1 ┤      soon as it returned and time went on:
//!                                        ┊            ▲     whatever p3 and others hear later,
//!                                                           write 2 had returned before
//! ```
//!
//! **What is certain.** What is still open counts as unknown: it may have happened or not, with any
//! result. If even so no order explains what returned, none ever will: whatever comes later only
//! adds operations that were called after all that, and results to those that are open. Operations
//! called at the very instant of a return count as concurrent with it, so that a return is judged
//! when the clock has gone on.
//!
//! **What is promised.** Never is a violation told that [`check`] would deny of any longer history.
//! On each key the first [`STRIDE`] operations after a cut point ([`super::cut`]) are judged at
//! each return, so that a violation among them is told at the earliest moment at which it is
//! certain. Beyond that, which takes a key on which something is always in flight, or a client that
//! gave up on a write, they are judged after every further thirty-second part of them, and at the
//! next cut point. What the budget does not suffice for is not told; [`Monitor::finish`] gives the
//! verdict of the whole.
//!
//! **What it costs.** Time depends on what happened since the last cut point of a key. Memory does
//! not: all operations are kept, for a violation has to be explained by any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::meter::Meter;
use super::portfolio::{self, Answer};
use super::problem::{Problem, counts};
use super::{Contradiction, Decision, Linearizability, check, check_key, cut};
use crate::budget::Budget;
use crate::history::{
    History, HistoryBuilder, MalformedHistory, Operation, Outcome, Process, Time,
};
use crate::model::Model;
use crate::verdict::Validity;

/// So many operations after a cut point are judged at every return; of more, whenever there are a
/// part more that is the inverse of this.
const STRIDE: usize = 32;
/// Configurations for each look at what is new.
const VISITS_MAX: u64 = 50_000;

/// A history that is judged while it grows: a violation is told as soon as it is certain.
///
/// Events come in the order of their times. What is still open counts as unknown, so that no later
/// event can take a violation back: never is one told that [`check`] would deny of any longer
/// history. A return is judged once the clock has gone on, for what is called at that very instant
/// counts as concurrent with it: hence [`Monitor::advance`].
///
/// ```
/// use ordeal_checker::budget::Budget;
/// use ordeal_checker::history::{Outcome, Process, Time};
/// use ordeal_checker::linearizability::Monitor;
/// use ordeal_checker::model::{FifoQueue, SequenceOp, SequenceRet};
///
/// let mut monitor = Monitor::new(FifoQueue, Budget::default());
/// for (at, value) in [(10, 1), (30, 2)] {
///     monitor.invoke(Process(1), Time(at), SequenceOp::Put(value))?;
///     monitor.complete(Process(1), Time(at + 10), Outcome::Ok(SequenceRet::Done))?;
/// }
/// monitor.invoke(Process(2), Time(50), SequenceOp::Take)?;
/// assert!(monitor.advance(Time(55))?.is_none());
/// monitor.complete(Process(2), Time(60), Outcome::Ok(SequenceRet::Taken(Some(2))))?;
/// let violation = monitor.advance(Time(61))?.expect("the 1 went in first");
/// println!("{}", violation.explain().expect("a violation has an explanation"));
/// # Ok::<(), ordeal_checker::linearizability::MonitorError>(())
/// ```
///
/// How early that is: at the first moment at which it is certain, among the first 32 operations on
/// a key after nothing was in flight on it; beyond that, which takes a key that is always busy or a
/// client that gave up on a write, after every further thirty-second part. What the budget does not
/// suffice for is not told before [`Monitor::finish`], which gives the verdict of the whole. Memory
/// grows with the history: a violation has to be explained by any of it.
///
/// *Before: [`judge`](crate::judge) · [contents](crate).*
#[derive(Debug)]
pub struct Monitor<M: Model> {
    model: M,
    budget: Budget,
    builder: HistoryBuilder<M::Op, M::Ret>,
    /// Which operation each process waits for.
    waiting: BTreeMap<Process, usize>,
    keys: BTreeMap<M::Key, Watched<M::State>>,
    /// Keys on which something ended at the present time.
    due: BTreeSet<M::Key>,
    now: Time,
    violation: Option<Linearizability>,
}

/// What is known of one key.
#[derive(Debug)]
struct Watched<S> {
    /// Its operations, by place in the history.
    places: Vec<usize>,
    /// The first that came after the last cut point.
    from: usize,
    /// The states that were possible there; `None` from the very beginning on.
    starts: Option<Vec<S>>,
    /// Operations that nobody heard of yet.
    in_flight: usize,
    /// There will be no further cut point.
    is_whole: bool,
    /// When something last returned.
    returned: Time,
    /// Returns that were not judged yet.
    fresh: usize,
}

/// An event that cannot come now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MonitorError {
    /// It fits no history.
    #[error(transparent)]
    Malformed(#[from] MalformedHistory),
    /// It is older than what came before.
    #[error("an event at {0} came after one at {1}: a monitor takes events in the order of time")]
    OutOfOrder(Time, Time),
}

impl<S> Default for Watched<S> {
    fn default() -> Self {
        Watched {
            places: Vec::new(),
            from: 0,
            starts: None,
            in_flight: 0,
            is_whole: false,
            returned: Time(0),
            fresh: 0,
        }
    }
}

impl<M: Model> Monitor<M> {
    /// Of a history that is empty so far. The budget is for the explanation and for
    /// [`Monitor::finish`].
    pub fn new(model: M, budget: Budget) -> Self {
        Monitor {
            model,
            budget,
            builder: HistoryBuilder::new(),
            waiting: BTreeMap::new(),
            keys: BTreeMap::new(),
            due: BTreeSet::new(),
            now: Time(0),
            violation: None,
        }
    }

    /// A process asks for `op`. Gives the first violation, once there is one.
    ///
    /// # Errors
    /// If the event is older than the one before, or fits no history.
    pub fn invoke(
        &mut self,
        process: Process,
        at: Time,
        op: M::Op,
    ) -> Result<Option<&Linearizability>, MonitorError> {
        self.advance(at)?;
        let key = self.model.key(&op);
        let place = self.builder.operations().len();
        self.builder.invoke(process, at, op)?;
        self.waiting.insert(process, place);
        let watched = self.keys.entry(key.clone()).or_default();
        if watched.in_flight == 0 && watched.returned < at {
            self.cut(&key);
        }
        if let Some(watched) = self.keys.get_mut(&key) {
            watched.places.push(place);
            watched.in_flight += 1;
        }
        Ok(self.violation.as_ref())
    }

    /// A process hears what became of its operation. Gives the first violation, once there is one.
    ///
    /// # Errors
    /// If the event is older than the one before, or fits no history.
    pub fn complete(
        &mut self,
        process: Process,
        at: Time,
        outcome: Outcome<M::Ret>,
    ) -> Result<Option<&Linearizability>, MonitorError> {
        self.advance(at)?;
        let is_info = outcome.is_info();
        self.builder.complete(process, at, outcome)?;
        let place = self.waiting.remove(&process);
        let place = place.ok_or(MalformedHistory::NotOpen(process, at))?;
        let op = self.builder.operations()[place].op();
        let key = self.model.key(op);
        if let Some(watched) = self.keys.get_mut(&key) {
            // What nobody knows of, but changed nothing, is over too.
            if !is_info || self.model.is_read(op, None) {
                watched.in_flight -= 1;
                watched.returned = at;
            }
            watched.fresh += usize::from(!is_info);
        }
        self.due.extend((!is_info).then_some(key));
        Ok(self.violation.as_ref())
    }

    /// The clock has reached that time, and no older event will come. Gives the first violation,
    /// once there is one.
    ///
    /// # Errors
    /// If it runs backwards.
    pub fn advance(&mut self, now: Time) -> Result<Option<&Linearizability>, MonitorError> {
        if now < self.now {
            return Err(MonitorError::OutOfOrder(now, self.now));
        }
        if now > self.now {
            self.now = now;
            for key in std::mem::take(&mut self.due) {
                self.look(&key);
            }
        }
        Ok(self.violation.as_ref())
    }

    /// The first violation: its key's verdict, with its explanation; `None` if there is none so
    /// far.
    pub fn violation(&self) -> Option<&Linearizability> {
        self.violation.as_ref()
    }

    /// The history, and the verdict that [`check`] gives of it.
    pub fn finish(self) -> (History<M::Op, M::Ret>, Linearizability) {
        let history = self.builder.finish();
        let verdict = check(&self.model, &history, &self.budget);
        (history, verdict)
    }

    /// Judges what is new on that key, if it is enough.
    fn look(&mut self, key: &M::Key) {
        let Some(watched) = self.keys.get(key) else {
            return;
        };
        let new = watched.places.len() - watched.from;
        if self.violation.is_some() || watched.fresh * STRIDE < new {
            return;
        }
        let operations = self.operations(&watched.places[watched.from..]);
        let mut meter = self.meter();
        let is_explained = match &watched.starts {
            Some(starts) => {
                cut::ends(&self.model, &operations, starts, &mut meter).map(|ends| !ends.is_empty())
            }
            None => {
                let problem = Problem::new(&self.model, &operations);
                let (answer, _) = portfolio::decide(&problem, meter);
                Some(!matches!(answer, Answer::None { .. }))
            }
        };
        if is_explained == Some(false) {
            self.explain(key);
        }
        if let Some(watched) = self.keys.get_mut(key) {
            watched.fresh = 0;
            if is_explained.is_none() {
                watched.take_whole();
            }
        }
    }

    /// Nothing is in flight on that key: of all before only the states matter.
    fn cut(&mut self, key: &M::Key) {
        let is_over = self.violation.is_some();
        let Some(watched) = self
            .keys
            .get(key)
            .filter(|watched| !is_over && !watched.is_whole)
        else {
            return;
        };
        let operations = self.operations(&watched.places[watched.from..]);
        let init = [self.model.init()];
        let starts = watched.starts.as_deref().unwrap_or(&init);
        let ends = cut::ends(&self.model, &operations, starts, &mut self.meter());
        if ends.as_ref().is_some_and(Vec::is_empty) {
            self.explain(key);
        }
        if let Some(watched) = self.keys.get_mut(key) {
            match ends {
                Some(ends) if ends.len() <= cut::STATES_MAX => {
                    watched.from = watched.places.len();
                    watched.starts = Some(ends);
                    watched.fresh = 0;
                }
                _ => watched.take_whole(),
            }
        }
    }

    /// A violation is certain: says why, as well as the budget allows.
    fn explain(&mut self, key: &M::Key) {
        let Some(watched) = self.keys.get(key) else {
            return;
        };
        let operations = self.operations(&watched.places);
        let words = self.model.describe_key(key);
        let meter = Meter::new(self.budget, Instant::now());
        let mut verdict = check_key(&self.model, words, &operations, &meter);
        assert_ne!(
            verdict.validity(),
            Validity::Valid,
            "what a part shows to be wrong is wrong as a whole"
        );
        if let Decision::Unknown(prefix) = verdict.decision {
            verdict.decision = Decision::Invalid(Contradiction::not_narrowed(prefix));
        }
        self.violation = Some(Linearizability {
            keys: vec![verdict],
        });
    }

    fn operations(&self, places: &[usize]) -> Vec<&Operation<M::Op, M::Ret>> {
        let all = self.builder.operations();
        places
            .iter()
            .map(|place| &all[*place])
            .filter(|operation| counts(&self.model, operation))
            .collect()
    }

    fn meter(&self) -> Meter {
        Meter::new(self.budget, Instant::now()).slice(VISITS_MAX)
    }
}

impl<S> Watched<S> {
    /// From now on everything is judged from the beginning.
    fn take_whole(&mut self) {
        (self.from, self.starts, self.is_whole) = (0, None, true);
    }
}
