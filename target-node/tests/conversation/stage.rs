//! The nodes of a conversation, the messages between them, and their disks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use target_node::defect::Defects;
use target_node::raft::{
    Batch, BatchId, ConfChange, Config, Effect, Entry, HardState, Jitter, LogId, Members, Message,
    Moment, NodeId, Opaque, Output, Payload, Raft, Recovered,
};

use super::telling::{Mute, kind, list, named, shown, told};
use super::words::Words;

#[derive(Default)]
pub(crate) struct Stage {
    pub(super) election_ticks: u32,
    pub(super) pre_vote: bool,
    pub(super) check_quorum: bool,
    pub(super) leases: bool,
    pub(super) conf_change: ConfChange,
    pub(super) conf_effective: Effect,
    pub(super) defects: Defects,
    pub(super) jitter: Jitter,
    /// What is lost as soon as a node says it: as if the node did not say it.
    pub(super) mute: Vec<Mute>,
    pub(super) append_bytes_max: usize,
    pub(super) chunk_bytes_max: usize,
    pub(super) trailing_entries: u64,
    pub(super) ids: BTreeSet<NodeId>,
    /// Who votes at first; everyone else waits to be taken in.
    pub(super) voters: BTreeSet<NodeId>,
    nodes: BTreeMap<NodeId, Actor>,
    pub(super) flight: Vec<Message>,
    pub(super) cut: BTreeSet<NodeId>,
    /// What happened since the command began.
    pub(super) told: String,
}

struct Actor {
    raft: Option<Raft>,
    disk: Recovered,
    pending: Vec<Batch>,
    held: Vec<(BatchId, Message)>,
    durable: BatchId,
    life: u64,
    /// What its clock says; a tick is 1000.
    now: Moment,
}

impl Stage {
    /// Does what a line says; returns what happened.
    pub(crate) fn act(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let words = Words::new(words);
        match name {
            "cluster" => self.begin(&words),
            "node" => self.give_past(&words),
            "tick" => {
                for _ in 0..words.number("times", 1) {
                    self.tick(words.node());
                }
            }
            "pass" => self.pass(words.node(), 1000 * words.number("ticks", 1)),
            "transfer" => self.transfer(&words),
            "change" => self.change(&words),
            "campaign" => self.input(words.node(), Raft::campaign),
            "propose" => self.propose(&words),
            "compact" => {
                let state = words.options.get("state").copied().unwrap_or("");
                let state = Opaque::from(state.as_bytes());
                self.input(words.node(), |raft| raft.compact(state));
            }
            "read" => self.read(&words),
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
            "mute" => self.mute.push(Mute::new(
                words.places[0],
                words.options.get("kind").copied(),
            )),
            "unmute" => self.mute.retain(|mute| mute.from != words.node()),
            "set" => self.set(&words),
            "quiet" => self.quiet(&words),
            "crash" => self.crash(words.node()),
            "restart" => self.start(words.node()),
            "flight" => self.show_flight(),
            "status" => self.show_status(),
            _ => panic!("no command is called {name:?}"),
        }
        std::mem::take(&mut self.told)
    }

    pub(super) fn tell(&mut self, line: &str) {
        writeln!(self.told, "{line}").unwrap();
    }

    fn begin(&mut self, words: &Words<'_>) {
        self.election_ticks = u32::try_from(words.number("election", 10)).unwrap();
        let bytes = words.number("append-bytes", 1 << 20);
        self.chunk_bytes_max = usize::try_from(words.number("chunk-bytes", 4)).unwrap();
        self.trailing_entries = words.number("trailing", 0);
        self.append_bytes_max = usize::try_from(bytes).unwrap();
        self.set(words);
        self.mute.clear();
        let nodes = words.number("nodes", 3);
        self.ids = (1..=nodes).collect();
        self.voters = (1..=words.number("voters", nodes)).collect();
        self.flight.clear();
        self.cut.clear();
        self.nodes.clear();
        for id in self.ids.clone() {
            self.nodes.insert(id, Actor::new(Recovered::default()));
            self.start(id);
        }
    }

