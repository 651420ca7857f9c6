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
//! First the beginning is forgotten, as much of it as can be, and then operations by
//! [`bisection`](super::bisection). The rest is **minimal**: forget any one more, and there is an
//! order.
//!
//! Where a model has too many states to decide whether a fact is needed, the fact is kept, and the
//! contradiction is not called minimal.

use std::collections::BTreeSet;

use super::bisection::{Bisection, CHECK_COST};
use super::means::Means;
use super::recall::Recalled;
use super::recheck::{Recheck, Twins, judge};
use crate::history::{Operation, OperationId, Recall, Time};
use crate::linearizability::problem::Problem;
use crate::model::{Model, QueueStep, RegisterStep};
use crate::verdict::Validity;

/// Longer histories are not bisected as a whole: too slow, and nobody would read them.
const BISECTED_MAX: usize = 5_000;
/// The same, where it is known which few of them are wrong.
const BESIDE_MAX: usize = 200_000;

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
/// itself. `None` where there are too many. An order that gets far is `deepest`.
pub(super) fn narrow<'a, M: Model>(
    model: &'a M,
    operations: &[&'a Operation<M::Op, M::Ret>],
    core: Option<&[u32]>,
    deepest: &[u32],
    means: &Means,
) -> Option<Core<'a, M>> {
    let mut narrowing = Narrowing {
        model,
        means,
        effort: 0,
    };
    // A sum that was seen contradicts itself as soon as what it is made up of is left out.
    let counted = core.filter(|core| is_counted(model, operations, core));
    if let Some(beside) = counted.and_then(|core| narrowing.beside(operations, core)) {
        return Some(beside);
    }
    let core = core.filter(|_| counted.is_none());
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
    let missed = missed(operations, deepest).filter(|_| core.is_none());
    let missed = missed.and_then(|place| narrowing.alone(operations, &[place]));
    if missed.as_ref().is_some_and(|core| core.is_whole) {
        return missed;
    }
    narrowing.effort = 0;
    let whole = narrowing.forget(&operations.to_vec(), |_| true)?;
    let is_better =
        |alone: &Core<'a, M>| !whole.is_minimal && alone.needed().count() < whole.needed().count();
    alone.filter(is_better).or(Some(whole))
}

/// Whether these are operations on a counter.
fn is_counted<M: Model>(model: &M, operations: &[&Operation<M::Op, M::Ret>], core: &[u32]) -> bool {
    let core = core.iter().map(|place| operations[*place as usize]);
    let mut steps = core.map(|op| model.as_counter(op.op(), op.outcome().ok()));
    steps.all(|step| step.is_some())
}

/// The first that returned without a place in that order: what many contradictions are about, and
/// some of them by itself.
fn missed<O, R>(operations: &[&Operation<O, R>], deepest: &[u32]) -> Option<u32> {
    let explained: BTreeSet<u32> = deepest.iter().copied().collect();
    let missed = (0..).zip(operations).filter_map(|(place, op)| {
        let is_missed = !explained.is_empty() && !explained.contains(&place);
        op.returned().filter(|_| is_missed).map(|at| (at, place))
    });
    missed.min().map(|(_, place)| place)
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
        let mut narrowed = self.forget(&universe, |_| true)?;
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

    /// What is needed of `core` while all others are there, forgotten, if it is a contradiction so.
    fn beside(
        &mut self,
        operations: &[&'a Operation<M::Op, M::Ret>],
        core: &[u32],
    ) -> Option<Core<'a, M>> {
        if operations.len() > BESIDE_MAX {
            return None;
        }
        let core: BTreeSet<u32> = core.iter().copied().collect();
        self.forget(&operations.to_vec(), |place| core.contains(&place))
    }

    /// What is needed of those that are known, if that is a contradiction.
    fn forget(
        &mut self,
        universe: &Ops<'a, M>,
        is_known: impl Fn(u32) -> bool,
    ) -> Option<Core<'a, M>> {
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
        bisection.forget_others(universe, is_known)?;
        bisection.cut(universe);
        let is_minimal = bisection.forget(universe);
        let known = bisection.recheck.known();
        let late = universe.iter().filter(|op| op.invoked() > known.until);
        let late = late.filter(|op| !self.model.is_read(op.op(), op.outcome().ok()));
        Some(Core {
            facts: known.facts::<M>(universe),
            is_whole: true,
            until: known.until,
            late: late.copied().collect(),
            is_minimal,
        })
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
