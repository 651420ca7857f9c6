//! The fewest facts that are still a contradiction.
//!
//! ```text
//!   needed       p1  ├─ write 1 ─┤                       what is known of them is used
//!                p2                ├─ write 2 ─┤
//!                p3                              ├─ read → 1 ─┤
//!   forgotten    write 3, write 4, …                     may have happened at any time, or never
//!   not begun                                                        ├─ write 1 ─┤
//! ```
//!
//! To *forget* an operation is to keep its question and nothing else: it may have happened at any
//! time or never, with whatever result. Whatever order explains all facts explains fewer facts, so
//! that a contradiction stays one when facts are added, and one that is left when all but a few
//! operations are forgotten is a proof: nothing that the others did can help. What began only after
//! the contradiction was complete cannot either (linearizability is prefix-closed: Herlihy and Wing
//! 1990, section 3), and is left out.
//!
//! First the beginning is forgotten, as much of it as can be. Then operations are, by bisection (as
//! in delta debugging: Zeller and Hildebrandt 2002): all of a range, or else each half of it, down
//! to one. Where one cannot be forgotten, it cannot be later either, when even less is known; so
//! the rest is **minimal** after one pass. Forget any one more, and there is an order.
//!
//! Where a model has too many states to decide whether a fact is needed, the fact is kept, and the
//! contradiction is not called minimal.

use std::collections::{BTreeSet, VecDeque};

use super::means::Means;
use super::recall::Recalled;
use super::recheck::{Known, Recheck, SMALL, Twins, judge};
use crate::history::{Operation, OperationId, Recall, Time};
use crate::linearizability::problem::Problem;
use crate::model::{Model, QueueStep, RegisterStep};
use crate::verdict::Validity;

/// Configurations of all re-checks together; from then on facts are kept unseen, unless there are
/// few.
const EFFORT_MAX: u64 = 400_000;
/// A re-check costs at least as much, per operation, as so many configurations.
const CHECK_COST: u64 = 1;
/// So many equal operations at most are not bisected: often all are needed.
const ONE_BY_ONE_MAX: usize = 16;
/// Longer histories are not bisected as a whole: too slow, and nobody would read them.
const BISECTED_MAX: usize = 5_000;

pub(super) type Ops<'a, M> = Vec<&'a Operation<<M as Model>::Op, <M as Model>::Ret>>;

/// An operation, and how much of it is taken as known.
pub(super) type Fact<'a, M> = (&'a Operation<<M as Model>::Op, <M as Model>::Ret>, Recall);

/// What is left of a history when nothing more can be forgotten.
pub(super) struct Core<'a, M: Model> {
    /// What is needed, and what is forgotten; in order of call.
    pub(super) facts: Vec<Fact<'a, M>>,
    /// False where operations outside of `facts` were left out, not forgotten.
    pub(super) is_whole: bool,
    /// When that was first a contradiction: nothing learned later is used.
    pub(super) until: Time,
    /// What began only when all of that was over.
    pub(super) late: Ops<'a, M>,
    /// False where some fact is kept only because it could not be decided.
    pub(super) is_minimal: bool,
}

/// Of what is only timed it is known that it was over early, and of what is forgotten nothing.
pub(super) fn is_needed(recall: Recall) -> bool {
    !matches!(recall, Recall::Forgotten | Recall::Timed)
}

impl<'a, M: Model> Core<'a, M> {
    /// The fact about that operation.
    pub(super) fn find(&self, id: OperationId) -> Option<Fact<'a, M>> {
        let mut facts = self.facts.iter();
        facts.find(|(op, _)| op.id() == id).copied()
    }

    /// What cannot be forgotten.
    pub(super) fn needed(&self) -> impl Iterator<Item = Fact<'a, M>> + '_ {
        let needed = |(_, recall): &&Fact<'a, M>| is_needed(*recall);
        self.facts.iter().filter(needed).copied()
    }
}

