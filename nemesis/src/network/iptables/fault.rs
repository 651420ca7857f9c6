//! What is installed, and what its counters say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    queues::{Egress, Line},
    rules::{self, Count, Counted},
};
use crate::{
    fault::{PacketEffect, Shaping},
    network::{CutId, NetworkError, ShapingId},
    node::{Edge, Endpoint},
    proof::{Dropped, Shaped},
};

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) cuts: BTreeMap<CutId, Cut>,
    pub(super) shapings: BTreeMap<ShapingId, Installed>,
    pub(super) next: u64,
}

#[derive(Debug)]
pub(super) struct Cut {
    pub(super) edges: BTreeSet<Edge>,
    pub(super) rules: Rules,
}

#[derive(Debug)]
pub(super) struct Installed {
    pub(super) edges: BTreeSet<Edge>,
    pub(super) shaping: Shaping,
    pub(super) rules: Rules,
}

/// Where a fault's rules are, and what is known of those that are not there any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) sites: BTreeSet<Endpoint>,
    /// What they had counted where they are removed.
    pub(super) counted: Vec<Count>,
    /// Where somebody else has removed some of them, or kept packets away from them.
    pub(super) disturbed: BTreeSet<Endpoint>,
}

impl Rules {
    pub(super) fn at(sites: BTreeSet<Endpoint>) -> Self {
        Self {
            sites,
            ..Self::default()
        }
    }

    /// What a heal that has left nothing says.
    pub(super) fn healed<T>(&self, id: u64, met: T, says: String) -> Result<T, NetworkError> {
        if self.disturbed.is_empty() {
            return Ok(met);
        }
        let at = self.disturbed.iter().map(Endpoint::to_string);
        Err(NetworkError::Disturbed {
            id,
            at: at.collect::<Vec<_>>().join(", "),
            met: says,
        })
    }
}

impl Faults {
    /// Notes that no packet came to the rules of any fault at these sites.
    pub(super) fn disturb(&mut self, sites: &BTreeSet<Endpoint>) {
        let cuts = self.cuts.values_mut().map(|cut| &mut cut.rules);
        let shapings = self.shapings.values_mut().map(|shaping| &mut shaping.rules);
        for rules in cuts.chain(shapings) {
            rules.disturbed.extend(rules.sites.intersection(sites));
        }
    }

    /// The lines out of each of `sites` that all shapings but one ask for together.
    pub(super) fn lines_out(
        &self,
        sites: &BTreeSet<Endpoint>,
        but: Option<ShapingId>,
    ) -> BTreeMap<Endpoint, Egress> {
        let out_of = |site: &Endpoint| {
            let others = self.shapings.iter().filter(|(id, _)| Some(**id) != but);
            (*site, egress(*site, others.map(|(_, installed)| installed)))
        };
        sites.iter().map(out_of).collect()
    }
}

/// The lines out of `site` that these shapings ask for.
fn egress<'a>(site: Endpoint, shapings: impl IntoIterator<Item = &'a Installed>) -> Egress {
    let mut egress = Egress::new();
    for installed in shapings {
        if !rules::is_queued(&installed.shaping) {
            continue;
        }
        for edge in installed.edges.iter().filter(|edge| edge.from == site) {
            let line = egress.entry(edge.to).or_insert_with(|| Line::to(edge.to));
            line.add(&installed.shaping);
        }
    }
    egress
}

/// The effects that no rule and no qdisc has.
pub(super) fn check_effects(shaping: &Shaping) -> Result<(), NetworkError> {
    let mut effects = shaping.effects();
    match effects.find(|effect| *effect == PacketEffect::CorruptDeliver) {
        Some(effect) => Err(NetworkError::Cannot { effect }),
        None => Ok(()),
    }
}

pub(super) fn dropped(edges: &BTreeSet<Edge>, counts: &[Count]) -> Dropped {
    let mut packets: BTreeMap<Edge, u64> = edges.iter().map(|edge| (*edge, 0)).collect();
    for count in counts.iter().filter(|count| count.what == Counted::Cut) {
        *packets.entry(count.edge).or_default() += count.packets;
    }
    Dropped {
        packets,
        resumed_after_ms: None,
    }
}

pub(super) fn shaped(installed: &Installed, counts: &[Count]) -> Shaped {
    let mut shaped = Shaped::default();
    for edge in &installed.edges {
        let fates = shaped.edges.entry(*edge).or_default();
        fates.effects = installed
            .shaping
            .effects()
            .map(|effect| (effect, 0))
            .collect();
        for count in counts.iter().filter(|count| count.edge == *edge) {
            match count.what {
                Counted::Cut => {}
                Counted::All => fates.packets += count.packets,
                Counted::Effect(effect) => {
                    *fates.effects.entry(effect).or_default() += count.packets;
                }
            }
        }
    }
    shaped
}

/// All ends of these edges.
pub(super) fn ends_of(edges: &BTreeSet<Edge>) -> BTreeSet<Endpoint> {
    edges.iter().flat_map(|edge| [edge.from, edge.to]).collect()
}

/// No holder of this lock leaves anything half done, so a panic elsewhere does not spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses edges of nodes that there are not.
pub(super) fn check_nodes(edges: &BTreeSet<Edge>, count: u16) -> Result<(), NetworkError> {
    let ends = edges.iter().flat_map(|edge| [edge.from, edge.to]);
    let mut nodes = ends.filter_map(Endpoint::node);
    match nodes.find(|node| !(1..=count).contains(&node.0)) {
        Some(node) => Err(NetworkError::NoSuchNode(node)),
        None => Ok(()),
    }
}
