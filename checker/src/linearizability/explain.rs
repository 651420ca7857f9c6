//! The smallest part of a history that is still wrong, and why: as data, in words, as a drawing.
//!
//! ```text
//!   1  p1  ├─ write 1 ─┤
//!   2  p2                  ├─ write 2 ─┤
//!   ✗  p3                                 ├─ read → 1 ─┤
//!
//!   1. p1's write 1: the object holds 1
//!   2. p2's write 2: the object holds 2
//!   ✗  p3's read → 1 cannot come next: there it would return 2
//! ```
//!
//! What [`mod@core`] leaves is searched once more, for the order that gets furthest. An operation
//! that is needed is in that order, or stuck at its end, or comes after one that is stuck.

mod cast;
mod core;
mod drawing;
mod means;
mod part;
mod recall;
mod recheck;
mod words;

use std::collections::BTreeSet;

use self::core::{Core, Fact, narrow};
use self::part::parted;
use self::recall::Recalled;
use self::recheck::recalled;
use super::class::Classes;
use super::glance::Glance;
use super::problem::Problem;
use super::reachable::reachable;
use super::search::{Cuts, Outcome, Search};
use super::{Contradiction, Prefix, Step, Stuck, Telling};
use crate::history::{Operation, OperationId, Recall, Time};
use crate::model::Model;

pub(super) use means::Means;
pub(super) use words::{Words, by_time};

/// Configurations for the order that is told.
const STATES_MAX: u64 = 20_000;

/// What can be said of `operations`, which are a contradiction; `core` alone may be one already,
/// and `deepest` is how far an order of all got.
pub(super) fn contradiction<M: Model>(
    model: &M,
    operations: &[&Operation<M::Op, M::Ret>],
    core: Option<&[u32]>,
    deepest: &[u32],
    means: &Means,
) -> Contradiction {
    if let Some(part) = parted(model, operations, means) {
        let operations: Vec<_> = part.operations.iter().collect();
        let told = narrowed(&part.model, &operations, Some(&part.core), means);
        if let Some(told) = told {
            return told;
        }
    }
    narrowed(model, operations, core, means).unwrap_or_else(|| {
        let mut prefix = prefix(&Problem::new(model, operations), deepest);
        if deepest.is_empty() {
            // No order was looked for, so that nothing is stuck.
            prefix.stuck.clear();
        }
        Contradiction::not_narrowed(prefix)
    })
}

/// What can be said of what is left when nothing more can be forgotten; nothing where that takes
/// too long to find.
fn narrowed<M: Model>(
    model: &M,
    operations: &[&Operation<M::Op, M::Ret>],
    core: Option<&[u32]>,
    means: &Means,
) -> Option<Contradiction> {
    let core = narrow(model, operations, core, means)?;
    let facts = recalled::<M>(model, &core.facts);
    let facts: Vec<_> = facts.iter().collect();
    let borrowed = Recalled::new(model, &facts);
    let problem = Problem::new(&borrowed, &facts);
    let longest = longest(&problem, means);
    let is_searched = longest.is_some();
    let order = needed_only(&problem, &core, longest.unwrap_or_default(), means);
    let (steps, state) = steps(model, &core, &problem, &order);
    let mut contradiction = Contradiction {
        minimal: core.needed().map(|op| tell(model, op)).collect(),
        is_minimal: core.is_minimal,
        is_whole: core.is_whole,
        until: core.until,
        steps,
        late: helpful(model, &core, &problem, &order).map(|late| tell(model, late)),
        prefix: prefix(&problem, &order),
    };
    let told = |telling: &mut Telling| {
        if let Some(fact) = find(&core, telling.operation) {
            *telling = tell_fact(model, fact);
        }
    };
    let prefix = &mut contradiction.prefix;
    if !is_searched {
        prefix.stuck.clear();
    }
    for stuck in &mut prefix.stuck {
        let fact = find(&core, stuck.telling.operation);
        stuck.instead = fact.and_then(|(op, _)| {
            let ret = op.outcome().ok();
            model.describe_instead(&state, op.op(), ret)
        });
        told(&mut stuck.telling);
    }
    prefix.state = model.describe_state(&state);
    prefix.writer.iter_mut().for_each(told);
    Some(contradiction)
}

impl Contradiction {
    /// One operation is wrong by itself, whatever the others did.
    pub(super) fn is_alone(&self) -> bool {
        self.minimal.len() == 1 && self.steps.is_empty() && self.is_whole
    }

    /// All that is known is that there is no order of all operations, and how far one gets.
    pub(super) fn not_narrowed(prefix: Prefix) -> Self {
        Contradiction {
            minimal: Vec::new(),
            is_minimal: false,
            is_whole: true,
            until: Time(u64::MAX),
            steps: Vec::new(),
            late: None,
            prefix,
        }
    }
}

