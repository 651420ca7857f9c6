//! A coordinator: asks the replicas of a key, and counts answers.
//!
//! ```text
//!  read    query ── R answers ──┬─ none, async ─────────────────────▶ answer
//!                               └─ abd: store the newest ── W have it ─▶ answer
//!  write   query ── R answers ──▶ decision ──▶ store ── W have it ───▶ answer
//! ```
//!
//! What got no answer is sent again while the operation lasts, and not after it: a replica that
//! was away stays behind until a read repairs it, or the next write comes.

use std::collections::{BTreeMap, BTreeSet};

use super::Quorum;
use super::config::Repair;
use super::message::Body;
use super::output::{Answer, Decision, Stage};
use super::register::{Register, Stamp};
use crate::raft::{NodeId, Opaque};

/// An operation under way.
#[derive(Debug)]
pub(super) struct Operation {
    key: String,
    is_write: bool,
    replicas: Vec<NodeId>,
    phase: Phase,
    /// Ticks since it began.
    age: u32,
}

#[derive(Debug)]
enum Phase {
    /// Asks what the replicas hold.
    Query(BTreeMap<NodeId, Option<Register>>),
    /// A write that waits for its decision, with the newest that was found.
    Decide(Option<Register>),
    /// Waits until W replicas have this.
    Store {
        register: Register,
        stored: BTreeSet<NodeId>,
    },
    /// A read that is answered, and tells replicas that answer late (`async`).
    Repair {
        register: Register,
        answered: BTreeSet<NodeId>,
    },
}

impl Quorum {
    /// A client of this node wants to read a key: the name that the output gives back.
    pub fn read(&mut self, key: &str) -> u64 {
        self.begin(key, false)
    }

    /// A client of this node wants to change a key: the name that the output gives back, first
    /// with a [`Decision`].
    pub fn write(&mut self, key: &str) -> u64 {
        self.begin(key, true)
    }

    fn begin(&mut self, key: &str, is_write: bool) -> u64 {
        let operation = self.next_operation;
        self.next_operation += 1;
        let replicas = self.config.replicas_of(key);
        self.operations.insert(
            operation,
            Operation {
                key: key.to_owned(),
                is_write,
                replicas: replicas.clone(),
                phase: Phase::Query(BTreeMap::new()),
                age: 0,
            },
        );
        for replica in replicas {
            let key = key.to_owned();
            self.say(replica, operation, Body::Query { key });
        }
        operation
    }

    /// Nobody waits for this operation any more.
    pub fn cancel(&mut self, operation: u64) {
        self.operations.remove(&operation);
    }

    pub(super) fn handle_value(
        &mut self,
        from: NodeId,
        operation: u64,
        register: Option<Register>,
    ) {
        if let Some(register) = &register {
            self.counter = self.counter.max(register.stamp.counter);
        }
        let reads = self.config.reads;
        let Some(asked) = self.operations.get_mut(&operation) else {
            return;
        };
        match &mut asked.phase {
            Phase::Query(answers) => {
                answers.insert(from, register);
                if answers.len() >= reads {
                    self.end_query(operation);
                }
            }
            Phase::Repair { .. } => self.repair(from, operation, register.as_ref()),
            Phase::Decide(_) | Phase::Store { .. } => {}
        }
    }

    /// R replicas have answered.
    fn end_query(&mut self, operation: u64) {
        let Some(asked) = self.operations.get_mut(&operation) else {
            return;
        };
        let Phase::Query(answers) = &mut asked.phase else {
            return;
        };
        let answers = std::mem::take(answers);
        let stamp = |register: &Option<Register>| register.as_ref().map(|held| held.stamp);
        let newest = answers.values().max_by_key(|register| stamp(register));
        let newest = newest.cloned().flatten();
        if asked.is_write {
            asked.phase = Phase::Decide(newest.clone());
            let key = asked.key.clone();
            return self.output.decisions.push(Decision {
                operation,
                key,
                current: newest,
            });
        }
        let repair = self.config.repair;
        let Some(register) = newest.clone().filter(|_| repair != Repair::None) else {
            return self.answer(operation, Answer::Read(newest));
        };
        let stamp = Some(register.stamp);
        let current = answers
            .iter()
            .filter(|(_, held)| held.as_ref().map(|held| held.stamp) == stamp);
        let current: BTreeSet<NodeId> = current.map(|(&replica, _)| replica).collect();
        match repair {
            Repair::Abd => self.store(operation, &register, current),
            Repair::Async | Repair::None => {
                let behind = answers
                    .into_keys()
                    .filter(|replica| !current.contains(replica));
                self.answer_and_repair(operation, &register, behind.collect(), current);
            }
        }
    }

    /// Answers a read, tells those who are behind, and stays for those who answer later.
    fn answer_and_repair(
        &mut self,
        operation: u64,
        register: &Register,
        behind: Vec<NodeId>,
        current: BTreeSet<NodeId>,
    ) {
        let answer = Answer::Read(Some(register.clone()));
        self.output.answers.push((operation, answer));
        let Some(asked) = self.operations.get_mut(&operation) else {
            return;
        };
        let key = asked.key.clone();
        asked.phase = Phase::Repair {
            register: register.clone(),
            answered: behind.iter().copied().chain(current).collect(),
        };
        for replica in behind {
            let (key, register) = (key.clone(), register.clone());
            self.say(replica, operation, Body::Store { key, register });
        }
        self.end_repair(operation);
    }

