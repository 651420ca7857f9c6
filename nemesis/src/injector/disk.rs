//! Ill and damaged disks: proven by requests that met the illness, and by bytes that differ.
//!
//! A node that ends itself because of its disk does what it should: it is started again when the
//! disk is well.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    FaultRecord,
    attempt::Attempt,
    processes::{each, spaced},
};
use crate::{
    disk::{AilmentId, Disks},
    fault::{Ailment, Damage},
    node::Node,
    process::{Lifecycle, State},
    proof::{DamagedNode, DiskMet, Effect, Killed, Proof, Successor},
};

/// How old a look at who leads may be.
const OLD_LOOK: Duration = Duration::from_millis(300);

/// How long a leader is given to send everybody what they lack.
const LEVEL_AFTER: Duration = Duration::from_millis(500);

const NO_DISK: &str = "there is no disk of ours under the nodes' data";

impl Attempt<'_> {
    pub(super) fn ail(mut self, nodes: &BTreeSet<Node>, ailment: Ailment) -> FaultRecord {
        let Some(disks) = self.injector.levers.disks.as_deref() else {
            return self.skip(NO_DISK);
        };
        let what = format!("{ailment} on the disk of {}", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let mut installed = Vec::new();
        let mut trouble = Vec::new();
        for node in nodes {
            match disks.install(*node, ailment) {
                Ok(id) => installed.push((*node, id)),
                Err(error) => trouble.push(error.to_string()),
            }
        }
        if installed.is_empty() {
            return self.fail(&format!("installing failed: {}", trouble.join("; ")));
        }
        self.pulled();
        let mut before = BTreeMap::new();
        let seen = self.watch_requests(disks, &installed, &mut before);
        self.healing();
        let mut met = Vec::new();
        for (node, id) in &installed {
            match disks.heal(*id) {
                Ok(requests) => {
                    self.count(*node, requests, &mut before);
                    met.push(DiskMet {
                        node: *node,
                        requests,
                        successor: None,
                    });
                }
                Err(error) => trouble.push(format!("healing failed: {error}")),
            }
        }
        let left = disks.ailments();
        let mut healed = !installed.iter().any(|(_, id)| left.contains(id));
        if ailment.is_noticed() {
            healed &= self.start_what_ended(&mut met, &mut trouble);
        }
        if met.iter().all(|one| one.requests == 0) && trouble.is_empty() {
            let why = "no request met it while it was there".to_owned();
            return self.finish(Effect::NoEffect(why), healed);
        }
        let proof = Proof::DiskMet { nodes: met };
        if !seen {
            self.installed(&proof);
        }
        self.finish(with(proof, &trouble), healed)
    }

    /// Looks on until it is time to heal: announces the proof as soon as there is one, and takes
    /// down which processes met it. Returns whether there was a proof, in time.
    fn watch_requests(
        &mut self,
        disks: &dyn Disks,
        installed: &[(Node, AilmentId)],
        before: &mut BTreeMap<Node, u64>,
    ) -> bool {
        let mut seen = false;
        while !self.is_over() {
            let met = installed.iter().map(|(node, id)| DiskMet {
                node: *node,
                requests: disks.met(*id).unwrap_or(0),
                successor: None,
            });
            let met: Vec<DiskMet> = met.collect();
            for one in &met {
                self.count(one.node, one.requests, before);
            }
            if !seen && met.iter().any(|one| one.requests > 0) {
                self.installed(&Proof::DiskMet { nodes: met });
                seen = true;
            }
            self.look_again();
        }
        seen
    }

    /// Whoever runs, or did last, met it where more requests did than before.
    fn count(&mut self, node: Node, requests: u64, before: &mut BTreeMap<Node, u64>) {
        let counted = before.insert(node, requests).unwrap_or(0);
        if let Some(processes) = self.injector.levers.processes.as_deref()
            && requests > counted
        {
            self.has_met_in(node, &processes.state(node));
        }
    }

    /// Starts those that ended themselves because of it, now that their disks are well. Returns
    /// whether all run.
    fn start_what_ended(&self, met: &mut [DiskMet], trouble: &mut Vec<String>) -> bool {
        let Some(processes) = self.injector.levers.processes.as_deref() else {
            return true;
        };
        let mut all_run = true;
        for one in met {
            match processes.state(one.node) {
                State::Died(death) if self.explains(&death) => {}
                _ => continue,
            }
            match self.start_one(processes, one.node) {
                Ok(successor) => one.successor = Some(successor),
                Err(why) => {
                    all_run &= matches!(processes.state(one.node), State::Running { .. });
                    trouble.push(why);
                }
            }
        }
        all_run
    }

    fn start_one(&self, processes: &dyn Lifecycle, node: Node) -> Result<Successor, String> {
        let started = Instant::now();
        let pid = processes.start(node).map_err(|error| error.to_string())?;
        let serving_after_ms = self.await_serving(processes, node, pid, started)?;
        Ok(Successor {
            pid,
            serving_after_ms,
        })
    }

    pub(super) fn damage(mut self, nodes: &BTreeSet<Node>, damage: Damage) -> FaultRecord {
        let levers = self.injector.levers;
        let Some(processes) = levers.processes.as_deref() else {
            return self.skip("there are no processes that can be killed here");
        };
        let Some(disks) = levers.disks.as_deref() else {
            return self.skip(NO_DISK);
        };
        let what = format!("{damage} on the disk of {}", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let had_leader = self.injector.observer.leader().is_some();
        let (killed, errors) = each(nodes, |node| processes.kill(node));
        if killed.is_empty() {
            return self.nothing_done(&errors);
        }
        let mut trouble: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let mut done = self.damage_each(disks, killed, damage, &mut trouble);
        self.pulled();
        if had_leader {
            self.stay_away(nodes);
        }
        for one in &done {
            match processes.start(one.killed.node) {
                Ok(pid) if one.damaged.bytes > 0 => self.has_met(one.killed.node, pid),
                Ok(_) => {}
                Err(error) => trouble.push(error.to_string()),
            }
        }
        if done.iter().any(|one| one.damaged.bytes > 0) {
            self.installed(&Proof::Damaged {
                nodes: done.clone(),
            });
        }
        self.hold();
        self.healing();
        let mut healed = true;
        for one in &mut done {
            if let Err(why) = self.bring_back(processes, disks, one) {
                healed &= matches!(processes.state(one.killed.node), State::Running { .. });
                trouble.push(why);
            }
        }
        if done.iter().all(|one| one.damaged.bytes == 0) && trouble.is_empty() {
            let why = "not a byte is other than it was".to_owned();
            return self.finish(Effect::NoEffect(why), healed);
        }
        self.finish(with(Proof::Damaged { nodes: done }, &trouble), healed)
    }

    /// Who has forgotten what it had comes back when the others have a leader, and had the time to
    /// get from it what they lacked: see [`crate::planner::atlas`]. Not later than the fault heals.
    fn stay_away(&self, nodes: &BTreeSet<Node>) {
        let gone = Instant::now();
        let leads = || {
            let leader = self.injector.observer.leader();
            leader.is_some_and(|node| !nodes.contains(&node))
        };
        let mut since = None;
        while !self.is_over() {
            match (leads(), since) {
                // What was seen before they were gone may be an old look.
                (true, None) if gone.elapsed() >= OLD_LOOK => since = Some(Instant::now()),
                (true, Some(since)) if since.elapsed() >= LEVEL_AFTER => return,
                (true, _) => {}
                (false, _) => since = None,
            }
            self.look_again();
        }
    }

    fn damage_each(
        &self,
        disks: &dyn Disks,
        killed: Vec<Killed>,
        damage: Damage,
        trouble: &mut Vec<String>,
    ) -> Vec<DamagedNode> {
        let mut done = Vec::new();
        for killed in killed {
            let damaged = disks.damage(killed.node, damage, self.seed_of(killed.node));
            let damaged = damaged.unwrap_or_else(|error| {
                trouble.push(error.to_string());
                crate::proof::Damaged::default()
            });
            done.push(DamagedNode {
                killed,
                damaged,
                refused: false,
            });
        }
        done
    }

    /// Waits until the node serves on its damaged disk, and goes on to; one that does not gets the
    /// damage undone.
    fn bring_back(
        &self,
        processes: &dyn Lifecycle,
        disks: &dyn Disks,
        one: &mut DamagedNode,
    ) -> Result<(), String> {
        let node = one.killed.node;
        if let State::Running { pid } = processes.state(node) {
            let looked = Instant::now();
            if let Ok(serving_after_ms) = self.await_serving(processes, node, pid, looked)
                && !self.refuses_late(processes, node)
            {
                one.killed.successor = Some(Successor {
                    pid,
                    serving_after_ms,
                });
                return Ok(());
            }
        }
        one.refused = true;
        if matches!(processes.state(node), State::Running { .. }) {
            processes.kill(node).map_err(|error| error.to_string())?;
        }
        disks.repair(node).map_err(|error| error.to_string())?;
        one.killed.successor = Some(self.start_one(processes, node)?);
        Ok(())
    }

    /// Whether a node that serves ends itself after all: what its disk lacks it may hear from the
    /// others only.
    fn refuses_late(&self, processes: &dyn Lifecycle, node: Node) -> bool {
        let until = Instant::now() + self.injector.patience.refusal;
        while Instant::now() < until {
            match processes.state(node) {
                State::Died(_) => return true,
                // Somebody else ended it, and starts it again.
                State::Ended { .. } | State::Absent => return false,
                State::Running { .. } | State::Paused { .. } => self.look_again_anyway(),
            }
        }
        false
    }
}

/// The proof, unless something else went wrong: then it cannot be said what happened.
fn with(proof: Proof, trouble: &[String]) -> Effect {
    if trouble.is_empty() {
        Effect::Installed(proof)
    } else {
        Effect::Indeterminate(format!("{proof}; {}", trouble.join("; ")))
    }
}
