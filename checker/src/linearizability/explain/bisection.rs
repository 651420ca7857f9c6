//! Forgets what can be forgotten, by bisection (as in delta debugging: Zeller and Hildebrandt
//! 2002): all of a range, or else each half of it, down to one.
//!
//! ```text
//!   a b c d e f g h     without a b c d, is there an order?
//!   · · · · e f g h     no: they are forgotten
//!   · · · · e f g h     without e f: yes; without g h: no
//!   · · · · e f · ·     without e: yes; without f: no
//!   · · · · e · · ·     e is needed
//! ```
//!
//! Where one cannot be forgotten, it cannot be later either, when even less is known; so the rest
//! is minimal after one pass.

use std::collections::VecDeque;

use super::core::Ops;
use super::means::Means;
use super::recheck::{Known, Recheck, SMALL};
use crate::history::Time;
use crate::model::Model;
use crate::verdict::Validity;

/// Configurations of all re-checks together; from then on facts are kept unseen, unless there are
/// few.
const EFFORT_MAX: u64 = 400_000;
/// A re-check costs at least as much, per operation, as so many configurations.
pub(super) const CHECK_COST: u64 = 1;
/// So many equal operations at most are not bisected: often all are needed.
const ONE_BY_ONE_MAX: usize = 16;

/// What remains a contradiction while more and more is forgotten.
pub(super) struct Bisection<'r, 'p, 'q, 'a, M: Model> {
    pub(super) recheck: Recheck<'p, 'q, 'a, M>,
    pub(super) means: &'r Means,
    pub(super) effort: &'r mut u64,
    /// What is kept because it could not be decided whether it is needed.
    pub(super) doubtful: Vec<usize>,
}

impl<M: Model> Bisection<'_, '_, '_, '_, M> {
    fn judge_without(&mut self, numbers: &[usize]) -> Validity {
        let (validity, states) = self.recheck.judge_without(numbers);
        *self.effort += states + CHECK_COST * self.recheck.known().is_forgotten.len() as u64;
        validity
    }

    /// Forgets all that is not known, if the rest is a contradiction.
    pub(super) fn forget_others(
        &mut self,
        universe: &Ops<'_, M>,
        is_known: impl Fn(u32) -> bool,
    ) -> Option<()> {
        let known = (0..).zip(universe).map(|(place, _)| is_known(place));
        let known: Vec<bool> = known.collect();
        if !known.contains(&false) {
            return Some(());
        }
        let ends = universe
            .iter()
            .zip(&known)
            .filter(|(_, is_known)| **is_known);
        let until = ends.filter_map(|(op, _)| op.returned()).max()?;
        let is_forgotten = known.iter().map(|is_known| !is_known).collect();
        self.recheck.keep(Known {
            until,
            is_forgotten,
        });
        (self.judge_without(&[]) == Validity::Invalid).then_some(())
    }

    /// Leaves out what was learned after it was first a contradiction.
    pub(super) fn cut(&mut self, universe: &Ops<'_, M>) {
        let is_forgotten = &self.recheck.known().is_forgotten;
        let known = universe.iter().zip(is_forgotten);
        let known = known.filter(|(_, is_forgotten)| !**is_forgotten);
        let mut ends: Vec<Time> = known.filter_map(|(op, _)| op.returned()).collect();
        ends.sort_unstable();
        ends.dedup();
        let (mut low, mut high) = (0, ends.len().saturating_sub(1));
        // When nothing leads on, it has most often just become one.
        let refuted = self.recheck.refuted_at();
        let guess = refuted.map(|at| ends.partition_point(|end| *end < at));
        let guesses = guess.into_iter().flat_map(|at| [at, at.saturating_sub(1)]);
        let mut guesses = guesses.collect::<Vec<_>>().into_iter();
        while low < high {
            let middle = guesses.next().filter(|at| (low..high).contains(at));
            let middle = middle.unwrap_or((low + high) / 2);
            self.learn_until(ends[middle]);
            match self.judge_without(&[]) {
                Validity::Invalid => high = middle,
                Validity::Valid | Validity::Unknown => low = middle + 1,
            }
        }
        self.learn_until(ends.get(high).copied().unwrap_or(Time(u64::MAX)));
    }

    fn learn_until(&mut self, until: Time) {
        let known = self.recheck.known().clone();
        self.recheck.keep(Known { until, ..known });
    }

