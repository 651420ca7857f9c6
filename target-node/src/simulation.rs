//! A whole cluster in one thread and in virtual time: the same core, on a network and disks that
//! do their worst, with the invariants checked after every step.
//!
//! A seed decides everything: the size of the cluster, how bad the network and the disks are,
//! what fails when, what clients ask. So a failing seed is a complete bug report.
//!
//! ```text
//!   faults until `Plan::ticks`         then all is healed                 verdict
//!   │ loss, delay, doubles, cuts,      │ everyone runs, nothing is lost:  │ converged, and every
//!   │ crashes that lose unsynced data  │ one leader, equal logs           │ acknowledged write there
//! ```

mod disk;
mod invariant;
mod network;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use thiserror::Error;

use crate::defect::{Defect, Defects};
use crate::raft::{
    BatchId, Config, Entry, Event, Index, LogId, Message, NodeId, Opaque, Output, Raft, Role,
};
use disk::Disk;
use invariant::Invariants;
use network::{Fate, Network};

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long faults happen.
    pub ticks: u64,
    /// What is deliberately wrong in every node.
    pub defects: Defects,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            ticks: 300,
            defects: Defects::NONE,
        }
    }
}

/// What happened in a simulation that found nothing wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps taken.
    pub steps: u64,
    /// Elections won.
    pub leaders: u64,
    /// Writes acknowledged.
    pub writes: u64,
    /// Linearizable reads answered.
    pub reads: u64,
    /// Crashes.
    pub crashes: u64,
}

/// A broken invariant: with the same plan, the seed shows it again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("seed {seed}, time {time}: {broken}")]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// When, in tenths of a tick.
    pub time: u64,
    /// Which invariant, and how.
    pub broken: Broken,
}

/// Which invariant was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The invariant.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.detail)
    }
}

/// What must always hold (Raft paper, figure 3), and what clients are promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// At most one leader in a term.
    ElectionSafety,
    /// A node votes for one candidate in a term, across crashes.
    OneVote,
    /// A leader never drops or replaces an entry of its own log.
    LeaderAppendOnly,
    /// Two logs that have the same entry are equal up to it.
    LogMatching,
    /// What was committed in a term is in the log of every leader of a later one.
    LeaderCompleteness,
    /// All nodes apply the same entries in the same order.
    StateMachineSafety,
    /// What a leader commits is on the disks of a majority.
    CommitOnQuorum,
    /// `applied <= commit`, `applied <= durable <= last`, and neither commit nor term falls.
    Order,
    /// A read sees every write that was acknowledged before it began.
    FreshReads,
    /// An acknowledged write is in every log in the end.
    Durability,
    /// After all is healed: one leader, equal logs, and it serves.
    Convergence,
}

/// Tenths of a tick.
type Time = u64;

/// A tick of a clock that runs right.
const TICK: Time = 10;

/// How long clients go on after all is healed, in ticks: the cluster must serve them by then.
const SERVING_TICKS: u64 = 200;

/// How long the cluster then has to agree on the last of it, in ticks.
const QUIET_TICKS: u64 = 60;

