//! The keys, each with a value and how it came to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::{Command, Expect, Outcome};
use super::digest::{self, Sum};
use crate::raft::Index;

/// How long a list may grow, as JSON. It travels between nodes in one piece, and so must not grow
/// without end, whatever the size of a request is.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why an operation cannot be done on what a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is another kind of value, or the outcome would be none.
    Invalid(&'static str),
    /// The list would be longer than lists may be.
    TooLarge,
}

impl Unfit {
    /// What the command comes to; `place` tells which of several operations it was.
    pub(super) fn outcome(self, place: &str) -> Outcome {
        match self {
            Self::Invalid(reason) => Outcome::refused(format!("{place}{reason}")),
            Self::TooLarge => Outcome::TooLarge {
                reason: format!("{place}a list has at most {LIST_BYTES_MAX} bytes, as JSON"),
            },
        }
    }
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Versioned {
    pub(crate) value: Value,
    /// Index at which the key came to be, after it was absent.
    pub(crate) create_index: Index,
    /// Index of the last change.
    pub(crate) mod_index: Index,
    /// How often it was changed since it came to be.
    pub(crate) version: u64,
    /// The hash of the value: see [`digest`].
    #[serde(skip)]
    digest: u64,
    /// Of a list: how long it is as JSON.
    #[serde(skip)]
    list_bytes: usize,
}

fn list_bytes(value: &Value) -> usize {
    match value {
        Value::Array(_) => value.to_string().len(),
        _ => 0,
    }
}

impl Expect {
    fn is_met_by(&self, found: Option<&Versioned>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Value(value) => found.is_some_and(|found| found.value == *value),
            Self::Version(version) => found.map_or(0, |found| found.version) == *version,
        }
    }
}

impl Versioned {
    fn hash(&self, key: &str) -> u64 {
        let numbers = [self.digest, self.create_index, self.mod_index, self.version];
        digest::chain_numbers(digest::chain(0, key.as_bytes()), numbers)
    }
}

/// What one command comes to on one key alone, which held a value that was changed so often, and
/// what it holds then, where that changed: for replicas of registers, which have no log.
pub(crate) fn apply_alone(
    key: &str,
    held: Option<(Value, u64)>,
    command: Command,
) -> (Option<Option<Value>>, Outcome) {
    let version = held.as_ref().map_or(0, |&(_, version)| version);
    let held = held.map(|(value, version)| Versioned {
        digest: digest::value(&value),
        list_bytes: list_bytes(&value),
        value,
        create_index: version,
        mod_index: version,
        version,
    });
    let keys = held.map(|held| (key.to_owned(), held)).into_iter();
    let mut kv = Kv::from_keys(keys.collect());
    let before = kv.get(key).map(|found| found.mod_index);
    let outcome = kv.apply(version + 1, command);
    let after = kv.get(key);
    let is_changed = after.map(|found| found.mod_index) != before;
    let change = is_changed.then(|| after.map(|found| found.value.clone()));
    (change, outcome)
}

/// All keys, and the hash of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Kv {
    keys: BTreeMap<String, Versioned>,
    hash: Sum,
}

impl Kv {
    /// The keys that a snapshot holds.
    pub(super) fn from_keys(mut keys: BTreeMap<String, Versioned>) -> Self {
        let mut hash = Sum::default();
        for (key, found) in &mut keys {
            found.digest = digest::value(&found.value);
            found.list_bytes = list_bytes(&found.value);
            hash.add(found.hash(key));
        }
        Self { keys, hash }
    }

    pub(super) fn keys(&self) -> &BTreeMap<String, Versioned> {
        &self.keys
    }

