//! Primary and backups in a world, with what their modes declare as invariants.

use std::collections::{BTreeMap, BTreeSet};

use ordeal_checker::model::RegisterOp;
use target_node::primary_backup::{Acknowledge, Body, Config, Message, PrimaryBackup};
use target_node::raft::{
    BatchId, Entry, Event, Index, LogId, NodeId, Opaque, Output, Payload, Role, Term,
};

use super::world::{Answer, Node, Op, Out, Past};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) acknowledge: Acknowledge,
    /// How many entries are applied from one snapshot to the next.
    pub(crate) snapshot_entries: Index,
}

type State = BTreeMap<u8, i64>;

pub(crate) struct Host {
    pub(crate) core: PrimaryBackup,
    setting: Setting,
    state: State,
    /// Who waits for which entry.
    writes: BTreeMap<Index, (LogId, u64)>,
    /// Which key a read is of.
    reads: BTreeMap<u64, (u64, u8)>,
    refused: Vec<u64>,
}

/// What happened in a run, and what must hold of it.
#[derive(Default)]
pub(crate) struct Log {
    /// What every entry ever written is, and which it follows: Log Matching.
    entries: BTreeMap<LogId, (LogId, Payload)>,
    primaries: BTreeMap<Term, NodeId>,
    pub(crate) acknowledged: BTreeSet<LogId>,
    /// Acknowledged and not in the log of a node when it was promoted, or acknowledged in an epoch
    /// that was already over: these may be lost.
    pub(crate) unprotected: BTreeSet<LogId>,
    newest_epoch: Term,
    pub(crate) went_alone: u64,
    pub(crate) rebuilt: u64,
    pub(crate) installed: u64,
}

impl Host {
    /// Whether an entry is in the log, or below it for all that can be told.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        let entries = self.core.entries(id.index, id.index);
        id.index <= self.core.base().index || entries.first().is_some_and(|entry| entry.id == id)
    }

    fn apply(&mut self, entry: &Entry) {
        if let Payload::Command(command) = &entry.payload {
            let (key, value) = postcard::from_bytes(command.as_bytes()).expect("our command");
            self.state.insert(key, value);
        }
    }

    fn carry(&mut self, output: Output<Message>, log: &mut Log) -> Out<Message> {
        let mut answers: Vec<_> = std::mem::take(&mut self.refused)
            .into_iter()
            .map(|name| (name, Answer::Refused))
            .collect();
        log.note(&output.send_now);
        for event in &output.events {
            log.tell(event, self.core.id());
        }
        if output.rebuild {
            log.rebuilt += 1;
            let snapshot = self.core.snapshot();
            let state = snapshot.map(|snapshot| postcard::from_bytes(snapshot.state.as_bytes()));
            self.state = state.map_or_else(State::new, |state| state.expect("our state"));
        }
        for entry in &output.committed {
            self.apply(entry);
            match self.writes.remove(&entry.id.index) {
                Some((id, name)) if id == entry.id => {
                    log.acknowledge(id);
                    answers.push((name, Answer::Written));
                }
                Some((_, name)) => answers.push((name, Answer::Lost)),
                None => {}
            }
        }
        for read in output.reads {
            let (name, key) = self.reads.remove(&read.name).expect("a read of ours");
            answers.push((name, Answer::Read(self.state.get(&key).copied())));
        }
        let due = self.core.applied() >= self.core.snapshot_index() + self.setting.snapshot_entries;
        if due || self.core.wants_snapshot() {
            let state = postcard::to_stdvec(&self.state).expect("a state can be written");
            self.core.compact(Opaque::from(state));
        }
        Out {
            batch: output.batch,
            send_now: output.send_now,
            send_durable: output.send_durable,
            barrier: output.barrier,
            answers,
        }
    }
}

impl Log {
    /// Two entries of one name are the same entry, behind the same one. Only what was sent counts:
    /// what a primary forgets in a crash was sent to nobody, and its name is free.
    fn note(&mut self, messages: &[Message]) {
        for message in messages {
            let Body::Append { prev, entries, .. } = &message.body else {
                continue;
            };
            let mut before = *prev;
            for entry in entries {
                let known = (before, entry.payload.clone());
                let first = self
                    .entries
                    .entry(entry.id)
                    .or_insert_with(|| known.clone());
                assert_eq!(*first, known, "two entries are called {}", entry.id);
                before = entry.id;
            }
        }
    }

