//! How far an order of the facts gets, step by step, and what cannot follow.

use std::collections::BTreeSet;

use rustc_hash::FxHashSet;

use super::core::{Core, Fact, is_needed};
use super::means::Means;
use super::recall::{Recalled, result};
use super::recheck::{judge, recalled};
use super::{prefix, tell_fact};
use crate::history::{Operation, OperationId, Recall};
use crate::linearizability::class::Classes;
use crate::linearizability::glance::Glance;
use crate::linearizability::problem::Problem;
use crate::linearizability::reachable::reachable;
use crate::linearizability::search::{Cuts, Outcome, Search};
use crate::linearizability::{Prefix, Step, Telling};
use crate::model::Model;
use crate::verdict::Validity;

/// Configurations for the order that is told.
const STATES_MAX: u64 = 20_000;
/// So many of those that began too late are asked whether they would have explained it.
const LATE_MAX: usize = 4;

/// The longest order of some facts.
pub(super) struct Story<M: Model> {
    pub(super) steps: Vec<Step>,
    pub(super) prefix: Prefix,
    state: M::State,
}

impl<M: Model> Story<M> {
    /// Of these facts, which are all or some of a contradiction's.
    pub(super) fn of<'a>(
        model: &'a M,
        core: &Core<'a, M>,
        facts: &[Fact<'a, M>],
        means: &Means,
    ) -> Self {
        let operations = recalled::<M>(model, facts);
        let operations: Vec<_> = operations.iter().collect();
        let borrowed = Recalled::new(model, &operations);
        let problem = Problem::new(&borrowed, &operations);
        let longest = longest(&problem, means);
        let is_searched = longest.is_some();
        let order = needed_only(&problem, facts, longest.unwrap_or_default(), means);
        let (steps, state) = steps(model, core, &problem, &order);
        let mut prefix = prefix(&problem, &order);
        let told = |telling: &mut Telling| {
            if let Some(fact) = core.find(telling.operation) {
                *telling = tell_fact(model, core, fact);
            }
        };
        if !is_searched {
            // No order was looked for, so that nothing is stuck.
            prefix.stuck.clear();
        }
        for stuck in &mut prefix.stuck {
            let fact = core.find(stuck.telling.operation);
            stuck.instead = fact.and_then(|(op, _)| {
                let ret = op.outcome().ok();
                model.describe_instead(&state, op.op(), ret)
            });
            told(&mut stuck.telling);
        }
        prefix.state = model.describe_state(&state);
        prefix.writer.iter_mut().for_each(told);
        Story {
            steps,
            prefix,
            state,
        }
    }

    /// The object at its end.
    pub(super) fn state(&self) -> &M::State {
        &self.state
    }

    /// At which operations the order ends.
    pub(super) fn stuck(&self) -> Vec<OperationId> {
        let stuck = self.prefix.stuck.iter();
        stuck.map(|stuck| stuck.telling.operation).collect()
    }

    /// The first operation that began too late, and would explain it all, as what it was and with
    /// what came of it, had it begun at first.
    pub(super) fn helpful<'a>(
        &self,
        model: &'a M,
        core: &Core<'a, M>,
        means: &Means,
    ) -> Option<&'a Operation<M::Op, M::Ret>> {
        let stuck = self.prefix.stuck.first()?;
        let (stuck, _) = core.find(stuck.telling.operation)?;
        let leads_on = |op: &&&Operation<M::Op, M::Ret>| {
            let after = model.step(&self.state, op.op(), op.outcome().ok());
            let after = after.filter(|after| *after != self.state);
            after.is_some_and(|after| {
                let next = model.step(&after, stuck.op(), stuck.outcome().ok());
                next.is_some()
            })
        };
        let explains = |op: &&&'a Operation<M::Op, M::Ret>| {
            let mut facts = core.facts.clone();
            facts.push((**op, Recall::Early));
            judge::<M>(model, &facts, means).0 == Validity::Valid
        };
        let mut late = core.late.iter().filter(leads_on).take(LATE_MAX);
        late.find(explains).copied()
    }
}

/// Without what is forgotten and makes no difference: all of it, or else each half, the later one
/// first.
fn needed_only<M: Model>(
    problem: &Problem<'_, Recalled<'_, M>>,
    facts: &[Fact<'_, M>],
    mut order: Vec<u32>,
    means: &Means,
) -> Vec<u32> {
    let needed = facts.iter().filter(|(_, recall)| is_needed(*recall));
    let needed: BTreeSet<OperationId> = needed.map(|(op, _)| op.id()).collect();
    let is_helper = |place: &u32| !needed.contains(&problem.operations[*place as usize].id());
    let helpers: Vec<u32> = order.iter().copied().filter(is_helper).collect();
    let mut ranges = vec![&helpers[..]];
    while let Some(range) = ranges.pop() {
        if range.is_empty() || means.is_spent() {
            continue;
        }
        means.spend(0, 100 * order.len() as u64);
        let is_out: FxHashSet<u32> = range.iter().copied().collect();
        let rest = order.iter().copied().filter(|at| !is_out.contains(at));
        let rest: Vec<u32> = rest.collect();
        if is_possible(problem, &rest) {
            order = rest;
        } else if range.len() > 1 {
            let (first, second) = range.split_at(range.len() / 2);
            ranges.extend([first, second]);
        }
    }
    order
}

fn is_possible<M: Model>(problem: &Problem<'_, M>, order: &[u32]) -> bool {
    let mut places = order.iter();
    let init = problem.model.init();
    let end = places.try_fold(init, |state, place| problem.step(&state, *place));
    end.is_some()
}

/// The order step by step, and the state after it.
fn steps<M: Model>(
    model: &M,
    core: &Core<'_, M>,
    problem: &Problem<'_, Recalled<'_, M>>,
    order: &[u32],
) -> (Vec<Step>, M::State) {
    let mut state = model.init();
    let mut steps = Vec::new();
    for place in order {
        let recalled = problem.operations[*place as usize];
        let next = model
            .step(&state, recalled.op(), result(recalled.outcome().ok()))
            .expect("the search only takes possible steps");
        let fact = core.find(recalled.id());
        let fact = fact.expect("the problem is made of these facts");
        steps.push(Step {
            telling: tell_fact(model, core, fact),
            is_needed: is_needed(fact.1),
            state: (next != state).then(|| model.describe_state(&next)),
        });
        state = next;
    }
    (steps, state)
}

/// The longest order that can be had, of few operations: at a glance, or else depth-first. Nothing
/// where that would take too long.
fn longest<M: Model>(problem: &Problem<'_, M>, means: &Means) -> Option<Vec<u32>> {
    let cost = means.open(problem)?;
    let mut classes = Classes::new(problem);
    if reachable(problem, &mut classes).is_some() {
        let (mut glance, events) = (Glance::default(), problem.events.iter().copied());
        let mut meter = cost.meter(means, STATES_MAX);
        if let Some(order) = glance.furthest(problem, &mut classes, &events, &mut meter) {
            return Some(order);
        }
    }
    let search = Search::new(problem, &mut classes, Cuts::default());
    let mut meter = cost.meter(means, STATES_MAX);
    let outcome = search.run(&mut meter);
    cost.pay(means, meter.states());
    Some(match outcome {
        Outcome::Order(order) => order,
        Outcome::Exhausted { deepest } | Outcome::Spent { deepest } => deepest,
    })
}