    /// The hash of all keys with all that is kept of them.
    pub(super) fn hash(&self) -> u64 {
        self.hash.get()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Versioned> {
        self.keys.get(key)
    }

    /// Applies the command that stands at `index`.
    pub(super) fn apply(&mut self, index: Index, command: Command) -> Outcome {
        match command {
            Command::Put { key, value, prev } => {
                let old = self.set(index, &key, value);
                Outcome::Put {
                    version: old.as_ref().map_or(0, |old| old.version) + 1,
                    prev: old.filter(|_| prev).map(|old| old.value),
                }
            }
            Command::Delete { key, prev } => {
                let old = self.put_back(&key, None);
                Outcome::Delete {
                    deleted: old.is_some(),
                    prev: old.filter(|_| prev).map(|old| old.value),
                }
            }
            Command::Cas { key, expect, value } => {
                let found = self.keys.get(&key);
                let succeeded = expect.is_met_by(found);
                let current = found.map(|found| found.value.clone());
                if succeeded {
                    self.set(index, &key, value);
                }
                Outcome::Cas { succeeded, current }
            }
            Command::Append { key, element, list } => match self.append(index, &key, element) {
                Ok(length) => Outcome::Append {
                    length,
                    list: list.then(|| self.keys[&key].value.clone()),
                },
                Err(unfit) => unfit.outcome(""),
            },
            Command::Add { key, delta } => match self.add(index, &key, delta) {
                Ok(value) => Outcome::Add { value },
                Err(unfit) => unfit.outcome(""),
            },
            Command::Transaction {
                guards,
                then,
                otherwise,
            } => self.transact(index, &guards, then, otherwise),
            Command::OpenSession { .. }
            | Command::KeepSession { .. }
            | Command::CloseSession { .. }
            | Command::ExpireSessions => {
                unreachable!("the machine gives sessions what is theirs")
            }
        }
    }

    /// Makes a key hold exactly this, and returns what it held.
    pub(super) fn put_back(&mut self, key: &str, new: Option<Versioned>) -> Option<Versioned> {
        if let Some(new) = &new {
            self.hash.add(new.hash(key));
        }
        let old = match new {
            Some(new) => self.keys.insert(key.to_owned(), new),
            None => self.keys.remove(key),
        };
        if let Some(old) = &old {
            self.hash.subtract(old.hash(key));
        }
        old
    }

    pub(super) fn set(&mut self, index: Index, key: &str, value: Value) -> Option<Versioned> {
        let found = self.keys.get(key);
        let new = Versioned {
            digest: digest::value(&value),
            list_bytes: list_bytes(&value),
            value,
            create_index: found.map_or(index, |found| found.create_index),
            mod_index: index,
            version: found.map_or(0, |found| found.version) + 1,
        };
        self.put_back(key, Some(new))
    }

    /// Returns how long the list is then.
    pub(super) fn append(&mut self, index: Index, key: &str, element: Value) -> Result<u64, Unfit> {
        let Some(found) = self.keys.get_mut(key) else {
            self.set(index, key, Value::Array(vec![element]));
            return Ok(1);
        };
        let before = found.hash(key);
        let Value::Array(list) = &mut found.value else {
            return Err(Unfit::Invalid("the key does not hold a list"));
        };
        let comma = usize::from(!list.is_empty());
        let list_bytes = found.list_bytes + comma + element.to_string().len();
        if list_bytes > LIST_BYTES_MAX {
            return Err(Unfit::TooLarge);
        }
        found.list_bytes = list_bytes;
        found.digest = digest::element(found.digest, &element);
        list.push(element);
        let length = list.len() as u64;
        found.mod_index = index;
        found.version += 1;
        self.hash.subtract(before);
        self.hash.add(found.hash(key));
        Ok(length)
    }

    /// Returns the number that the key then holds; absent counts as 0.
    pub(super) fn add(&mut self, index: Index, key: &str, delta: i64) -> Result<i64, Unfit> {
        let number = match self.keys.get(key) {
            None => 0,
            Some(found) => found.value.as_i64().ok_or(Unfit::Invalid(
                "the key does not hold a whole number of 64 bits",
            ))?,
        };
        let sum = number
            .checked_add(delta)
            .ok_or(Unfit::Invalid("the sum is no number of 64 bits"))?;
        self.set(index, key, sum.into());
        Ok(sum)
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
            prev: false,
        }
    }

    fn cas(key: &str, expect: Expect, value: Value) -> Command {
        Command::Cas {
            key: key.to_owned(),
            expect,
            value,
        }
    }

    fn delete(key: &str) -> Command {
        Command::Delete {
            key: key.to_owned(),
            prev: true,
        }
    }

    #[test]
    fn every_change_counts_a_version_and_remembers_its_index() {
        let mut kv = Kv::default();
        kv.apply(4, put("x", json!(1)));
        kv.apply(7, put("x", json!(2)));
        let found = kv.get("x").unwrap();
        assert_eq!((&found.value, found.version), (&json!(2), 2));
        assert_eq!((found.create_index, found.mod_index), (4, 7));
        assert_eq!(kv.get("y"), None);
    }

    #[test]
    fn a_key_that_comes_again_begins_anew() {
        let mut kv = Kv::default();
        kv.apply(1, put("x", json!(1)));
        let prev = Some(json!(1));
        let gone = kv.apply(2, delete("x"));
        assert_eq!(
            gone,
            Outcome::Delete {
                deleted: true,
                prev
            }
        );
        assert_eq!(kv, Kv::default());
        let again = kv.apply(3, delete("x"));
        assert_eq!(
            again,
            Outcome::Delete {
                deleted: false,
                prev: None
            }
        );
        kv.apply(4, put("x", json!(2)));
        let found = kv.get("x").unwrap();
        assert_eq!((found.create_index, found.version), (4, 1));
    }

