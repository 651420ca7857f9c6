//! What may be true at one moment of a frontier search, and sets of that without the dominated.
//!
//! ```text
//!   state 3, b and d done, write 1 used twice     ─┐ the same state and the same done: the second
//!   state 3, b and d done, write 1 used once      ─┘ can do whatever the first can
//! ```

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::linearizability::meter::{PIECE, table_bytes};

pub(super) type Bits = SmallVec<[u64; 2]>;
/// Per class, by number: how many open operations of it were used.
pub(super) type Used = SmallVec<[(u32, u32); 2]>;
type Key = (u32, u32, Bits);

pub(super) const NOWHERE: u32 = u32::MAX;

#[derive(Clone)]
pub(super) struct Configuration {
    pub(super) state: u32,
    /// Directly after an open operation: the state before it. What follows must differ.
    pub(super) before: u32,
    pub(super) done: Bits,
    pub(super) used: Used,
    /// How it came about.
    pub(super) node: u32,
}

/// Configurations, none of which dominates another.
#[derive(Default)]
pub(super) struct Antichains {
    of: FxHashMap<Key, Chain>,
    /// What they take beyond the table: long chains, much that is done or used.
    heap: usize,
}

type Chain = SmallVec<[(Used, u32); 1]>;

impl Configuration {
    /// What it takes in all.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Configuration>() + spilled(&self.done) + spilled(&self.used)
    }
}

/// What does not fit inline.
fn spilled<A: smallvec::Array>(places: &SmallVec<A>) -> usize {
    match places.spilled() {
        true => places.capacity() * size_of::<A::Item>() + PIECE,
        false => 0,
    }
}

impl Antichains {
    /// False where one that is at least as good is there already.
    pub(super) fn insert(&mut self, configuration: &Configuration) -> bool {
        let key = (
            configuration.state,
            configuration.before,
            configuration.done.clone(),
        );
        let done = spilled(&key.2);
        let count = self.of.len();
        let chain = self.of.entry(key).or_default();
        if chain
            .iter()
            .any(|(used, _)| is_within(used, &configuration.used))
        {
            return false;
        }
        let before = spilled(chain);
        let mut gone = 0;
        chain.retain(|(used, _)| {
            let is_left = !is_within(&configuration.used, used);
            gone += if is_left { 0 } else { spilled(used) };
            is_left
        });
        let used = configuration.used.clone();
        let more = spilled(&used);
        chain.push((used, configuration.node));
        self.heap += more + spilled(chain) - before;
        self.heap -= gone;
        if self.of.len() > count {
            self.heap += done;
        }
        true
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        let entry = size_of::<(Key, Chain)>();
        table_bytes(self.of.len(), self.of.capacity(), entry) + self.heap
    }

    /// What they take once more, as configurations: those of a table that is given up for them.
    pub(super) fn bytes_in_order(&self) -> usize {
        self.of.len() * size_of::<Configuration>() + self.heap
    }

    /// In an order that depends on nothing but what they are.
    pub(super) fn into_configurations(self) -> Vec<Configuration> {
        let mut all: Vec<Configuration> = Vec::with_capacity(self.of.len());
        for ((state, before, done), chain) in self.of {
            for (used, node) in chain {
                all.push(Configuration {
                    state,
                    before,
                    done: done.clone(),
                    used,
                    node,
                });
            }
        }
        all.sort_unstable_by_key(|configuration| configuration.node);
        all
    }
}

/// True where no class was used more often in `one`.
fn is_within(one: &Used, other: &Used) -> bool {
    one.iter().all(|(class, count)| {
        other
            .iter()
            .any(|(there, as_often)| there == class && count <= as_often)
    })
}

pub(super) fn count_up(used: &mut Used, class: u32) {
    match used.iter_mut().find(|(of, _)| *of == class) {
        Some((_, count)) => *count += 1,
        None => used.push((class, 1)),
    }
}

pub(super) fn has(bits: &Bits, slot: u32) -> bool {
    bits.get(slot as usize / 64)
        .is_some_and(|word| word >> (slot % 64) & 1 == 1)
}

pub(super) fn set(bits: &mut Bits, slot: u32) {
    let word = slot as usize / 64;
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    bits[word] |= 1 << (slot % 64);
}

/// Equal sets must be equal bits, so trailing zeros go.
pub(super) fn clear(bits: &mut Bits, slot: u32) {
    if let Some(word) = bits.get_mut(slot as usize / 64) {
        *word &= !(1 << (slot % 64));
    }
    while bits.last() == Some(&0) {
        bits.pop();
    }
}