    fn repair(&mut self, from: NodeId, operation: u64, held: Option<&Register>) {
        let Some(asked) = self.operations.get_mut(&operation) else {
            return;
        };
        let key = asked.key.clone();
        let Phase::Repair { register, answered } = &mut asked.phase else {
            return;
        };
        let is_behind = held.is_none_or(|held| held.stamp < register.stamp);
        if answered.insert(from) && is_behind {
            let register = register.clone();
            self.say(from, operation, Body::Store { key, register });
        }
        self.end_repair(operation);
    }

    fn end_repair(&mut self, operation: u64) {
        let is_over = self.operations.get(&operation).is_some_and(|asked| {
            matches!(&asked.phase, Phase::Repair { answered, .. }
                if answered.len() == asked.replicas.len())
        });
        if is_over {
            self.operations.remove(&operation);
        }
    }

    /// What a write is to do: set the key to a value, delete it, or nothing.
    pub fn decide(&mut self, operation: u64, change: Option<Option<Opaque>>) {
        let Some(asked) = self.operations.get(&operation) else {
            return;
        };
        let Phase::Decide(current) = &asked.phase else {
            return;
        };
        let Some(value) = change else {
            let stamp = current.as_ref().map_or(Stamp::default(), |held| held.stamp);
            return self.answer(operation, Answer::Written(stamp));
        };
        self.counter += 1;
        let stamp = Stamp {
            counter: self.counter,
            node: self.config.id,
            life: self.config.life,
        };
        self.store(operation, &Register { stamp, value }, BTreeSet::new());
    }

    /// Has W replicas store a register, of which some have it already.
    fn store(&mut self, operation: u64, register: &Register, stored: BTreeSet<NodeId>) {
        let Some(asked) = self.operations.get_mut(&operation) else {
            return;
        };
        let others = asked.replicas.iter().copied();
        let others: Vec<NodeId> = others.filter(|replica| !stored.contains(replica)).collect();
        let key = asked.key.clone();
        let is_done = stored.len() >= self.config.writes;
        asked.phase = Phase::Store {
            register: register.clone(),
            stored,
        };
        if is_done {
            return self.end_store(operation);
        }
        for replica in others {
            let (key, register) = (key.clone(), register.clone());
            self.say(replica, operation, Body::Store { key, register });
        }
    }

    pub(super) fn handle_stored(&mut self, from: NodeId, operation: u64) {
        let writes = self.config.writes;
        if let Some(asked) = self.operations.get_mut(&operation)
            && let Phase::Store { stored, .. } = &mut asked.phase
        {
            stored.insert(from);
            if stored.len() >= writes {
                self.end_store(operation);
            }
        }
    }

    fn end_store(&mut self, operation: u64) {
        let Some(asked) = self.operations.get(&operation) else {
            return;
        };
        if let Phase::Store { register, .. } = &asked.phase {
            let answer = match asked.is_write {
                true => Answer::Written(register.stamp),
                false => Answer::Read(Some(register.clone())),
            };
            self.answer(operation, answer);
        }
    }

    fn answer(&mut self, operation: u64, answer: Answer) {
        self.operations.remove(&operation);
        self.output.answers.push((operation, answer));
    }

    /// One unit of time has passed: what got no answer is sent again, or given up.
    pub fn tick(&mut self) {
        let (resend, patience) = (self.config.resend_ticks, self.config.patience_ticks);
        let mut due = Vec::new();
        for (&operation, asked) in &mut self.operations {
            asked.age += 1;
            if asked.age.is_multiple_of(resend) || asked.age >= patience {
                due.push((operation, asked.age >= patience));
            }
        }
        for (operation, is_over) in due {
            match is_over {
                true => self.give_up(operation),
                false => self.resend(operation),
            }
        }
    }

    fn give_up(&mut self, operation: u64) {
        let stage = match self.operations.get(&operation).map(|asked| &asked.phase) {
            Some(Phase::Query(_) | Phase::Decide(_)) => Stage::Query,
            Some(Phase::Store { .. }) => Stage::Store,
            // Answered long ago.
            Some(Phase::Repair { .. }) | None => {
                self.operations.remove(&operation);
                return;
            }
        };
        self.answer(operation, Answer::GivenUp(stage));
    }

    fn resend(&mut self, operation: u64) {
        let Some(asked) = self.operations.get(&operation) else {
            return;
        };
        let key = asked.key.clone();
        let (answered, body): (BTreeSet<NodeId>, _) = match &asked.phase {
            Phase::Query(answers) => (answers.keys().copied().collect(), Body::Query { key }),
            Phase::Store { register, stored } => {
                let register = register.clone();
                (stored.clone(), Body::Store { key, register })
            }
            Phase::Decide(_) | Phase::Repair { .. } => return,
        };
        let silent = asked.replicas.iter().copied();
        let silent: Vec<NodeId> = silent
            .filter(|replica| !answered.contains(replica))
            .collect();
        for replica in silent {
            self.say(replica, operation, body.clone());
        }
    }
}
