//! Which elements of a set may be wrong by themselves: who missed what was there, or saw what was
//! not there yet.

use rustc_hash::FxHashMap;

use crate::history::{Operation, Time};
use crate::model::SetStep;

/// So many suspicions are looked into.
const SUSPECTS_MAX: usize = 64;

/// Elements that cannot be explained by themselves, and a few operations that may show it.
pub(super) struct Suspect {
    pub(super) elements: Vec<i64>,
    pub(super) witnesses: Vec<usize>,
}

/// What is known of one element.
#[derive(Default)]
struct Element {
    adds: Vec<usize>,
    is_removed: bool,
    /// The first return of an add, or of somebody who saw it.
    first: Option<(Time, usize)>,
}

pub(super) struct Elements(FxHashMap<i64, Element>);

impl Elements {
    pub(super) fn of<O, R>(operations: &[&Operation<O, R>], steps: &[SetStep<'_>]) -> Self {
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

    /// How many elements anybody spoke of.
    pub(super) fn len(&self) -> usize {
        self.0.len()
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
pub(super) fn suspects<O, R>(
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