    fn give_past(&mut self, words: &Words<'_>) {
        let terms = words.options.get("log").copied().unwrap_or("");
        let terms = terms.split(',').filter(|term| !term.is_empty());
        let entries = terms.zip(1..).map(|(term, index)| Entry {
            id: LogId::new(term.parse().unwrap(), index),
            payload: Payload::Noop,
        });
        let vote = words.options.get("vote").map(|vote| vote.parse().unwrap());
        let hard_state = HardState {
            term: words.number("term", 0),
            vote,
        };
        let disk = Recovered {
            hard_state,
            entries: entries.collect(),
            ..Recovered::default()
        };
        self.nodes.insert(words.node(), Actor::new(disk));
        self.start(words.node());
    }

    fn start(&mut self, id: NodeId) {
        let voters = match self.voters.contains(&id) {
            true => self.voters.clone(),
            false => BTreeSet::new(),
        };
        let actor = self.nodes.get_mut(&id).unwrap();
        actor.life += 1;
        let config = Config {
            election_ticks: self.election_ticks,
            append_bytes_max: self.append_bytes_max,
            chunk_bytes_max: self.chunk_bytes_max,
            trailing_entries: self.trailing_entries,
            pre_vote: self.pre_vote,
            check_quorum: self.check_quorum,
            leases: self.leases,
            conf_change: self.conf_change,
            conf_effective: self.conf_effective,
            defects: self.defects,
            jitter: self.jitter,
            first_read: actor.life * 100,
            ..Config::new(id, voters)
        };
        let rng = ChaCha8Rng::seed_from_u64(id);
        actor.raft = Some(Raft::new(config, actor.disk.clone(), rng).unwrap());
    }

    fn crash(&mut self, id: NodeId) {
        let actor = self.nodes.get_mut(&id).unwrap();
        let (life, now) = (actor.life, actor.now);
        *actor = Actor::new(std::mem::take(&mut actor.disk));
        (actor.life, actor.now) = (life, now);
    }

    pub(super) fn tick(&mut self, id: NodeId) {
        self.pass(id, 1000);
        self.input(id, Raft::tick);
    }

    /// Time that only the node's clock notices, as while its process is paused.
    fn pass(&mut self, id: NodeId, time: Moment) {
        let actor = self.nodes.get_mut(&id).unwrap();
        actor.now += time;
        let now = actor.now;
        self.input(id, |raft| raft.observe(now));
    }

    pub(super) fn input(&mut self, id: NodeId, act: impl FnOnce(&mut Raft)) {
        let Some(raft) = &mut self.nodes.get_mut(&id).unwrap().raft else {
            return;
        };
        act(raft);
        let output = raft.take_output();
        self.carry_out(id, output);
    }

    /// What a driver does with an output, and says about it.
    fn carry_out(&mut self, id: NodeId, output: Output) {
        for event in &output.events {
            self.tell(&format!("n{id}: {}", told(event)));
        }
        if let Some(batch) = output.batch {
            self.tell(&format!("n{id}: persists {}", shown(&batch)));
            self.nodes.get_mut(&id).unwrap().pending.push(batch);
        }
        for message in output.send_now {
            self.send(message);
        }
        for message in output.send_durable {
            if output.barrier <= self.nodes[&id].durable {
                self.send(message);
            } else {
                self.tell(&format!(
                    "  until #{} is durable: {message}",
                    output.barrier
                ));
                self.nodes
                    .get_mut(&id)
                    .unwrap()
                    .held
                    .push((output.barrier, message));
            }
        }
        if output.rebuild {
            let raft = self.nodes[&id].raft.as_ref().unwrap();
            let state = raft
                .snapshot()
                .map(|snapshot| format!("{:?}", snapshot.state));
            self.tell(&format!(
                "n{id}: its state is {}",
                state.unwrap_or("empty".to_owned())
            ));
        }
        for entry in output.committed {
            self.tell(&format!("n{id}: applies {entry}"));
        }
        for read in output.reads {
            self.tell(&format!("n{id}: answers read {}", read.name));
        }
    }

