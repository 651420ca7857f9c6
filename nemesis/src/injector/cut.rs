//! Partitions: proven by packets that met the cut.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{FaultRecord, attempt::Attempt};
use crate::{
    grudge::Grudge,
    network::{CutId, Network, NetworkError, OldConnection},
    node::{Edge, Endpoint, Node},
    proof::{Effect, Proof},
};

/// The kernel's back-off is no longer than the cut was, and an acknowledgement on top.
const BACKOFF_SLACK: Duration = Duration::from_secs(1);

/// Nor is it ever longer than this: `TCP_RTO_MAX`.
const BACKOFF_MOST: Duration = Duration::from_secs(120);

/// A connection from before a cut that has something to send again, where the kernel decides how
/// long it waits with that.
pub(super) struct Backoff {
    old: OldConnection,
    cut_at: Instant,
}

impl Backoff {
    /// Connects before the cut, where it matters.
    pub(super) fn before(network: &dyn Network, grudge: &Grudge) -> Option<OldConnection> {
        match network.bounds_tcp_backoff() {
            true => None,
            false => OldConnection::over(network, grudge),
        }
    }

    /// Sends into the cut; where the kernel does not take that, there is nothing to be seen.
    pub(super) fn during(old: Option<OldConnection>) -> Option<Self> {
        let (mut old, cut_at) = (old?, Instant::now());
        old.send().ok()?;
        Some(Self { old, cut_at })
    }

    /// Waits, after the heal, until what was sent has arrived. For as long as that may take: who
    /// waited less would blame the target for the rest.
    pub(super) fn after(self) -> Option<u64> {
        let within = self.cut_at.elapsed().min(BACKOFF_MOST) + BACKOFF_SLACK;
        let resumed = self.old.resumes(within)?;
        u64::try_from(resumed.as_millis()).ok()
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
        let old = Backoff::before(network, grudge);
        let cut = match network.cut(grudge) {
            Ok(cut) => cut,
            Err(error) => {
                let heal = |id| network.heal(CutId(id)).map(drop);
                return self.half(&format!("cutting failed: {error}"), &error, heal);
            }
        };
        self.pulled();
        let backoff = Backoff::during(old);
        let seen = self.await_first_drop(network, cut);
        self.hold();
        self.healing();
        let mut dropped = match network.heal(cut) {
            Ok(dropped) => dropped,
            Err(error) => {
                let why = format!("healing failed: {error}");
                return self.finish(Effect::Indeterminate(why), false);
            }
        };
        let healed = !network.cuts().contains(&cut);
        dropped.resumed_after_ms = backoff.and_then(Backoff::after);
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
            Err(error) => (format!("{why}; healing failed: {error}"), false),
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
