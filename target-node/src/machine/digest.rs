//! Hashes of what the state machine holds.
//!
//! The hash of a collection is the sum of the hashes of its members, so that a change costs as
//! much as what it changes, whatever else there is: the old member is subtracted, the new one
//! added. Each member is hashed by XXH3, which spreads every bit; nobody chooses members to
//! collide. A list is hashed by a chain, so that an element can be put at its end alone.

use serde_json::Value;
use twox_hash::XxHash3_64;

/// Where chains of lists begin. Any number that is not a likely hash does.
const LIST: u64 = 0x6c69_7374;

/// A sum of hashes; zero is the hash of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum(u64);

impl Sum {
    pub(super) fn add(&mut self, member: u64) {
        self.0 = self.0.wrapping_add(member);
    }

    pub(super) fn subtract(&mut self, member: u64) {
        self.0 = self.0.wrapping_sub(member);
    }

    pub(super) fn get(self) -> u64 {
        self.0
    }
}

/// The hash of bytes that follow what hashed to `before`.
pub(super) fn chain(before: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(before, bytes)
}

/// The hash of numbers that follow what hashed to `before`.
pub(super) fn chain_numbers<const N: usize>(before: u64, numbers: [u64; N]) -> u64 {
    chain(before, numbers.map(u64::to_le_bytes).as_flattened())
}

/// The hash of a value: equal for equal values, however they came about.
pub(super) fn value(value: &Value) -> u64 {
    match value {
        Value::Array(elements) => elements.iter().fold(LIST, element),
        Value::String(text) => chain(1, text.as_bytes()),
        other => chain(0, other.to_string().as_bytes()),
    }
}

/// The hash of a list that hashed to `list` with one element more.
pub(super) fn element(list: u64, element: &Value) -> u64 {
    chain_numbers(list, [value(element)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_has_one_hash_however_it_grew() {
        let whole = value(&json!([1, "two", [3]]));
        let grown = element(value(&json!([1, "two"])), &json!([3]));
        assert_eq!(whole, grown);
        assert_ne!(whole, value(&json!(["two", 1, [3]])));
    }

    #[test]
    fn values_that_print_alike_differ() {
        let values = [json!(1), json!("1"), json!([1]), json!([]), json!("")];
        for (place, one) in values.iter().enumerate() {
            for other in &values[..place] {
                assert_ne!(value(one), value(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        // Nodes of two versions compare these numbers, and snapshots carry them.
        assert_eq!(value(&json!({"b": 1, "a": [true]})), 12395624815791477021);
        assert_eq!(value(&json!("x")), 12345335563672366964);
    }
}
