//! Transactions: guards over several keys, and what to do where they hold or do not.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Meta, SessionTurn};

/// Several operations as one: all of them at one place in the log, or none.
///
/// The guards are looked at first; where all hold, `then` is done, and `else` otherwise. The
/// operations are done in their order, each seeing those before it, also on the same key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionRequest {
    /// What must hold for `then`; none: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Guard>,
    /// What to do where all guards hold. Also called `ops`.
    #[serde(default, alias = "ops")]
    pub then: Vec<MicroOp>,
    /// What to do otherwise.
    #[serde(default, rename = "else", skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<MicroOp>,
    /// Its place in a session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionTurn>,
}

/// What a transaction came to. Guards that do not hold are an outcome, not an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransactionResponse {
    /// Whether all guards held.
    pub succeeded: bool,
    /// What was done, `then` or `else`, with what the reads found.
    pub ops: Vec<MicroOp>,
    /// Who answered, and where in the log the transaction stands.
    pub meta: Meta,
}

/// One operation of a transaction, as a list of three: `["r", "x", null]`, `["w", "x", 1]`,
/// `["append", "x", 1]`, `["add", "x", 1]`, `["delete", "x", null]`. In an answer a read has the
/// value that it found in the third place, `null` where the key was absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    try_from = "(String, String, Value)",
    into = "(&'static str, String, Value)"
)]
pub enum MicroOp {
    /// Read a key.
    Read {
        /// The key.
        key: String,
        /// What it held, in an answer.
        value: Option<Value>,
    },
    /// Set a key.
    Write {
        /// The key.
        key: String,
        /// Its new value: any JSON but `null`.
        value: Value,
    },
    /// Put an element at the end of a list.
    Append {
        /// The key.
        key: String,
        /// The element: any JSON but `null`.
        element: Value,
    },
    /// Add to a number.
    Add {
        /// The key.
        key: String,
        /// How much.
        delta: i64,
    },
    /// Remove a key.
    Delete {
        /// The key.
        key: String,
    },
}

impl MicroOp {
    /// The key that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Read { key, .. }
            | Self::Write { key, .. }
            | Self::Append { key, .. }
            | Self::Add { key, .. }
            | Self::Delete { key } => key,
        }
    }
}

impl TryFrom<(String, String, Value)> for MicroOp {
    type Error = String;

    fn try_from((name, key, value): (String, String, Value)) -> Result<Self, String> {
        let needed = |value: Value| match value {
            Value::Null => Err(format!("the value of {name:?} must not be null")),
            value => Ok(value),
        };
        Ok(match name.as_str() {
            "r" => Self::Read {
                key,
                value: Some(value).filter(|value| !value.is_null()),
            },
            "w" => Self::Write {
                key,
                value: needed(value)?,
            },
            "append" => Self::Append {
                key,
                element: needed(value)?,
            },
            "add" => Self::Add {
                key,
                delta: value
                    .as_i64()
                    .ok_or("the value of \"add\" must be a whole number of 64 bits")?,
            },
            "delete" => Self::Delete { key },
            _ => {
                return Err(format!(
                    "{name:?} is no operation: there are r, w, append, add, delete"
                ));
            }
        })
    }
}

impl From<MicroOp> for (&'static str, String, Value) {
    fn from(op: MicroOp) -> Self {
        match op {
            MicroOp::Read { key, value } => ("r", key, value.unwrap_or_default()),
            MicroOp::Write { key, value } => ("w", key, value),
            MicroOp::Append { key, element } => ("append", key, element),
            MicroOp::Add { key, delta } => ("add", key, delta.into()),
            MicroOp::Delete { key } => ("delete", key, Value::Null),
        }
    }
}

/// Something about one key: `{"key": "x", "value": 1}`, `{"key": "x", "version": 0}` (it is
/// absent), `{"key": "x", "mod_index": 7, "compare": "less"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PlainGuard", into = "PlainGuard")]
pub struct Guard {
    /// The key.
    pub key: String,
    /// How what is found is compared with what is asked for.
    pub compare: Compare,
    /// What is asked for.
    pub target: GuardTarget,
}