    fn send(&mut self, message: Message) {
        let is_mute = self.mute.iter().any(|mute| mute.covers(&message));
        if is_mute || self.cut.contains(&message.from) || self.cut.contains(&message.to) {
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
            actor.write(batch);
        }
        actor.durable = last;
        let (free, held) = std::mem::take(&mut actor.held)
            .into_iter()
            .partition::<Vec<_>, _>(|&(barrier, _)| barrier <= last);
        actor.held = held;
        for (_, message) in free {
            self.send(message);
        }
        self.input(id, |raft| raft.persisted(last));
    }

    /// Takes the messages that a command names out of the flight.
    fn take(&mut self, words: &Words<'_>) -> Vec<Message> {
        let pair = words
            .places
            .first()
            .map(|pair| pair.split_once("->").unwrap());
        let pair = pair.map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()));
        let kinds = words.options.get("kind").copied();
        let is_meant = |message: &Message| {
            pair.is_none_or(|pair| pair == (message.from, message.to))
                && kinds.is_none_or(|meant| kind(message) == meant)
        };
        let (taken, rest) = std::mem::take(&mut self.flight)
            .into_iter()
            .partition(is_meant);
        self.flight = rest;
        taken
    }

    fn deliver(&mut self, words: &Words<'_>) {
        for message in self.take(words) {
            if self.cut.contains(&message.from) || self.cut.contains(&message.to) {
                continue;
            }
            self.input(message.to, |raft| raft.step(message));
        }
    }

    pub(super) fn settle(&mut self) {
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

    fn show_flight(&mut self) {
        for message in self.flight.clone() {
            self.tell(&message.to_string());
        }
    }

    fn show_status(&mut self) {
        let initial = Members::of(self.voters.clone());
        let nodes = self.nodes.iter();
        let lines: Vec<String> = nodes
            .map(|(id, actor)| format!("n{id}: {}", actor.status(&initial)))
            .collect();
        for line in lines {
            self.tell(&line);
        }
    }
}

impl Actor {
    fn new(disk: Recovered) -> Self {
        Self {
            raft: None,
            disk,
            pending: Vec::new(),
            held: Vec::new(),
            durable: 0,
            life: 0,
            now: 0,
        }
    }

    fn write(&mut self, batch: Batch) {
        if let Some(hard_state) = batch.hard_state {
            self.disk.hard_state = hard_state;
        }
        if let Some(first) = batch.truncate_from {
            self.disk.entries.retain(|entry| entry.id.index < first);
        }
        if let Some(snapshot) = batch.snapshot {
            if batch.drops_log {
                (self.disk.base, self.disk.entries) = (snapshot.last, Vec::new());
            }
            self.disk.snapshot = Some(snapshot);
        }
        self.disk.entries.extend(batch.append);
    }

    fn status(&self, initial: &Members) -> String {
        let Some(raft) = &self.raft else {
            return "down".to_owned();
        };
        let snapshot = raft.snapshot();
        let snapshot = snapshot.map(|snapshot| format!(" snapshot={}", snapshot.last));
        // Told only where it says something: every story begins with one configuration for all.
        let members = match raft.members() == initial {
            true => String::new(),
            false => format!(" members={}", raft.members()),
        };
        let outside = if raft.is_outside() { " outside" } else { "" };
        format!(
            "{:?} term={}{}{}{members}{outside} commit={} durable={} log={}",
            raft.role(),
            raft.term(),
            named("vote", raft.vote()) + &named("leader", raft.leader()),
            snapshot.unwrap_or_default(),
            raft.commit(),
            raft.durable(),
            list(raft.entries(1, u64::MAX)),
        )
    }
}
