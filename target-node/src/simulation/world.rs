//! The clock, the clients and the faults of a world.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::client::Repeater;
use super::host::Host;
use super::invariant::Invariants;
use super::network::Network;
use super::{Broken, Invariant, Plan, Summary};
use crate::raft::{BatchId, ConfChange, Effect, Index, Jitter, LogId, Message, NodeId, Raft, Role};

/// Tenths of a tick.
pub(super) type Time = u64;

/// A tick of a clock that runs right.
pub(super) const TICK: Time = 10;

/// How long clients go on after all is healed, in ticks: the cluster must serve them by then.
pub(super) const SERVING_TICKS: u64 = 200;

/// How long the cluster then has to agree on the last of it, in ticks.
pub(super) const QUIET_TICKS: u64 = 60;

#[derive(Debug)]
pub(super) enum Happening {
    Tick(NodeId),
    Deliver(Message),
    Synced {
        node: NodeId,
        life: u64,
        batch: BatchId,
    },
    Client,
    Fault,
    Restart(NodeId),
}

/// How bad this world is: drawn from the seed, so that some worlds have only one kind of trouble.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) sync_max: Time,
    pub(super) client_pause: Time,
    pub(super) fault_pause: Time,
    pub(super) crash_share: f64,
    pub(super) pre_vote: Custom,
    pub(super) check_quorum: Custom,
    pub(super) jitter: Jitter,
    /// Leaders answer some reads from their lease: everyone checks the quorum, and clocks are good.
    pub(super) leases: bool,
    pub(super) conf_change: ConfChange,
    pub(super) conf_effective: Effect,
    /// The configuration is changed every now and then.
    pub(super) is_changing: bool,
    /// How many entries are applied from one snapshot to the next; none: there are no snapshots.
    pub(super) snapshot_entries: Option<u64>,
}

/// How the nodes of a world set a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Custom {
    Off,
    On,
    /// Each start draws anew, as while a setting is rolled out.
    Mixed,
}

impl Custom {
    pub(super) fn draw(self, rng: &mut ChaCha8Rng) -> bool {
        match self {
            Self::Off => false,
            Self::On => true,
            Self::Mixed => rng.random(),
        }
    }
}

/// A cluster under trial.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: ChaCha8Rng,
    pub(super) now: Time,
    /// Orders what happens at the same time.
    pub(super) sequence: u64,
    pub(super) agenda: BTreeMap<(Time, u64), Happening>,
    pub(super) nodes: BTreeMap<NodeId, Host>,
    /// Who votes at first.
    pub(super) initial: BTreeSet<NodeId>,
    pub(super) network: Network,
    pub(super) weather: Weather,
    pub(super) invariants: Invariants,
    pub(super) summary: Summary,
    pub(super) next_value: u64,
    pub(super) repeater: Repeater,
    pub(super) is_healed: bool,
    pub(super) is_quiet: bool,
}

