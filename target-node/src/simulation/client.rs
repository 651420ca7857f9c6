//! What the clients of a simulation ask for, and what they are told.
//!
//! Most of them ask once. One has a session, and sends what it got no answer to again and again,
//! to whichever node leads: each of its requests must be applied once all the same.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use serde_json::Value;

use super::healing::holds;
use super::summary::Count;
use super::world::{Happening, TICK, World, place};
use super::{Broken, Invariant};
use crate::defect::Defect;
use crate::machine::{Applied, Command, Expect, Outcome, Proposal, SessionId, Turn};
use crate::protocol::MicroOp;
use crate::raft::{Entry, Index, LogId, NodeId, Opaque, Payload, Raft, ReadMode};

/// How many keys there are: few, so that commands meet.
const KEYS: u64 = 4;

/// The list that the client with the session appends to.
const ONCE: &str = "once";

/// What was asked of a node, under the name that it got.
#[derive(Debug)]
pub(super) struct Asked {
    id: LogId,
    command: Opaque,
    turn: Option<Turn>,
}

/// What all clients know.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// They ask nothing more.
    pub(super) are_quiet: bool,
    /// All values are different.
    next_value: u64,
    acknowledged: Vec<LogId>,
    acknowledged_index: Index,
    repeater: Repeater,
}

/// The client with the session.
#[derive(Debug, Default)]
struct Repeater {
    session: Option<SessionId>,
    seq: u64,
    /// What it has no answer to: the elements, by number.
    open: BTreeMap<u64, u64>,
    /// What it was told, by number: a repeat must be told the same.
    told: BTreeMap<u64, Applied>,
    /// The entries in which its elements stand, for as long as logs may have them.
    sent: BTreeMap<LogId, u64>,
}

fn broken(invariant: Invariant, detail: String) -> Result<(), Broken> {
    Err(Broken { invariant, detail })
}

impl Clients {
    fn acknowledge(&mut self, id: LogId) {
        self.acknowledged.push(id);
        self.acknowledged_index = self.acknowledged_index.max(id.index);
    }

    /// The highest index that some client was told about.
    pub(super) fn acknowledged_index(&self) -> Index {
        self.acknowledged_index
    }

    pub(super) fn read(&self, node: NodeId, at: Index, floor: Index) -> Result<(), Broken> {
        if at >= floor {
            return Ok(());
        }
        let detail = format!("node {node} read at {at}; {floor} was acknowledged before it began");
        broken(Invariant::FreshReads, detail)
    }

    /// Everything acknowledged is in every log.
    pub(super) fn check_durability(&self, rafts: &[&Raft]) -> Result<(), Broken> {
        for &id in &self.acknowledged {
            if let Some(raft) = rafts.iter().find(|raft| !holds(raft, id)) {
                let detail = format!("{id} was acknowledged; node {} lost it", raft.id());
                return broken(Invariant::Durability, detail);
            }
        }
        Ok(())
    }

    /// What some client asks for, and the element where that is one of the session's.
    fn proposal(
        &mut self,
        (tick, has_sessions): (u64, bool),
        rng: &mut ChaCha8Rng,
    ) -> (Proposal, Option<u64>) {
        self.next_value += 1;
        let number = self.next_value;
        if rng.random_bool(0.7) {
            return (command(number, rng).into(), None);
        }
        let at = Some(1 + tick);
        let repeater = &mut self.repeater;
        let Some(session) = repeater.session else {
            let open = Command::OpenSession { ttl_ms: 1 << 40 };
            let open = Proposal {
                at,
                ..Proposal::from(open)
            };
            return (open, None);
        };
        let (seq, number) = repeater.turn(number, rng);
        let acked_below = repeater.open.keys().next().copied().unwrap_or(seq);
        let turn = Turn {
            session,
            seq,
            acked_below,
        };
        let append = Command::Append {
            key: ONCE.to_owned(),
            element: Value::from(number),
            list: false,
        };
        let proposal = Proposal {
            command: append,
            turn: has_sessions.then_some(turn),
            at,
        };
        (proposal, Some(number))
    }
}

impl Repeater {
    /// A number of a request, and its element: an old one that has no answer, or a new one.
    fn turn(&mut self, new: u64, rng: &mut ChaCha8Rng) -> (u64, u64) {
        let count = self.open.len();
        if count > 0 && rng.random_bool(0.7) {
            let nth = self.open.iter().nth(rng.random_range(0..count));
            let (&seq, &element) = nth.expect("there are as many");
            return (seq, element);
        }
        self.seq += 1;
        self.open.insert(self.seq, new);
        (self.seq, new)
    }
}

impl World {
    /// A client asks some node something.
    pub(super) fn client(&mut self) -> Result<(), Broken> {
        if self.clients.are_quiet {
            return Ok(());
        }
        let pause = self.rng.random_range(1..=self.weather.client_pause);
        self.agenda.schedule(pause, Happening::Client);
        let is_informed = self.rng.random_bool(0.4);
        let leader = self.leader().filter(|_| is_informed).map(Raft::id);
        let id = leader.unwrap_or_else(|| self.any_node());
        if self.nodes[place(id)].is_stopped(self.now()) {
            return Ok(());
        }
        self.observe(id);
        if self.rng.random_bool(0.5) {
            self.read(id);
        } else {
            self.propose(id);
        }
        self.carry_out(id)
    }