    #[test]
    fn a_cas_tells_what_it_found_and_changes_nothing_when_it_fails() {
        let mut kv = Kv::default();
        let mut cas = |index, expect, value| {
            let Outcome::Cas { succeeded, current } =
                kv.apply(index, cas("x", expect, json!(value)))
            else {
                panic!()
            };
            (succeeded, current)
        };
        assert_eq!(cas(1, Expect::Absent, 1), (true, None));
        assert_eq!(cas(2, Expect::Value(json!(9)), 2), (false, Some(json!(1))));
        assert_eq!(cas(3, Expect::Absent, 2), (false, Some(json!(1))));
        assert_eq!(cas(4, Expect::Version(2), 2), (false, Some(json!(1))));
        assert_eq!(cas(5, Expect::Version(1), 2), (true, Some(json!(1))));
        assert_eq!(kv.get("x").unwrap().mod_index, 5);
    }

    #[test]
    fn a_list_begins_empty_and_nothing_else_can_be_appended_to() {
        let mut kv = Kv::default();
        let append = |key: &str, list| Command::Append {
            key: key.to_owned(),
            element: json!("a"),
            list,
        };
        let first = kv.apply(1, append("l", false));
        assert_eq!(
            first,
            Outcome::Append {
                length: 1,
                list: None
            }
        );
        let second = kv.apply(2, append("l", true));
        let list = Some(json!(["a", "a"]));
        assert_eq!(second, Outcome::Append { length: 2, list });
        kv.apply(3, put("x", json!(1)));
        let refused = kv.apply(4, append("x", false));
        assert!(matches!(refused, Outcome::Refused { .. }));
        assert_eq!(kv.get("x").unwrap().version, 1);
    }

    #[test]
    fn a_list_grows_to_its_limit_and_not_beyond() {
        let mut kv = Kv::default();
        let append = |bytes: usize| Command::Append {
            key: "l".to_owned(),
            element: json!("x".repeat(bytes)),
            list: false,
        };
        for index in 1..=15 {
            let appended = kv.apply(index, append(1024 * 1024));
            assert!(matches!(appended, Outcome::Append { .. }), "{appended:?}");
        }
        let before = kv.clone();
        let refused = kv.apply(16, append(1024 * 1024));
        assert!(matches!(refused, Outcome::TooLarge { .. }), "{refused:?}");
        assert_eq!(kv, before);
        // Whatever is left: two quotation marks and a comma go with it.
        let left = LIST_BYTES_MAX - before.get("l").unwrap().value.to_string().len();
        let refused = kv.apply(17, append(left - 2));
        assert!(matches!(refused, Outcome::TooLarge { .. }), "{refused:?}");
        let fits = kv.apply(18, append(left - 3));
        assert!(matches!(fits, Outcome::Append { length: 16, .. }));
        assert_eq!(kv, Kv::from_keys(kv.keys().clone()));
    }

    #[test]
    fn a_number_begins_at_zero_and_never_runs_over() {
        let mut kv = Kv::default();
        let add = |key: &str, delta| Command::Add {
            key: key.to_owned(),
            delta,
        };
        assert_eq!(kv.apply(1, add("n", 5)), Outcome::Add { value: 5 });
        assert_eq!(kv.apply(2, add("n", -7)), Outcome::Add { value: -2 });
        kv.apply(3, put("n", json!(i64::MAX)));
        kv.apply(3, put("text", json!("1")));
        let before = kv.clone();
        for refused in [add("n", 1), add("text", 1)] {
            assert!(matches!(kv.apply(4, refused), Outcome::Refused { .. }));
        }
        assert_eq!(kv, before);
    }

    #[test]
    fn the_hash_is_that_of_the_keys_whatever_led_to_them() {
        let mut kv = Kv::default();
        for index in 1..50 {
            let key = format!("k{}", index % 5);
            match index % 4 {
                0 => kv.apply(index, put(&key, json!([index]))),
                1 => kv.apply(index, delete(&key)),
                _ => kv.apply(
                    index,
                    Command::Append {
                        key,
                        element: json!(index),
                        list: false,
                    },
                ),
            };
            let afresh = Kv::from_keys(kv.keys().clone());
            assert_eq!(kv, afresh, "after {index}");
        }
        for key in 0..5 {
            kv.apply(99, delete(&format!("k{key}")));
        }
        assert_eq!(kv.hash(), 0);
    }
}