impl World {
    pub(super) fn new(seed: u64, plan: Plan) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let size = [3, 3, 3, 4, 5][rng.random_range(0..5)];
        let initial: BTreeSet<NodeId> = (1..=size).collect();
        let check_quorum = match plan.clocks_drift {
            true => Custom::On,
            false => [Custom::Off, Custom::On, Custom::Mixed][rng.random_range(0..3)],
        };
        // Who was removed and does not know it may disrupt the others without end, unless they stay
        // with the leader that they hear.
        let is_changing = check_quorum == Custom::On && !plan.clocks_drift && rng.random_bool(0.7);
        let spares = if is_changing { 2 } else { 0 };
        let ids: BTreeSet<NodeId> = (1..=size + spares).collect();
        let weather = Weather {
            leases: plan.clocks_drift || check_quorum == Custom::On && rng.random_bool(0.7),
            sync_max: [0, 5, 20, 60][rng.random_range(0..4)],
            client_pause: [5, 20, 60][rng.random_range(0..3)],
            fault_pause: [150, 300, 600][rng.random_range(0..3)],
            crash_share: [0.0, 0.4, 0.8][rng.random_range(0..3)],
            pre_vote: [Custom::Off, Custom::On, Custom::Mixed][rng.random_range(0..3)],
            check_quorum,
            // A defect that overwrites what was committed can cut a log below its snapshot.
            snapshot_entries: match rng.random_range(0..4) {
                0 => None,
                _ if !plan.defects.is_empty() => None,
                place => Some([2, 10, 40][place - 1]),
            },
            is_changing,
            conf_change: [ConfChange::Joint, ConfChange::Single][rng.random_range(0..2)],
            conf_effective: [Effect::Append, Effect::Apply][rng.random_range(0..2)],
            jitter: [Jitter::Etcd, Jitter::Sofa][rng.random_range(0..2)],
        };
        let mut world = Self {
            plan,
            now: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            nodes: BTreeMap::new(),
            network: Network::new(&ids, &mut rng),
            weather,
            invariants: Invariants::new(),
            initial,
            summary: Summary::default(),
            next_value: 0,
            repeater: Repeater::default(),
            is_healed: false,
            is_quiet: false,
            rng,
        };
        for &id in &ids {
            let tick = match world.weather.leases {
                true if plan.clocks_drift => [4, 24][world.rng.random_range(0..2)],
                true => world.rng.random_range(10..=11),
                false => world.rng.random_range(8..=12),
            };
            let node = Host::new(tick);
            world.nodes.insert(id, node);
            world
                .start(id)
                .expect("a node without a past breaks nothing");
        }
        world.schedule(TICK * 20, Happening::Client);
        world.schedule(TICK * 20, Happening::Fault);
        world
    }

    pub(super) fn live(&mut self) -> Result<(), Broken> {
        self.run_until(self.plan.ticks * TICK)?;
        self.heal()?;
        self.run_until((self.plan.ticks + SERVING_TICKS) * TICK)?;
        self.is_quiet = true;
        let last = self.write_at_leader()?;
        self.run_until((self.plan.ticks + SERVING_TICKS + QUIET_TICKS) * TICK)?;
        if self.invariants.acknowledged_index() < last {
            let detail = format!("the healed cluster did not commit {last}");
            return Err(Broken {
                invariant: Invariant::Convergence,
                detail,
            });
        }
        self.check_convergence()
    }

    pub(super) fn run_until(&mut self, end: Time) -> Result<(), Broken> {
        while let Some(entry) = self.agenda.first_entry() {
            let (time, _) = *entry.key();
            if time > end {
                break;
            }
            self.now = time;
            let happening = entry.remove();
            self.summary.steps += 1;
            self.happen(happening)?;
        }
        Ok(())
    }

    pub(super) fn schedule(&mut self, delay: Time, happening: Happening) {
        self.sequence += 1;
        self.agenda
            .insert((self.now + delay, self.sequence), happening);
    }

    /// A process that is paused does what was due when it goes on.
    fn is_put_off(&self, happening: &Happening) -> Option<Time> {
        let id = match happening {
            Happening::Tick(id) | Happening::Synced { node: id, .. } => *id,
            Happening::Deliver(message) => message.to,
            Happening::Client | Happening::Fault | Happening::Restart(_) => return None,
        };
        let until = self.nodes[&id].paused_until;
        (until > self.now).then(|| until - self.now)
    }

    pub(super) fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        if let Some(delay) = self.is_put_off(&happening) {
            self.schedule(delay, happening);
            return Ok(());
        }
        match happening {
            Happening::Tick(id) => {
                let node = self.node(id);
                let pause = node.tick;
                if let Some(raft) = &mut node.raft {
                    raft.tick();
                    node.ticks += 1;
                }
                self.schedule(pause, Happening::Tick(id));
                self.carry_out(id)?;
                self.check_contact(id)
            }
            Happening::Deliver(message) => {
                let (id, from, term) = (message.to, message.from, message.term);
                if let Some(raft) = &mut self.node(id).raft {
                    raft.step(message);
                }
                self.note_heard(id, from, term);
                self.carry_out(id)
            }
            Happening::Synced { node, life, batch } => self.synced(node, life, batch),
            Happening::Client => self.client(),
            Happening::Fault => {
                self.fault()?;
                Ok(())
            }
            Happening::Restart(id) => self.start(id),
        }
    }

    pub(super) fn node(&mut self, id: NodeId) -> &mut Host {
        self.nodes
            .get_mut(&id)
            .expect("messages and events name nodes of the cluster")
    }

    pub(super) fn acknowledge(&mut self, id: LogId) {
        self.invariants.acknowledged(id);
        self.summary.writes += 1;
    }

    /// The leader that clients would find takes a last write.
    pub(super) fn write_at_leader(&mut self) -> Result<Index, Broken> {
        let running = self.nodes.values().filter_map(|node| node.raft.as_ref());
        let leads = running.filter(|raft| raft.role() == Role::Leader);
        let leader = leads.max_by_key(|raft| raft.term()).map(Raft::id);
        let written = leader.and_then(|leader| self.propose(leader));
        let (Some(leader), Some(id)) = (leader, written) else {
            let running = self.nodes.values().filter_map(|node| node.raft.as_ref());
            let standings = standings(&running.collect::<Vec<_>>());
            let detail = format!("nobody leads the healed cluster: {standings}");
            return Err(Broken {
                invariant: Invariant::Convergence,
                detail,
            });
        };
        self.carry_out(leader)?;
        Ok(id.index)
    }

    pub(super) fn any_node(&mut self) -> NodeId {
        let size = self.nodes.len() as u64;
        self.rng.random_range(1..=size)
    }

    /// One leader, and everyone has and has applied what it has.
    pub(super) fn check_convergence(&mut self) -> Result<(), Broken> {
        let broken = |detail| Broken {
            invariant: Invariant::Convergence,
            detail,
        };
        let rafts: Vec<&Raft> = self
            .nodes
            .values()
            .filter_map(|node| node.raft.as_ref())
            .collect();
        let leader = rafts
            .iter()
            .filter(|raft| raft.leader() == Some(raft.id()))
            .max_by_key(|raft| raft.term())
            .copied()
            .ok_or_else(|| broken(format!("nobody leads: {}", standings(&rafts))))?;
        let members = leader.members();
        let inside = rafts.iter().filter(|raft| members.contains(raft.id()));
        let rafts: Vec<&Raft> = inside.copied().collect();
        if members.is_joint() {
            return Err(broken(format!("the change to {members} is not over")));
        }
        for raft in &rafts {
            let is_equal = (raft.term(), raft.leader()) == (leader.term(), leader.leader());
            let floor = self.invariants.acknowledged_index();
            if !is_equal || raft.applied() < floor {
                return Err(broken(format!(
                    "node {} is at {} of term {} behind {:?}, and {floor} was acknowledged",
                    raft.id(),
                    raft.applied(),
                    raft.term(),
                    raft.leader(),
                )));
            }
        }
        self.invariants.check_durability(&rafts)
    }
}

/// Where everyone stands, in a line.
fn standings(rafts: &[&Raft]) -> String {
    let standing = |raft: &&Raft| {
        format!(
            "node {} is {:?} of {} in term {}, at {}, committed {}",
            raft.id(),
            raft.role(),
            raft.members(),
            raft.term(),
            raft.last(),
            raft.commit(),
        )
    };
    rafts.iter().map(standing).collect::<Vec<_>>().join("; ")
}
