//! Compare-and-set registers under independent keys.
//!
//! A handful of keys is in use at a time; after a fixed number of operations a worker goes on to
//! the next handful. So every key has a history that is short enough to be searched, and long
//! enough to be interesting: with ten workers about a hundred operations.
//!
//! ```text
//!   keys 0–4          keys 5–9          keys 10–14
//!   ├─ 40 operations ─┼─ 40 operations ─┼─ …          of each worker
//! ```
//!
//! Every written value is unique, which makes a stale read visible at once and lets the checker
//! decide in near-linear time.

mod durability;
mod linearizable;
mod watch;

use crate::check::{Check, Watch};
use crate::seed;
use crate::set::{PROBER, unique};
use crate::{Generator, Intent, Key, Name, Op, Workload};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use std::collections::BTreeSet;

/// Reads, unique writes and compare-and-set on independent keys.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// How many keys are in use at a time.
    pub keys: u64,
    /// How many operations a worker does before it goes on to the next keys.
    pub operations_per_window: u64,
}

impl Register {
    /// As many keys as keep their histories short: two workers share one, and five are in use at
    /// the least.
    pub fn for_workers(workers: u32) -> Self {
        Register {
            keys: u64::from(workers / 2).max(5),
            operations_per_window: 40,
        }
    }
}

impl Workload for Register {
    fn name(&self) -> Name {
        Name::Register
    }

    fn generator(&self, seed: u64, worker: u32) -> Box<dyn Generator> {
        Box::new(Mix {
            register: *self,
            worker,
            rng: seed::derive(seed, "register", u64::from(worker)),
            done: 0,
            written: 0,
        })
    }

    /// Every key that was used, so that the end of each history is looked at too.
    fn final_reads(&self, used: &BTreeSet<Key>) -> Vec<Op> {
        used.iter().map(|key| Op::Read { key: *key }).collect()
    }

    fn probe(&self, count: u64) -> [Op; 2] {
        let key = PROBED;
        [
            Op::Write {
                key,
                value: unique(PROBER, count),
            },
            Op::Read { key },
        ]
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        Some(Box::new(watch::Watched::new()))
    }

    fn checks(&self) -> Vec<Box<dyn Check>> {
        vec![
            Box::new(linearizable::Linearizable),
            Box::new(durability::Durability),
        ]
    }
}

/// The register with which the harness looks whether a node serves; no worker comes that far.
const PROBED: Key = Key(1_000_000_000_000);

/// Four reads to three writes and three compare-and-sets.
struct Mix {
    register: Register,
    worker: u32,
    rng: ChaCha8Rng,
    done: u64,
    written: u64,
}

impl Generator for Mix {
    fn next_intent(&mut self) -> Intent {
        let window = self.done / self.register.operations_per_window;
        self.done += 1;
        let key = Key(window * self.register.keys + self.rng.random_range(0..self.register.keys));
        match self.rng.random_range(0..10) {
            0..4 => Intent::Op(Op::Read { key }),
            4..7 => Intent::Op(Op::Write {
                key,
                value: self.next_value(),
            }),
            _ => Intent::CasSeen {
                key,
                new: self.next_value(),
            },
        }
    }
}

impl Mix {
    fn next_value(&mut self) -> i64 {
        self.written += 1;
        unique(self.worker, self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(seed: u64, worker: u32, count: usize) -> Vec<Intent> {
        let mut generator = Register::for_workers(10).generator(seed, worker);
        (0..count).map(|_| generator.next_intent()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_stream_byte_for_byte() {
        let bytes = |seed| serde_json::to_vec(&stream(seed, 3, 1_000)).unwrap();
        assert_eq!(bytes(42), bytes(42));
        assert_ne!(bytes(42), bytes(43));
    }

    /// A change of these lines changes every recorded seed: say so in the commit.
    #[test]
    fn the_first_operations_of_seed_one_are_these() {
        let text: Vec<_> = stream(1, 2, 8).iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "read k3",
                "read k2",
                "read k4",
                "cas k0 last-seen → 1002",
                "read k1",
                "write k0 = 2002",
                "write k0 = 3002",
                "read k1",
            ]
        );
    }

    #[test]
    fn workers_move_through_the_keys_together() {
        for worker in 0..4 {
            for (place, intent) in stream(7, worker, 400).iter().enumerate() {
                let key = match intent {
                    Intent::Op(op) => op.key().unwrap(),
                    Intent::CasSeen { key, .. } => *key,
                };
                let window = place as u64 / 40;
                assert!((window * 5..window * 5 + 5).contains(&key.0));
            }
        }
    }
}