/// Forgets what can be forgotten of `operations`, which are a contradiction, as `core` may be by
/// itself. `None` where there are too many.
pub(super) fn narrow<'a, M: Model>(
    model: &'a M,
    operations: &[&'a Operation<M::Op, M::Ret>],
    core: Option<&[u32]>,
    means: &Means,
) -> Option<Core<'a, M>> {
    let mut narrowing = Narrowing {
        model,
        means,
        effort: 0,
    };
    let alone = core.and_then(|core| {
        let mut core = core.to_vec();
        core.sort_unstable();
        core.dedup();
        narrowing.alone(operations, &core)
    });
    if alone.as_ref().is_some_and(|core| core.is_whole) {
        return alone;
    }
    if operations.len() > BISECTED_MAX {
        return alone;
    }
    narrowing.effort = 0;
    let whole = narrowing.forget(&operations.to_vec());
    let is_better =
        |alone: &Core<'a, M>| !whole.is_minimal && alone.needed().count() < whole.needed().count();
    alone.filter(is_better).or(Some(whole))
}

struct Narrowing<'m, 'a, M> {
    model: &'a M,
    means: &'m Means,
    effort: u64,
}

impl<'a, M: Model> Narrowing<'_, 'a, M> {
    fn judge(&mut self, facts: &[Fact<'a, M>]) -> Validity {
        let (validity, states) = judge::<M>(self.model, facts, self.means);
        self.effort += states + CHECK_COST * facts.len() as u64;
        validity
    }

    /// What is needed of `core`, if that is a contradiction by itself: whole, if it remains one
    /// beside all others, forgotten.
    fn alone(
        &mut self,
        operations: &[&'a Operation<M::Op, M::Ret>],
        core: &[u32],
    ) -> Option<Core<'a, M>> {
        let universe: Ops<'a, M> = core
            .iter()
            .map(|place| operations[*place as usize])
            .collect();
        let known: Vec<_> = universe.iter().map(|op| (*op, Recall::Known)).collect();
        if self.judge(&known) != Validity::Invalid {
            return None;
        }
        let mut narrowed = self.forget(&universe);
        let others = (0..).zip(operations).filter(|(place, op)| {
            op.invoked() <= narrowed.until && core.binary_search(place).is_err()
        });
        let mut others: Ops<'a, M> = others.map(|(_, op)| *op).collect();
        keep_relevant(self.model, &narrowed, &mut others);
        let mut facts = narrowed.facts.clone();
        facts.extend(others.into_iter().map(|op| (op, Recall::Forgotten)));
        facts.sort_by_key(|(op, _)| op.id());
        narrowed.is_whole = self.judge(&facts) == Validity::Invalid;
        if narrowed.is_whole {
            narrowed.facts = facts;
        }
        Some(narrowed)
    }

    fn forget(&mut self, universe: &Ops<'a, M>) -> Core<'a, M> {
        let twins = Twins::new(self.model, universe);
        let borrowed: Vec<_> = twins.operations.iter().collect();
        let recalled = Recalled::new(self.model, &borrowed);
        let problem = Problem::new(&recalled, &borrowed);
        let mut bisection = Bisection {
            recheck: Recheck::new(self.model, universe, &twins, &problem, self.means),
            means: self.means,
            effort: &mut self.effort,
            doubtful: Vec::new(),
        };
        bisection.cut(universe);
        let is_minimal = bisection.forget(universe);
        let known = bisection.recheck.known();
        let late = universe.iter().filter(|op| op.invoked() > known.until);
        let late = late.filter(|op| !self.model.is_read(op.op(), op.outcome().ok()));
        Core {
            facts: known.facts::<M>(universe),
            is_whole: true,
            until: known.until,
            late: late.copied().collect(),
            is_minimal,
        }
    }
}

/// What remains a contradiction while more and more is forgotten.
struct Bisection<'r, 'p, 'q, 'a, M: Model> {
    recheck: Recheck<'p, 'q, 'a, M>,
    means: &'r Means,
    effort: &'r mut u64,
    /// What is kept because it could not be decided whether it is needed.
    doubtful: Vec<usize>,
}

impl<M: Model> Bisection<'_, '_, '_, '_, M> {
    fn judge_without(&mut self, numbers: &[usize]) -> Validity {
        let (validity, states) = self.recheck.judge_without(numbers);
        *self.effort += states + CHECK_COST * self.recheck.known().is_forgotten.len() as u64;
        validity
    }

    /// Leaves out what was learned after it was first a contradiction.
    fn cut(&mut self, universe: &Ops<'_, M>) {
        let mut ends: Vec<Time> = universe.iter().filter_map(|op| op.returned()).collect();
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
    fn forget(&mut self, universe: &Ops<'_, M>) -> bool {
        let until = self.recheck.known().until;
        let begun = universe.iter().enumerate();
        let begun = begun.filter(|(_, op)| op.invoked() <= until);
        let mut begun: Vec<usize> = begun.map(|(number, _)| number).collect();
        self.forget_beginning(&mut begun);
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
    /// of one moment.
    fn forget_beginning(&mut self, begun: &mut Vec<usize>) {
        loop {
            let half = begun.len() / 2;
            if half == 0 || self.forget_all(&begun[..half]) != Validity::Invalid {
                break;
            }
            begun.drain(..half);
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

/// Only what could have helped, where that can be told.
fn keep_relevant<'a, M: Model>(model: &M, core: &Core<'a, M>, others: &mut Ops<'a, M>) {
    keep_puts(model, core, others);
    keep_writes(model, core, others);
}

/// Of a queue: what puts a value there that was taken. Any other may be left out of an order, with
/// what took it there: nothing else becomes impossible. And no more takes than there are values.
fn keep_puts<'a, M: Model>(model: &M, core: &Core<'a, M>, others: &mut Ops<'a, M>) {
    let known = core
        .facts
        .iter()
        .filter(|(_, recall)| *recall == Recall::Known);
    let known = known.map(|(op, _)| model.as_queue(op.op(), op.outcome().ok()));
    let Some(known) = known.collect::<Option<Vec<QueueStep>>>() else {
        return;
    };
    let is_taken = |value: i64| known.contains(&QueueStep::Taken(value));
    let put = |op: &Operation<M::Op, M::Ret>| match model.as_queue(op.op(), None) {
        Some(QueueStep::Put(value)) => Some(value),
        _ => None,
    };
    if known.is_empty() {
        return;
    }
    others.retain(|op| put(op).is_none_or(is_taken));
    let all = core.facts.iter().map(|(op, _)| *op);
    let mut takes = all.chain(others.iter().copied()).filter_map(put).count();
    others.retain(|op| {
        let is_kept = put(op).is_some() || takes > 0;
        takes -= usize::from(is_kept && put(op).is_none());
        is_kept
    });
}

/// Of a register: only what could have put a value there that was seen, if that is all that
/// matters.
fn keep_writes<'a, M: Model>(model: &M, core: &Core<'a, M>, others: &mut Ops<'a, M>) {
    let mut values = BTreeSet::new();
    for op in core.facts.iter().map(|(op, _)| op) {
        match model.as_register(op.op(), op.outcome().ok()) {
            Some(RegisterStep::Read(seen)) => values.extend(seen),
            Some(RegisterStep::Write(_)) => {}
            Some(RegisterStep::Cas {
                expect,
                swapped: Some(true),
                ..
            }) => values.extend(expect),
            // Whatever there was, it was something else; or it is no register.
            _ => return,
        }
    }
    let put = |op: &Operation<M::Op, M::Ret>| match model.as_register(op.op(), None) {
        Some(RegisterStep::Write(new)) => Some((new, None)),
        Some(RegisterStep::Cas { expect, new, .. }) => Some((new, expect)),
        _ => None,
    };
    loop {
        let count = values.len();
        for (new, expect) in others.iter().rev().filter_map(|op| put(op)) {
            if values.contains(&new) {
                values.extend(expect);
            }
        }
        if values.len() == count {
            break;
        }
    }
    others.retain(|op| put(op).is_some_and(|(new, _)| values.contains(&new)));
}
