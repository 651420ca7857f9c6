//! What a client can ask and hear, and how it stands in a history file.

use ordeal_checker::history::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// An independent object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub u64);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.0)
    }
}

/// What a client asks: concrete, so that a target can serve it without knowing the workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "kebab-case")]
pub enum Op {
    /// Read a register.
    Read {
        /// Which.
        key: Key,
    },
    /// Set a register.
    Write {
        /// Which.
        key: Key,
        /// To what.
        value: i64,
    },
    /// Set a register if it holds what is expected.
    Cas {
        /// Which.
        key: Key,
        /// What it must hold; `None`: nothing was ever written.
        expect: Option<i64>,
        /// What to set it to.
        new: i64,
    },
    /// Put an element into the set.
    Add {
        /// Which.
        element: i64,
    },
    /// Read the whole set.
    ReadSet,
}

/// What a client hears when it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The register holds this; `None`: nothing was ever written.
    Value(Option<i64>),
    /// The register is set.
    Written,
    /// The register held what was expected and is set, or held something else and is not.
    Swapped(bool),
    /// The element is in the set.
    Added,
    /// The whole set, in the target's order, repetitions included.
    Elements(Vec<i64>),
}

impl Op {
    /// Its name in a history.
    pub fn f(&self) -> &'static str {
        match self {
            Op::Read { .. } => "read",
            Op::Write { .. } => "write",
            Op::Cas { .. } => "cas",
            Op::Add { .. } => "add",
            Op::ReadSet => "read-set",
        }
    }

    /// The object it goes to, where there are several.
    pub fn key(&self) -> Option<Key> {
        match self {
            Op::Read { key } | Op::Write { key, .. } | Op::Cas { key, .. } => Some(*key),
            Op::Add { .. } | Op::ReadSet => None,
        }
    }

    /// True where it changes nothing, so that not knowing its outcome does no harm.
    pub fn is_read(&self) -> bool {
        matches!(self, Op::Read { .. } | Op::ReadSet)
    }

    /// Its argument in a history.
    pub fn argument(&self) -> Value {
        match self {
            Op::Read { .. } | Op::ReadSet => Value::Null,
            Op::Write { value, .. } => json!(value),
            Op::Cas { expect, new, .. } => json!([expect, new]),
            Op::Add { element } => json!(element),
        }
    }

    /// The operation that an invocation in a history stands for.
    ///
    /// # Errors
    /// If the event is not one of ours.
    pub fn from_event(event: &Event) -> Result<Op, Foreign> {
        let key = || {
            let key = event
                .key
                .as_ref()
                .ok_or_else(|| Foreign::new(event, "has no key"))?;
            Key::deserialize(key).map_err(|_| Foreign::new(event, "has a key that is no number"))
        };
        let int = |value: &Value| {
            value
                .as_i64()
                .ok_or_else(|| Foreign::new(event, "has a value that is no integer"))
        };
        Ok(match event.f.as_str() {
            "read" => Op::Read { key: key()? },
            "write" => Op::Write {
                key: key()?,
                value: int(&event.value)?,
            },
            "cas" => {
                let (expect, new) = <(Option<i64>, i64)>::deserialize(&event.value)
                    .map_err(|_| Foreign::new(event, "wants the value [expected, new]"))?;
                Op::Cas {
                    key: key()?,
                    expect,
                    new,
                }
            }
            "add" => Op::Add {
                element: int(&event.value)?,
            },
            "read-set" => Op::ReadSet,
            _ => return Err(Foreign::new(event, "is no operation of these workloads")),
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nil = |value: &Option<i64>| value.map_or("nil".to_owned(), |v| v.to_string());
        match self {
            Op::Read { key } => write!(f, "read {key}"),
            Op::Write { key, value } => write!(f, "write {key} = {value}"),
            Op::Cas { key, expect, new } => write!(f, "cas {key} {} → {new}", nil(expect)),
            Op::Add { element } => write!(f, "add {element}"),
            Op::ReadSet => f.write_str("read the set"),
        }
    }
}

impl Ret {
    /// Its value in a history.
    pub fn to_value(&self) -> Value {
        match self {
            Ret::Value(value) => json!(value),
            Ret::Written | Ret::Added => Value::Null,
            Ret::Swapped(swapped) => json!(swapped),
            Ret::Elements(elements) => json!(elements),
        }
    }

    /// The result that an `ok` completion of `op` stands for.
    ///
    /// # Errors
    /// If the event is not one of ours.
    pub fn from_event(op: &Op, event: &Event) -> Result<Ret, Foreign> {
        let value = &event.value;
        let wrong = |what| Foreign::new(event, what);
        Ok(match op {
            Op::Read { .. } => Ret::Value(
                Option::deserialize(value).map_err(|_| wrong("has a value that is no integer"))?,
            ),
            Op::Write { .. } => Ret::Written,
            Op::Add { .. } => Ret::Added,
            Op::Cas { .. } => Ret::Swapped(
                value
                    .as_bool()
                    .ok_or_else(|| wrong("wants true or false"))?,
            ),
            Op::ReadSet => Ret::Elements(
                Vec::deserialize(value).map_err(|_| wrong("wants a list of integers"))?,
            ),
        })
    }
}

/// An event that none of our workloads wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {index}: {f:?} {what}")]
pub struct Foreign {
    index: u64,
    f: String,
    what: &'static str,
}

impl Foreign {
    pub(crate) fn new(event: &Event, what: &'static str) -> Self {
        Foreign {
            index: event.index,
            f: event.f.clone(),
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordeal_checker::history::{EventKind, Process, Time};

    fn event(op: &Op, value: Value) -> Event {
        Event {
            index: 7,
            process: Process(1),
            kind: EventKind::Invoke,
            f: op.f().into(),
            key: op.key().map(|key| json!(key)),
            value,
            time: Time(1),
            node: None,
            term: None,
            log_index: None,
            error: None,
            phase: None,
        }
    }

    #[test]
    fn operations_and_results_survive_the_file() {
        let key = Key(3);
        let cases = [
            (Op::Read { key }, Ret::Value(None)),
            (Op::Read { key }, Ret::Value(Some(4))),
            (Op::Write { key, value: -1 }, Ret::Written),
            (
                Op::Cas {
                    key,
                    expect: None,
                    new: 2,
                },
                Ret::Swapped(true),
            ),
            (
                Op::Cas {
                    key,
                    expect: Some(9),
                    new: 2,
                },
                Ret::Swapped(false),
            ),
            (Op::Add { element: 5 }, Ret::Added),
            (Op::ReadSet, Ret::Elements(vec![5, 5])),
        ];
        for (op, ret) in cases {
            assert_eq!(Op::from_event(&event(&op, op.argument())), Ok(op.clone()));
            assert_eq!(Ret::from_event(&op, &event(&op, ret.to_value())), Ok(ret));
        }
    }

    #[test]
    fn a_foreign_event_is_named() {
        let op = Op::Write {
            key: Key(1),
            value: 1,
        };
        let error = Op::from_event(&event(&op, json!("x"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "event 7: \"write\" has a value that is no integer"
        );
    }
}
