//! The nodes of a conversation, the messages between them, and their disks, whatever their core.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};

use target_node::raft::{Batch, BatchId, Entry, HardState, NodeId, Recovered};

use super::words::Words;

/// What a stage needs of a core.
pub(crate) trait Core: Sized {
    type Message: Clone + Display;
    /// What a command may choose when it begins a cluster.
    type Choice: Clone + Default;

    fn choose(words: &Words<'_>) -> Self::Choice;
    fn make(choice: &Self::Choice, ids: &BTreeSet<NodeId>, own: NodeId, from: Past) -> Self;
    fn way(message: &Self::Message) -> (NodeId, NodeId);
    fn tick(&mut self);
    fn step(&mut self, message: Self::Message);
    fn persisted(&mut self, batch: BatchId);
    /// A command that only this core has; its refusal.
    fn input(&mut self, name: &str, words: &Words<'_>) -> Result<(), String>;
    fn take(&mut self) -> Vec<Taken<Self::Message>>;
    fn status(&self) -> String;
}

/// What a core begins with.
pub(crate) struct Past {
    pub(crate) disk: Recovered,
    pub(crate) life: u64,
}

/// An output, with what is of interest beside messages and batches told in lines.
pub(crate) struct Taken<M> {
    pub(crate) told: Vec<String>,
    pub(crate) batch: Option<Batch>,
    pub(crate) send_now: Vec<M>,
    pub(crate) send_durable: Vec<M>,
    pub(crate) barrier: BatchId,
    pub(crate) after: Vec<String>,
}

pub(crate) struct Stage<C: Core> {
    choice: C::Choice,
    ids: BTreeSet<NodeId>,
    nodes: BTreeMap<NodeId, Actor<C>>,
    flight: Vec<C::Message>,
    cut: BTreeSet<NodeId>,
    told: String,
}

struct Actor<C: Core> {
    core: Option<C>,
    disk: Recovered,
    pending: Vec<Batch>,
    held: Vec<(BatchId, C::Message)>,
    durable: BatchId,
    life: u64,
}

impl<C: Core> Default for Stage<C> {
    fn default() -> Self {
        Self {
            choice: C::Choice::default(),
            ids: BTreeSet::new(),
            nodes: BTreeMap::new(),
            flight: Vec::new(),
            cut: BTreeSet::new(),
            told: String::new(),
        }
    }
}

impl<C: Core> Stage<C> {
    /// Does what a line says; returns what happened.
    pub(crate) fn act(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let words = Words::new(words);
        match name {
            "cluster" => self.begin(&words),
            "tick" => {
                for _ in 0..words.number("times", 1) {
                    self.input(words.node(), C::tick);
                }
            }
            "persist" => self.persist(words.node()),
            "deliver" => self.deliver(&words),
            "drop" => {
                self.take(&words);
            }
            "settle" => self.settle(),
            "cut" => {
                self.cut.insert(words.node());
            }
            "heal" => {
                self.cut.remove(&words.node());
            }
            "crash" => self.crash(words.node()),
            "restart" => self.start(words.node()),
            "flight" => {
                for message in self.flight.clone() {
                    self.tell(&message.to_string());
                }
            }
            "status" => self.show_status(),
            other => {
                let mut refusal = None;
                self.input(words.node(), |core| {
                    refusal = core.input(other, &words).err();
                });
                if let Some(refusal) = refusal {
                    self.tell(&format!("n{}: refuses: {refusal}", words.node()));
                }
            }
        }
        std::mem::take(&mut self.told)
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.told, "{line}").unwrap();
    }

    fn begin(&mut self, words: &Words<'_>) {
        self.choice = C::choose(words);
        self.ids = (1..=words.number("nodes", 3)).collect();
        self.flight.clear();
        self.cut.clear();
        self.nodes.clear();
        for id in self.ids.clone() {
            self.nodes.insert(id, Actor::new(Recovered::default(), 0));
            self.start(id);
        }
    }

    fn start(&mut self, id: NodeId) {
        let actor = self.nodes.get_mut(&id).unwrap();
        actor.life += 1;
        let past = Past {
            disk: actor.disk.clone(),
            life: actor.life,
        };
        actor.core = Some(C::make(&self.choice, &self.ids, id, past));
        self.input(id, |_| {});
    }

    fn crash(&mut self, id: NodeId) {
        let actor = self.nodes.get_mut(&id).unwrap();
        *actor = Actor::new(std::mem::take(&mut actor.disk), actor.life);
    }

    fn input(&mut self, id: NodeId, act: impl FnOnce(&mut C)) {
        let Some(core) = &mut self.nodes.get_mut(&id).unwrap().core else {
            return;
        };
        act(core);
        for taken in core.take() {
            self.carry_out(id, taken);
        }
    }

    /// What a driver does with an output, and says about it.
    fn carry_out(&mut self, id: NodeId, taken: Taken<C::Message>) {
        for line in taken.told {
            self.tell(&format!("n{id}: {line}"));
        }
        if let Some(batch) = taken.batch {
            self.tell(&format!("n{id}: persists {}", shown(&batch)));
            self.nodes.get_mut(&id).unwrap().pending.push(batch);
        }
        for message in taken.send_now {
            self.send(message);
        }
        for message in taken.send_durable {
            if taken.barrier <= self.nodes[&id].durable {
                self.send(message);
            } else {
                self.tell(&format!("  until #{} is durable: {message}", taken.barrier));
                let held = &mut self.nodes.get_mut(&id).unwrap().held;
                held.push((taken.barrier, message));
            }
        }
        for line in taken.after {
            self.tell(&format!("n{id}: {line}"));
        }
    }

    fn send(&mut self, message: C::Message) {
        let (from, to) = C::way(&message);
        if self.cut.contains(&from) || self.cut.contains(&to) {
            return self.tell(&format!("  lost: {message}"));
        }
        self.tell(&format!("  {message}"));
        self.flight.push(message);
    }

    fn persist(&mut self, id: NodeId) {
        let actor = self.nodes.get_mut(&id).unwrap();
        let Some(last) = actor.pending.last().map(|batch| batch.id) else {
            return;
        };
        for batch in std::mem::take(&mut actor.pending) {
            write(&mut actor.disk, batch);
        }
        actor.durable = last;
        let (free, held) = std::mem::take(&mut actor.held)
            .into_iter()
            .partition::<Vec<_>, _>(|&(barrier, _)| barrier <= last);
        actor.held = held;
        for (_, message) in free {
            self.send(message);
        }
        self.input(id, |core| core.persisted(last));
    }

    /// Takes the messages that a command names out of the flight.
    fn take(&mut self, words: &Words<'_>) -> Vec<C::Message> {
        let pair = words
            .places
            .first()
            .map(|pair| pair.split_once("->").unwrap());
        let pair = pair.map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()));
        let kinds = words.options.get("kind").copied();
        let is_meant = |message: &C::Message| {
            let text = message.to_string();
            let kind = text.split(' ').nth(2);
            pair.is_none_or(|pair| pair == C::way(message))
                && kinds.is_none_or(|meant| kind == Some(meant))
        };
        let flight = std::mem::take(&mut self.flight).into_iter();
        let (taken, rest) = flight.partition(is_meant);
        self.flight = rest;
        taken
    }

    fn deliver(&mut self, words: &Words<'_>) {
        for message in self.take(words) {
            let (from, to) = C::way(&message);
            if !self.cut.contains(&from) && !self.cut.contains(&to) {
                self.input(to, |core| core.step(message));
            }
        }
    }

    fn settle(&mut self) {
        let all = Words {
            places: Vec::new(),
            options: BTreeMap::new(),
        };
        while !self.flight.is_empty() || self.nodes.values().any(|node| !node.pending.is_empty()) {
            for id in self.ids.clone() {
                self.persist(id);
            }
            self.deliver(&all);
        }
    }

    fn show_status(&mut self) {
        for id in self.ids.clone() {
            let core = self.nodes[&id].core.as_ref();
            let status = core.map_or_else(|| "down".to_owned(), C::status);
            self.tell(&format!("n{id}: {status}"));
        }
    }
}

