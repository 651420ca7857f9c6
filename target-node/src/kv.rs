//! The state machine: keys, each with a value and how it came to it.
//!
//! The same commands in the same order lead to the same state and the same outcomes on every
//! node: no clock, no randomness, no order but that of the keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::raft::{Index, Opaque};

/// One change, as it stands in the log: JSON, so that a person can read a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Set the key.
    Put { key: String, value: Value },
    /// Set the key if it holds what is expected; none: if it was never written.
    Cas {
        key: String,
        expect: Option<Value>,
        value: Value,
    },
    /// Put an element at the end of the list in the key.
    Append { key: String, element: Value },
}

impl Command {
    pub(crate) fn encode(&self) -> Opaque {
        let bytes = serde_json::to_vec(self).expect("JSON values can be written as JSON");
        Opaque::from(bytes)
    }

    /// The key that it is about.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Cas { key, .. } | Self::Append { key, .. } => key,
        }
    }

    /// True where what it does to the key does not depend on what the key holds.
    pub(crate) fn is_blind(&self) -> bool {
        match self {
            Self::Put { .. } => true,
            Self::Cas { .. } | Self::Append { .. } => false,
        }
    }

    /// The command; none where the bytes are no command of this version.
    pub(crate) fn decode(bytes: &Opaque) -> Option<Self> {
        serde_json::from_slice(bytes.as_bytes()).ok()
    }
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The key was set.
    Put,
    /// Whether the key held what was expected, and what it held.
    Cas {
        succeeded: bool,
        current: Option<Value>,
    },
    /// How long the list is now.
    Append { length: u64 },
    /// The command could not be applied to this state, on no node, and changed nothing.
    Refused { reason: String },
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Versioned {
    pub(crate) value: Value,
    /// Index of the last change.
    pub(crate) mod_index: Index,
    /// How often it was changed.
    pub(crate) version: u64,
}

/// All keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kv {
    keys: BTreeMap<String, Versioned>,
}

impl Kv {
    /// A state with one key at most.
    pub(crate) fn of(key: String, held: Option<Versioned>) -> Self {
        Self {
            keys: held.map(|held| (key, held)).into_iter().collect(),
        }
    }

    /// The whole state, for a snapshot: JSON, in the order of the keys.
    pub(crate) fn encode(&self) -> Opaque {
        let bytes = serde_json::to_vec(self).expect("JSON values can be written as JSON");
        Opaque::from(bytes)
    }

    /// The state in a snapshot; none where the bytes are no state of this version.
    pub(crate) fn decode(state: &Opaque) -> Option<Self> {
        serde_json::from_slice(state.as_bytes()).ok()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Versioned> {
        self.keys.get(key)
    }

    /// Applies the command that stands at `index`.
    pub(crate) fn apply(&mut self, index: Index, command: Command) -> Outcome {
        match command {
            Command::Put { key, value } => {
                self.set(index, key, value);
                Outcome::Put
            }
            Command::Cas { key, expect, value } => {
                let current = self.keys.get(&key).map(|found| found.value.clone());
                let succeeded = current == expect;
                if succeeded {
                    self.set(index, key, value);
                }
                Outcome::Cas { succeeded, current }
            }
            Command::Append { key, element } => self.append(index, key, element),
        }
    }

    fn set(&mut self, index: Index, key: String, value: Value) {
        let version = self.keys.get(&key).map_or(0, |found| found.version) + 1;
        self.keys.insert(
            key,
            Versioned {
                value,
                mod_index: index,
                version,
            },
        );
    }

    fn append(&mut self, index: Index, key: String, element: Value) -> Outcome {
        let begin = || Versioned {
            value: Value::Array(Vec::new()),
            mod_index: 0,
            version: 0,
        };
        let found = self.keys.entry(key).or_insert_with(begin);
        let Value::Array(list) = &mut found.value else {
            return Outcome::Refused {
                reason: "the key does not hold a list".to_owned(),
            };
        };
        list.push(element);
        let length = list.len() as u64;
        found.mod_index = index;
        found.version += 1;
        Outcome::Append { length }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(key: &str, value: Value) -> Command {
        Command::Put {
            key: key.to_owned(),
            value,
        }
    }

    fn cas(key: &str, expect: Option<Value>, value: Value) -> Command {
        Command::Cas {
            key: key.to_owned(),
            expect,
            value,
        }
    }

    #[test]
    fn every_change_counts_a_version_and_remembers_its_index() {
        let mut kv = Kv::default();
        kv.apply(4, put("x", json!(1)));
        kv.apply(7, put("x", json!(2)));
        let found = kv.get("x").unwrap();
        assert_eq!(
            (&found.value, found.mod_index, found.version),
            (&json!(2), 7, 2)
        );
        assert_eq!(kv.get("y"), None);
    }

    #[test]
    fn a_cas_tells_what_it_found_and_changes_nothing_when_it_fails() {
        let mut kv = Kv::default();
        let absent = kv.apply(1, cas("x", None, json!(1)));
        assert_eq!(
            absent,
            Outcome::Cas {
                succeeded: true,
                current: None
            }
        );
        let wrong = kv.apply(2, cas("x", Some(json!(9)), json!(2)));
        assert_eq!(
            wrong,
            Outcome::Cas {
                succeeded: false,
                current: Some(json!(1))
            }
        );
        let late = kv.apply(3, cas("x", None, json!(2)));
        assert_eq!(
            late,
            Outcome::Cas {
                succeeded: false,
                current: Some(json!(1))
            }
        );
        assert_eq!(kv.get("x").unwrap().mod_index, 1);
    }

    #[test]
    fn a_list_begins_empty_and_nothing_else_can_be_appended_to() {
        let mut kv = Kv::default();
        let append = |key: &str| Command::Append {
            key: key.to_owned(),
            element: json!("a"),
        };
        assert_eq!(kv.apply(1, append("l")), Outcome::Append { length: 1 });
        assert_eq!(kv.apply(2, append("l")), Outcome::Append { length: 2 });
        kv.apply(3, put("x", json!(1)));
        assert!(matches!(kv.apply(4, append("x")), Outcome::Refused { .. }));
        assert_eq!(kv.get("x").unwrap().version, 1);
    }

    #[test]
    fn a_state_survives_its_snapshot() {
        let mut kv = Kv::default();
        kv.apply(1, put("x", json!({"deep": [1, null]})));
        kv.apply(2, put("", json!("empty")));
        assert_eq!(Kv::decode(&kv.encode()), Some(kv));
        assert_eq!(Kv::decode(&Opaque::from(&b"[]"[..])), None);
    }

    #[test]
    fn a_command_survives_the_log_and_other_bytes_are_no_command() {
        let command = cas("k", Some(json!([1, "two"])), json!({"three": 3.5}));
        assert_eq!(Command::decode(&command.encode()), Some(command));
        assert_eq!(Command::decode(&Opaque::from(&b"{}"[..])), None);
    }
}
