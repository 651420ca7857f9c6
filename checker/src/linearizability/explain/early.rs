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
//! - the rest is a contradiction **without** them, so that it can be told as if there were none,
//! - it is one **with** them, each at some moment between its call and its return, with whatever
//!   result, so that nothing that they did can help, and
//! - the order that is told gets as far without them as with them, and leaves the object as it was
//!   left with them, so that nothing in it is missing.
//!
//! The rest stays minimal: with more known of those there was an order already when any one of the
//! rest was forgotten.

use std::collections::BTreeSet;

use super::core::{Core, Fact, Ops};
use super::means::Means;
use super::recheck::judge;
use super::story::Story;
use crate::history::{Operation, OperationId, Recall, Time};
use crate::model::Model;
use crate::verdict::Validity;

/// So many groups of equal questions are looked at.
const GROUPS_MAX: usize = 64;
/// A reader can follow fewer, and to look whether they can be set aside takes time.
const GROUP_MIN: usize = 2;
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
    means: &Means,
) -> Vec<Early<'a, M>> {
    let mut aside: Vec<Early<'a, M>> = Vec::new();
    for question in questions(model, core) {
        let known = core
            .facts
            .iter()
            .filter(|fact| is_known::<M>(fact, core.until));
        let known = known.map(|(op, _)| *op);
        let alike: Ops<'a, M> = known.filter(|op| op.op() == question).collect();
        for before in moments(core, &alike) {
            let group = over_before::<M>(&alike, before);
            let is_told = |op: &&Operation<M::Op, M::Ret>| {
                let mut others = aside.iter().map(|early| early.before.id());
                others.any(|before| before == op.id())
            };
            if group.len() < GROUP_MIN || group.iter().any(is_told) {
                break;
            }
            if let Some(rest) = without(model, core, story, &group, means)
                && let Some(before) = after(core, &group)
            {
                (core.facts, *story) = rest;
                aside.push(Early {
                    operations: group,
                    before,
                });
                break;
            }
        }
    }
    aside
}

/// The first other one of the contradiction that began only when all of the group was over.
fn after<'a, M: Model>(
    core: &Core<'a, M>,
    group: &Ops<'a, M>,
) -> Option<&'a Operation<M::Op, M::Ret>> {
    let over = group.iter().filter_map(|op| op.returned()).max()?;
    let is_other = |op: &&Operation<M::Op, M::Ret>| op.op() != group[0].op();
    let mut others = core.needed().map(|(op, _)| op).filter(is_other);
    others.find(|op| op.invoked() > over)
}

fn is_known<M: Model>((op, recall): &Fact<'_, M>, until: Time) -> bool {
    *recall == Recall::Known && op.returned().is_some_and(|returned| returned <= until)
}

/// What is asked by the operations that are known, each once; but for mere questions, which when
/// they are forgotten are as good as not there.
fn questions<'a, M: Model>(model: &M, core: &Core<'a, M>) -> Vec<&'a M::Op> {
    let mut questions: Vec<&M::Op> = Vec::new();
    let known = core
        .facts
        .iter()
        .filter(|fact| is_known::<M>(fact, core.until));
    let mut known = known.filter(|(op, _)| !model.is_read(op.op(), None));
    while questions.len() < GROUPS_MAX
        && let Some((op, _)) = known.next()
    {
        if !questions.contains(&op.op()) {
            questions.push(op.op());
        }
    }
    questions
}

/// When others of the contradiction began: the latest first, and each that leaves fewer of these.
fn moments<'a, M: Model>(core: &Core<'a, M>, alike: &Ops<'a, M>) -> Vec<Time> {
    let others = core.needed().filter(|(op, _)| op.op() != alike[0].op());
    let mut begun: Vec<Time> = others.map(|(op, _)| op.invoked()).collect();
    begun.sort_unstable();
    begun.dedup();
    let mut size = usize::MAX;
    let mut moments = Vec::new();
    for moment in begun.into_iter().rev() {
        let count = over_before::<M>(alike, moment).len();
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

fn over_before<'a, M: Model>(alike: &Ops<'a, M>, moment: Time) -> Ops<'a, M> {
    let is_over = |op: &&&Operation<M::Op, M::Ret>| {
        let returned = op.returned();
        returned.is_some_and(|returned| returned < moment)
    };
    alike.iter().filter(is_over).copied().collect()
}

/// The facts without what is known of a group but its times, and their story, if the group can be
/// set aside.
fn without<'a, M: Model>(
    model: &'a M,
    core: &Core<'a, M>,
    story: &Story<M>,
    group: &Ops<'a, M>,
    means: &Means,
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
    let is_wrong = |facts: &[Fact<'a, M>]| judge::<M>(model, facts, means).0 == Validity::Invalid;
    if !is_wrong(&rest) || !is_wrong(&timed) {
        return None;
    }
    let told = Story::of(model, core, &rest, means);
    let needed = |story: &Story<M>| -> Vec<OperationId> {
        let steps = story.steps.iter().filter(|step| step.is_needed);
        let steps = steps.map(|step| step.telling.operation);
        steps.filter(|id| !group.contains(id)).collect()
    };
    let (mut with, mut without) = (needed(story), needed(&told));
    with.sort_unstable();
    without.sort_unstable();
    let is_same = with == without && story.stuck() == told.stuck() && story.state() == told.state();
    is_same.then_some((timed, told))
}
