//! A network that loses, delays, doubles, reorders and cuts.

use std::collections::BTreeSet;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::world::{TICK, Time};
use crate::raft::{Message, NodeId};

/// Which pairs are cut, and how bad the rest is.
#[derive(Debug)]
pub(super) struct Network {
    ids: BTreeSet<NodeId>,
    /// Directed: from, to.
    cut: BTreeSet<(NodeId, NodeId)>,
    loss: f64,
    double: f64,
    /// Most messages take up to this long,
    delay_max: Time,
    /// and a few very much longer.
    straggler: f64,
}

/// One arrival of a message.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) delay: Time,
}

impl Network {
    pub(super) fn new(ids: &BTreeSet<NodeId>, rng: &mut ChaCha8Rng) -> Self {
        Self {
            ids: ids.clone(),
            cut: BTreeSet::new(),
            loss: [0.0, 0.02, 0.15][rng.random_range(0..3)],
            double: [0.0, 0.05, 0.2][rng.random_range(0..3)],
            delay_max: [2, 10, 40][rng.random_range(0..3)],
            straggler: [0.0, 0.02, 0.1][rng.random_range(0..3)],
        }
    }

    pub(super) fn ids(&self) -> &BTreeSet<NodeId> {
        &self.ids
    }

    /// How often, and when, a message arrives.
    pub(super) fn send(&self, message: &Message, rng: &mut ChaCha8Rng) -> Vec<Fate> {
        if self.cut.contains(&(message.from, message.to)) || rng.random_bool(self.loss) {
            return Vec::new();
        }
        let copies = if rng.random_bool(self.double) { 2 } else { 1 };
        let fates = (0..copies).map(|_| {
            let is_straggler = rng.random_bool(self.straggler);
            let longest = if is_straggler {
                60 * TICK
            } else {
                self.delay_max
            };
            Fate {
                delay: rng.random_range(1..=longest),
            }
        });
        fates.collect()
    }

    /// Another partition, or none: halves, one node alone, one direction only, random pairs.
    pub(super) fn change(&mut self, rng: &mut ChaCha8Rng) {
        self.cut.clear();
        let ids: Vec<NodeId> = self.ids.iter().copied().collect();
        let victim = ids[rng.random_range(0..ids.len())];
        let others = ids.iter().copied().filter(|&id| id != victim);
        match rng.random_range(0..6) {
            0 => {
                let side: BTreeSet<NodeId> = ids
                    .iter()
                    .copied()
                    .filter(|_| rng.random_bool(0.5))
                    .collect();
                let pairs = ids.iter().flat_map(|&a| ids.iter().map(move |&b| (a, b)));
                self.cut
                    .extend(pairs.filter(|(a, b)| side.contains(a) != side.contains(b)));
            }
            1 => self
                .cut
                .extend(others.flat_map(|id| [(victim, id), (id, victim)])),
            2 => self.cut.extend(others.map(|id| (victim, id))),
            3 => self.cut.extend(others.map(|id| (id, victim))),
            4 => {
                let pairs = ids.iter().flat_map(|&a| ids.iter().map(move |&b| (a, b)));
                self.cut.extend(pairs.filter(|_| rng.random_bool(0.3)));
            }
            _ => {}
        }
    }

    /// Nothing is cut, lost or late any more.
    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.loss = 0.0;
        self.double = 0.0;
        self.straggler = 0.0;
        self.delay_max = self.delay_max.min(TICK);
    }
}
