//! Sets in which no element is added twice or removed twice: decided from who saw what.
//!
//! ```text
//!   add 1  ├──┤                         both reads saw 1, so both are after its add;
//!   add 2    ├─────────┤                the first did not see 2, so it is before that add:
//!   read → 1    ├───┤                   add 1 · read → 1 · add 2 · read → 1 2
//!   read → 1 2          ├───┤
//!
//!   read → 1 2  ├──┤                    whoever sees less is earlier: but this one returned before
//!   read → 1          ├──┤              that one was called. No order.
//! ```
//!
//! (The same idea as in Lee and Mathur 2025, "Efficient decrease-and-conquer linearizability
//! monitoring", section 5, and Abdulla and others 2025, "Efficient linearizability monitoring",
//! section 6, whose sets answer for one element at a time. Reads of the whole set are added.)
//!
//! Who sees an element comes after its add, and before its remove. Who does not see one that is
//! never removed comes before its add. That is a partial order, and with the calls and returns it
//! is all there is to know: [`precedence`] finds moments for all, or a way from an operation that
//! is called too late to one that returns too early.
//!
//! **Near-linear:** what reads saw of the elements that stay must grow from read to read, so that
//! "before the add of all others" is one link from each group of equal reads to the next.
//!
//! **Sound for invalid:** every pair in the order is implied by two results, or one result and that
//! each element comes and goes once. An add of unknown result happened if somebody saw it. A remove
//! of unknown result may as well come last of all. One that may have come before its add, and so
//! done nothing, is taken as effective at first, and then, if need be, as not; no contradiction is
//! built on it.
//!
//! **Who misses an element that is removed** comes before the add or after the remove
//! ([`absence`]): where time leaves one possibility, that is a pair like the others; where it
//! leaves none, a contradiction; where it leaves both, first all are tried before, then all after.
//! **Sound for valid:** what comes out is replayed before it is believed. Without removes the
//! answer is always found; else, where neither try fits, nothing is said, and the search decides.

mod absence;
mod contradiction;
mod precedence;
#[cfg(test)]
mod tests;

use rustc_hash::{FxHashMap, FxHashSet};

use super::meter::Meter;
use super::problem::{OPEN, Problem};
use super::zone::Zones;
use crate::model::{Model, SetStep};
use precedence::{Precedence, Windows};

const NONE: u32 = u32::MAX;
/// What an operation takes in all tables, about.
const BYTES: usize = 150;

/// What is known of one element.
#[derive(Clone, Copy, Debug)]
struct Element {
    add: u32,
    remove: u32,
    /// The first to return of its add and those who saw it.
    first: u32,
    /// The last to be called of those who saw it.
    last: u32,
    fate: Fate,
    /// Its remove came after its add, or surely did nothing.
    is_sure: bool,
    /// The group of reads that saw it first; only of those that stay.
    group: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Never there, as far as anybody knows.
    Out,
    /// There from its add on.
    Stays,
    /// There from its add to its remove.
    Leaves,
}

/// A read of all that is in.
struct Read {
    place: u32,
    elements: Vec<u32>,
    /// Reads that saw the same of what stays, by how much that is.
    group: u32,
}

struct Set<'p> {
    calls: &'p [u32],
    returns: &'p [u32],
    elements: Vec<Element>,
    reads: Vec<Read>,
    /// Per operation: the element that it is about, or the number of the read.
    about: Vec<u32>,
    kinds: Vec<Kind>,
    groups: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Remove,
    Saw,
    Missed,
    Read,
}

/// Decides, if the model is a set in which no element is added or removed twice.
pub(crate) fn decide<M: Model>(problem: &Problem<'_, M>, meter: &mut Meter) -> Zones {
    let operations = problem.operations.iter();
    let steps: Option<Vec<SetStep<'_>>> = operations
        .map(|operation| {
            let ret = operation.outcome().ok();
            problem.model.as_set(operation.op(), ret)
        })
        .collect();
    let Some(steps) = steps else {
        return Zones::Undecided;
    };
    let told = Set::new(problem, &steps, meter).and_then(|mut set| {
        set.find_fates();
        match set.order(meter) {
            Err(Zones::Undecided) if set.doubt() => match set.order(meter) {
                Ok(order) => Ok(order),
                Err(_) => Err(Zones::Undecided),
            },
            told => told,
        }
    });
    match told {
        Ok(order) if replays(problem, &steps, &order) => Zones::Order(order),
        Ok(_) => Zones::Undecided,
        Err(told) => told,
    }
}

