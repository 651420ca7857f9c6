//! Transactions on the keys: guards first, then all operations or none.

use std::collections::BTreeMap;

use super::command::Outcome;
use super::kv::{Kv, Unfit, Versioned};
use crate::protocol::{Compare, Guard, GuardTarget, MicroOp};
use crate::raft::Index;

impl Kv {
    /// What the transaction at `index` comes to. An operation that cannot be done undoes those
    /// before it: the transaction is refused as a whole.
    pub(super) fn transact(
        &mut self,
        index: Index,
        guards: &[Guard],
        then: Vec<MicroOp>,
        otherwise: Vec<MicroOp>,
    ) -> Outcome {
        let succeeded = guards.iter().all(|guard| self.holds(guard));
        let mut ops = if succeeded { then } else { otherwise };
        // What each key held before the transaction first changed it.
        let mut before = BTreeMap::new();
        for (place, op) in ops.iter_mut().enumerate() {
            if !matches!(op, MicroOp::Read { .. }) && !before.contains_key(op.key()) {
                before.insert(op.key().to_owned(), self.get(op.key()).cloned());
            }
            if let Err(unfit) = self.perform(index, op) {
                let place = format!("operation {place}, on {:?}: ", op.key());
                self.undo(before);
                return unfit.outcome(&place);
            }
        }
        Outcome::Transaction { succeeded, ops }
    }

    fn undo(&mut self, before: BTreeMap<String, Option<Versioned>>) {
        for (key, found) in before {
            self.put_back(&key, found);
        }
    }

    fn perform(&mut self, index: Index, op: &mut MicroOp) -> Result<(), Unfit> {
        match op {
            MicroOp::Read { key, value } => {
                *value = self.get(key).map(|found| found.value.clone());
            }
            MicroOp::Write { key, value } => {
                self.set(index, key, value.clone());
            }
            MicroOp::Append { key, element } => {
                self.append(index, key, element.clone())?;
            }
            MicroOp::Add { key, delta } => {
                self.add(index, key, *delta)?;
            }
            MicroOp::Delete { key } => {
                self.put_back(key, None);
            }
        }
        Ok(())
    }

    fn holds(&self, guard: &Guard) -> bool {
        let found = self.get(&guard.key);
        let number = |of: fn(&Versioned) -> u64| found.map_or(0, of);
        let (found, asked) = match &guard.target {
            GuardTarget::Value(value) => {
                let is_same = found.is_some_and(|found| found.value == *value);
                return match guard.compare {
                    Compare::Equal => is_same,
                    Compare::NotEqual => !is_same,
                    // No guard that orders values can be read from JSON.
                    Compare::Less | Compare::Greater => false,
                };
            }
            GuardTarget::Version(asked) => (number(|found| found.version), *asked),
            GuardTarget::ModIndex(asked) => (number(|found| found.mod_index), *asked),
            GuardTarget::CreateIndex(asked) => (number(|found| found.create_index), *asked),
        };
        match guard.compare {
            Compare::Equal => found == asked,
            Compare::NotEqual => found != asked,
            Compare::Less => found < asked,
            Compare::Greater => found > asked,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ops(text: Value) -> Vec<MicroOp> {
        serde_json::from_value(text).unwrap()
    }

    fn transact(
        kv: &mut Kv,
        index: Index,
        guards: Value,
        then: Value,
        otherwise: Value,
    ) -> Outcome {
        let guards: Vec<Guard> = serde_json::from_value(guards).unwrap();
        kv.transact(index, &guards, ops(then), ops(otherwise))
    }

    #[test]
    fn each_operation_sees_those_before_it_and_all_have_one_index() {
        let mut kv = Kv::default();
        let all = json!([
            ["w", "x", 1],
            ["add", "x", 2],
            ["r", "x", null],
            ["append", "l", "a"],
            ["append", "l", "b"],
            ["r", "l", null],
            ["delete", "x", null],
            ["r", "x", null]
        ]);
        let Outcome::Transaction { succeeded, ops } =
            transact(&mut kv, 7, json!([]), all, json!([]))
        else {
            panic!()
        };
        let told = serde_json::to_value(ops).unwrap();
        assert!(succeeded);
        assert_eq!(told[2], json!(["r", "x", 3]));
        assert_eq!(told[5], json!(["r", "l", ["a", "b"]]));
        assert_eq!(told[7], json!(["r", "x", null]));
        let list = kv.get("l").unwrap();
        assert_eq!((list.mod_index, list.version), (7, 2));
    }

    #[test]
    fn the_guards_decide_which_half_is_done() {
        let mut kv = Kv::default();
        transact(&mut kv, 3, json!([]), json!([["w", "x", 1]]), json!([]));
        let cases = [
            (json!({"key": "x", "value": 1}), true),
            (json!({"key": "x", "value": 2}), false),
            (
                json!({"key": "x", "value": 2, "compare": "not_equal"}),
                true,
            ),
            (json!({"key": "x", "version": 1}), true),
            (json!({"key": "y", "version": 0}), true),
            (
                json!({"key": "y", "value": 1, "compare": "not_equal"}),
                true,
            ),
            (json!({"key": "x", "mod_index": 4, "compare": "less"}), true),
            (
                json!({"key": "x", "mod_index": 3, "compare": "less"}),
                false,
            ),
            (
                json!({"key": "x", "create_index": 2, "compare": "greater"}),
                true,
            ),
        ];
        for (guard, expected) in cases {
            let outcome = transact(
                &mut kv,
                9,
                json!([guard]),
                json!([["r", "x", null]]),
                json!([]),
            );
            let Outcome::Transaction { succeeded, ops } = outcome else {
                panic!()
            };
            assert_eq!(
                (succeeded, ops.len()),
                (expected, usize::from(expected)),
                "{guard}"
            );
        }
        let both = json!([{"key": "x", "value": 1}, {"key": "y", "value": 1}]);
        let outcome = transact(&mut kv, 9, both, json!([]), json!([["w", "y", 1]]));
        assert!(matches!(
            outcome,
            Outcome::Transaction {
                succeeded: false,
                ..
            }
        ));
        assert!(kv.get("y").is_some());
    }

    #[test]
    fn an_operation_that_cannot_be_done_undoes_all() {
        let mut kv = Kv::default();
        transact(
            &mut kv,
            1,
            json!([]),
            json!([["w", "x", "text"], ["append", "l", 1]]),
            json!([]),
        );
        let before = kv.clone();
        let all = json!([
            ["append", "l", 2],
            ["w", "new", 1],
            ["delete", "l", null],
            ["w", "new", 2],
            ["add", "x", 1]
        ]);
        let outcome = transact(&mut kv, 2, json!([]), all, json!([]));
        let Outcome::Refused { reason } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(reason.contains("operation 4, on \"x\""), "{reason}");
        assert_eq!(kv, before);
    }
}