#[derive(Debug)]
enum Happening {
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
struct Weather {
    sync_max: Time,
    client_pause: Time,
    fault_pause: Time,
    crash_share: f64,
}

struct Node {
    raft: Option<Raft>,
    disk: Disk,
    /// Promises, each with the batch that must be durable first.
    held: VecDeque<(BatchId, Vec<Message>)>,
    durable: BatchId,
    /// How often it was started; what was under way before a crash does not come back.
    life: u64,
    /// Between two ticks: clocks differ.
    tick: Time,
    /// Names of entries that clients of this node wait for.
    waiting: BTreeMap<Index, LogId>,
    /// Reads under way, each with what had been acknowledged when it began.
    reads: BTreeMap<u64, Index>,
    last_sync: Time,
}

/// A cluster under trial.
struct Simulation {
    plan: Plan,
    rng: ChaCha8Rng,
    now: Time,
    /// Orders what happens at the same time.
    sequence: u64,
    agenda: BTreeMap<(Time, u64), Happening>,
    nodes: BTreeMap<NodeId, Node>,
    network: Network,
    weather: Weather,
    invariants: Invariants,
    summary: Summary,
    next_value: u64,
    is_healed: bool,
    is_quiet: bool,
}

/// Simulates one seed.
///
/// # Errors
/// The first broken invariant.
pub fn run(seed: u64, plan: &Plan) -> Result<Summary, Violation> {
    let mut simulation = Simulation::new(seed, *plan);
    let end = simulation.live();
    let (summary, time) = (simulation.summary, simulation.now);
    end.map(|()| summary)
        .map_err(|broken| Violation { seed, time, broken })
}

impl Simulation {
    fn new(seed: u64, plan: Plan) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let size = [3, 3, 3, 4, 5][rng.random_range(0..5)];
        let ids: BTreeSet<NodeId> = (1..=size).collect();
        let weather = Weather {
            sync_max: [0, 5, 20, 60][rng.random_range(0..4)],
            client_pause: [5, 20, 60][rng.random_range(0..3)],
            fault_pause: [150, 300, 600][rng.random_range(0..3)],
            crash_share: [0.0, 0.4, 0.8][rng.random_range(0..3)],
        };
        let mut simulation = Self {
            plan,
            now: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            nodes: BTreeMap::new(),
            network: Network::new(&ids, &mut rng),
            weather,
            invariants: Invariants::new(ids.len()),
            summary: Summary::default(),
            next_value: 0,
            is_healed: false,
            is_quiet: false,
            rng,
        };
        for &id in &ids {
            let tick = simulation.rng.random_range(8..=12);
            let node = Node {
                raft: None,
                disk: Disk::default(),
                held: VecDeque::new(),
                durable: 0,
                life: 0,
                tick,
                waiting: BTreeMap::new(),
                reads: BTreeMap::new(),
                last_sync: 0,
            };
            simulation.nodes.insert(id, node);
            simulation.start(id);
        }
        simulation.schedule(TICK * 20, Happening::Client);
        simulation.schedule(TICK * 20, Happening::Fault);
        simulation
    }