    fn read(&mut self, id: NodeId) {
        let floor = self.clients.acknowledged_index;
        let mode = match self.rng.random_range(0..4) {
            _ if self.plan.clocks_drift => ReadMode::Lease,
            0 => ReadMode::Log,
            1 => ReadMode::Lease,
            _ => ReadMode::Index,
        };
        let node = self.node(id);
        if let Some(read) = node.raft.as_mut().and_then(|raft| raft.read(mode).ok()) {
            node.reads.insert(read, floor);
        }
    }

    /// A client asks for something new, or once more for something old.
    pub(super) fn propose(&mut self, id: NodeId) -> Option<LogId> {
        let raft = self.nodes[place(id)].raft.as_mut()?;
        let when = (self.agenda.now() / TICK, self.plan.sessions);
        let asked_before = self.clients.repeater.seq;
        let (proposal, element) = self.clients.proposal(when, &mut self.rng);
        let command = proposal.encode();
        let proposed = raft.propose(command.clone()).ok()?;
        if let Some(element) = element {
            let repeater = &mut self.clients.repeater;
            let is_new = repeater.seq > asked_before;
            repeater.sent.insert(proposed, element);
            self.summary.add(Count::Repeats, u64::from(!is_new));
        }
        if self.plan.defects.has(Defect::AckOnAppend) {
            self.clients.acknowledge(proposed);
            self.summary.add(Count::Writes, 1);
        } else {
            let asked = Asked {
                id: proposed,
                command,
                turn: proposal.turn,
            };
            self.node(id).waiting.insert(proposed.index, asked);
        }
        Some(proposed)
    }

    /// No element that was sent in a session is in its list twice.
    pub(super) fn check_once(&self, id: NodeId, entry: LogId) -> Result<(), Broken> {
        let Some(&element) = self.clients.repeater.sent.get(&entry) else {
            return Ok(());
        };
        let list = self.nodes[place(id)].machine.get(ONCE);
        let Some(Value::Array(list)) = list.map(|found| &found.value) else {
            return Ok(());
        };
        let is_it = |one: &&Value| one.as_u64() == Some(element);
        let count = list.iter().filter(is_it).count();
        if count <= 1 {
            return Ok(());
        }
        let detail = format!("after {entry}, node {id} has {element} {count} times");
        broken(Invariant::ExactlyOnce, detail)
    }

    /// Whoever waits for the entry at this node gets an answer.
    pub(super) fn answer(
        &mut self,
        id: NodeId,
        entry: &Entry,
        applied: Option<Applied>,
    ) -> Result<(), Broken> {
        let asked = self.node(id).waiting.remove(&entry.id.index);
        let Some(asked) = asked.filter(|asked| asked.id == entry.id) else {
            return Ok(());
        };
        if entry.payload != Payload::Command(asked.command) {
            let detail = format!("node {id} acknowledges {entry}, which is not what was asked");
            return broken(Invariant::OwnEntry, detail);
        }
        self.clients.acknowledge(entry.id);
        self.summary.add(Count::Writes, 1);
        applied.map_or(Ok(()), |applied| {
            self.clients.repeater.answered(asked.turn, applied)
        })
    }
}

impl Repeater {
    fn answered(&mut self, turn: Option<Turn>, applied: Applied) -> Result<(), Broken> {
        if let Outcome::Session { id } = applied.outcome {
            self.session.get_or_insert(id);
        }
        let Some(turn) = turn else {
            return Ok(());
        };
        let is_forgotten = matches!(applied.outcome, Outcome::SeqTooOld { .. });
        if is_forgotten || Some(turn.session) != self.session {
            return Ok(());
        }
        self.open.remove(&turn.seq);
        let again = applied.clone();
        let first = self.told.entry(turn.seq).or_insert(applied);
        if (first.id, &first.outcome) == (again.id, &again.outcome) {
            return Ok(());
        }
        let detail = format!("number {} was answered {first:?} and {again:?}", turn.seq);
        broken(Invariant::ExactlyOnce, detail)
    }
}

/// Some command; `number` is new with each.
fn command(number: u64, rng: &mut ChaCha8Rng) -> Command {
    let key = format!("k{}", rng.random_range(0..KEYS));
    let (value, prev) = (Value::from(number), rng.random_bool(0.1));
    match rng.random_range(0..6) {
        0 => Command::Put { key, value, prev },
        1 => Command::Delete { key, prev },
        2 => Command::Cas {
            key,
            expect: Expect::Version(rng.random_range(0..3)),
            value,
        },
        3 => Command::Append {
            key,
            element: value,
            list: prev,
        },
        4 => Command::Add {
            key,
            delta: rng.random_range(-9..=9),
        },
        _ => transaction(key, value),
    }
}

fn transaction(key: String, value: Value) -> Command {
    let read = |key: &str| MicroOp::Read {
        key: key.to_owned(),
        value: None,
    };
    let (written, list) = ("k0".to_owned(), "list".to_owned());
    // Begins anew now and then: snapshots are small, and a key comes and goes.
    let list = match value.as_u64() {
        Some(number) if number % 8 == 0 => MicroOp::Delete { key: list },
        _ => MicroOp::Append {
            key: list,
            element: value.clone(),
        },
    };
    let write = MicroOp::Write {
        key: written,
        value,
    };
    // Refused, and undone, where the key holds no number.
    let add = MicroOp::Add { key, delta: 1 };
    Command::Transaction {
        guards: Vec::new(),
        then: vec![list, write, read("k0"), add, read("list")],
        otherwise: Vec::new(),
    }
}
