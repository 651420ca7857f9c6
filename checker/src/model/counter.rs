//! A number that is added to.

use serde::{Deserialize, Serialize};

use super::Model;

/// A counter, zero at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

/// What can be asked of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CounterOp {
    /// Add this, which may be negative.
    Add(i64),
    /// Its value.
    Read,
}

/// What an operation does to a counter, its result included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterStep {
    /// That was added.
    Add(i64),
    /// That sum was seen.
    Read(i64),
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CounterRet {
    /// It was added.
    Added,
    /// Its value.
    Value(i64),
}

impl Model for Counter {
    type Op = CounterOp;
    type Ret = CounterRet;
    type State = i64;
    type Key = ();

    fn init(&self) -> i64 {
        0
    }

    fn step(&self, state: &i64, op: &CounterOp, ret: Option<&CounterRet>) -> Option<i64> {
        match (op, ret) {
            (CounterOp::Add(by), None | Some(CounterRet::Added)) => state.checked_add(*by),
            (CounterOp::Read, None) => Some(*state),
            (CounterOp::Read, Some(CounterRet::Value(seen))) => (seen == state).then_some(*state),
            _ => None,
        }
    }

    fn key(&self, _: &CounterOp) {}

    fn is_read(&self, op: &CounterOp, _: Option<&CounterRet>) -> bool {
        matches!(op, CounterOp::Read | CounterOp::Add(0))
    }

    fn as_counter(&self, op: &CounterOp, ret: Option<&CounterRet>) -> Option<CounterStep> {
        match (op, ret) {
            (CounterOp::Add(by), None | Some(CounterRet::Added)) => Some(CounterStep::Add(*by)),
            (CounterOp::Read, Some(CounterRet::Value(seen))) => Some(CounterStep::Read(*seen)),
            _ => None,
        }
    }

    fn describe_instead(
        &self,
        state: &i64,
        op: &CounterOp,
        _: Option<&CounterRet>,
    ) -> Option<String> {
        (*op == CounterOp::Read).then(|| format!("return {state}"))
    }

    fn describe(&self, op: &CounterOp, ret: Option<&CounterRet>) -> String {
        match (op, ret) {
            (CounterOp::Add(by), Some(_)) => format!("add {by}"),
            (CounterOp::Add(by), None) => format!("add {by} (result unknown)"),
            (CounterOp::Read, Some(CounterRet::Value(seen))) => format!("read → {seen}"),
            (CounterOp::Read, _) => "read".to_owned(),
        }
    }
}
