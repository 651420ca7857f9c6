//! One node of a simulation: a core with a disk, and what its driver would keep.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::disk::Disk;
use super::invariant::is_quorum;
use super::network::Fate;
use super::world::{Happening, Time, World};
use super::{Broken, Disks, Invariant};
use crate::machine::Machine;
use crate::raft::{
    BatchId, Config, Entry, Event, Index, LogId, Message, NodeId, Output, Raft, Role, Term,
};

pub(super) struct Host {
    pub(super) raft: Option<Raft>,
    pub(super) disk: Disk,
    /// Promises, each with the batch that must be durable first.
    pub(super) held: VecDeque<(BatchId, Vec<Message>)>,
    pub(super) durable: BatchId,
    /// How often it was started; what was under way before a crash does not come back.
    pub(super) life: u64,
    /// Between two ticks: clocks differ.
    pub(super) tick: Time,
    /// Names of entries that clients of this node wait for.
    pub(super) waiting: BTreeMap<Index, LogId>,
    /// Reads under way, each with what had been acknowledged when it began.
    pub(super) reads: BTreeMap<u64, Index>,
    pub(super) last_sync: Time,
    /// The state machine: the one that nodes have.
    pub(super) machine: Machine,
    /// Ticks of this life.
    pub(super) ticks: u64,
    /// For each peer the tick at which a message of it last came, and in which term it spoke.
    pub(super) heard: BTreeMap<NodeId, (Term, u64)>,
    /// Since when the node leads without a break.
    pub(super) leads_since: u64,
    /// Whether it checks its quorum in this life.
    pub(super) check_quorum: bool,
    /// Until when the process is paused.
    pub(super) paused_until: Time,
}

impl Host {
    /// A node that was never started, with an empty disk.
    pub(super) fn new(tick: Time) -> Self {
        Self {
            raft: None,
            disk: Disk::default(),
            held: VecDeque::new(),
            durable: 0,
            life: 0,
            tick,
            waiting: BTreeMap::new(),
            reads: BTreeMap::new(),
            last_sync: 0,
            machine: Machine::default(),
            ticks: 0,
            heard: BTreeMap::new(),
            leads_since: 0,
            check_quorum: false,
            paused_until: 0,
        }
    }
}

fn broken_recovery(id: NodeId, detail: &str) -> Broken {
    Broken {
        invariant: Invariant::Recovery,
        detail: format!("node {id}: {detail}"),
    }
}

impl World {
    /// Starts a node with what its disk holds; nothing where it runs.
    pub(super) fn start(&mut self, id: NodeId) -> Result<(), Broken> {
        let voters = match self.initial.contains(&id) {
            true => self.initial.clone(),
            false => BTreeSet::new(),
        };
        let (conf_change, conf_effective) = (self.weather.conf_change, self.weather.conf_effective);
        let now = self.now;
        let seed = self.rng.random();
        let pre_vote = self.weather.pre_vote.draw(&mut self.rng);
        let check_quorum = self.weather.check_quorum.draw(&mut self.rng);
        let (jitter, leases) = (self.weather.jitter, self.weather.leases);
        let is_purged = self.rng.random();
        let trailing_entries = self.rng.random_range(0..4);
        let defects = self.plan.defects;
        let disks = self.plan.disks;
        let node = self.node(id);
        if node.raft.is_some() {
            return Ok(());
        }
        node.life += 1;
        if node.life == 1 && disks == Disks::Files {
            node.disk
                .use_files(seed)
                .map_err(|detail| broken_recovery(id, &detail))?;
        }
        node.check_quorum = check_quorum;
        node.heard.clear();
        let config = Config {
            first_read: node.life << 32,
            append_bytes_max: 300,
            in_flight_max: 4,
            pre_vote,
            check_quorum,
            leases,
            conf_change,
            conf_effective,
            jitter,
            chunk_bytes_max: 700,
            trailing_entries,
            defects,
            ..Config::new(id, voters)
        };
        let recovered = node.disk.recover(is_purged);
        let raft = Raft::new(config, recovered, ChaCha8Rng::seed_from_u64(seed));
        node.raft = Some(raft.expect("the configuration is sound"));
        node.durable = 0;
        node.last_sync = now;
        self.restore(id)?;
        if self.node(id).life == 1 {
            let tick = self.node(id).tick;
            self.schedule(tick, Happening::Tick(id));
        }
        Ok(())
    }

    /// The state becomes that of the node's snapshot, which must be the one that everybody had
    /// after the same entry.
    fn restore(&mut self, id: NodeId) -> Result<(), Broken> {
        let node = self.node(id);
        let snapshot = node.raft.as_ref().and_then(Raft::snapshot).cloned();
        let last = snapshot
            .as_ref()
            .map_or(LogId::ZERO, |snapshot| snapshot.last);
        let machine = match &snapshot {
            None => Some(Machine::default()),
            Some(snapshot) => Machine::decode(&snapshot.state).ok(),
        };
        let hash = machine.as_ref().map(Machine::hash);
        node.machine = machine.unwrap_or_default();
        self.invariants.restored(id, last, hash)
    }

    /// Takes a snapshot where enough was applied since the last one.
    fn compact(&mut self, id: NodeId) {
        let Some(pause) = self.weather.snapshot_entries else {
            return;
        };
        let node = self.node(id);
        if let Some(raft) = &mut node.raft
            && raft.applied() >= raft.snapshot_index() + pause
        {
            raft.compact(node.machine.encode());
        }
    }

