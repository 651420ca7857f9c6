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
//! Operations are forgotten by bisection (delta debugging: Zeller and Hildebrandt 2002), until none
//! can be: the rest is **minimal**. Forget any one more, and there is an order.
//!
//! Where a model has too many states to decide whether a fact is needed, the fact is kept, and the
//! contradiction is not called minimal.

use std::collections::BTreeSet;

use super::recall::Recalled;
use crate::budget::Budget;
use crate::history::{Operation, Recall, Time};
use crate::linearizability::meter::Meter;
use crate::linearizability::portfolio::{self, Answer};
use crate::linearizability::problem::{Problem, counts};
use crate::model::{Model, RegisterStep};
use crate::verdict::Validity;

/// Configurations for each re-check; a fact that takes more to be found needless is kept.
const STATES_MAX: u64 = 20_000;
/// Configurations of all re-checks together; from then on facts are kept unseen.
const EFFORT_MAX: u64 = 400_000;
/// A re-check costs at least as much, per operation, as so many configurations.
const CHECK_COST: u64 = 1;
/// Longer histories are not bisected as a whole: too slow, and nobody would read them.
const BISECTED_MAX: usize = 5_000;

type Ops<'a, M> = Vec<&'a Operation<<M as Model>::Op, <M as Model>::Ret>>;

/// An operation, and how much of it is taken as known.
type Fact<'a, M> = (&'a Operation<<M as Model>::Op, <M as Model>::Ret>, Recall);

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

impl<'a, M: Model> Core<'a, M> {
    /// What cannot be forgotten.
    pub(super) fn needed(&self) -> impl Iterator<Item = &'a Operation<M::Op, M::Ret>> + '_ {
        let needed = |(_, recall): &&Fact<'a, M>| *recall != Recall::Forgotten;
        self.facts.iter().filter(needed).map(|(op, _)| *op)
    }
}

/// Forgets what can be forgotten of `operations`, which are a contradiction, as `core` may be by
/// itself. `None` where there are too many.
pub(super) fn narrow<'a, M: Model>(
    model: &'a M,
    operations: &[&'a Operation<M::Op, M::Ret>],
    core: Option<&[u32]>,
) -> Option<Core<'a, M>> {
    let mut narrowing = Narrowing { model, effort: 0 };
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
    let whole = narrowing.forget(operations);
    let is_better =
        |alone: &Core<'a, M>| !whole.is_minimal && alone.needed().count() < whole.needed().count();
    alone.filter(is_better).or(Some(whole))
}

struct Narrowing<'a, M> {
    model: &'a M,
    effort: u64,
}

impl<'a, M: Model> Narrowing<'a, M> {
    fn judge(&mut self, facts: &[Fact<'a, M>]) -> Validity {
        let (validity, states) = judge(self.model, facts);
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

    fn forget(&mut self, universe: &[&'a Operation<M::Op, M::Ret>]) -> Core<'a, M> {
        let (until, mut facts, late) = self.cut(universe);
        let mut is_minimal;
        let mut size = facts.len().div_ceil(2).max(1);
        loop {
            let (mut at, mut dropped) = (0, false);
            is_minimal = true;
            let live: Vec<usize> = (0..facts.len())
                .filter(|at| facts[*at].1 != Recall::Forgotten)
                .collect();
            while at < live.len() && self.effort < EFFORT_MAX {
                let chunk = &live[at..(at + size).min(live.len())];
                let mut fewer = facts.clone();
                for place in chunk {
                    fewer[*place].1 = Recall::Forgotten;
                }
                match self.judge(&fewer) {
                    Validity::Invalid => (facts, dropped) = (fewer, true),
                    Validity::Unknown => is_minimal = false,
                    Validity::Valid => {}
                }
                at += size;
            }
            if size == 1 && !dropped || self.effort >= EFFORT_MAX {
                break;
            }
            size = size.div_ceil(2);
        }
        Core {
            facts,
            is_whole: true,
            until,
            late,
            is_minimal: is_minimal && self.effort < EFFORT_MAX,
        }
    }

    /// The history until it is first a contradiction, and the operations that began later.
    fn cut(
        &mut self,
        universe: &[&'a Operation<M::Op, M::Ret>],
    ) -> (Time, Vec<Fact<'a, M>>, Ops<'a, M>) {
        let mut ends: Vec<Time> = universe.iter().filter_map(|op| op.returned()).collect();
        ends.sort_unstable();
        ends.dedup();
        let (mut low, mut high) = (0, ends.len().saturating_sub(1));
        while low < high {
            let middle = (low + high) / 2;
            match self.judge(&begun_by(universe, ends[middle])) {
                Validity::Invalid => high = middle,
                Validity::Valid | Validity::Unknown => low = middle + 1,
            }
        }
        let until = ends.get(high).copied().unwrap_or(Time(u64::MAX));
        let late = universe.iter().filter(|op| op.invoked() > until);
        let late = late.filter(|op| !self.model.is_read(op.op(), op.outcome().ok()));
        let facts = begun_by(universe, until);
        (until, facts, late.copied().collect())
    }
}

/// Of a register: only what could have put a value there that was seen, if that is all that
/// matters.
fn keep_relevant<'a, M: Model>(model: &M, core: &Core<'a, M>, others: &mut Ops<'a, M>) {
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

/// What was known at that time.
fn begun_by<'a, O, R>(
    operations: &[&'a Operation<O, R>],
    until: Time,
) -> Vec<(&'a Operation<O, R>, Recall)> {
    let begun = operations.iter().filter(|op| op.invoked() <= until);
    begun
        .map(|op| match op.returned() {
            Some(returned) if returned <= until => (*op, Recall::Known),
            _ => (*op, Recall::Begun),
        })
        .collect()
}

/// Those facts as operations, forgotten ones first.
pub(super) fn recalled<'a, M: Model>(
    model: &'a M,
    facts: &[Fact<'a, M>],
) -> Vec<Operation<&'a M::Op, &'a M::Ret>> {
    let of = |is_forgotten: bool| {
        let facts = facts
            .iter()
            .filter(move |(_, recall)| (*recall == Recall::Forgotten) == is_forgotten);
        facts.map(|(op, recall)| op.recalled(*recall))
    };
    of(true)
        .chain(of(false))
        .filter(|op| counts(&Recalled::new(model, &[]), op))
        .collect()
}

/// The verdict on those facts, and the configurations that it took.
fn judge<'a, M: Model>(model: &'a M, facts: &[Fact<'a, M>]) -> (Validity, u64) {
    let recalled = recalled(model, facts);
    if recalled.iter().all(|op| op.outcome().is_info()) {
        return (Validity::Valid, 0);
    }
    let operations: Vec<_> = recalled.iter().collect();
    let model = Recalled::new(model, &operations);
    let problem = Problem::new(&model, &operations);
    let meter = Meter::new(Budget::states(STATES_MAX), std::time::Instant::now());
    let (answer, states) = portfolio::decide(&problem, meter);
    let validity = match answer {
        Answer::None { .. } => Validity::Invalid,
        Answer::Order(_) => Validity::Valid,
        Answer::Spent { .. } => Validity::Unknown,
    };
    (validity, states)
}
