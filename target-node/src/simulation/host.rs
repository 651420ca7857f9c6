//! One node of a simulation: a core with a disk, and what its driver would keep.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::Broken;
use super::disk::Disk;
use super::network::Fate;
use super::world::{Happening, Time, World};
use crate::raft::{BatchId, Config, Entry, Event, Index, LogId, Message, NodeId, Output, Raft};

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
        }
    }
}

impl World {
    /// Starts a node with what its disk holds; nothing where it runs.
    pub(super) fn start(&mut self, id: NodeId) {
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

    pub(super) fn check(&mut self, id: NodeId) -> Result<(), Broken> {
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
            if let Event::BecameLeader { term, .. } = event {
                self.summary.leaders += 1;
                let raft = self.nodes[&id].raft.as_ref().expect("it just won");
                self.invariants.became_leader(raft, *term)?;
            }
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, id: NodeId, entry: &Entry) -> Result<(), Broken> {
        self.invariants.applied(id, entry)?;
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