    /// Forgets what can be forgotten; true where all that is left is needed.
    pub(super) fn forget(&mut self, universe: &Ops<'_, M>) -> bool {
        let until = self.recheck.known().until;
        let begun = universe.iter().enumerate();
        let is_forgotten = &self.recheck.known().is_forgotten;
        let begun = begun.filter(|(number, op)| op.invoked() <= until && !is_forgotten[*number]);
        let mut begun: Vec<usize> = begun.map(|(number, _)| number).collect();
        self.forget_beginning(universe, &mut begun);
        // Of equal operations often either all are needed or none.
        begun.sort_by_key(|number| self.recheck.kind_of(*number));
        // When nothing is known, there is an order.
        let mut ranges = VecDeque::from([(&begun[..], Validity::Valid)]);
        while let Some((range, validity)) = ranges.pop_front() {
            self.halve(range, validity, &mut ranges);
        }
        let mut before = usize::MAX;
        while self.doubtful.len() < before {
            before = self.doubtful.len();
            for number in std::mem::take(&mut self.doubtful) {
                if self.forget_all(&[number]) == Validity::Unknown {
                    self.doubtful.push(number);
                }
            }
        }
        self.doubtful.is_empty()
    }

    /// Forgets what was over long before, half of what is left at a time: most contradictions are
    /// of one moment. Where that takes too long to find out, what was read earlier may be why.
    fn forget_beginning(&mut self, universe: &Ops<'_, M>, begun: &mut Vec<usize>) {
        let mut has_reads = true;
        loop {
            let half = begun.len() / 2;
            let without = match half {
                0 => Validity::Valid,
                _ => self.forget_all(&begun[..half]),
            };
            match without {
                Validity::Invalid => drop(begun.drain(..half)),
                Validity::Unknown if has_reads => {
                    self.forget_reads(universe, begun);
                    has_reads = false;
                }
                Validity::Valid | Validity::Unknown => break,
            }
        }
    }

    /// Forgets all that was read before the last moment, if the rest remains a contradiction: it is
    /// open operations between many reads that there are many orders of.
    fn forget_reads(&mut self, universe: &Ops<'_, M>, begun: &mut Vec<usize>) {
        let until = self.recheck.known().until;
        let is_early_read = |number: &usize| {
            let op = universe[*number];
            let is_early = op.returned().is_some_and(|returned| returned < until);
            is_early && self.recheck.model().is_read(op.op(), op.outcome().ok())
        };
        let (reads, others): (Vec<usize>, Vec<usize>) =
            begun.iter().copied().partition(is_early_read);
        if !reads.is_empty() && self.forget_all(&reads) == Validity::Invalid {
            *begun = others;
        }
    }

    /// Forgets one half or the other of a range that cannot be forgotten as a whole, of which it
    /// was said what is left without it; and keeps for later what has to be halved again.
    fn halve<'n>(
        &mut self,
        range: &'n [usize],
        validity: Validity,
        ranges: &mut VecDeque<(&'n [usize], Validity)>,
    ) {
        if range.len() < 2 {
            let is_doubtful = validity == Validity::Unknown;
            self.doubtful.extend(range.iter().filter(|_| is_doubtful));
            return;
        }
        let kind = |at: &usize| self.recheck.kind_of(*at);
        let (first, last) = (range.first().map(kind), range.last().map(kind));
        if range.len() <= ONE_BY_ONE_MAX && first == last {
            return self.forget_one_by_one(range, validity);
        }
        let (first, second) = range.split_at(range.len() / 2);
        let without_first = self.forget_all(first);
        // Without both there would be an order.
        let is_needed = validity == Validity::Valid && without_first == Validity::Invalid;
        let without_second = match is_needed {
            true => Validity::Valid,
            false => self.forget_all(second),
        };
        let halves = [(first, without_first), (second, without_second)];
        let kept = halves.into_iter();
        ranges.extend(
            kept.filter(|(half, without)| !half.is_empty() && *without != Validity::Invalid),
        );
    }

    /// Of equal operations, which cannot all be forgotten.
    fn forget_one_by_one(&mut self, range: &[usize], validity: Validity) {
        let mut is_kept = false;
        for (place, number) in range.iter().enumerate() {
            let is_last = place + 1 == range.len();
            let without = match is_last && !is_kept && validity == Validity::Valid {
                true => Validity::Valid,
                false => self.forget_all(&[*number]),
            };
            is_kept |= without != Validity::Invalid;
            self.doubtful
                .extend((without == Validity::Unknown).then_some(*number));
        }
    }

    /// Forgets these, if the rest remains a contradiction; what it is without them.
    fn forget_all(&mut self, numbers: &[usize]) -> Validity {
        let is_small = self.recheck.known().is_forgotten.len() <= SMALL;
        if self.means.is_spent() || *self.effort >= EFFORT_MAX && !is_small {
            return Validity::Unknown;
        }
        let validity = self.judge_without(numbers);
        if validity == Validity::Invalid {
            let fewer = self.recheck.known().without(numbers);
            self.recheck.keep(fewer);
        }
        validity
    }
}
