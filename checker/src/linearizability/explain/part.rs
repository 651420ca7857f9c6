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
//! Which elements those are is guessed, from who missed what was there before: [`suspects`]. What
//! is guessed wrongly is found to have an order, and not told.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;

use super::means::Means;
use super::recheck::is_contradiction;
use crate::history::{Operation, Time};
use crate::model::{Mark, Model, SetStep};

/// So many suspicions are looked into.
const SUSPECTS_MAX: usize = 64;

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

/// Elements that cannot be explained by themselves, and a few operations that may show it.
struct Suspect {
    elements: Vec<i64>,
    witnesses: Vec<usize>,
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
    if known.0.len() <= WHOLE_MAX {
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

/// What is known of one element.
#[derive(Default)]
struct Element {
    adds: Vec<usize>,
    is_removed: bool,
    /// The first return of an add, or of somebody who saw it.
    first: Option<(Time, usize)>,
}

struct Elements(FxHashMap<i64, Element>);

impl Elements {
    fn of<O, R>(operations: &[&Operation<O, R>], steps: &[SetStep<'_>]) -> Self {
        let mut known: FxHashMap<i64, Element> = FxHashMap::default();
        for (at, (op, step)) in operations.iter().zip(steps).enumerate() {
            let mut saw = |element: &i64| {
                let of = known.entry(*element).or_default();
                let here = op.returned().map(|returned| (returned, at));
                of.first = [of.first, here].into_iter().flatten().min();
            };
            match step {
                SetStep::Add(element) => {
                    saw(element);
                    known.entry(*element).or_default().adds.push(at);
                }
                SetStep::Remove(element) => known.entry(*element).or_default().is_removed = true,
                SetStep::Contains(element, true) => saw(element),
                SetStep::Contains(element, false) => {
                    known.entry(*element).or_default();
                }
                SetStep::Read(seen) => seen.iter().for_each(saw),
            }
        }
        Elements(known)
    }

    fn of_element(&self, element: i64) -> &Element {
        &self.0[&element]
    }

    /// When it can have been there at the earliest; `None` for never.
    fn born<O, R>(&self, element: i64, operations: &[&Operation<O, R>]) -> Option<(Time, usize)> {
        let adds = self.of_element(element).adds.iter();
        adds.map(|at| (operations[*at].invoked(), *at)).min()
    }
}

/// Elements that somebody saw too early or missed too late, with why; those that are removed at
/// last, for they may have been missed rightly.
fn suspects<O, R>(
    operations: &[&Operation<O, R>],
    steps: &[SetStep<'_>],
    known: &Elements,
) -> Vec<Suspect> {
    let mut certain: Vec<(Time, i64, usize)> = Vec::new();
    let mut removed: Vec<i64> = Vec::new();
    for (element, of) in &known.0 {
        match of.first {
            _ if of.is_removed => removed.push(*element),
            Some((time, by)) => certain.push((time, *element, by)),
            None => {}
        }
    }
    certain.sort_unstable();
    removed.sort_unstable();
    let mut suspects = Vec::new();
    for (at, (op, step)) in operations.iter().zip(steps).enumerate() {
        if suspects.len() == SUSPECTS_MAX {
            break;
        }
        let look = Look {
            at,
            called: op.invoked(),
            returned: op.returned(),
        };
        match step {
            SetStep::Read(seen) => {
                let mut born = None;
                for element in *seen {
                    let when = known.born(*element, operations);
                    suspects.extend(look.too_early(*element, when));
                    born = born.max(when.map(|(time, by)| (time, by, *element)));
                }
                let is_in = |element: &i64| seen.contains(element);
                suspects.extend(look.missed(&certain, is_in, born));
            }
            SetStep::Contains(element, true) => {
                suspects.extend(look.too_early(*element, known.born(*element, operations)));
            }
            SetStep::Contains(element, false) if !known.of_element(*element).is_removed => {
                let first = known.of_element(*element).first;
                let one: Vec<_> = first
                    .iter()
                    .map(|(time, by)| (*time, *element, *by))
                    .collect();
                suspects.extend(look.missed(&one, |_| false, None));
            }
            _ => {}
        }
    }
    suspects.extend(crossed(steps, known));
    suspects.extend(removed.into_iter().map(|element| Suspect {
        elements: vec![element],
        witnesses: Vec::new(),
    }));
    suspects.truncate(SUSPECTS_MAX);
    for suspect in &mut suspects {
        for element in &suspect.elements {
            let adds = &known.of_element(*element).adds;
            suspect.witnesses.extend(adds.iter().take(2));
        }
    }
    suspects
}

/// Somebody who says what is in.
struct Look {
    at: usize,
    called: Time,
    returned: Option<Time>,
}

impl Look {
    fn too_early(&self, element: i64, born: Option<(Time, usize)>) -> Option<Suspect> {
        let is_early =
            |(born, _): (Time, usize)| self.returned.is_some_and(|returned| returned < born);
        born.is_none_or(is_early).then(|| Suspect {
            elements: vec![element],
            witnesses: vec![self.at],
        })
    }

    /// The first that was there before this look and is not seen in it; and it was no earlier than
    /// the birth of what it saw last.
    fn missed(
        &self,
        certain: &[(Time, i64, usize)],
        is_seen: impl Fn(&i64) -> bool,
        born: Option<(Time, usize, i64)>,
    ) -> Option<Suspect> {
        let begun = born.map_or(self.called, |(time, ..)| time.max(self.called));
        let before = certain.partition_point(|(time, ..)| *time < begun);
        let mut before = certain[..before].iter();
        let (time, element, by) = before.find(|(_, element, _)| !is_seen(element))?;
        let mut suspect = Suspect {
            elements: vec![*element],
            witnesses: vec![self.at, *by],
        };
        if let Some((_, by, other)) = born.filter(|_| *time >= self.called) {
            suspect.elements.push(other);
            suspect.witnesses.push(by);
        }
        Some(suspect)
    }
}

/// Two reads that each saw what the other missed: among those that stay, what was seen must grow.
fn crossed(steps: &[SetStep<'_>], known: &Elements) -> Option<Suspect> {
    let reads = steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| match step {
            SetStep::Read(seen) => Some((at, *seen)),
            _ => None,
        });
    let stays = |element: &&i64| !known.of_element(**element).is_removed;
    let mut reads: Vec<_> = reads
        .map(|(at, seen)| (seen.iter().filter(stays).count(), at, seen))
        .collect();
    reads.sort_by_key(|(count, at, _)| (*count, *at));
    reads.windows(2).find_map(|pair| {
        let [(_, less, fewer), (_, more, many)] = pair else {
            return None;
        };
        let one = fewer.difference(many).find(stays)?;
        let other = many.difference(fewer).find(stays)?;
        Some(Suspect {
            elements: vec![*one, *other],
            witnesses: vec![*less, *more],
        })
    })
}

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
