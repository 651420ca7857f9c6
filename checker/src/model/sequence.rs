//! Queue and stack: what goes in comes out once, first or last in first.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Mark, Model};

/// First in, first out; empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct FifoQueue;

/// Last in, first out; empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack;

/// What can be asked of a queue or a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SequenceOp {
    /// Enqueue, or push.
    Put(i64),
    /// Dequeue, or pop.
    Take,
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SequenceRet {
    /// It went in.
    Done,
    /// What came out; `None` if there was nothing.
    Taken(Option<i64>),
}

/// What happened on a queue, results included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueStep {
    /// This went in.
    Put(i64),
    /// This came out.
    Taken(i64),
    /// There was nothing to take.
    Empty,
}

fn step(
    state: &VecDeque<i64>,
    op: SequenceOp,
    ret: Option<&SequenceRet>,
    take: fn(&mut VecDeque<i64>) -> Option<i64>,
) -> Option<VecDeque<i64>> {
    let mut next = state.clone();
    match (op, ret) {
        (SequenceOp::Put(value), None | Some(SequenceRet::Done)) => next.push_back(value),
        (SequenceOp::Take, None) => {
            take(&mut next);
        }
        (SequenceOp::Take, Some(SequenceRet::Taken(taken))) if take(&mut next) == *taken => {}
        _ => return None,
    }
    Some(next)
}

/// What comes out went in before.
fn marks(op: SequenceOp, ret: Option<&SequenceRet>, say: &mut dyn FnMut(Mark)) {
    match (op, ret) {
        (SequenceOp::Put(value), _) => say(Mark::Left(0, value)),
        (SequenceOp::Take, Some(SequenceRet::Taken(Some(value)))) => say(Mark::Seen(0, *value)),
        (SequenceOp::Take, _) => {}
    }
}

fn in_words(op: SequenceOp, ret: Option<&SequenceRet>, [put, take]: [&str; 2]) -> String {
    match (op, ret) {
        (SequenceOp::Put(value), Some(_)) => format!("{put} {value}"),
        (SequenceOp::Put(value), None) => format!("{put} {value} (result unknown)"),
        (SequenceOp::Take, Some(SequenceRet::Taken(Some(value)))) => format!("{take} → {value}"),
        (SequenceOp::Take, Some(SequenceRet::Taken(None))) => format!("{take} → nothing"),
        (SequenceOp::Take, _) => format!("{take} (result unknown)"),
    }
}

/// All of it; where that leaves a choice, also what comes out next.
fn state_in_words(state: &VecDeque<i64>, take: fn(&mut VecDeque<i64>) -> Option<i64>) -> String {
    let values: Vec<String> = state.iter().map(i64::to_string).collect();
    let values = values.join(" ");
    match (state.len(), take(&mut state.clone())) {
        (0, _) | (_, None) => "nothing".to_owned(),
        (1, _) => format!("[{values}]"),
        (_, Some(next)) => format!("[{values}], of which {next} comes out next"),
    }
}

fn instead(
    state: &VecDeque<i64>,
    op: SequenceOp,
    take: fn(&mut VecDeque<i64>) -> Option<i64>,
) -> Option<String> {
    let next = || match take(&mut state.clone()) {
        Some(next) => format!("return {next}"),
        None => "find nothing".to_owned(),
    };
    (op == SequenceOp::Take).then(next)
}

fn as_queue(op: SequenceOp, ret: Option<&SequenceRet>) -> Option<QueueStep> {
    match (op, ret) {
        (SequenceOp::Put(value), None | Some(SequenceRet::Done)) => Some(QueueStep::Put(value)),
        (SequenceOp::Take, Some(SequenceRet::Taken(None))) => Some(QueueStep::Empty),
        (SequenceOp::Take, Some(SequenceRet::Taken(Some(value)))) => Some(QueueStep::Taken(*value)),
        _ => None,
    }
}

/// What nobody is known to have taken may never have gone in, nor been taken. What is only perhaps
/// taken away must have been put there by somebody who certainly did.
fn helps(op: SequenceOp, known: &[(&SequenceOp, &SequenceRet)]) -> bool {
    known.iter().any(|(other, ret)| match (op, other) {
        (SequenceOp::Put(value), _) => **ret == SequenceRet::Taken(Some(value)),
        (SequenceOp::Take, other) => matches!(other, SequenceOp::Put(_)),
    })
}

/// Queue and stack differ in the end that is taken from, and in their words.
macro_rules! sequence {
    ($object:ty, $take:expr, $words:expr, $as_queue:expr) => {
        impl Model for $object {
            type Op = SequenceOp;
            type Ret = SequenceRet;
            type State = VecDeque<i64>;
            type Key = ();

            fn init(&self) -> VecDeque<i64> {
                VecDeque::new()
            }

            fn step(
                &self,
                state: &VecDeque<i64>,
                op: &SequenceOp,
                ret: Option<&SequenceRet>,
            ) -> Option<VecDeque<i64>> {
                step(state, *op, ret, $take)
            }

            fn key(&self, _: &SequenceOp) {}

            fn is_read(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> bool {
                *op == SequenceOp::Take && ret == Some(&SequenceRet::Taken(None))
            }

            fn as_queue(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> Option<QueueStep> {
                $as_queue(*op, ret)
            }

            fn marks(&self, op: &SequenceOp, ret: Option<&SequenceRet>, say: &mut dyn FnMut(Mark)) {
                marks(*op, ret, say);
            }

            fn state_bytes(&self, state: &VecDeque<i64>) -> usize {
                size_of::<i64>() * state.capacity()
            }

            fn helps(&self, op: &SequenceOp, known: &[(&SequenceOp, &SequenceRet)]) -> bool {
                helps(*op, known)
            }

            fn describe(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> String {
                in_words(*op, ret, $words)
            }

            fn describe_state(&self, state: &VecDeque<i64>) -> String {
                state_in_words(state, $take)
            }

            fn describe_instead(
                &self,
                state: &VecDeque<i64>,
                op: &SequenceOp,
                _: Option<&SequenceRet>,
            ) -> Option<String> {
                instead(state, *op, $take)
            }
        }
    };
}

sequence!(
    FifoQueue,
    VecDeque::pop_front,
    ["enqueue", "dequeue"],
    as_queue
);
sequence!(Stack, VecDeque::pop_back, ["push", "pop"], |_, _| None);
