//! A leaderless node, driven: nobody to forward to, no log in common, and so no common state; what
//! is shared with the other modes is the loop, what leaves the node, and what a command means.

mod order;

use std::collections::BTreeMap;
use std::mem;

use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::clock::{Clock, wall_ns};
use super::outbox::Outbox;
use super::turn::{self, Inbox, Turns};
use super::{DriverError, Look, Parts, Request};
use crate::args::Conditional;
use crate::failpoint::Site;
use crate::failure::Standing;
use crate::machine::{Applied, Command, Outcome, Proposal, apply_alone};
use crate::peer::{Links, Parcel, PeerEvent};
use crate::protocol::{
    self, Consistency, ErrorCode, ErrorInfo, GetResponse, Meta, Stage, StateHash, Status,
};
use crate::quorum::{Answer, Decision, Message, Output, Quorum, Register, Stage as Reached, Stamp};
use crate::raft::{BatchId, LogId, Opaque};
use crate::storage::Writer;

/// The task that owns a leaderless core.
pub(crate) struct QuorumDriver {
    core: Quorum,
    parts: Parts,
    conditional: Conditional,
    outbox: Outbox<Message>,
    waiting: BTreeMap<u64, Asker>,
    clock: Clock,
}

/// Who waits for an operation.
enum Asker {
    Read(oneshot::Sender<Result<GetResponse, ErrorInfo>>),
    Write {
        command: Command,
        /// What it comes to, once that is decided.
        outcome: Option<Outcome>,
        reply: oneshot::Sender<Result<Applied, ErrorInfo>>,
    },
}

/// How many operations may be under way.
const WAITING_MAX: usize = 4096;

impl QuorumDriver {
    pub(crate) fn new(
        core: Quorum,
        conditional: Conditional,
        parts: Parts,
        writer: Writer,
        links: Links,
    ) -> Self {
        let outbox = Outbox::new(&parts, writer, links);
        let clock = Clock::new(parts.inbox.tick);
        Self {
            core,
            parts,
            conditional,
            outbox,
            waiting: BTreeMap::new(),
            clock,
        }
    }

    /// Runs until told to stop, or until the log fails.
    pub(crate) async fn run(mut self, stop: watch::Receiver<bool>) -> Result<(), DriverError> {
        self.introduce();
        self.parts.beacon.start();
        turn::run(&mut self, stop).await?;
        let message = "the node is stopping";
        for asker in mem::take(&mut self.waiting).into_values() {
            self.fail(asker, ErrorCode::ShuttingDown, Stage::Unknown, message);
        }
        self.outbox.close();
        Ok(())
    }

    fn look(&mut self, consistency: Option<Consistency>, look: Look) {
        match look {
            Look::Key { key, reply } => self.get(&key, consistency, reply),
            prefix @ Look::Prefix { .. } => prefix.refuse(unsupported()),
        }
    }

    fn get(
        &mut self,
        key: &str,
        consistency: Option<Consistency>,
        reply: oneshot::Sender<Result<GetResponse, ErrorInfo>>,
    ) {
        if consistency.unwrap_or(self.parts.consistency) == Consistency::Local {
            let found = self.response(self.core.register(key));
            let _ = reply.send(Ok(found));
        } else if self.waiting.len() >= WAITING_MAX {
            let asker = Asker::Read(reply);
            self.fail(asker, ErrorCode::Overloaded, Stage::PreAppend, FULL);
        } else {
            let operation = self.core.read(key);
            self.waiting.insert(operation, Asker::Read(reply));
        }
    }

