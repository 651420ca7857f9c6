//! A set of numbers, read as a whole.

use std::collections::BTreeSet;

use super::Model;

/// A set, empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// What can be asked of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetOp {
    /// Put it in.
    Add(i64),
    /// Take it out.
    Remove(i64),
    /// Is it in?
    Contains(i64),
    /// Everything that is in.
    Read,
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetRet {
    /// It was done, whether or not it changed anything.
    Done,
    /// Whether it is in.
    Is(bool),
    /// Everything that is in.
    Elements(BTreeSet<i64>),
}

/// What happened on a set, results included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetStep<'a> {
    /// This was put in.
    Add(i64),
    /// This was taken out.
    Remove(i64),
    /// This was in, or not.
    Contains(i64, bool),
    /// This was all that was in.
    Read(&'a BTreeSet<i64>),
}

impl Model for Set {
    type Op = SetOp;
    type Ret = SetRet;
    type State = BTreeSet<i64>;
    type Key = ();

    fn init(&self) -> BTreeSet<i64> {
        BTreeSet::new()
    }

    fn step(
        &self,
        state: &BTreeSet<i64>,
        op: &SetOp,
        ret: Option<&SetRet>,
    ) -> Option<BTreeSet<i64>> {
        let mut next = state.clone();
        let fits = match (op, ret) {
            (SetOp::Add(element), None | Some(SetRet::Done)) => {
                next.insert(*element);
                true
            }
            (SetOp::Remove(element), None | Some(SetRet::Done)) => {
                next.remove(element);
                true
            }
            (SetOp::Contains(element), Some(SetRet::Is(is))) => state.contains(element) == *is,
            (SetOp::Read, Some(SetRet::Elements(seen))) => state == seen,
            (SetOp::Contains(_) | SetOp::Read, None) => true,
            _ => false,
        };
        fits.then_some(next)
    }

    fn key(&self, _: &SetOp) {}

    fn is_read(&self, op: &SetOp, _: Option<&SetRet>) -> bool {
        matches!(op, SetOp::Contains(_) | SetOp::Read)
    }

    fn as_set<'a>(&self, op: &'a SetOp, ret: Option<&'a SetRet>) -> Option<SetStep<'a>> {
        match (op, ret) {
            (SetOp::Add(element), None | Some(SetRet::Done)) => Some(SetStep::Add(*element)),
            (SetOp::Remove(element), None | Some(SetRet::Done)) => Some(SetStep::Remove(*element)),
            (SetOp::Contains(element), Some(SetRet::Is(is))) => {
                Some(SetStep::Contains(*element, *is))
            }
            (SetOp::Read, Some(SetRet::Elements(seen))) => Some(SetStep::Read(seen)),
            _ => None,
        }
    }
}