impl<C: Core> Actor<C> {
    fn new(disk: Recovered, life: u64) -> Self {
        Self {
            core: None,
            disk,
            pending: Vec::new(),
            held: Vec::new(),
            durable: 0,
            life,
        }
    }
}

fn write(disk: &mut Recovered, batch: Batch) {
    if let Some(hard_state) = batch.hard_state {
        disk.hard_state = hard_state;
    }
    if let Some(first) = batch.truncate_from {
        disk.entries.retain(|entry| entry.id.index < first);
    }
    if let Some(snapshot) = batch.snapshot {
        if batch.drops_log {
            (disk.base, disk.entries) = (snapshot.last, Vec::new());
        }
        disk.snapshot = Some(snapshot);
    }
    disk.entries.extend(batch.append);
}

pub(crate) fn list(entries: &[Entry]) -> String {
    let entries: Vec<String> = entries.iter().map(Entry::to_string).collect();
    format!("[{}]", entries.join(" "))
}

fn shown(batch: &Batch) -> String {
    let mut text = format!("#{}", batch.id);
    if let Some(HardState { term, vote }) = batch.hard_state {
        let primary = vote.map(|vote| format!("/n{vote}")).unwrap_or_default();
        text += &format!(" epoch={term}{primary}");
    }
    if let Some(first) = batch.truncate_from {
        text += &format!(" cut-from={first}");
    }
    if let Some(snapshot) = &batch.snapshot {
        let place = if batch.drops_log { " for-log" } else { "" };
        text += &format!(" snapshot={}{place}", snapshot.last);
    }
    match batch.append.len() {
        0 => {}
        _ if batch.append.iter().any(|entry| entry.payload.len() > 4) => {
            text += &format!(" append={}", batch.append.len());
        }
        _ => text += &format!(" append={}", list(&batch.append)),
    }
    text
}
