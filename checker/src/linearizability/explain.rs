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

mod bisection;
mod cast;
mod core;
mod drawing;
mod early;
mod means;
mod part;
mod recall;
mod recheck;
mod story;
mod words;

use self::core::{Core, Fact, narrow};
use self::early::set_aside;
use self::part::parted;
use self::story::Story;
use super::problem::Problem;
use super::{Contradiction, Early, Prefix, Stuck, Telling};
use crate::history::{Operation, Recall, Time};
use crate::model::{Model, question};

pub(super) use means::Means;
pub(super) use words::{Words, by_time};

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
        let told = narrowed(&part.model, &operations, Some(&part.core), &[], means);
        if let Some(told) = told {
            return told;
        }
    }
    narrowed(model, operations, core, deepest, means).unwrap_or_else(|| {
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
    deepest: &[u32],
    means: &Means,
) -> Option<Contradiction> {
    let mut core = narrow(model, operations, core, deepest, means)?;
    let mut story = Story::of(model, &core, &core.facts, means);
    let aside = set_aside(model, &mut core, &mut story, means);
    let early = aside.iter().map(|early| tell_early(model, early));
    Some(Contradiction {
        minimal: core
            .needed()
            .map(|fact| tell_fact(model, &core, fact))
            .collect(),
        early: early.collect(),
        is_minimal: core.is_minimal,
        is_whole: core.is_whole,
        until: core.until,
        late: story
            .helpful(model, &core, means)
            .map(|late| tell(model, late)),
        steps: story.steps,
        prefix: story.prefix,
    })
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
            early: Vec::new(),
            is_minimal: false,
            is_whole: true,
            until: Time(u64::MAX),
            steps: Vec::new(),
            late: None,
            prefix,
        }
    }
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

/// The same, but where its result is not used, what was asked, whatever came of it.
fn tell_fact<M: Model>(model: &M, core: &Core<'_, M>, (op, recall): Fact<'_, M>) -> Telling {
    let mut telling = tell(model, op);
    let is_open = op.returned().is_some_and(|returned| returned > core.until);
    if recall == Recall::Forgotten || is_open {
        telling.what = question(model, op.op());
    }
    telling
}

fn tell_early<M: Model>(model: &M, early: &early::Early<'_, M>) -> Early {
    let mut operations: Vec<_> = early.operations.iter().map(|op| tell(model, op)).collect();
    let is_one = operations.iter().all(|op| op.what == operations[0].what);
    if !is_one {
        let asked = question(model, early.operations[0].op());
        operations
            .iter_mut()
            .for_each(|op| op.what.clone_from(&asked));
    }
    Early {
        operations,
        before: tell(model, early.before),
    }
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
