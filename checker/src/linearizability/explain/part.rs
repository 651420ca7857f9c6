//! A set, as far as a few of its elements go.
//!
//! ```text
//!   add 1  ├──┤
//!   add 2       ├──┤                    for element 2:   add 2   ├──┤
//!   read → 1           ├──┤                              read, without 2   ├──┤
//! ```
//!
//! What a set does with some of its elements is what a set of only these would do. So a history in
//! which two elements cannot be explained is wrong, whatever becomes of the thousands beside them,
//! and is told by those two: with states that fit in a word.
//!
//! Which elements those are is guessed, from who missed what was there before ([`mod@suspect`]).
//! What is guessed wrongly is found to have an order, and not told.

mod suspect;

use std::hash::{Hash, Hasher};

use super::means::Means;
use super::recheck::is_contradiction;
use crate::history::Operation;
use crate::model::{Mark, Model, SetStep};
use suspect::{Elements, suspects};

/// A set of only these elements, at most as many as a word has bits.
pub(super) struct Part<'a, M: Model> {
    model: &'a M,
    elements: Vec<i64>,
}

/// What was asked, and of which operation that is a part.
#[derive(Debug)]
pub(super) struct Asked<'a, O, R> {
    of: &'a Operation<O, R>,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Add(u64),
    Remove(u64),
    /// Which of these are in?
    Look(u64),
}

impl<O, R> PartialEq for Asked<'_, O, R> {
    fn eq(&self, other: &Self) -> bool {
        self.step == other.step
    }
}

impl<O, R> Eq for Asked<'_, O, R> {}

impl<O, R> Hash for Asked<'_, O, R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.step.hash(state);
    }
}

/// Which of the elements that were asked for were in.
type Seen = u64;
type PartOf<'a, M> = Operation<Asked<'a, <M as Model>::Op, <M as Model>::Ret>, Seen>;

/// The part of a history that is about a few elements.
pub(super) struct Parted<'a, M: Model> {
    pub(super) model: Part<'a, M>,
    pub(super) operations: Vec<PartOf<'a, M>>,
    /// Which of those may be a contradiction by themselves.
    pub(super) core: Vec<u32>,
}

/// The part that is wrong, if the object is a set of more than these elements.
pub(super) fn parted<'a, M: Model>(
    model: &'a M,
    operations: &[&'a Operation<M::Op, M::Ret>],
    means: &Means,
) -> Option<Parted<'a, M>> {
    let steps = operations.iter();
    let steps = steps.map(|op| model.as_set(op.op(), op.outcome().ok()));
    let steps: Vec<SetStep<'_>> = steps.collect::<Option<_>>()?;
    let known = Elements::of(operations, &steps);
    if known.len() <= WHOLE_MAX {
        return None;
    }
    let suspects = suspects(operations, &steps, &known);
    let mut parts = suspects.into_iter().map(|suspect| {
        let part = Part {
            model,
            elements: suspect.elements,
        };
        part.take(operations, &steps, &suspect.witnesses)
    });
    parts.find(|part| is_contradiction(&part.model, &part.operations, means))
}

/// A set of no more elements than that is told as a whole.
const WHOLE_MAX: usize = 8;