    /// The process is gone, and with it what its disk had not synced, or part of that.
    pub(super) fn crash(&mut self, id: NodeId) -> Result<(), Broken> {
        let kept = self.rng.random();
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        if node.raft.take().is_none() {
            return Ok(());
        }
        node.disk
            .crash(kept)
            .map_err(|detail| broken_recovery(id, &detail))?;
        node.held.clear();
        node.waiting.clear();
        node.reads.clear();
        self.invariants.crashed(id);
        self.summary.crashes += 1;
        Ok(())
    }

    pub(super) fn synced(&mut self, id: NodeId, life: u64, batch: BatchId) -> Result<(), Broken> {
        let node = self.node(id);
        let Some(raft) = &mut node.raft else {
            return Ok(());
        };
        if node.life != life {
            return Ok(());
        }
        node.disk
            .sync(batch)
            .map_err(|detail| broken_recovery(id, &detail))?;
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
    pub(super) fn carry_out(&mut self, id: NodeId) -> Result<(), Broken> {
        self.observe(id);
        let Some(raft) = &mut self.node(id).raft else {
            return Ok(());
        };
        let output = raft.take_output();
        let Output {
            batch,
            send_now,
            send_durable,
            barrier,
            rebuild,
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
        if rebuild {
            self.restore(id)?;
        }
        for entry in &committed {
            self.apply(id, entry)?;
        }
        for read in reads {
            self.answer_read(id, read)?;
        }
        self.compact(id);
        Ok(())
    }

    /// Tells the node what its own clock says.
    pub(super) fn observe(&mut self, id: NodeId) {
        let now = self.now;
        let node = self.node(id);
        let moment = now * 1000 / node.tick;
        if let Some(raft) = &mut node.raft {
            raft.observe(moment);
        }
    }

    pub(super) fn check(&mut self, id: NodeId) -> Result<(), Broken> {
        let nodes = &self.nodes;
        let disks = |id: NodeId| nodes[&id].disk.synced();
        let raft = nodes[&id].raft.as_ref();
        let raft = raft.expect("only a running node is checked");
        self.invariants.check_node(raft, &disks)
    }

    /// A message of this term has just been taken in.
    pub(super) fn note_heard(&mut self, id: NodeId, from: NodeId, term: Term) {
        let node = self.node(id);
        if node.raft.as_ref().is_some_and(|raft| raft.term() == term) {
            node.heard.insert(from, (term, node.ticks));
        }
    }

    /// A leader that checks its quorum has heard a majority within two election timeouts, or has
    /// not led for so long yet.
    pub(super) fn check_contact(&self, id: NodeId) -> Result<(), Broken> {
        let node = &self.nodes[&id];
        let Some(raft) = &node.raft else {
            return Ok(());
        };
        let horizon = 2 * u64::from(Config::new(id, self.initial.clone()).election_ticks);
        let is_fresh = |since: u64| node.ticks.saturating_sub(since) <= horizon;
        if raft.role() != Role::Leader || !node.check_quorum || is_fresh(node.leads_since) {
            return Ok(());
        }
        let is_heard = |(term, tick)| term == raft.term() && is_fresh(tick);
        let has = |peer| peer == id || node.heard.get(&peer).copied().is_some_and(is_heard);
        if is_quorum(raft.members(), has) {
            return Ok(());
        }
        let detail = format!(
            "node {id} leads term {} of {} without a quorum in contact",
            raft.term(),
            raft.members()
        );
        Err(Broken {
            invariant: Invariant::LeaderInContact,
            detail,
        })
    }

    pub(super) fn send(&mut self, messages: Vec<Message>) -> Result<(), Broken> {
        for message in messages {
            self.invariants.sent(&message)?;
            let fates = self.network.send(&message, &mut self.rng);
            for Fate { delay } in fates {
                self.schedule(delay, Happening::Deliver(message.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn take_events(&mut self, id: NodeId, events: &[Event]) -> Result<(), Broken> {
        for event in events {
            match event {
                Event::LostQuorum { .. } => self.summary.quorums_lost += 1,
                Event::TransferBegan { .. } => self.summary.transfers += 1,
                Event::Configured { .. } => {
                    // The contact with new members begins with them.
                    let node = self.node(id);
                    node.leads_since = node.ticks;
                }
                Event::Compacted { .. } => self.summary.compacted += 1,
                Event::Installed { .. } => self.summary.installed += 1,
                _ => {}
            }
            if let Event::BecameLeader { term, .. } = event {
                self.summary.leaders += 1;
                let node = self.node(id);
                node.leads_since = node.ticks;
                let raft = self.nodes[&id].raft.as_ref().expect("it just won");
                self.invariants.became_leader(raft, *term)?;
            }
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, id: NodeId, entry: &Entry) -> Result<(), Broken> {
        let node = self.node(id);
        let applied = node.machine.apply(entry.id, &entry.payload);
        let hash = node.machine.hash();
        self.invariants.applied(id, entry, hash)?;
        self.check_once(id, entry)?;
        if self.node(id).waiting.remove(&entry.id.index) == Some(entry.id) {
            self.acknowledge(entry.id);
            if let Some(applied) = applied {
                self.answered(entry, &applied)?;
            }
        }
        Ok(())
    }

    pub(super) fn answer_read(&mut self, id: NodeId, read: u64) -> Result<(), Broken> {
        let node = self.node(id);
        let applied = node.raft.as_ref().map_or(0, Raft::applied);
        if let Some(floor) = node.reads.remove(&read) {
            self.invariants.read(id, applied, floor)?;
            self.summary.reads += 1;
        }
        Ok(())
    }
}