    fn write(&mut self, proposal: Proposal, reply: oneshot::Sender<Result<Applied, ErrorInfo>>) {
        let Proposal { command, turn, .. } = proposal;
        let key = command.key().filter(|_| turn.is_none());
        let Some(key) = key.map(str::to_owned) else {
            let _ = reply.send(Err(unsupported()));
            return;
        };
        let is_refused = !command.is_blind() && self.conditional == Conditional::Refuse;
        let asker = Asker::Write {
            command,
            outcome: None,
            reply,
        };
        if is_refused {
            let message = "a leaderless quorum has no order in which to decide this: only reads \
                           and plain writes are taken (--conditional refuse)";
            self.fail(asker, ErrorCode::Unsupported, Stage::PreAppend, message);
        } else if self.waiting.len() >= WAITING_MAX {
            self.fail(asker, ErrorCode::Overloaded, Stage::PreAppend, FULL);
        } else {
            let operation = self.core.write(&key);
            self.waiting.insert(operation, asker);
        }
    }

    /// What a command makes of what the replicas hold: the state machine's answer, on this key
    /// alone.
    fn decide(&mut self, decision: Decision) {
        let Decision {
            operation,
            key,
            current,
        } = decision;
        let Some(Asker::Write {
            command, outcome, ..
        }) = self.waiting.get_mut(&operation)
        else {
            return self.core.cancel(operation);
        };
        let before = current.as_ref().and_then(held);
        let (change, comes_to) = apply_alone(&key, before, command.clone());
        *outcome = Some(comes_to);
        let change = change.map(|value| value.as_ref().map(encode));
        self.core.decide(operation, change);
    }

    fn answer(&mut self, operation: u64, answer: Answer) {
        let Some(asker) = self.waiting.remove(&operation) else {
            return;
        };
        match (asker, answer) {
            (Asker::Read(reply), Answer::Read(register)) => {
                let _ = reply.send(Ok(self.response(register.as_ref())));
            }
            (
                Asker::Write {
                    outcome: Some(outcome),
                    reply,
                    ..
                },
                Answer::Written(Stamp { counter, .. }),
            ) => {
                let _ = reply.send(Ok(Applied {
                    id: LogId::new(0, counter),
                    outcome,
                    is_repeat: false,
                }));
            }
            (asker, Answer::GivenUp(Reached::Query)) => {
                let message = "too few replicas answered; nothing was stored";
                self.fail(asker, ErrorCode::NoQuorum, Stage::PreAppend, message);
            }
            (asker, Answer::GivenUp(Reached::Store)) => {
                let message = "too few replicas have stored it in time, and some may have";
                self.fail(asker, ErrorCode::Timeout, Stage::PostAppend, message);
            }
            (asker, answer) => {
                let message = format!("an operation came to {answer:?}");
                self.fail(asker, ErrorCode::Internal, Stage::Unknown, &message);
            }
        }
    }

    fn take_parcel(&mut self, parcel: Parcel) {
        if let Parcel::Quorum(message) = parcel {
            self.core.step(message);
        }
    }

    /// Does what the core wants done, until it wants nothing more.
    fn flush(&mut self) {
        let failpoints = self.parts.failpoints.clone();
        loop {
            let output = self.core.take_output();
            if output.is_empty() {
                return;
            }
            let Output {
                batch,
                send_now,
                send_durable,
                barrier,
                decisions,
                answers,
            } = output;
            if let Some(batch) = &batch {
                self.trace_batch(batch);
                failpoints.pass(Site::BeforePersist);
            }
            self.outbox.persist(batch);
            if !send_now.is_empty() {
                failpoints.pass(Site::BeforeSend);
            }
            self.outbox.send_now(send_now);
            self.outbox.send_durable(barrier, send_durable);
            for (operation, answer) in answers {
                self.answer(operation, answer);
                failpoints.pass(Site::AfterReply);
            }
            // A decision leads to messages, so the core is asked again.
            for decision in decisions {
                self.decide(decision);
            }
        }
    }

    fn fail(&self, asker: Asker, code: ErrorCode, stage: Stage, message: &str) {
        let standing = Standing::default();
        match asker {
            Asker::Read(reply) => {
                let _ = reply.send(Err(standing.read_error(code, message)));
            }
            Asker::Write { reply, .. } => {
                let _ = reply.send(Err(standing.error(code, stage, message)));
            }
        }
    }

