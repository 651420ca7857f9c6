//! The smallest part of a history that is still wrong, and why, in words and as a drawing.
//!
//! ```text
//!   p1   ├─ write 1 ─┤
//!   p2                  ├─ write 2 ─┤
//!   p3                                 ├─ read → 1 ─┤      cannot follow
//! ```
//!
//! Operations are dropped by bisection (delta debugging: Zeller and Hildebrandt 2002), re-checking
//! each time: halves first, then single ones, until no operation can be dropped. What is left is
//! *minimal*: without any one of its operations it would be linearizable, or a value would be read
//! that nobody wrote any more. That would be a violation too, but of our own making, so that what
//! wrote a value stays as long as the value is read.

use rustc_hash::FxHashSet;

use super::class::Classes;
use super::meter::Meter;
use super::portfolio::{self, Answer};
use super::problem::Problem;
use super::search::{Cuts, Outcome, Search};
use super::{Prefix, Stuck};
use crate::budget::Budget;
use crate::history::{Operation, OperationId, Time};
use crate::model::{Model, QueueStep, RegisterStep, SetStep};

/// Configurations for each re-check; a sub-history that takes more is kept as it is.
const STATES_MAX: u64 = 20_000;
/// Re-checks in all.
const CHECKS_MAX: usize = 4_000;
/// Longer histories are not bisected as a whole: too slow, and nobody would read them.
const BISECTED_MAX: usize = 5_000;
/// The widest drawing, in columns.
const WIDTH: usize = 100;

type Operations<'a, M> = Vec<&'a Operation<<M as Model>::Op, <M as Model>::Ret>>;

/// The operations of `core`, or of all, that remain when none can be dropped; `None` where there
/// are too many to begin with.
pub(super) fn minimal<'a, M: Model>(
    model: &M,
    operations: &[&'a Operation<M::Op, M::Ret>],
    core: Option<&[u32]>,
) -> Option<Operations<'a, M>> {
    let may_be_orphaned = has_orphan(model, operations);
    let is_wrong = |operations: &[&Operation<M::Op, M::Ret>]| {
        (may_be_orphaned || !has_orphan(model, operations)) && is_wrong(model, operations)
    };
    let mut checks = 0;
    let mut kept: Operations<'a, M> = match core {
        Some(core) => {
            let mut core = core.to_vec();
            core.sort_unstable();
            core.dedup();
            core.into_iter()
                .map(|place| operations[place as usize])
                .collect()
        }
        None => operations.to_vec(),
    };
    if core.is_some() && !is_wrong(&kept) {
        kept = operations.to_vec();
    }
    if kept.len() > BISECTED_MAX {
        return None;
    }
    let mut size = kept.len().div_ceil(2).max(1);
    loop {
        let (mut at, mut dropped) = (0, false);
        while at < kept.len() && checks < CHECKS_MAX {
            let end = (at + size).min(kept.len());
            let rest: Operations<'a, M> = kept[..at].iter().chain(&kept[end..]).copied().collect();
            checks += 1;
            if is_wrong(&rest) {
                (kept, dropped) = (rest, true);
            } else {
                at = end;
            }
        }
        if size == 1 && !dropped || checks >= CHECKS_MAX {
            return Some(kept);
        }
        size = size.div_ceil(2);
    }
}

/// True where a result is possible in no state that these operations could lead to.
fn has_orphan<M: Model>(model: &M, operations: &[&Operation<M::Op, M::Ret>]) -> bool {
    let steps: Option<Vec<RegisterStep>> = operations
        .iter()
        .map(|operation| model.as_register(operation.op(), operation.outcome().ok()))
        .collect();
    if let Some(steps) = steps {
        let written: FxHashSet<Option<i64>> = steps
            .iter()
            .filter_map(|step| match step {
                RegisterStep::Write(new) => Some(Some(*new)),
                RegisterStep::Cas { new, swapped, .. } if *swapped != Some(false) => {
                    Some(Some(*new))
                }
                _ => None,
            })
            .chain([None])
            .collect();
        return steps.iter().any(|step| match step {
            RegisterStep::Read(seen) => !written.contains(seen),
            RegisterStep::Cas {
                expect,
                swapped: Some(true),
                ..
            } => !written.contains(expect),
            _ => false,
        });
    }
    let steps: Option<Vec<QueueStep>> = operations
        .iter()
        .map(|operation| model.as_queue(operation.op(), operation.outcome().ok()))
        .collect();
    if let Some(steps) = steps {
        let put: FxHashSet<i64> = steps
            .iter()
            .filter_map(|step| match step {
                QueueStep::Put(value) => Some(*value),
                _ => None,
            })
            .collect();
        return steps
            .iter()
            .any(|step| matches!(step, QueueStep::Taken(value) if !put.contains(value)));
    }
    let steps: Option<Vec<SetStep<'_>>> = operations
        .iter()
        .map(|operation| model.as_set(operation.op(), operation.outcome().ok()))
        .collect();
    if let Some(steps) = steps {
        let added: FxHashSet<i64> = steps
            .iter()
            .filter_map(|step| match step {
                SetStep::Add(element) => Some(*element),
                _ => None,
            })
            .collect();
        return steps.iter().any(|step| match step {
            SetStep::Contains(element, true) => !added.contains(element),
            SetStep::Read(seen) => seen.iter().any(|element| !added.contains(element)),
            _ => false,
        });
    }
    let problem = Problem::new(model, operations);
    let mut classes = Classes::new(&problem);
    let states = portfolio::reachable(&problem, &mut classes);
    states.is_some_and(|states| portfolio::impossible(&mut classes, &states).is_some())
}

