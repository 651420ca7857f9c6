//! One planned fault from its time to its record: what all kinds of faults have in common.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};

use super::{FaultEvent, FaultRecord, Injector, Step};
use crate::{
    fault::{AdminFault, Fault, Targets},
    lever::Order,
    node::{Edge, Node},
    proof::{Effect, Proof},
    schedule::PlannedFault,
};

/// Between two looks at something that the injector can only ask for.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

pub(super) struct Attempt<'a> {
    pub(super) injector: &'a Injector<'a>,
    pub(super) planned: &'a PlannedFault,
    /// When to heal.
    heal_at: Instant,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    window_ns: Option<(u64, u64)>,
    /// The processes that met it, of a fault that may end one.
    pub(super) met_by: Vec<(Node, u32)>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        injector: &'a Injector<'a>,
        planned: &'a PlannedFault,
        start: Instant,
    ) -> Self {
        let heal_at = start + Duration::from_millis(planned.heal_ms());
        let (nodes, edges) = (Vec::new(), Vec::new());
        Self {
            injector,
            planned,
            heal_at,
            nodes,
            edges,
            window_ns: None,
            met_by: Vec::new(),
        }
    }

    pub(super) fn run(self) -> FaultRecord {
        let leaders = if self.planned.fault.needs_leader() {
            self.find_leaders()
        } else {
            Vec::new()
        };
        let leader = leaders.first().copied();
        if self.planned.fault.needs_leader() && leader.is_none() {
            return self.skip("nobody was known to lead");
        }
        // A spare may have become a member: what is done to all is done to spares too.
        let count = self.injector.nodes + self.injector.spares;
        let seed = self.seed_of(Node(0));
        let nodes = self.planned.fault.targets().map(|targets| match targets {
            Targets::All => targets.resolve(count, leader, seed),
            _ => targets.resolve(self.injector.nodes, leader, seed),
        });
        if nodes.as_ref().is_some_and(BTreeSet::is_empty) {
            return self.skip("there are no such nodes in this cluster");
        }
        let nodes = nodes.unwrap_or_default();
        match &self.planned.fault {
            Fault::Partition(shape) => {
                let grudge = shape.grudge(count, &leaders).unwrap_or_default();
                self.cut(&grudge)
            }
            Fault::Packets(packets) => {
                let edges = packets.scope.edges(count, leader, seed);
                self.shape(&edges, &packets.shaping)
            }
            Fault::Kill(_) => self.kill(&nodes),
            Fault::Pause(_) => self.pause(&nodes),
            Fault::Stop(_) => self.stop(&nodes, false),
            Fault::Restart(_) => self.stop(&nodes, true),
            Fault::CrashLoop(fault) => self.crash_loop(&nodes, fault),
            Fault::StartKill(fault) => self.kill_starting(&nodes, fault),
            Fault::SlowCpu(fault) => self.slow_cpu(&nodes, fault.percent),
            Fault::Memory(fault) => self.starve(&nodes, u64::from(fault.room_mb) << 20),
            Fault::PowerLoss(fault) => self.power_loss(&nodes, fault.keep),
            Fault::Disk(fault) => self.ail(&nodes, fault.ailment),
            Fault::Damage(fault) => self.damage(&nodes, fault.damage),
            Fault::Clock(fault) => self.skew(&nodes, fault.skew),
            Fault::Member(fault) => self.reconfigure(&nodes, &fault.joining(), fault.asked),
            Fault::Admin(AdminFault::Transfer { to, asked }) => self.transfer(*to, *asked),
            Fault::Admin(AdminFault::Campaign(who)) => self.campaign(*who),
            Fault::Admin(AdminFault::StepDown) => self.step_down(),
            Fault::Admin(AdminFault::Snapshot(_)) => self.cut_logs(&nodes, &[Order::Snapshot]),
            Fault::Admin(AdminFault::Compact(_)) => {
                self.cut_logs(&nodes, &[Order::Snapshot, Order::Compact])
            }
        }
    }

    /// Where what this fault does to a node by chance comes from: the plan's seed, its id and the
    /// node.
    pub(super) fn seed_of(&self, node: Node) -> u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(self.injector.seed);
        rng.set_stream(u64::from(self.planned.id) << 16 | u64::from(node.0));
        rng.next_u64()
    }

    /// Who leads; waits for somebody to, but not into the second half of the fault's time.
    pub(super) fn find_leaders(&self) -> Vec<Node> {
        let half = Duration::from_millis(self.planned.for_ms / 2);
        let until = Instant::now() + self.injector.patience.leader.min(half);
        let mut leaders = self.injector.observer.leaders();
        while leaders.is_empty() && Instant::now() < until && !self.look_again() {
            leaders = self.injector.observer.leaders();
        }
        leaders
    }

    /// Waits a little; returns whether a stop was requested meanwhile.
    pub(super) fn look_again(&self) -> bool {
        self.look_again_in(LOOK_INTERVAL)
    }

    /// Waits so long; returns whether a stop was requested meanwhile.
    pub(super) fn look_again_in(&self, interval: Duration) -> bool {
        self.injector.stop.wait_for(interval)
    }

    /// Waits a little whether or not a stop was requested.
    pub(super) fn look_again_anyway(&self) {
        std::thread::sleep(LOOK_INTERVAL);
    }

    /// Whether it is time to heal.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.heal_at || self.injector.stop.is_requested()
    }

    /// Waits until it is time to heal.
    pub(super) fn hold(&self) {
        self.injector.stop.wait_until(self.heal_at);
    }

    /// Announces that the lever is about to be pulled.
    pub(super) fn injecting(&mut self, nodes: Vec<Node>, edges: Vec<Edge>, what: &str) {
        (self.nodes, self.edges) = (nodes, edges);
        self.emit(Step::Injecting, None, what.to_owned());
    }

    /// The lever is pulled: from here to [`Attempt::healing`] the fault is in force.
    pub(super) fn pulled(&mut self) {
        self.pulled_at((self.injector.clock)());
    }

    /// The same where it was at that time, on the harness's clock.
    pub(super) fn pulled_at(&mut self, time_ns: u64) {
        self.window_ns = Some((time_ns, time_ns));
    }

    pub(super) fn installed(&self, proof: &Proof) {
        self.emit(Step::Installed, Some(proof.clone()), proof.to_string());
    }

    /// The lever is about to be put back.
    pub(super) fn healing(&mut self) {
        let why = if self.injector.stop.is_requested() {
            "the run is stopped"
        } else {
            "its time is over"
        };
        self.emit(Step::Healing, None, why.to_owned());
        if let Some((_, end)) = &mut self.window_ns {
            *end = (self.injector.clock)();
        }
    }

    /// It was not tried.
    pub(super) fn skip(self, why: &str) -> FaultRecord {
        self.emit(Step::Skipped, None, why.to_owned());
        self.record(Effect::Skipped(why.to_owned()), true)
    }

    /// It cannot be said whether it was tried; nothing of it is left.
    pub(super) fn fail(self, why: &str) -> FaultRecord {
        self.finish(Effect::Indeterminate(why.to_owned()), true)
    }

    /// The end of a fault that was tried: emits its last event.
    pub(super) fn finish(self, effect: Effect, healed: bool) -> FaultRecord {
        let left = if healed { "" } else { "; it may not be undone" };
        match &effect {
            Effect::Installed(proof) if healed => {
                self.emit(Step::Healed, Some(proof.clone()), proof.to_string());
            }
            Effect::Installed(proof) => {
                self.emit(
                    Step::Indeterminate,
                    Some(proof.clone()),
                    format!("{proof}{left}"),
                );
            }
            Effect::Skipped(why) => self.emit(Step::Skipped, None, format!("{why}{left}")),
            Effect::NoEffect(why) => self.emit(Step::NoEffect, None, format!("{why}{left}")),
            Effect::Indeterminate(why) => {
                self.emit(Step::Indeterminate, None, format!("{why}{left}"));
            }
        }
        self.record(effect, healed)
    }

    fn record(self, effect: Effect, healed: bool) -> FaultRecord {
        FaultRecord {
            planned: self.planned.clone(),
            nodes: self.nodes,
            window_ns: self.window_ns,
            effect,
            healed,
            met_by: self.met_by,
        }
    }

    fn emit(&self, what: Step, proof: Option<Proof>, message: String) {
        (self.injector.sink)(FaultEvent {
            time_ns: (self.injector.clock)(),
            fault: self.planned.id,
            class: self.planned.fault.class(),
            what,
            nodes: self.nodes.clone(),
            edges: self.edges.clone(),
            proof,
            message,
        });
    }
}