    fn live(&mut self) -> Result<(), Broken> {
        self.run_until(self.plan.ticks * TICK)?;
        self.heal();
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

    fn run_until(&mut self, end: Time) -> Result<(), Broken> {
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

    fn schedule(&mut self, delay: Time, happening: Happening) {
        self.sequence += 1;
        self.agenda
            .insert((self.now + delay, self.sequence), happening);
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Tick(id) => {
                let node = self.node(id);
                let pause = node.tick;
                if let Some(raft) = &mut node.raft {
                    raft.tick();
                }
                self.schedule(pause, Happening::Tick(id));
                self.carry_out(id)
            }
            Happening::Deliver(message) => {
                let id = message.to;
                if let Some(raft) = &mut self.node(id).raft {
                    raft.step(message);
                }
                self.carry_out(id)
            }
            Happening::Synced { node, life, batch } => self.synced(node, life, batch),
            Happening::Client => self.client(),
            Happening::Fault => {
                self.fault();
                Ok(())
            }
            Happening::Restart(id) => {
                self.start(id);
                Ok(())
            }
        }
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes
            .get_mut(&id)
            .expect("messages and events name nodes of the cluster")
    }

    /// Starts a node with what its disk holds; nothing where it runs.
    fn start(&mut self, id: NodeId) {
        let voters = self.network.ids().clone();
        let now = self.now;
        let seed = self.rng.random();
        let defects = self.plan.defects;
        let node = self.node(id);
        if node.raft.is_some() {
            return;
        }
        node.life += 1;
        let config = Config {
            first_read: node.life << 32,
            append_bytes_max: 80,
            in_flight_max: 4,
            defects,
            ..Config::new(id, voters)
        };
        let recovered = node.disk.recover();
        let raft = Raft::new(config, recovered, ChaCha8Rng::seed_from_u64(seed));
        node.raft = Some(raft.expect("the configuration is sound"));
        node.durable = 0;
        node.last_sync = now;
        if self.node(id).life == 1 {
            let tick = self.node(id).tick;
            self.schedule(tick, Happening::Tick(id));
        }
    }

    /// The process is gone, and with it what its disk had not synced, or part of that.
    fn crash(&mut self, id: NodeId) {
        let kept = self.rng.random();
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        if node.raft.take().is_none() {
            return;
        }
        node.disk.crash(kept);
        node.held.clear();
        node.waiting.clear();
        node.reads.clear();
        self.invariants.crashed(id);
        self.summary.crashes += 1;
    }

    fn synced(&mut self, id: NodeId, life: u64, batch: BatchId) -> Result<(), Broken> {
        let node = self.node(id);
        let Some(raft) = &mut node.raft else {
            return Ok(());
        };
        if node.life != life {
            return Ok(());
        }
        node.disk.sync(batch);
        node.durable = batch;
        raft.persisted(batch);
        let mut released = Vec::new();
        while node
            .held
            .front()
            .is_some_and(|&(barrier, _)| barrier <= batch)
        {
            released.extend(node.held.pop_front().expect("a front was just seen").1);
        }
        self.send(released)?;
        self.carry_out(id)
    }

    /// What a driver does with the core's output; then the invariants.
    fn carry_out(&mut self, id: NodeId) -> Result<(), Broken> {
        let Some(raft) = &mut self.node(id).raft else {
            return Ok(());
        };
        let output = raft.take_output();
        let Output {
            batch,
            send_now,
            send_durable,
            barrier,
            // Applying from the beginning again is what the invariants below object to.
            rebuild: _,
            committed,
            reads,
            events,
        } = output;
        if let Some(batch) = batch {
            let latency = self.rng.random_range(0..=self.weather.sync_max);
            let now = self.now;
            let node = self.node(id);
            // Batches become durable in order.
            node.last_sync = node.last_sync.max(now + latency);
            let (delay, life, number) = (node.last_sync - now, node.life, batch.id);
            node.disk.write(batch);
            self.schedule(
                delay,
                Happening::Synced {
                    node: id,
                    life,
                    batch: number,
                },
            );
        }
        self.send(send_now)?;
        if barrier <= self.node(id).durable {
            self.send(send_durable)?;
        } else if !send_durable.is_empty() {
            self.node(id).held.push_back((barrier, send_durable));
        }
        self.take_events(id, &events)?;
        self.check(id)?;
        for entry in &committed {
            self.apply(id, entry)?;
        }
        for read in reads {
            self.answer_read(id, read)?;
        }
        Ok(())
    }

    fn check(&mut self, id: NodeId) -> Result<(), Broken> {
        let disks = self
            .nodes
            .values()
            .map(|node| &*node.disk.synced().entries)
            .collect::<Vec<_>>();
        let raft = self.nodes[&id]
            .raft
            .as_ref()
            .expect("only a running node is checked");
        self.invariants.check_node(raft, &disks)
    }

    fn send(&mut self, messages: Vec<Message>) -> Result<(), Broken> {
        for message in messages {
            self.invariants.sent(&message)?;
            let fates = self.network.send(&message, &mut self.rng);
            for Fate { delay } in fates {
                self.schedule(delay, Happening::Deliver(message.clone()));
            }
        }
        Ok(())
    }

    fn take_events(&mut self, id: NodeId, events: &[Event]) -> Result<(), Broken> {
        for event in events {
            if let Event::BecameLeader { term, .. } = event {
                self.summary.leaders += 1;
                let raft = self.nodes[&id].raft.as_ref().expect("it just won");
                self.invariants.became_leader(raft, *term)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, id: NodeId, entry: &Entry) -> Result<(), Broken> {
        self.invariants.applied(id, entry)?;
        if self.node(id).waiting.remove(&entry.id.index) == Some(entry.id) {
            self.acknowledge(entry.id);
        }
        Ok(())
    }

    fn acknowledge(&mut self, id: LogId) {
        self.invariants.acknowledged(id);
        self.summary.writes += 1;
    }

    fn answer_read(&mut self, id: NodeId, read: u64) -> Result<(), Broken> {
        let node = self.node(id);
        let applied = node.raft.as_ref().map_or(0, Raft::applied);
        if let Some(floor) = node.reads.remove(&read) {
            self.invariants.read(id, applied, floor)?;
            self.summary.reads += 1;
        }
        Ok(())
    }

    /// A client asks some node something.
    fn client(&mut self) -> Result<(), Broken> {
        if self.is_quiet {
            return Ok(());
        }
        let pause = self.rng.random_range(1..=self.weather.client_pause);
        self.schedule(pause, Happening::Client);
        let id = self.any_node();
        let floor = self.invariants.acknowledged_index();
        if self.rng.random_bool(0.5) {
            let node = self.node(id);
            if let Some(read) = node.raft.as_mut().and_then(|raft| raft.read().ok()) {
                node.reads.insert(read, floor);
            }
        } else {
            self.propose(id);
        }
        self.carry_out(id)
    }

    fn propose(&mut self, id: NodeId) -> Option<LogId> {
        self.next_value += 1;
        let command = Opaque::from(self.next_value.to_string().into_bytes());
        let is_early = self.plan.defects.has(Defect::AckOnAppend);
        let node = self.node(id);
        let proposed = node.raft.as_mut()?.propose(command).ok()?;
        if is_early {
            self.acknowledge(proposed);
        } else {
            node.waiting.insert(proposed.index, proposed);
        }
        Some(proposed)
    }

    /// The leader that clients would find takes a last write.
    fn write_at_leader(&mut self) -> Result<Index, Broken> {
        let running = self.nodes.values().filter_map(|node| node.raft.as_ref());
        let leads = running.filter(|raft| raft.role() == Role::Leader);
        let leader = leads.max_by_key(|raft| raft.term()).map(Raft::id);
        let written = leader.and_then(|leader| self.propose(leader));
        let (Some(leader), Some(id)) = (leader, written) else {
            let detail = "nobody leads the healed cluster".to_owned();
            return Err(Broken {
                invariant: Invariant::Convergence,
                detail,
            });
        };
        self.carry_out(leader)?;
        Ok(id.index)
    }

    fn any_node(&mut self) -> NodeId {
        let size = self.nodes.len() as u64;
        self.rng.random_range(1..=size)
    }

    fn fault(&mut self) {
        if self.is_healed {
            return;
        }
        let pause = self.rng.random_range(TICK..=self.weather.fault_pause);
        self.schedule(pause, Happening::Fault);
        if self.rng.random_bool(self.weather.crash_share) {
            let everyone = self.rng.random_bool(0.1);
            let victims = match everyone {
                true => self.network.ids().clone(),
                false => BTreeSet::from([self.any_node()]),
            };
            for id in victims {
                self.crash(id);
                let pause = self.rng.random_range(1..=20 * TICK);
                self.schedule(pause, Happening::Restart(id));
            }
        } else {
            self.network.change(&mut self.rng);
        }
    }

    /// From here on the world is as Raft needs it to make progress: a message and a sync take
    /// little time beside an election time-out (Raft paper, section 5.6).
    fn heal(&mut self) {
        self.is_healed = true;
        self.network.heal();
        self.weather.sync_max = self.weather.sync_max.min(TICK / 2);
        for id in self.network.ids().clone() {
            self.start(id);
        }
    }

    /// One leader, and everyone has and has applied what it has.
    fn check_convergence(&mut self) -> Result<(), Broken> {
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
            .ok_or_else(|| broken("nobody leads".to_owned()))?;
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
