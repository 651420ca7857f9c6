//! Packet faults: proven when each effect planned has met a packet.

use std::collections::BTreeSet;

use super::{
    FaultRecord,
    attempt::Attempt,
    cut::{nodes, unhealed},
};
use crate::{
    fault::{PacketEffect, Shaping},
    network::{FateSeed, Network, ShapingId},
    node::Edge,
    proof::{Effect, Proof, Shaped},
};

impl Attempt<'_> {
    pub(super) fn shape(mut self, edges: &BTreeSet<Edge>, shaping: &Shaping) -> FaultRecord {
        if edges.is_empty() {
            return self.skip("there is no such edge in this cluster");
        }
        let Some(network) = self.injector.levers.network.as_deref() else {
            return self.skip("there is no network whose packets can be shaped here");
        };
        let what = format!("{shaping} on {} edges", edges.len());
        self.injecting(
            nodes(edges.iter().copied()),
            edges.iter().copied().collect(),
            &what,
        );
        let seed = FateSeed {
            seed: self.injector.seed,
            fault: self.planned.id,
        };
        let id = match network.shape(edges, shaping, seed) {
            Ok(id) => id,
            Err(error) => {
                let heal = |id| network.unshape(ShapingId(id)).map(drop);
                return self.half(&format!("shaping failed: {error}"), &error, heal);
            }
        };
        self.pulled();
        let seen = self.await_effects(network, id);
        self.hold();
        self.healing();
        let shaped = match network.unshape(id) {
            Ok(shaped) => shaped,
            Err(error) => {
                let (why, healed) = unhealed(&error);
                return self.finish(Effect::Indeterminate(why), healed);
            }
        };
        let healed = !network.shapings().contains(&id);
        if let Some(why) = unproven(&shaped) {
            return self.finish(Effect::NoEffect(why), healed);
        }
        let proof = Proof::Shaped(shaped);
        if !seen {
            self.installed(&proof);
        }
        self.finish(Effect::Installed(proof), healed)
    }

    /// Announces the proof as soon as there is one; returns whether there was, in time.
    fn await_effects(&self, network: &dyn Network, id: ShapingId) -> bool {
        while !self.is_over() {
            match network.shaped(id) {
                Ok(shaped) if unproven(&shaped).is_none() => {
                    self.installed(&Proof::Shaped(shaped));
                    return true;
                }
                // A backend that cannot count now may do so at the end; that count decides.
                Ok(_) | Err(_) => self.look_again_in(network.look_interval()),
            };
        }
        false
    }
}

/// Why these counts prove nothing, if so: a fault that was to do two things has to do both.
fn unproven(shaped: &Shaped) -> Option<String> {
    let missing: Vec<&str> = shaped
        .missing()
        .into_iter()
        .map(PacketEffect::name)
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "no packet met with {} while it was there ({shaped})",
        missing.join(", nor with ")
    ))
}