    fn response(&self, register: Option<&Register>) -> GetResponse {
        let found = register.and_then(held);
        let counter = register.map_or(0, |register| register.stamp.counter);
        let version = found.as_ref().map_or(0, |&(_, version)| version);
        GetResponse {
            found: found.is_some(),
            create_index: version,
            mod_index: version,
            version,
            value: found.map(|(value, _)| value),
            meta: Meta {
                node: self.parts.membership.id,
                term: 0,
                index: counter,
                applied: self.core.last(),
                leader: None,
                read_index: None,
                session_dup: false,
            },
        }
    }

    fn status(&self) -> Status {
        let Parts {
            membership,
            boot,
            modes,
            console,
            ..
        } = &self.parts;
        let last = self.core.last();
        Status {
            id: membership.id,
            cluster: membership.cluster.clone(),
            boot: *boot,
            pid: std::process::id(),
            role: protocol::Role::Replica,
            term: 0,
            vote: None,
            leader: None,
            // Its own log, of what this replica alone has stored.
            commit: last,
            applied: last,
            hash: StateHash::default(),
            last,
            first: self.core.snapshot_index() + 1,
            snapshot: self.core.snapshot_index(),
            installed: 0,
            voters: membership.addresses.keys().copied().collect(),
            members_index: 0,
            is_alone: false,
            lease_ms: None,
            silent_ms: None,
            outgoing: Vec::new(),
            learners: Vec::new(),
            progress: Vec::new(),
            clock_rate: self.clock.rate(),
            modes: modes.clone(),
            defects: Vec::new(),
            wall_ns: wall_ns(),
            uptime_ms: u64::try_from(console.uptime().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

const FULL: &str = "too many operations are under way already";

/// What needs one order of all operations, or one state of all keys.
fn unsupported() -> ErrorInfo {
    let message = "a leaderless quorum has registers only: no sessions, no transactions, no \
                   state of all keys, no log in common, no members to change, nobody to promote";
    let code = ErrorCode::Unsupported;
    Standing::default().error(code, Stage::PreAppend, message)
}

/// What a register holds, and its version's counter; none where it is deleted.
fn held(register: &Register) -> Option<(Value, u64)> {
    let value = register.value.as_ref()?;
    let value = serde_json::from_slice(value.as_bytes()).unwrap_or_default();
    Some((value, register.stamp.counter))
}

fn encode(value: &Value) -> Opaque {
    Opaque::from(serde_json::to_vec(value).expect("JSON values can be written as JSON"))
}

impl Turns for QuorumDriver {
    fn inbox(&mut self) -> &mut Inbox {
        &mut self.parts.inbox
    }

    fn persisted(&mut self, batch: BatchId) {
        self.core.persisted(batch);
        self.outbox.persisted(batch);
    }

    fn take_peer_event(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Arrived { parcel, .. } if !self.outbox.has_rules() => {
                self.take_parcel(parcel);
            }
            PeerEvent::Arrived { from, parcel } => {
                for passage in self.outbox.admit(from, parcel) {
                    self.take_parcel(passage.parcel);
                }
            }
            // What is under way is sent again.
            PeerEvent::Lost { .. } => {}
        }
    }

    fn take_request(&mut self, request: Request) {
        match request {
            Request::Read { consistency, look } => self.look(consistency, look),
            Request::Write { proposal, reply } => self.write(proposal, reply),
            Request::Promote { reply, .. } => {
                let _ = reply.send(Err(unsupported()));
            }
            Request::Hash { reply, .. } => {
                let _ = reply.send(Err(unsupported()));
            }
            Request::Log { reply, .. } => {
                let _ = reply.send(Err(unsupported()));
            }
            Request::Status { reply } => {
                let _ = reply.send(self.status());
            }
            Request::Order { order, reply } => self.obey(order, reply),
            Request::Rule { order, reply } => self.rule(order, reply),
        }
    }

    fn tick(&mut self) {
        self.core.tick();
    }

    fn carry_out(&mut self) -> Result<(), DriverError> {
        self.flush();
        Ok(())
    }
}
