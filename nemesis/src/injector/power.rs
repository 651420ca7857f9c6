//! Power loss: proven by the reaped process, by what its disk has lost, and by its successor.
//!
//! ```text
//!  cut both ways ─▶ SIGKILL ─▶ drop what was not fsynced ─▶ fresh network namespace
//!    … the power is off … ─▶ heal the cut ─▶ start ─▶ it serves
//! ```
//!
//! The cut comes first, so that nobody hears of what the machine does after its last moment; and
//! the namespace is a fresh one, so that its peers' connections end as they do when a machine goes:
//! without a word.

use std::collections::BTreeSet;

use super::{
    FaultRecord,
    attempt::Attempt,
    cut::unhealed,
    processes::{each, spaced},
};
use crate::{
    disk::Disks,
    fault::Keep,
    grudge::Grudge,
    network::{CutId, Network},
    node::Node,
    process::ProcessError,
    proof::{Effect, Killed, PowerLost, Proof},
};

impl Attempt<'_> {
    pub(super) fn power_loss(mut self, nodes: &BTreeSet<Node>, keep: Keep) -> FaultRecord {
        let levers = self.injector.levers;
        let Some(processes) = levers.processes.as_deref() else {
            return self.skip("there are no processes that can be killed here");
        };
        let Some(network) = levers.network.as_deref() else {
            return self.skip("there is no network that can be cut here");
        };
        let Some(disks) = levers.disks.as_deref() else {
            return self.skip("there is no disk of ours under the nodes' data");
        };
        let what = format!("take the power from {}", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let cut = match network.cut(&alone(nodes, self.injector.nodes + self.injector.spares)) {
            Ok(cut) => cut,
            Err(error) => {
                let heal = |id| network.heal(CutId(id)).map(drop);
                return self.half(&format!("cutting failed: {error}"), &error, heal);
            }
        };
        // From here on: it takes a second and more until nothing of the machine is left where its
        // namespace cannot be a fresh one.
        let cut_ns = (self.injector.clock)();
        let (killed, errors) = each(nodes, |node| processes.kill(node));
        if killed.is_empty() {
            let heals = network
                .heal(cut)
                .map_or_else(|error| unhealed(&error).1, |_| true);
            return self.nothing_done(&errors).unless_healed(heals);
        }
        let mut trouble: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let mut lost = self.lose_power(disks, network, killed, keep, &mut trouble);
        self.pulled_at(cut_ns);
        // Whoever was not killed, kept what it was to lose or could still be heard lost no power.
        if trouble.is_empty() {
            self.installed(&Proof::PowerLost {
                nodes: lost.clone(),
            });
        }
        self.hold();
        self.healing();
        let mut healed = !errors
            .iter()
            .any(|error| matches!(error, ProcessError::Deadline { .. }));
        if let Err(error) = network.heal(cut) {
            let (why, is_healed) = unhealed(&error);
            trouble.push(format!("the cut: {why}"));
            healed &= is_healed;
        }
        let killed = lost.iter_mut().map(|node| &mut node.killed).collect();
        healed &= self.start_again(processes, killed, &mut trouble);
        let proof = Proof::PowerLost { nodes: lost };
        let effect = if trouble.is_empty() {
            Effect::Installed(proof)
        } else {
            Effect::Indeterminate(format!("{proof}; {}", trouble.join("; ")))
        };
        self.finish(effect, healed)
    }

    /// What each machine loses, besides its process.
    fn lose_power(
        &self,
        disks: &dyn Disks,
        network: &dyn Network,
        killed: Vec<Killed>,
        keep: Keep,
        trouble: &mut Vec<String>,
    ) -> Vec<PowerLost> {
        let mut lost = Vec::new();
        for killed in killed {
            let node = killed.node;
            match disks.lose_power(node, keep, self.seed_of(node)) {
                Ok(of_disk) => lost.push(PowerLost {
                    killed,
                    lost: of_disk,
                }),
                Err(error) => {
                    trouble.push(error.to_string());
                    lost.push(PowerLost {
                        killed,
                        lost: crate::proof::Lost::default(),
                    });
                }
            }
            if let Err(error) = network.renew(node) {
                trouble.push(error.to_string());
            }
        }
        lost
    }
}

/// These nodes hear nobody, and nobody hears them: no node, and no client.
fn alone(nodes: &BTreeSet<Node>, count: u16) -> Grudge {
    let isolated = nodes.iter().map(|node| Grudge::isolate(*node, count));
    isolated.fold(Grudge::clients(nodes), Grudge::union)
}