fn find<'a, M: Model>(core: &Core<'a, M>, id: OperationId) -> Option<Fact<'a, M>> {
    let mut facts = core.facts.iter();
    facts.find(|(op, _)| op.id() == id).copied()
}

/// Without what is forgotten and makes no difference.
fn needed_only<M: Model>(
    problem: &Problem<'_, Recalled<'_, M>>,
    core: &Core<'_, M>,
    mut order: Vec<u32>,
    means: &Means,
) -> Vec<u32> {
    let needed: BTreeSet<OperationId> = core.needed().map(Operation::id).collect();
    for at in (0..order.len()).rev() {
        if needed.contains(&problem.operations[order[at] as usize].id()) {
            continue;
        }
        if means.is_spent() {
            break;
        }
        means.spend(0, 100 * order.len() as u64);
        let place = order.remove(at);
        if replay(problem, &order).is_none() {
            order.insert(at, place);
        }
    }
    order
}

/// The state after these steps, if all are possible.
fn replay<M: Model>(problem: &Problem<'_, M>, order: &[u32]) -> Option<M::State> {
    let mut places = order.iter();
    places.try_fold(problem.model.init(), |state, place| {
        problem.step(&state, *place)
    })
}

/// The first operation that came too late, and after which the next one could have followed.
fn helpful<'a, M: Model>(
    model: &'a M,
    core: &Core<'a, M>,
    problem: &Problem<'_, Recalled<'a, M>>,
    order: &[u32],
) -> Option<&'a Operation<M::Op, M::Ret>> {
    let state = replay(problem, order)?;
    let left = |place: &u32| !order.contains(place) && !problem.is_open(*place);
    let stuck = (0..problem.len()).filter(left);
    let stuck = stuck.min_by_key(|place| problem.returns[*place as usize])?;
    let mut late = core.late.iter();
    let helps = late.find(|op| {
        let after = model.step(&state, op.op(), None);
        after.is_some_and(|after| problem.step(&after, stuck).is_some())
    });
    helps.copied()
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
            .step(&state, recalled.op(), recalled.outcome().ok().copied())
            .expect("the search only takes possible steps");
        let fact = find(core, recalled.id()).expect("the problem is made of these facts");
        steps.push(Step {
            telling: tell_fact(model, fact),
            is_needed: fact.1 != Recall::Forgotten,
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

/// Who, what, when.
pub(super) fn tell<M: Model>(model: &M, op: &Operation<M::Op, M::Ret>) -> Telling {
    Telling {
        operation: op.id(),
        process: op.process(),
        what: model.describe(op.op(), op.outcome().ok()),
        invoked: op.invoked(),
        returned: op.returned(),
    }
}

/// The same, but of one that is forgotten: what was asked, whatever came of it.
fn tell_fact<M: Model>(model: &M, (op, recall): Fact<'_, M>) -> Telling {
    let mut telling = tell(model, op);
    if recall == Recall::Forgotten {
        let what = model.describe(op.op(), None);
        let ends = [" (result unknown)", " → ?"];
        let asked = ends.iter().find_map(|end| what.strip_suffix(end));
        telling.what = asked.unwrap_or(&what).to_owned();
    }
    telling
}

/// Replays `order`, and names what might come next.
pub(super) fn prefix<M: Model>(problem: &Problem<'_, M>, order: &[u32]) -> Prefix {
    let tell = |place: u32| tell(problem.model, problem.operations[place as usize]);
    let mut state = problem.model.init();
    let mut writer = None;
    let mut done = vec![false; problem.operations.len()];
    for place in order {
        let next = problem
            .step(&state, *place)
            .expect("the search only takes possible steps");
        if next != state {
            writer = Some(*place);
        }
        state = next;
        done[*place as usize] = true;
    }
    let mut left: Vec<u32> = (0..)
        .zip(&done)
        .filter(|(place, done)| !**done && !problem.is_open(*place))
        .map(|(place, _)| place)
        .collect();
    left.sort_by_key(|place| problem.returns[*place as usize]);
    let front = left.first().map(|place| problem.returns[*place as usize]);
    let until = left
        .first()
        .and_then(|place| problem.operations[*place as usize].returned());
    let stuck = left
        .iter()
        .filter(|place| front.is_some_and(|front| problem.calls[**place as usize] < front))
        .map(|place| Stuck {
            telling: tell(*place),
            can_follow: problem.step(&state, *place).is_some(),
            instead: None,
        })
        .collect();
    Prefix {
        order: problem.ids(order),
        state: problem.model.describe_state(&state),
        writer: writer.map(tell),
        stuck,
        left: left.len(),
        until,
        open: (0..problem.len())
            .filter(|place| problem.is_open(*place))
            .count(),
    }
}
