//! What the clients of a simulation ask for.
//!
//! Most of them ask once. One has a session, and sends what it got no answer to again and again,
//! to whichever node leads: each of its requests must be applied once all the same.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use serde_json::Value;

use super::world::{Happening, TICK, World};
use super::{Broken, Invariant};
use crate::defect::Defect;
use crate::machine::{Applied, Command, Expect, Outcome, Proposal, SessionId, Turn};
use crate::protocol::MicroOp;
use crate::raft::{Entry, LogId, NodeId, Payload, ReadMode};

/// How many keys there are: few, so that commands meet.
const KEYS: u64 = 4;

/// The list that the client with the session appends to.
const ONCE: &str = "once";

/// The client with the session.
#[derive(Debug, Default)]
pub(super) struct Repeater {
    session: Option<SessionId>,
    seq: u64,
    /// What it has no answer to.
    open: BTreeMap<u64, Command>,
    /// What it was told, by number: a repeat must be told the same.
    told: BTreeMap<u64, Applied>,
}

impl World {
    /// A client asks some node something.
    pub(super) fn client(&mut self) -> Result<(), Broken> {
        if self.is_quiet {
            return Ok(());
        }
        let pause = self.rng.random_range(1..=self.weather.client_pause);
        self.schedule(pause, Happening::Client);
        let id = self.any_node();
        if self.nodes[&id].paused_until > self.now {
            return Ok(());
        }
        self.observe(id);
        let floor = self.invariants.acknowledged_index();
        if self.rng.random_bool(0.5) {
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
        } else {
            self.propose(id);
        }
        self.carry_out(id)
    }

    pub(super) fn propose(&mut self, id: NodeId) -> Option<LogId> {
        self.next_value += 1;
        let command = self.proposal(self.next_value).encode();
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

    /// What some client asks for; `number` is new with each.
    pub(super) fn proposal(&mut self, number: u64) -> Proposal {
        if self.rng.random_bool(0.7) {
            return command(number, &mut self.rng).into();
        }
        let at = Some(1 + self.now / TICK);
        let Some(session) = self.repeater.session else {
            let open = Command::OpenSession { ttl_ms: 1 << 40 };
            return Proposal {
                at,
                ..Proposal::from(open)
            };
        };
        let repeater = &mut self.repeater;
        let count = repeater.open.len();
        let seq = if count > 0 && self.rng.random_bool(0.7) {
            let place = self.rng.random_range(0..count);
            *repeater.open.keys().nth(place).expect("there are as many")
        } else {
            repeater.seq += 1;
            let append = Command::Append {
                key: ONCE.to_owned(),
                element: Value::from(number),
                list: false,
            };
            repeater.open.insert(repeater.seq, append);
            repeater.seq
        };
        let acked_below = repeater.open.keys().next().copied().unwrap_or(seq);
        let turn = Turn {
            session,
            seq,
            acked_below,
        };
        self.summary.repeats += u64::from(seq < repeater.seq);
        Proposal {
            command: repeater.open[&seq].clone(),
            turn: self.plan.sessions.then_some(turn),
            at,
        }
    }

    /// No element that was sent in a session is in its list twice.
    pub(super) fn check_once(&self, id: NodeId, entry: &Entry) -> Result<(), Broken> {
        let Some(Command::Append { key, element, .. }) = proposal_in(entry).map(|one| one.command)
        else {
            return Ok(());
        };
        let list = self.nodes[&id].machine.get(&key).map(|found| &found.value);
        let Some(Value::Array(list)) = list.filter(|_| key == ONCE) else {
            return Ok(());
        };
        let count = list.iter().filter(|&one| *one == element).count();
        if count <= 1 {
            return Ok(());
        }
        let detail = format!("after {}, node {id} has {element} {count} times", entry.id);
        Err(Broken {
            invariant: Invariant::ExactlyOnce,
            detail,
        })
    }

    /// A client gets its answer.
    pub(super) fn answered(&mut self, entry: &Entry, applied: &Applied) -> Result<(), Broken> {
        let repeater = &mut self.repeater;
        if let Outcome::Session { id } = applied.outcome {
            repeater.session.get_or_insert(id);
        }
        let Some(turn) = proposal_in(entry).and_then(|proposal| proposal.turn) else {
            return Ok(());
        };
        let is_forgotten = matches!(applied.outcome, Outcome::SeqTooOld { .. });
        if is_forgotten || Some(turn.session) != repeater.session {
            return Ok(());
        }
        repeater.open.remove(&turn.seq);
        let first = repeater.told.entry(turn.seq);
        let first = first.or_insert_with(|| applied.clone());
        if (first.id, &first.outcome) == (applied.id, &applied.outcome) {
            return Ok(());
        }
        let detail = format!("number {} was answered {first:?} and {applied:?}", turn.seq);
        Err(Broken {
            invariant: Invariant::ExactlyOnce,
            detail,
        })
    }
}

fn proposal_in(entry: &Entry) -> Option<Proposal> {
    let Payload::Command(bytes) = &entry.payload else {
        return None;
    };
    let mentions = bytes.as_bytes().windows(ONCE.len());
    let mut mentions = mentions.filter(|&bytes| bytes == ONCE.as_bytes());
    mentions.next().and_then(|_| Proposal::decode(bytes))
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
