//! Queue and stack: what goes in comes out once, first or last in first.

use std::collections::VecDeque;

use super::Model;

/// First in, first out; empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct FifoQueue;

/// Last in, first out; empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack;

/// What can be asked of a queue or a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SequenceOp {
    /// Enqueue, or push.
    Put(i64),
    /// Dequeue, or pop.
    Take,
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    take: impl Fn(&mut VecDeque<i64>) -> Option<i64>,
) -> Option<VecDeque<i64>> {
    let mut next = state.clone();
    match (op, ret) {
        (SequenceOp::Put(value), None | Some(SequenceRet::Done)) => next.push_back(value),
        (SequenceOp::Take, None) => {
            take(&mut next);
        }
        (SequenceOp::Take, Some(SequenceRet::Taken(taken))) => {
            if take(&mut next) != *taken {
                return None;
            }
        }
        _ => return None,
    }
    Some(next)
}

fn in_words(op: SequenceOp, ret: Option<&SequenceRet>, [put, take]: [&str; 2]) -> String {
    match (op, ret) {
        (SequenceOp::Put(value), _) => format!("{put} {value}"),
        (SequenceOp::Take, Some(SequenceRet::Taken(Some(value)))) => format!("{take} → {value}"),
        (SequenceOp::Take, Some(SequenceRet::Taken(None))) => format!("{take} → nothing"),
        (SequenceOp::Take, _) => format!("{take} → ?"),
    }
}

fn takes_nothing(op: SequenceOp, ret: Option<&SequenceRet>) -> bool {
    op == SequenceOp::Take && ret == Some(&SequenceRet::Taken(None))
}

impl Model for FifoQueue {
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
        step(state, *op, ret, VecDeque::pop_front)
    }

    fn key(&self, _: &SequenceOp) {}

    fn describe(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> String {
        in_words(*op, ret, ["enqueue", "dequeue"])
    }

    fn is_read(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> bool {
        takes_nothing(*op, ret)
    }

    fn as_queue(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> Option<QueueStep> {
        match (op, ret) {
            (SequenceOp::Put(value), None | Some(SequenceRet::Done)) => {
                Some(QueueStep::Put(*value))
            }
            (SequenceOp::Take, Some(SequenceRet::Taken(None))) => Some(QueueStep::Empty),
            (SequenceOp::Take, Some(SequenceRet::Taken(Some(value)))) => {
                Some(QueueStep::Taken(*value))
            }
            _ => None,
        }
    }
}

impl Model for Stack {
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
        step(state, *op, ret, VecDeque::pop_back)
    }

    fn key(&self, _: &SequenceOp) {}

    fn describe(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> String {
        in_words(*op, ret, ["push", "pop"])
    }

    fn is_read(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> bool {
        takes_nothing(*op, ret)
    }
}