/// What a guard looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum GuardTarget {
    /// The value.
    Value(Value),
    /// How often the key was changed since it came to be; 0 where it is absent.
    Version(u64),
    /// Index of its last change; 0 where it is absent.
    ModIndex(u64),
    /// Index at which it came to be; 0 where it is absent.
    CreateIndex(u64),
}

/// How what is found is compared with what is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// It is the same.
    #[default]
    Equal,
    /// It is another.
    NotEqual,
    /// It is less. Not for values, which have no order.
    Less,
    /// It is greater. Not for values, which have no order.
    Greater,
}

/// A guard as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainGuard {
    key: String,
    #[serde(default)]
    compare: Compare,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mod_index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    create_index: Option<u64>,
}

impl TryFrom<PlainGuard> for Guard {
    type Error = String;

    fn try_from(plain: PlainGuard) -> Result<Self, String> {
        let PlainGuard {
            key,
            compare,
            value,
            version,
            mod_index,
            create_index,
        } = plain;
        let mut targets = value
            .map(GuardTarget::Value)
            .into_iter()
            .chain(version.map(GuardTarget::Version))
            .chain(mod_index.map(GuardTarget::ModIndex))
            .chain(create_index.map(GuardTarget::CreateIndex));
        let (Some(target), None) = (targets.next(), targets.next()) else {
            return Err(format!(
                "the guard of {key:?} needs one of value, version, mod_index, create_index"
            ));
        };
        let is_ordered = matches!(compare, Compare::Less | Compare::Greater);
        if is_ordered && matches!(target, GuardTarget::Value(_)) {
            return Err(format!(
                "the guard of {key:?} orders values, which have no order"
            ));
        }
        Ok(Self {
            key,
            compare,
            target,
        })
    }
}

impl From<Guard> for PlainGuard {
    fn from(guard: Guard) -> Self {
        let mut plain = Self {
            key: guard.key,
            compare: guard.compare,
            value: None,
            version: None,
            mod_index: None,
            create_index: None,
        };
        match guard.target {
            GuardTarget::Value(value) => plain.value = Some(value),
            GuardTarget::Version(number) => plain.version = Some(number),
            GuardTarget::ModIndex(number) => plain.mod_index = Some(number),
            GuardTarget::CreateIndex(number) => plain.create_index = Some(number),
        }
        plain
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_transaction_is_read_and_written_in_the_same_words() {
        let text = json!({
            "guards": [
                {"key": "x", "compare": "equal", "value": 1},
                {"key": "y", "compare": "less", "mod_index": 7}
            ],
            "then": [["r", "x", null], ["append", "y", 3], ["w", "z", 1], ["add", "n", -2]],
            "else": [["delete", "x", null]]
        });
        let request: TransactionRequest = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(&request).unwrap(), text);
        let ops: TransactionRequest =
            serde_json::from_value(json!({"ops": [["r", "x", null]]})).unwrap();
        assert_eq!(ops.then.len(), 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        let refused = |text: Value| {
            serde_json::from_value::<TransactionRequest>(text)
                .unwrap_err()
                .to_string()
        };
        let op = |op: Value| refused(json!({"then": [op]}));
        assert!(op(json!(["w", "x", null])).contains("must not be null"));
        assert!(op(json!(["add", "x", 1.5])).contains("whole number"));
        assert!(op(json!(["swap", "x", 1])).contains("append"));
        let guard = |guard: Value| refused(json!({"guards": [guard]}));
        assert!(guard(json!({"key": "x"})).contains("needs one of"));
        assert!(guard(json!({"key": "x", "value": 1, "version": 2})).contains("needs one of"));
        assert!(guard(json!({"key": "x", "value": 1, "compare": "less"})).contains("no order"));
    }
}
