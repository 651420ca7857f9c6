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

    fn is_read(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> bool {
        takes_nothing(*op, ret)
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

    fn is_read(&self, op: &SequenceOp, ret: Option<&SequenceRet>) -> bool {
        takes_nothing(*op, ret)
    }
}