fn is_wrong<M: Model>(model: &M, operations: &[&Operation<M::Op, M::Ret>]) -> bool {
    if operations.is_empty() {
        return false;
    }
    let problem = Problem::new(model, operations);
    let meter = Meter::new(Budget::states(STATES_MAX), std::time::Instant::now());
    matches!(portfolio::decide(&problem, meter).0, Answer::None { .. })
}

/// The longest consistent order of these operations, and what stops it.
pub(super) fn prefix<M: Model>(
    model: &M,
    operations: &[&Operation<M::Op, M::Ret>],
    deepest: &[u32],
) -> Prefix {
    super::finding::prefix(&Problem::new(model, operations), deepest)
}

/// Depth-first for the longest order that can be had, of few operations.
pub(super) fn longest<M: Model>(model: &M, operations: &[&Operation<M::Op, M::Ret>]) -> Vec<u32> {
    let problem = Problem::new(model, operations);
    let mut classes = Classes::new(&problem);
    let cuts = Cuts::default();
    let meter = Meter::new(Budget::states(STATES_MAX), std::time::Instant::now());
    let search = Search::new(&problem, &mut classes, cuts);
    match search.run(&mut meter.slice(STATES_MAX)) {
        Outcome::Order(order) => order,
        Outcome::Exhausted { deepest } | Outcome::Spent { deepest } => deepest,
    }
}

/// A drawing of few operations: one line each, in order of call, on an axis of their events.
pub(super) fn drawing<M: Model>(
    model: &M,
    operations: &[&Operation<M::Op, M::Ret>],
    stuck: &[Stuck],
) -> String {
    let mut times: Vec<Time> = operations
        .iter()
        .flat_map(|operation| [Some(operation.invoked()), operation.returned()])
        .flatten()
        .collect();
    times.sort_unstable();
    times.dedup();
    let labels: Vec<String> = operations
        .iter()
        .map(|operation| model.describe(operation.op(), operation.outcome().ok()))
        .collect();
    let widest = labels
        .iter()
        .map(|label| label.chars().count())
        .max()
        .unwrap_or(0)
        + 4;
    // Every event is as far from the last as the widest label needs, or as fits.
    let gap = (WIDTH / times.len().max(1)).clamp(3, widest);
    let column = |time: Time| times.partition_point(|at| *at < time) * gap;
    let mut drawing = String::new();
    for (operation, label) in operations.iter().zip(labels) {
        let from = column(operation.invoked());
        let to = operation
            .returned()
            .map_or(times.len() * gap, column)
            .max(from + 2);
        let room = to - from - 1;
        let name = format!("{:<5}", operation.process().to_string());
        let is_stuck = stuck.iter().any(|stuck| stuck.operation == operation.id());
        drawing.push_str(&name);
        drawing.push_str(&" ".repeat(from));
        drawing.push('├');
        let line = if operation.returned().is_some() {
            '─'
        } else {
            '┄'
        };
        let fits = label.chars().count() + 2 <= room;
        let inner = if fits {
            format!(" {label} ")
        } else {
            String::new()
        };
        let spare = room - inner.chars().count();
        drawing.extend(std::iter::repeat_n(line, spare / 2));
        drawing.push_str(&inner);
        drawing.extend(std::iter::repeat_n(line, spare - spare / 2));
        drawing.push(if operation.returned().is_some() {
            '┤'
        } else {
            '▸'
        });
        if !fits {
            drawing.push_str(&format!(" {label}"));
        }
        drawing.push_str(if is_stuck {
            "   ← cannot follow\n"
        } else {
            "\n"
        });
    }
    drawing
}

/// Which operations those are.
pub(super) fn ids<O, R>(operations: &[&Operation<O, R>]) -> Vec<OperationId> {
    operations.iter().map(|operation| operation.id()).collect()
}
