//! One node of a simulation: a core with a disk, and what its driver would keep.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::client::Asked;
use super::disk::Disk;
use super::invariant::{Seen, is_quorum};
use super::summary::Count;
use super::world::{Happening, Time, World, place};
use super::{Broken, Disks, Invariant};
use crate::machine::Machine;
use crate::raft::{
    Batch, BatchId, Entry, Event, Index, LogId, Message, NodeId, Output, Raft, Role, Term,
};

pub(super) struct Host {
    pub(super) raft: Option<Raft>,
    pub(super) disk: Disk,
    /// Promises, each with the batch that must be durable first.
    held: VecDeque<(BatchId, Vec<Message>)>,
    pub(super) durable: BatchId,
    /// How often it was started; what was under way before a crash does not come back.
    life: u64,
    /// Between two ticks: clocks differ.
    pub(super) tick: Time,
    /// What clients of this node wait for.
    pub(super) waiting: BTreeMap<Index, Asked>,
    /// Reads under way, each with what had been acknowledged when it began.
    pub(super) reads: BTreeMap<u64, Index>,
    last_sync: Time,
    /// The state machine: the one that nodes have.
    pub(super) machine: Machine,
    /// Ticks of this life.
    pub(super) ticks: u64,
    /// For each peer the tick at which a message of it last came, and in which term it spoke.
    heard: Vec<(Term, u64)>,
    /// Since when the node leads without a break.
    leads_since: u64,
    /// Whether it checks its quorum in this life.
    check_quorum: bool,
    /// Until when the process is stopped.
    pub(super) paused_until: Time,
    /// What has come meanwhile.
    pub(super) backlog: Vec<Happening>,
}

impl Host {
    /// A node that was never started, with an empty disk, in a cluster of so many.
    pub(super) fn new(tick: Time, count: u64) -> Self {
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
            heard: (0..count).map(|_| (0, 0)).collect(),
            leads_since: 0,
            check_quorum: false,
            paused_until: 0,
            backlog: Vec::new(),
        }
    }
}

impl Host {
    /// Also where it could go on, but has not yet taken in what came before.
    pub(super) fn is_stopped(&self, now: Time) -> bool {
        self.paused_until > now || !self.backlog.is_empty()
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
        if self.node(id).raft.is_some() {
            return Ok(());
        }
        let now = self.now();
        let seed = self.rng.random();
        let is_purged = self.rng.random();
        let mut config = self.weather.config(&self.plan, id, &mut self.rng);
        let disks = self.plan.disks;
        let node = self.node(id);
        node.life += 1;
        if node.life == 1 && disks == Disks::Files {
            node.disk
                .use_files(seed)
                .map_err(|detail| broken_recovery(id, &detail))?;
        }
        config.first_read = node.life << 32;
        node.check_quorum = config.check_quorum;
        node.heard.fill((0, 0));
        let recovered = node.disk.recover(is_purged);
        let raft = Raft::new(config, recovered, ChaCha8Rng::seed_from_u64(seed));
        node.raft = Some(raft.expect("the configuration is sound"));
        node.durable = 0;
        node.last_sync = now;
        if node.life == 1 {
            let tick = node.tick;
            self.agenda.schedule(tick, Happening::Tick(id));
        }
        self.restore(id)
    }