impl<'a, M: Model> Part<'a, M> {
    fn take(
        mut self,
        operations: &[&'a Operation<M::Op, M::Ret>],
        steps: &[SetStep<'_>],
        witnesses: &[usize],
    ) -> Parted<'a, M> {
        self.elements.sort_unstable();
        self.elements.dedup();
        let (mut part, mut core) = (Vec::new(), Vec::new());
        for (at, (op, step)) in operations.iter().zip(steps).enumerate() {
            let Some((step, seen)) = self.step_of(*step) else {
                continue;
            };
            if witnesses.contains(&at) {
                core.push(u32::try_from(part.len()).expect("places are 32 bits"));
            }
            part.push(op.with(Asked { of: *op, step }, seen));
        }
        Parted {
            model: self,
            operations: part,
            core,
        }
    }

    /// What of a step is about these elements.
    fn step_of(&self, step: SetStep<'_>) -> Option<(Step, Seen)> {
        let bit = |element| Some(1_u64 << self.elements.binary_search(&element).ok()?);
        match step {
            SetStep::Add(element) => Some((Step::Add(bit(element)?), 0)),
            SetStep::Remove(element) => Some((Step::Remove(bit(element)?), 0)),
            SetStep::Contains(element, is) => {
                let bit = bit(element)?;
                Some((Step::Look(bit), if is { bit } else { 0 }))
            }
            SetStep::Read(seen) => {
                let bits = self
                    .elements
                    .iter()
                    .filter(|element| seen.contains(element));
                let seen = bits.filter_map(|element| bit(*element)).sum();
                Some((Step::Look(self.all()), seen))
            }
        }
    }

    fn all(&self) -> u64 {
        (1 << self.elements.len()) - 1
    }

    fn named(&self, bits: u64) -> Vec<String> {
        let named = (0_u32..).zip(&self.elements);
        let named = named.filter(|(bit, _)| bits >> *bit & 1 == 1);
        named.map(|(_, element)| element.to_string()).collect()
    }

    /// `3 and 5, but not 4`.
    fn in_words(&self, state: u64) -> String {
        let (there, away) = (self.named(state), self.named(self.all() & !state));
        match (there.as_slice(), away.as_slice()) {
            ([], away) => format!("no {}", away.join(" and no ")),
            (there, []) => there.join(" and "),
            (there, away) => format!("{}, but no {}", there.join(" and "), away.join(" and no ")),
        }
    }
}

impl<'a, M: Model> Model for Part<'a, M> {
    type Op = Asked<'a, M::Op, M::Ret>;
    type Ret = Seen;
    type State = u64;
    type Key = ();

    fn init(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, op: &Self::Op, seen: Option<&Seen>) -> Option<u64> {
        match op.step {
            Step::Add(bit) => Some(state | bit),
            Step::Remove(bit) => Some(state & !bit),
            Step::Look(bits) => seen
                .is_none_or(|seen| state & bits == *seen)
                .then_some(*state),
        }
    }

    fn key(&self, _: &Self::Op) {}

    fn is_read(&self, op: &Self::Op, _: Option<&Seen>) -> bool {
        matches!(op.step, Step::Look(_))
    }

    fn marks(&self, op: &Self::Op, seen: Option<&Seen>, say: &mut dyn FnMut(Mark)) {
        let bits = |bits: u64| {
            let elements = (0_u32..).zip(&self.elements);
            elements.filter(move |(bit, _)| bits >> *bit & 1 == 1)
        };
        match (op.step, seen) {
            (Step::Add(bit), _) => bits(bit).for_each(|(_, element)| say(Mark::Left(0, *element))),
            (Step::Look(_), Some(seen)) => {
                bits(*seen).for_each(|(_, element)| say(Mark::Seen(0, *element)));
            }
            _ => {}
        }
    }

    fn describe(&self, op: &Self::Op, seen: Option<&Seen>) -> String {
        let ret = seen.and(op.of.outcome().ok());
        let what = self.model.describe(op.of.op(), ret);
        let is_whole = matches!(self.model.as_set(op.of.op(), ret), Some(SetStep::Read(_)));
        match seen.filter(|_| is_whole) {
            Some(seen) if *seen == self.all() => format!("{what}, with {}", self.in_words(*seen)),
            Some(0) => format!("{what}, without {}", self.named(self.all()).join(" and ")),
            Some(seen) => format!("{what}, with {}", self.in_words(*seen)),
            None => what,
        }
    }

    fn describe_instead(&self, state: &u64, op: &Self::Op, seen: Option<&Seen>) -> Option<String> {
        let (Step::Look(bits), Some(seen)) = (op.step, seen) else {
            return None;
        };
        let (there, missing) = (self.named(state & bits & !seen), self.named(seen & !state));
        Some(match (there.as_slice(), missing.as_slice()) {
            ([], []) => format!("return {}", self.in_words(*state)),
            ([], missing) => format!("not return {}", missing.join(" and ")),
            (there, _) => format!("return {} too", there.join(" and ")),
        })
    }

    fn describe_state(&self, state: &u64) -> String {
        self.in_words(*state)
    }
}
