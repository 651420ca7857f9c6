//! What the clients of a simulation ask for.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use serde_json::Value;

use crate::machine::{Command, Expect};
use crate::protocol::MicroOp;

/// How many keys there are: few, so that commands meet.
const KEYS: u64 = 4;

/// Some command; `number` is new with each.
pub(super) fn command(number: u64, rng: &mut ChaCha8Rng) -> Command {
    let key = format!("k{}", rng.random_range(0..KEYS));
    let (value, prev) = (Value::from(number), rng.random_bool(0.1));
    match rng.random_range(0..6) {
        0 => Command::Put { key, value, prev },
        1 => Command::Delete { key, prev },
        2 => Command::Cas {
            key,
            expect: Expect::Version(rng.random_range(0..3)),
            value,
        },
        3 => Command::Append {
            key,
            element: value,
            list: prev,
        },
        4 => Command::Add {
            key,
            delta: rng.random_range(-9..=9),
        },
        _ => transaction(key, value),
    }
}

fn transaction(key: String, value: Value) -> Command {
    let read = |key: &str| MicroOp::Read {
        key: key.to_owned(),
        value: None,
    };
    let (written, list) = ("k0".to_owned(), "list".to_owned());
    let append = MicroOp::Append {
        key: list,
        element: value.clone(),
    };
    let write = MicroOp::Write {
        key: written,
        value,
    };
    // Refused, and undone, where the key holds no number.
    let add = MicroOp::Add { key, delta: 1 };
    Command::Transaction {
        guards: Vec::new(),
        then: vec![append, write, read("k0"), add, read("list")],
        otherwise: Vec::new(),
    }
}