    /// The state becomes that of the node's snapshot, which must be the one that everybody had
    /// after the same entry.
    fn restore(&mut self, id: NodeId) -> Result<(), Broken> {
        let node = &mut self.nodes[place(id)];
        let snapshot = node.raft.as_ref().and_then(Raft::snapshot);
        let last = snapshot.map_or(LogId::ZERO, |snapshot| snapshot.last);
        let machine = match snapshot {
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
        let luck = self.rng.random();
        let node = &mut self.nodes[place(id)];
        let Some(raft) = node.raft.take() else {
            return Ok(());
        };
        self.invariants.check_whole_log(&raft)?;
        let told = node.disk.crash(luck);
        let told = told.map_err(|detail| broken_recovery(id, &detail))?;
        node.held.clear();
        node.waiting.clear();
        node.reads.clear();
        node.paused_until = 0;
        self.invariants.crashed(id);
        let found = node.disk.synced().hard_state;
        self.invariants.persisted(id, found)?;
        self.summary.add(Count::Crashes, 1);
        for count in told {
            self.summary.add(count, 1);
        }
        self.resume(id)
    }

    pub(super) fn synced(&mut self, id: NodeId, life: u64, batch: BatchId) -> Result<(), Broken> {
        let node = &mut self.nodes[place(id)];
        let Some(raft) = node.raft.as_mut().filter(|_| node.life == life) else {
            return Ok(());
        };
        node.disk
            .sync(batch)
            .map_err(|detail| broken_recovery(id, &detail))?;
        let found = node.disk.synced().hard_state;
        self.invariants.persisted(id, found)?;
        node.durable = batch;
        raft.persisted(batch);
        while let Some((_, messages)) = self.nodes[place(id)]
            .held
            .pop_front_if(|(barrier, _)| *barrier <= batch)
        {
            self.send(id, messages)?;
        }
        self.carry_out(id)
    }

    /// What a driver does with the core's output; then the invariants.
    pub(super) fn carry_out(&mut self, id: NodeId) -> Result<(), Broken> {
        self.observe(id);
        let Some(raft) = &mut self.node(id).raft else {
            return Ok(());
        };
        let Output {
            batch,
            send_now,
            send_durable,
            barrier,
            rebuild,
            committed,
            reads,
            events,
        } = raft.take_output();
        if let Some(batch) = batch {
            self.write(id, batch);
        }
        self.send(id, send_now)?;
        if barrier <= self.node(id).durable {
            self.send(id, send_durable)?;
        } else if !send_durable.is_empty() {
            self.node(id).held.push_back((barrier, send_durable));
        }
        self.take_events(id, &events);
        self.check(id)?;
        if rebuild {
            self.restore(id)?;
        }
        for entry in &committed {
            self.apply(id, entry)?;
        }
        for read in reads {
            self.answer_read(id, read.name)?;
        }
        self.compact(id);
        Ok(())
    }

    fn write(&mut self, id: NodeId, batch: Batch) {
        let latency = self.rng.random_range(0..=self.weather.sync_max);
        let now = self.now();
        let node = self.node(id);
        // Batches become durable in order.
        node.last_sync = node.last_sync.max(now + latency);
        let (delay, life, number) = (node.last_sync - now, node.life, batch.id);
        node.disk.write(batch);
        let synced = Happening::Synced {
            node: id,
            life,
            batch: number,
        };
        self.agenda.schedule(delay, synced);
    }

    /// Tells the node what its own clock says.
    pub(super) fn observe(&mut self, id: NodeId) {
        let now = self.now();
        let node = self.node(id);
        let moment = now * 1000 / node.tick;
        if let Some(raft) = &mut node.raft {
            raft.observe(moment);
        }
    }

    fn check(&mut self, id: NodeId) -> Result<(), Broken> {
        let nodes = &self.nodes;
        let disks = |id: NodeId| nodes[place(id)].disk.synced();
        let raft = nodes[place(id)].raft.as_ref();
        let raft = raft.expect("only a running node is checked");
        if let Some(forgot) = raft.forgot() {
            return Err(broken_recovery(id, &format!("{forgot:?}")));
        }
        self.invariants.check_node(raft, &disks)
    }

    /// A message of this term has just been taken in.
    pub(super) fn note_heard(&mut self, id: NodeId, from: NodeId, term: Term) {
        let node = self.node(id);
        if node.raft.as_ref().is_some_and(|raft| raft.term() == term) {
            node.heard[place(from)] = (term, node.ticks);
        }
    }

    /// A leader that checks its quorum has heard a majority within two election timeouts, or has
    /// not led for so long yet.
    pub(super) fn check_contact(&self, id: NodeId) -> Result<(), Broken> {
        let node = &self.nodes[place(id)];
        let Some(raft) = &node.raft else {
            return Ok(());
        };
        let horizon = 2 * u64::from(self.weather.election_ticks);
        let is_fresh = |since: u64| node.ticks.saturating_sub(since) <= horizon;
        if raft.role() != Role::Leader || !node.check_quorum || is_fresh(node.leads_since) {
            return Ok(());
        }
        let is_heard = |(term, tick)| term == raft.term() && is_fresh(tick);
        let has = |peer| peer == id || is_heard(node.heard[place(peer)]);
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

    fn send(&mut self, id: NodeId, messages: Vec<Message>) -> Result<(), Broken> {
        for message in messages {
            let node = &self.nodes[place(id)];
            self.invariants
                .sent(&message, node.raft.as_ref(), node.disk.synced())?;
            let link = (message.from, message.to);
            let fate = self.network.send(link, &mut self.rng, &mut self.summary);
            let number = fate.number;
            let [first, second] = fate.delays;
            if let Some(delay) = second {
                let message = message.clone();
                let again = Happening::Deliver { message, number };
                self.agenda.schedule(delay, again);
            }
            if let Some(delay) = first {
                let once = Happening::Deliver { message, number };
                self.agenda.schedule(delay, once);
            }
        }
        Ok(())
    }

    fn take_events(&mut self, id: NodeId, events: &[Event]) {
        for event in events {
            let count = match event {
                Event::LostQuorum { .. } => Count::QuorumsLost,
                Event::TransferBegan { .. } => Count::Transfers,
                Event::Compacted { .. } => Count::Compacted,
                Event::Installed { .. } => Count::Installed,
                Event::Truncated { .. } => Count::Truncations,
                Event::BecameLeader { .. } => Count::Leaders,
                Event::Configured { .. } => {
                    // The contact with new members begins with them.
                    let node = self.node(id);
                    node.leads_since = node.ticks;
                    continue;
                }
                _ => continue,
            };
            self.summary.add(count, 1);
            if count == Count::Leaders {
                let node = self.node(id);
                node.leads_since = node.ticks;
            }
        }
    }

    fn apply(&mut self, id: NodeId, entry: &Entry) -> Result<(), Broken> {
        let node = self.node(id);
        let applied = node.machine.apply(entry.id, &entry.payload);
        let hash = node.machine.hash();
        let seen = Seen {
            applied: entry.id,
            hash,
        };
        self.invariants.applied(id, seen)?;
        self.check_once(id, entry.id)?;
        self.answer(id, entry, applied)
    }

    fn answer_read(&mut self, id: NodeId, read: u64) -> Result<(), Broken> {
        let node = self.node(id);
        let applied = node.raft.as_ref().map_or(0, Raft::applied);
        if let Some(floor) = node.reads.remove(&read) {
            self.clients.read(id, applied, floor)?;
            self.summary.add(Count::Reads, 1);
        }
        Ok(())
    }
}
