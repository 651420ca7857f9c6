//! Partitions: proven by packets that met the cut.

use std::{collections::BTreeSet, time::Instant};

use super::{FaultRecord, attempt::Attempt};
use crate::{
    grudge::Grudge,
    network::{CutId, Network, NetworkError, last_attempt},
    node::{Edge, Endpoint, Node},
    proof::{Dropped, Effect, Proof},
};

/// Heals a cut: what it dropped, and whether nothing of it is left.
///
/// How long TCP's own back-off outlasts it is told besides, where nothing bounds it and a
/// connection waits: who did not count that would blame the target for it. It is read, not waited
/// for: the cut is over.
pub(super) fn heal(
    network: &dyn Network,
    cut: CutId,
    grudge: &Grudge,
) -> (Result<Dropped, String>, bool) {
    let healing = Instant::now();
    let mut dropped = match network.heal(cut) {
        Ok(dropped) => dropped,
        Err(error) => {
            let (why, is_healed) = unhealed(&error);
            return (Err(why), is_healed);
        }
    };
    let is_healed = !network.cuts().contains(&cut);
    if dropped.total() > 0 && !network.bounds_tcp_backoff() {
        let last = match last_attempt(network, grudge.edges()) {
            Ok(last) => last,
            Err(error) => {
                let why = format!("how long TCP's back-off lasts is unknown: {error}");
                return (Err(why), is_healed);
            }
        };
        let after = last.map(|last| last.saturating_duration_since(healing).as_millis());
        dropped.resumed_after_ms = after.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX));
    }
    (Ok(dropped), is_healed)
}

/// Why a heal has no proof to tell, and whether nothing of the fault is left all the same.
pub(super) fn unhealed(error: &NetworkError) -> (String, bool) {
    match error {
        NetworkError::Disturbed { .. } => (error.to_string(), true),
        _ => (format!("healing failed: {error}"), false),
    }
}

impl Attempt<'_> {
    pub(super) fn cut(mut self, grudge: &Grudge) -> FaultRecord {
        if grudge.is_empty() {
            return self.skip("it would cut nothing");
        }
        let Some(network) = self.injector.levers.network.as_deref() else {
            return self.skip("there is no network that can be cut here");
        };
        self.injecting(
            nodes(grudge.edges()),
            grudge.edges().collect(),
            &format!("cut {grudge}"),
        );
        let cut = match network.cut(grudge) {
            Ok(cut) => cut,
            Err(error) => {
                let heal = |id| network.heal(CutId(id)).map(drop);
                return self.half(&format!("cutting failed: {error}"), &error, heal);
            }
        };
        self.pulled();
        let seen = self.await_first_drop(network, cut);
        self.hold();
        self.healing();
        let (dropped, healed) = heal(network, cut, grudge);
        let dropped = match dropped {
            Ok(dropped) => dropped,
            Err(why) => return self.finish(Effect::Indeterminate(why), healed),
        };
        if dropped.total() == 0 {
            let why = "no packet met the cut while it was there".to_owned();
            return self.finish(Effect::NoEffect(why), healed);
        }
        let proof = Proof::Cut(dropped);
        if !seen {
            self.installed(&proof);
        }
        self.finish(Effect::Installed(proof), healed)
    }

    /// The end of a fault that a network refused: where a part of it is in force nevertheless, that
    /// is healed when its time is over, as all of it would have been.
    pub(super) fn half(
        mut self,
        why: &str,
        error: &NetworkError,
        heal: impl FnOnce(u64) -> Result<(), NetworkError>,
    ) -> FaultRecord {
        let NetworkError::Half { id, .. } = error else {
            return self.fail(why);
        };
        self.pulled();
        self.hold();
        self.healing();
        let (why, healed) = match heal(*id) {
            Ok(()) => (format!("{why}; it was healed later"), true),
            Err(error) => {
                let (later, is_healed) = unhealed(&error);
                (format!("{why}; {later}"), is_healed)
            }
        };
        self.finish(Effect::Indeterminate(why), healed)
    }

    /// Announces the proof as soon as there is one; returns whether there was, in time.
    fn await_first_drop(&self, network: &dyn Network, cut: CutId) -> bool {
        while !self.is_over() {
            match network.dropped(cut) {
                Ok(dropped) if dropped.total() > 0 => {
                    self.installed(&Proof::Cut(dropped));
                    return true;
                }
                // A backend that cannot count now may do so at the end; that count decides.
                Ok(_) | Err(_) => self.look_again_in(network.look_interval()),
            };
        }
        false
    }
}

/// The nodes that are at an end of these edges.
pub(super) fn nodes(edges: impl Iterator<Item = Edge>) -> Vec<Node> {
    let named = edges.flat_map(|edge| [edge.from, edge.to]);
    let named: BTreeSet<Node> = named.filter_map(Endpoint::node).collect();
    named.into_iter().collect()
}
