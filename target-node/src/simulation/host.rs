//! One node of a simulation: a core with a disk, and what its driver would keep.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::disk::Disk;
use super::network::Fate;
use super::world::{Happening, Time, World};
use super::{Broken, Invariant};
use crate::raft::{
    BatchId, Config, Entry, Event, Index, LogId, Message, NodeId, Opaque, Output, Payload, Raft,
    Role, Term,
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
    /// The state machine: a hash over everything applied, in order.
    pub(super) state: State,
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

/// A state machine that forgets nothing of the order: each entry changes all that follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State(u64);

impl State {
    fn apply(&mut self, entry: &Entry) {
        let LogId { term, index } = entry.id;
        let payload = match &entry.payload {
            Payload::Noop => &[],
            Payload::Command(command) => command.as_bytes(),
        };
        let numbers = [
            self.0.to_le_bytes(),
            term.to_le_bytes(),
            index.to_le_bytes(),
        ];
        let bytes = [numbers.as_flattened(), payload].concat();
        // FNV-1a: nobody chooses these bytes to collide.
        self.0 = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    }

    fn encode(self) -> Opaque {
        Opaque::from(&self.0.to_le_bytes()[..])
    }

    fn decode(state: &Opaque) -> Option<Self> {
        let bytes = state.as_bytes().try_into().ok()?;
        Some(Self(u64::from_le_bytes(bytes)))
    }
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
            state: State::default(),
            ticks: 0,
            heard: BTreeMap::new(),
            leads_since: 0,
            check_quorum: false,
            paused_until: 0,
        }
    }
}

impl World {
    /// Starts a node with what its disk holds; nothing where it runs.
    pub(super) fn start(&mut self, id: NodeId) -> Result<(), Broken> {
        let voters = self.network.ids().clone();
        let now = self.now;
        let seed = self.rng.random();
        let pre_vote = self.weather.pre_vote.draw(&mut self.rng);
        let check_quorum = self.weather.check_quorum.draw(&mut self.rng);
        let (jitter, leases) = (self.weather.jitter, self.weather.leases);
        let is_purged = self.rng.random();
        let trailing_entries = self.rng.random_range(0..4);
        let defects = self.plan.defects;
        let node = self.node(id);
        if node.raft.is_some() {
            return Ok(());
        }
        node.life += 1;
        node.check_quorum = check_quorum;
        node.heard.clear();
        let config = Config {
            first_read: node.life << 32,
            append_bytes_max: 80,
            in_flight_max: 4,
            pre_vote,
            check_quorum,
            leases,
            jitter,
            chunk_bytes_max: 3,
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
        let state = match &snapshot {
            None => Some(State::default()),
            Some(snapshot) => State::decode(&snapshot.state),
        };
        node.state = state.unwrap_or_default();
        self.invariants.restored(id, last, state)
    }

    /// Takes a snapshot where enough was applied since the last one.
    fn compact(&mut self, id: NodeId) {
        let Some(pause) = self.weather.snapshot_entries else {
            return;
        };
        let node = self.node(id);
        let state = node.state.encode();
        if let Some(raft) = &mut node.raft
            && raft.applied() >= raft.snapshot_index() + pause
        {
            raft.compact(state);
        }
    }

    /// The process is gone, and with it what its disk had not synced, or part of that.
    pub(super) fn crash(&mut self, id: NodeId) {
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

    pub(super) fn synced(&mut self, id: NodeId, life: u64, batch: BatchId) -> Result<(), Broken> {
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
        let disks = self
            .nodes
            .values()
            .map(|node| node.disk.synced())
            .collect::<Vec<_>>();
        let raft = self.nodes[&id]
            .raft
            .as_ref()
            .expect("only a running node is checked");
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
        let horizon = 2 * u64::from(Config::new(id, self.network.ids().clone()).election_ticks);
        let is_fresh = |since: u64| node.ticks.saturating_sub(since) <= horizon;
        if raft.role() != Role::Leader || !node.check_quorum || is_fresh(node.leads_since) {
            return Ok(());
        }
        let heard = node.heard.values();
        let heard = heard.filter(|&&(term, tick)| term == raft.term() && is_fresh(tick));
        let count = 1 + heard.count();
        if count > self.nodes.len() / 2 {
            return Ok(());
        }
        let detail = format!(
            "node {id} leads term {} with {count} in contact",
            raft.term()
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
        node.state.apply(entry);
        let state = node.state;
        self.invariants.applied(id, entry, state)?;
        if self.node(id).waiting.remove(&entry.id.index) == Some(entry.id) {
            self.acknowledge(entry.id);
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
