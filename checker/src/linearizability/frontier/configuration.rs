//! What may be true at one moment of a frontier search, and sets of that without the dominated.
//!
//! ```text
//!   state 3, b and d done, write 1 used twice     ─┐ the same state and the same done: the second
//!   state 3, b and d done, write 1 used once      ─┘ can do whatever the first can
//! ```

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

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
    of: FxHashMap<Key, SmallVec<[(Used, u32); 1]>>,
}

impl Antichains {
    /// False where one that is at least as good is there already.
    pub(super) fn insert(&mut self, configuration: &Configuration) -> bool {
        let key = (
            configuration.state,
            configuration.before,
            configuration.done.clone(),
        );
        let chain = self.of.entry(key).or_default();
        if chain
            .iter()
            .any(|(used, _)| is_within(used, &configuration.used))
        {
            return false;
        }
        chain.retain(|(used, _)| !is_within(&configuration.used, used));
        chain.push((configuration.used.clone(), configuration.node));
        true
    }

    /// What they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.of.len() * 2 * size_of::<(Key, (Used, u32))>()
    }

    /// In an order that depends on nothing but what they are.
    pub(super) fn into_configurations(self) -> Vec<Configuration> {
        let mut all: Vec<Configuration> = Vec::new();
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
