//! A set that only grows: unique elements are added, and every node is read at the end.
//!
//! The sharpest test of durability: an element that was acknowledged and is not in a later
//! complete read is a lost write, with a name, a time and a node.

mod elements;

use crate::check::Check;
use crate::{Generator, Intent, Key, Name, Op, Workload};
use std::collections::BTreeSet;

/// Unique adds, final reads from every node.
#[derive(Clone, Copy, Debug)]
pub struct Set;

impl Workload for Set {
    fn name(&self) -> Name {
        Name::Set
    }

    fn generator(&self, _seed: u64, worker: u32) -> Box<dyn Generator> {
        Box::new(Adds { worker, added: 0 })
    }

    fn final_reads(&self, _used: &BTreeSet<Key>) -> Vec<Op> {
        vec![Op::ReadSet]
    }

    fn probe(&self, count: u64) -> [Op; 2] {
        [
            Op::Add {
                element: unique(PROBER, count),
            },
            Op::ReadSet,
        ]
    }

    fn checks(&self) -> Vec<Box<dyn Check>> {
        vec![Box::new(elements::Contents), Box::new(elements::Losses)]
    }
}

/// Element after element; no choice to make, so no generator of random numbers.
struct Adds {
    worker: u32,
    added: u64,
}

impl Generator for Adds {
    fn next_intent(&mut self) -> Intent {
        self.added += 1;
        Intent::Op(Op::Add {
            element: unique(self.worker, self.added),
        })
    }
}

/// A value that no other worker uses, and that a person can read: worker 3's 17th is 17003.
pub(crate) fn unique(worker: u32, count: u64) -> i64 {
    let value = count * 1_000 + u64::from(worker);
    i64::try_from(value).expect("no worker does 2^53 operations")
}

/// Workers are numbered below this, or they would share values.
pub const WORKERS_MAX: u32 = PROBER;

/// Stands for the harness itself, which looks whether a node serves.
pub(crate) const PROBER: u32 = 999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_workers_add_the_same_element() {
        let mut elements = BTreeSet::new();
        for worker in [0, 1, WORKERS_MAX - 1] {
            let mut generator = Set.generator(1, worker);
            for _ in 0..50 {
                let Intent::Op(Op::Add { element }) = generator.next_intent() else {
                    panic!("a set only grows")
                };
                assert!(elements.insert(element), "{element} was added twice");
            }
        }
    }
}