    fn tell(&mut self, event: &Event, node: NodeId) {
        match event {
            Event::BecameLeader { term, .. } => {
                let first = *self.primaries.entry(*term).or_insert(node);
                assert_eq!(first, node, "epoch {term} has two primaries");
            }
            Event::WentAlone { .. } => self.went_alone += 1,
            Event::Installed { .. } => self.installed += 1,
            _ => {}
        }
    }

    fn acknowledge(&mut self, id: LogId) {
        self.acknowledged.insert(id);
        if id.term < self.newest_epoch {
            self.unprotected.insert(id);
        }
    }
}

impl Node for Host {
    type Message = Message;
    type Setting = Setting;
    type Log = Log;

    fn start(setting: &Setting, members: &BTreeSet<NodeId>, own: NodeId, past: Past) -> Self {
        let config = Config {
            heartbeat_ticks: 2,
            chunk_bytes_max: 3,
            trailing_entries: 2,
            append_bytes_max: 80,
            first_read: past.life << 32,
            ..Config::new(own, members.clone(), setting.acknowledge)
        };
        let snapshot = past.disk.snapshot.as_ref();
        let state = snapshot.map(|snapshot| postcard::from_bytes(snapshot.state.as_bytes()));
        Self {
            state: state.map_or_else(State::new, |state| state.expect("our state")),
            core: PrimaryBackup::new(config, past.disk).expect("a sound configuration"),
            setting: *setting,
            writes: BTreeMap::new(),
            reads: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    fn way(message: &Message) -> (NodeId, NodeId) {
        (message.from, message.to)
    }

    fn tick(&mut self) {
        self.core.tick();
    }

    fn step(&mut self, message: Message) {
        self.core.step(message);
    }

    fn persisted(&mut self, batch: BatchId) {
        self.core.persisted(batch);
    }

    fn ask(&mut self, name: u64, op: &Op) {
        match op.op {
            RegisterOp::Write(value) => {
                let command = postcard::to_stdvec(&(op.key, value)).expect("a command");
                match self.core.propose(Opaque::from(command)) {
                    Ok(id) => {
                        self.writes.insert(id.index, (id, name));
                    }
                    Err(_) => self.refused.push(name),
                }
            }
            _ => match self.core.read() {
                Ok(read) => {
                    self.reads.insert(read, (name, op.key));
                }
                Err(_) => self.refused.push(name),
            },
        }
    }

    fn promote(&mut self, log: &mut Log) {
        // Operators know what others have done: the epoch is above all others.
        let id = self.core.id();
        let next = (log.newest_epoch.max(self.core.term()) + 1..)
            .find(|&epoch| (epoch - 1) % 3 + 1 == id)
            .expect("every third epoch");
        self.core
            .promote(Some(next))
            .expect("a new epoch of its own");
        log.newest_epoch = next;
        let missing = log.acknowledged.iter().filter(|&&id| !self.holds(id));
        log.unprotected.extend(missing.copied().collect::<Vec<_>>());
    }

    fn out(&mut self, log: &mut Log) -> Vec<Out<Message>> {
        let output = self.core.take_output();
        let first = self.carry(output, log);
        // A snapshot that was taken meanwhile has to be handed out too.
        let output = self.core.take_output();
        vec![first, self.carry(output, log)]
    }
}

/// What is lost, of what was acknowledged: what the log of the last primary does not have.
pub(crate) fn lost<'a>(nodes: impl Iterator<Item = &'a Host>, log: &Log) -> BTreeSet<LogId> {
    let primaries = nodes.filter(|host| host.core.role() == Role::Leader);
    let last = primaries.max_by_key(|host| host.core.term());
    let last = last.expect("a healed world has a primary");
    let lost = log.acknowledged.iter().filter(|&&id| !last.holds(id));
    lost.copied().collect()
}
