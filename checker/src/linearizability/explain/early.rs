//! Of what is needed, that which is needed only because it was over early.
//!
//! ```text
//!   write 2   write 2   write 2   write 1   read → 2     "3 × write 2 were over too early to help"
//!   └──────── over before ────────┘
//! ```
//!
//! If any of these writes of 2 could have happened at any time, it would explain the read; so all
//! of them are needed, and a reader who is shown all of them loses the thread. Of a group of equal
//! questions it is enough to know when they were. They are set aside, if
//!
//! - the rest is a contradiction **without** them, so that it can be told as if they were not there,
//! - it is one **with** them, each at some moment between its call and its return, with whatever
//!   result, so that nothing that they did can help, and
//! - the order that is told gets as far without them as with them, so that nothing in it is missing.
//!
//! The rest stays minimal: with more known of those there was an order already when any one of the
//! rest was forgotten.

use std::collections::BTreeSet;

use super::core::{Core, Fact, Ops};
use super::recheck::judge;
use super::story::Story;
use crate::history::{Operation, OperationId, Recall, Time};
use crate::model::Model;
use crate::verdict::Validity;

/// So many groups of equal questions are looked at.
const GROUPS_MAX: usize = 64;
/// So many moments are tried before which a group may have been over.
const MOMENTS_MAX: usize = 4;

/// Operations with one question, over before that other one began.
pub(super) struct Early<'a, M: Model> {
    pub(super) operations: Ops<'a, M>,
    pub(super) before: &'a Operation<M::Op, M::Ret>,
}

/// Sets aside what can be, of a contradiction that `story` tells, and tells the rest anew.
pub(super) fn set_aside<'a, M: Model>(
    model: &'a M,
    core: &mut Core<'a, M>,
    story: &mut Story<M>,
) -> Vec<Early<'a, M>> {
    let mut aside = Vec::new();
    for question in questions(core) {
        for before in moments(core, question) {
            let group = over_before(core, question, before);
            let changes_nothing = |op: &&Operation<M::Op, M::Ret>| !story.changes(op.id());
            if group.len() < 2 && !group.iter().all(changes_nothing) {
                break;
            }
            if let Some(rest) = without(model, core, story, &group) {
                (core.facts, *story) = rest;
                aside.push(group);
                break;
            }
        }
    }
    // Told by the first of the rest that began only then.
    let tell = |operations: Ops<'a, M>| {
        let over = operations.iter().filter_map(|op| op.returned()).max()?;
        let mut rest = core.needed().map(|(op, _)| op);
        let before = rest.find(|op| op.invoked() > over)?;
        Some(Early { operations, before })
    };
    aside.into_iter().filter_map(tell).collect()
}

fn is_known<M: Model>((op, recall): &Fact<'_, M>, until: Time) -> bool {
    *recall == Recall::Known && op.returned().is_some_and(|returned| returned <= until)
}

/// What is asked by the operations that are known, each once.
fn questions<'a, M: Model>(core: &Core<'a, M>) -> Vec<&'a M::Op> {
    let mut questions: Vec<&M::Op> = Vec::new();
    let mut known = core.facts.iter().filter(|fact| is_known::<M>(fact, core.until));
    while questions.len() < GROUPS_MAX
        && let Some((op, _)) = known.next()
    {
        if !questions.contains(&op.op()) {
            questions.push(op.op());
        }
    }
    questions
}

/// When others of the contradiction began: the latest first, and each that leaves a smaller group.
fn moments<M: Model>(core: &Core<'_, M>, question: &M::Op) -> Vec<Time> {
    let others = core.needed().filter(|(op, _)| op.op() != question);
    let mut begun: Vec<Time> = others.map(|(op, _)| op.invoked()).collect();
    begun.sort_unstable();
    begun.dedup();
    let mut size = usize::MAX;
    let mut moments = Vec::new();
    for moment in begun.into_iter().rev() {
        let count = over_before(core, question, moment).len();
        if count == 0 || moments.len() == MOMENTS_MAX {
            break;
        }
        if count < size {
            moments.push(moment);
        }
        size = count;
    }
    moments
}

fn over_before<'a, M: Model>(core: &Core<'a, M>, question: &M::Op, moment: Time) -> Ops<'a, M> {
    let known = core.facts.iter().filter(|fact| is_known::<M>(fact, core.until));
    let group = known.filter(|(op, _)| op.op() == question);
    let group = group.filter(|(op, _)| op.returned().is_some_and(|returned| returned < moment));
    group.map(|(op, _)| *op).collect()
}

/// The facts without what is known of a group but its times, and their story, if the group can be
/// set aside.
fn without<'a, M: Model>(
    model: &'a M,
    core: &Core<'a, M>,
    story: &Story<M>,
    group: &Ops<'a, M>,
) -> Option<(Vec<Fact<'a, M>>, Story<M>)> {
    let group: BTreeSet<OperationId> = group.iter().map(|op| op.id()).collect();
    let is_out = |(op, _): &Fact<'a, M>| group.contains(&op.id());
    let timed = core.facts.iter().map(|fact| match is_out(fact) {
        true => (fact.0, Recall::Timed),
        false => *fact,
    });
    let timed: Vec<Fact<'a, M>> = timed.collect();
    let rest = timed.iter().filter(|(_, recall)| *recall != Recall::Timed);
    let rest: Vec<Fact<'a, M>> = rest.copied().collect();
    let is_wrong = |facts: &[Fact<'a, M>]| judge::<M>(model, facts).0 == Validity::Invalid;
    if !is_wrong(&rest) || !is_wrong(&timed) {
        return None;
    }
    let told = Story::of(model, core, &rest);
    let needed = |story: &Story<M>| -> Vec<OperationId> {
        let steps = story.steps.iter().filter(|step| step.is_needed);
        let steps = steps.map(|step| step.telling.operation);
        steps.filter(|id| !group.contains(id)).collect()
    };
    let (mut with, mut without) = (needed(story), needed(&told));
    with.sort_unstable();
    without.sort_unstable();
    let is_same = with == without && story.stuck() == told.stuck();
    is_same.then_some((timed, told))
}
