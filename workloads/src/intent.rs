//! What a worker wants to do, before it is known what it has seen.
//!
//! A compare-and-set that guesses its expected value at random hardly ever succeeds, and one that
//! is drawn from what was seen is no longer the same for the same seed. So the generator says
//! *expect what you saw last*, and the worker fills that in: the stream of intents depends on the
//! seed alone, the operations on the seed and on what the target answered.

use crate::operation::{Key, Op, Ret};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a worker wants to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Intent {
    /// Just that.
    Op(Op),
    /// Set a register if it still holds what this worker saw in it last.
    CasSeen {
        /// Which.
        #[serde(rename = "cas-seen")]
        key: Key,
        /// What to set it to.
        new: i64,
    },
}

impl Intent {
    /// The operation, given what this worker has seen.
    pub fn with(self, seen: &Seen) -> Op {
        match self {
            Intent::Op(op) => op,
            Intent::CasSeen { key, new } => Op::Cas {
                key,
                expect: seen.last(key),
                new,
            },
        }
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Intent::Op(op) => op.fmt(f),
            Intent::CasSeen { key, new } => write!(f, "cas {key} last-seen → {new}"),
        }
    }
}

/// What one worker saw last in each register.
#[derive(Clone, Debug, Default)]
pub struct Seen(BTreeMap<Key, Option<i64>>);

/// Keys are used one after another, so that only the latest matter.
const KEYS_MAX: usize = 64;

impl Seen {
    /// What the key held when this worker last looked; `None` also where it never looked.
    pub fn last(&self, key: Key) -> Option<i64> {
        self.0.get(&key).copied().flatten()
    }

    /// Remember what an operation that succeeded says about its key.
    pub fn learn(&mut self, op: &Op, ret: &Ret) {
        let value = match (op, ret) {
            (Op::Read { .. }, Ret::Value(value)) => *value,
            (Op::Write { value, .. }, Ret::Written) => Some(*value),
            (Op::Cas { new, .. }, Ret::Swapped(true)) => Some(*new),
            _ => return,
        };
        let Some(key) = op.key() else { return };
        self.0.insert(key, value);
        if self.0.len() > KEYS_MAX {
            self.0.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cas_expects_what_was_seen_last() {
        let key = Key(1);
        let mut seen = Seen::default();
        let cas = || Intent::CasSeen { key, new: 9 };
        assert_eq!(
            cas().with(&seen),
            Op::Cas {
                key,
                expect: None,
                new: 9
            }
        );
        seen.learn(&Op::Read { key }, &Ret::Value(Some(4)));
        assert_eq!(
            cas().with(&seen),
            Op::Cas {
                key,
                expect: Some(4),
                new: 9
            }
        );
        seen.learn(
            &Op::Cas {
                key,
                expect: Some(4),
                new: 9,
            },
            &Ret::Swapped(false),
        );
        assert_eq!(seen.last(key), Some(4));
    }

    #[test]
    fn old_keys_are_forgotten() {
        let mut seen = Seen::default();
        for k in 0..1_000 {
            seen.learn(
                &Op::Write {
                    key: Key(k),
                    value: 1,
                },
                &Ret::Written,
            );
        }
        assert_eq!(seen.0.len(), KEYS_MAX);
        assert_eq!(seen.last(Key(999)), Some(1));
    }
}