impl<'p> Set<'p> {
    fn new<M: Model>(
        problem: &'p Problem<'_, M>,
        steps: &[SetStep<'_>],
        meter: &mut Meter,
    ) -> Result<Self, Zones> {
        let mut set = Set {
            calls: &problem.calls,
            returns: &problem.returns,
            elements: Vec::new(),
            reads: Vec::new(),
            about: Vec::with_capacity(steps.len()),
            kinds: Vec::with_capacity(steps.len()),
            groups: 0,
        };
        let mut numbers: FxHashMap<i64, u32> = FxHashMap::default();
        for (place, step) in (0..).zip(steps) {
            let (SetStep::Add(element) | SetStep::Remove(element)) = step else {
                continue;
            };
            let number = set.number(&mut numbers, *element);
            let known = &mut set.elements[number as usize];
            let by = match step {
                SetStep::Add(_) => &mut known.add,
                _ => &mut known.remove,
            };
            if std::mem::replace(by, place) != NONE {
                return Err(Zones::Undecided);
            }
        }
        let mut bytes = BYTES * steps.len();
        for (place, step) in (0..).zip(steps) {
            let seen = match step {
                SetStep::Read(seen) => seen.len(),
                _ => 0,
            };
            bytes += seen * size_of::<u32>();
            // A read is as many steps as it has elements.
            if (0..=seen).any(|_| !meter.tick(bytes)) {
                return Err(Zones::Undecided);
            }
            set.note(&mut numbers, place, *step)?;
        }
        Ok(set)
    }

    fn number(&mut self, numbers: &mut FxHashMap<i64, u32>, element: i64) -> u32 {
        let next = u32::try_from(self.elements.len()).expect("no more than operations");
        let number = *numbers.entry(element).or_insert(next);
        if number == next {
            self.elements.push(Element {
                add: NONE,
                remove: NONE,
                first: NONE,
                last: NONE,
                fate: Fate::Out,
                is_sure: true,
                group: NONE,
            });
        }
        number
    }

    fn note(
        &mut self,
        numbers: &mut FxHashMap<i64, u32>,
        place: u32,
        step: SetStep<'_>,
    ) -> Result<(), Zones> {
        let (kind, about) = match step {
            SetStep::Add(element) => {
                let element = self.number(numbers, element);
                self.saw(element, place);
                (Kind::Add, element)
            }
            SetStep::Remove(element) => (Kind::Remove, self.number(numbers, element)),
            SetStep::Contains(element, false) => (Kind::Missed, self.number(numbers, element)),
            SetStep::Contains(element, true) => {
                let element = self.number(numbers, element);
                self.sighting(element, place)?;
                (Kind::Saw, element)
            }
            SetStep::Read(seen) => {
                let elements: Vec<u32> = seen
                    .iter()
                    .map(|element| self.number(numbers, *element))
                    .collect();
                for element in &elements {
                    self.sighting(*element, place)?;
                }
                self.reads.push(Read {
                    place,
                    elements,
                    group: 0,
                });
                let number = self.reads.len() - 1;
                (
                    Kind::Read,
                    u32::try_from(number).expect("no more than operations"),
                )
            }
        };
        self.kinds.push(kind);
        self.about.push(about);
        Ok(())
    }

    fn sighting(&mut self, element: u32, place: u32) -> Result<(), Zones> {
        if self.elements[element as usize].add == NONE {
            return Err(Zones::Contradiction(vec![place]));
        }
        self.saw(element, place);
        // Operations are in order of call.
        self.elements[element as usize].last = place;
        Ok(())
    }

    fn saw(&mut self, element: u32, place: u32) {
        let ret = |place: u32| self.returns[place as usize];
        let first = self.elements[element as usize].first;
        if first == NONE || ret(place) < ret(first) {
            self.elements[element as usize].first = place;
        }
    }

    /// Who was ever there, and who left.
    fn find_fates(&mut self) {
        for element in &mut self.elements {
            if element.add == NONE || self.returns[element.first as usize] == OPEN {
                continue;
            }
            element.fate = Fate::Stays;
            if element.remove == NONE {
                continue;
            }
            let (call, ret) = (
                self.calls[element.remove as usize],
                self.returns[element.remove as usize],
            );
            let is_early = ret < self.calls[element.add as usize];
            let is_seen_after = element.last != NONE && ret < self.calls[element.last as usize];
            if is_early || is_seen_after {
                // It was seen afterwards, or added: the remove found nothing.
                continue;
            }
            element.fate = Fate::Leaves;
            element.is_sure = ret == OPEN || self.returns[element.first as usize] < call;
        }
    }

    /// Takes it that no remove did anything where that is possible; false if there is none such.
    fn doubt(&mut self) -> bool {
        let mut is_any = false;
        self.groups = 0;
        for element in &mut self.elements {
            element.group = NONE;
            if !element.is_sure {
                (element.fate, is_any) = (Fate::Stays, true);
            }
        }
        is_any
    }

    fn order(&mut self, meter: &mut Meter) -> Result<Vec<u32>, Zones> {
        let mut precedence = Precedence::new(self.calls, self.returns);
        self.grow(&mut precedence)?;
        self.pair(&mut precedence);
        let windows = precedence
            .windows()
            .map_err(|way| self.contradiction(&[way]))?;
        let windows = absence::settle(self, &mut precedence, windows, meter)?;
        Ok(self.write_down(&windows))
    }

    /// Puts reads and the adds of what stays into one line: what was seen must grow.
    fn grow(&mut self, precedence: &mut Precedence) -> Result<(), Zones> {
        let mut by_size: Vec<(usize, u32)> = (0..)
            .zip(&self.reads)
            .map(|(number, read)| (self.staying(read).count(), number))
            .collect();
        by_size.sort_unstable();
        let mut last: Option<(usize, u32)> = None;
        let (mut joint_before, mut joint_after) = (NONE, NONE);
        for (size, number) in by_size {
            let is_known = |element: &u32| self.elements[*element as usize].group != NONE;
            let known = self.staying(&self.reads[number as usize]);
            let known = known.filter(is_known).count();
            if let Some((last_size, last)) = last
                && known < last_size
            {
                return Err(self.apart(last, number));
            }
            if last.is_none_or(|(last_size, _)| last_size < size) {
                let before = precedence.joint();
                if joint_after != NONE {
                    precedence.put(joint_after, before);
                }
                let fresh: Vec<u32> = self
                    .staying(&self.reads[number as usize])
                    .filter(|element| self.elements[*element as usize].group == NONE)
                    .collect();
                for element in fresh {
                    let add = self.elements[element as usize].add;
                    precedence.put(add, before);
                    if joint_after != NONE {
                        precedence.put(joint_after, add);
                    }
                    self.elements[element as usize].group = self.groups;
                }
                (joint_before, joint_after) = (before, precedence.joint());
                self.groups += 1;
            }
            let read = &mut self.reads[number as usize];
            read.group = self.groups - 1;
            precedence.put(joint_before, read.place);
            precedence.put(read.place, joint_after);
            last = Some((size, number));
        }
        for element in &mut self.elements {
            if element.fate == Fate::Stays && element.group == NONE {
                element.group = self.groups;
                if joint_after != NONE {
                    precedence.put(joint_after, element.add);
                }
            }
        }
        Ok(())
    }

    fn staying<'r>(&'r self, read: &'r Read) -> impl Iterator<Item = u32> + 'r {
        let stays = |element: &u32| self.elements[*element as usize].fate == Fate::Stays;
        read.elements.iter().copied().filter(stays)
    }

    /// Everything else that is certain: an element is seen while it is there.
    fn pair(&self, precedence: &mut Precedence) {
        let mut seen = |place: u32, element: &Element| {
            precedence.put(element.add, place);
            if element.fate == Fate::Leaves {
                precedence.put(place, element.remove);
            }
        };
        for read in &self.reads {
            for element in &read.elements {
                let element = &self.elements[*element as usize];
                if element.fate == Fate::Leaves {
                    seen(read.place, element);
                }
            }
        }
        for (place, kind) in (0..).zip(&self.kinds) {
            if *kind == Kind::Saw {
                seen(place, &self.elements[self.about[place as usize] as usize]);
            }
        }
        for (place, kind) in (0..).zip(&self.kinds) {
            if *kind == Kind::Read {
                continue;
            }
            let element = &self.elements[self.about[place as usize] as usize];
            match (kind, element.fate) {
                (Kind::Missed | Kind::Remove, Fate::Stays)
                    if self.returns[place as usize] != OPEN =>
                {
                    precedence.put(place, element.add);
                }
                (Kind::Remove, Fate::Leaves) => precedence.put(element.add, place),
                _ => {}
            }
        }
    }

    /// Everything that happened, each at its earliest moment.
    fn write_down(&self, windows: &Windows) -> Vec<u32> {
        let mut order: Vec<u32> = (0..)
            .zip(self.kinds.iter().zip(&self.about))
            .filter(|(place, (kind, about))| match kind {
                Kind::Add => self.elements[**about as usize].fate != Fate::Out,
                Kind::Remove => {
                    self.returns[*place as usize] != OPEN
                        || self.elements[**about as usize].fate == Fate::Leaves
                }
                _ => true,
            })
            .map(|(place, _)| place)
            .collect();
        let moment = |place: &u32| {
            (
                windows.early[*place as usize],
                windows.position[*place as usize],
            )
        };
        order.sort_unstable_by_key(moment);
        order
    }
}

/// As [`Problem::replays`], on one set in place of a copy for each step.
fn replays<M: Model>(problem: &Problem<'_, M>, steps: &[SetStep<'_>], order: &[u32]) -> bool {
    let mut held: FxHashSet<i64> = FxHashSet::default();
    let mut latest = 0;
    let mut is_done = vec![false; steps.len()];
    for place in order {
        let at = *place as usize;
        let fits = match steps[at] {
            SetStep::Add(element) => {
                held.insert(element);
                true
            }
            SetStep::Remove(element) => {
                held.remove(&element);
                true
            }
            SetStep::Contains(element, is_in) => held.contains(&element) == is_in,
            SetStep::Read(seen) => {
                seen.len() == held.len() && seen.iter().all(|element| held.contains(element))
            }
        };
        if !fits || is_done[at] || problem.returns[at] <= latest {
            return false;
        }
        is_done[at] = true;
        latest = latest.max(problem.calls[at]);
    }
    let mut places = (0..).zip(is_done);
    places.all(|(place, is_done)| is_done || problem.is_open(place))
}
