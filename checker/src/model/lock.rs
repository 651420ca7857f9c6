//! Locks: one holder at a time, with or without a fencing token.

use serde::{Deserialize, Serialize};

use super::Model;

/// A lock that is free at first. Who asks is part of the operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mutex;

/// A lock whose every acquisition returns a larger number than all before it; the first, any.
#[derive(Clone, Copy, Debug, Default)]
pub struct FencedLock;

/// What can be asked of a lock, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LockOp {
    /// Take it.
    Acquire(u64),
    /// Give it back.
    Release(u64),
}

/// What a lock answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LockRet {
    /// It was done; of a fenced acquisition, its token.
    Done(Option<i64>),
}

fn in_words(op: LockOp, ret: Option<&LockRet>) -> String {
    let asked = match op {
        LockOp::Acquire(who) => format!("acquire by {who}"),
        LockOp::Release(who) => format!("release by {who}"),
    };
    match ret {
        Some(LockRet::Done(None)) => asked,
        Some(LockRet::Done(Some(token))) => format!("{asked} → token {token}"),
        None => format!("{asked} (result unknown)"),
    }
}

fn held_by(holder: Option<u64>) -> String {
    holder.map_or_else(
        || "no client".to_owned(),
        |who| format!("client {who} as its holder"),
    )
}

fn instead(holder: Option<u64>, op: LockOp) -> Option<String> {
    match (op, holder) {
        (LockOp::Acquire(_), Some(holder)) => Some(format!("have to wait for client {holder}")),
        (LockOp::Acquire(_), None) => None,
        (LockOp::Release(_), Some(holder)) => {
            Some(format!("be refused, as client {holder} holds the lock"))
        }
        (LockOp::Release(_), None) => Some("be refused, as nobody holds the lock".to_owned()),
    }
}

impl Model for Mutex {
    type Op = LockOp;
    type Ret = LockRet;
    type State = Option<u64>;
    type Key = ();

    fn init(&self) -> Option<u64> {
        None
    }

    fn step(
        &self,
        holder: &Option<u64>,
        op: &LockOp,
        ret: Option<&LockRet>,
    ) -> Option<Option<u64>> {
        match (op, holder, ret) {
            (LockOp::Acquire(who), None, _) => Some(Some(*who)),
            (LockOp::Release(who), Some(holder), _) if who == holder => Some(None),
            // It would have been refused.
            (_, _, None) => Some(*holder),
            _ => None,
        }
    }

    fn key(&self, _: &LockOp) {}

    fn describe(&self, op: &LockOp, ret: Option<&LockRet>) -> String {
        in_words(*op, ret)
    }

    fn describe_state(&self, holder: &Option<u64>) -> String {
        held_by(*holder)
    }

    fn describe_instead(
        &self,
        holder: &Option<u64>,
        op: &LockOp,
        _: Option<&LockRet>,
    ) -> Option<String> {
        instead(*holder, *op)
    }
}

impl Model for FencedLock {
    type Op = LockOp;
    type Ret = LockRet;
    /// The holder, and the largest token so far.
    type State = (Option<u64>, Option<i64>);
    type Key = ();

    fn init(&self) -> (Option<u64>, Option<i64>) {
        (None, None)
    }

    fn step(
        &self,
        (holder, largest): &(Option<u64>, Option<i64>),
        op: &LockOp,
        ret: Option<&LockRet>,
    ) -> Option<(Option<u64>, Option<i64>)> {
        match (op, holder, ret) {
            (LockOp::Acquire(who), None, Some(LockRet::Done(Some(token)))) => {
                (Some(*token) > *largest).then_some((Some(*who), Some(*token)))
            }
            // Its token is not known, so that it fences nothing.
            (LockOp::Acquire(who), None, None) => Some((Some(*who), *largest)),
            (LockOp::Release(who), Some(holder), _) if who == holder => Some((None, *largest)),
            (_, _, None) => Some((*holder, *largest)),
            _ => None,
        }
    }

    fn key(&self, _: &LockOp) {}

    fn describe(&self, op: &LockOp, ret: Option<&LockRet>) -> String {
        in_words(*op, ret)
    }

    fn describe_state(&self, (holder, largest): &(Option<u64>, Option<i64>)) -> String {
        match largest {
            Some(largest) => format!("{}, and {largest} as its largest token", held_by(*holder)),
            None => held_by(*holder),
        }
    }

    fn describe_instead(
        &self,
        (holder, largest): &(Option<u64>, Option<i64>),
        op: &LockOp,
        ret: Option<&LockRet>,
    ) -> Option<String> {
        match (op, ret, largest) {
            // Whoever holds it: what is told of the holder may not matter.
            (LockOp::Acquire(_), Some(LockRet::Done(Some(token))), Some(largest))
                if token <= largest =>
            {
                Some(format!("get a token above {largest}"))
            }
            _ => instead(*holder, *op),
        }
    }
}
