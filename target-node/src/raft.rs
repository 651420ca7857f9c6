//! Raft without I/O: one thread, no clock, no disk, no network.
//!
//! ```text
//!   step(message)  tick()  propose(command)  read()  persisted(batch)
//!         └───────────┴──────────┬──────────────┴──────────┘
//!                              Raft      every input changes memory only
//!                                │
//!                          take_output()  ──▶  Output: what to persist, send, apply, answer
//! ```
//!
//! The same inputs in the same order give the same outputs: randomness is seeded and passed in,
//! time is counted in ticks. One file per phase: `election`, `replication`, `commit`, `read`; what
//! they work on: `log`, `progress`, `quorum`, `durability`.
//!
//! What always holds, and where it is enforced:
//!
//! ```text
//! applied <= commit, applied <= durable <= last     commit::take_committed, durability
//! matched < next                                    progress
//! a leader never drops an entry of its own log      only followers reach replication::truncate
//! commit never falls                                commit::{advance_commit, learn_commit}
//! ```
//!
//! Sections refer to Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm
//! (Extended Version)", 2014, and to Ongaro's thesis, "Consensus: Bridging Theory and Practice".

mod change;
mod commit;
mod config;
pub(crate) mod durability;
mod election;
mod entry;
pub(crate) mod log;
mod members;
mod membership;
mod message;
mod output;
mod progress;
mod quorum;
mod read;
mod replication;
mod role;
mod snapshot;
mod timer;
mod transfer;
mod view;

use std::mem;

use rand::rngs::ChaCha8Rng;
use thiserror::Error;

pub use change::{Change, ChangeError, ConfChange, Effect};
pub use commit::Forgot;
pub use config::{Config, ConfigError, Jitter};
pub use entry::{Entry, HardState, Index, LogId, NodeId, Opaque, Payload, Term};
pub use members::Members;
pub use message::{AppendOutcome, Body, Message};
pub use output::{Batch, BatchId, Event, Output, ReadyRead};
pub use read::{Moment, ReadMode};
pub use role::Role;
pub use snapshot::{Recovered, Snapshot};
pub use transfer::TransferError;

use crate::defect::Defect;
use durability::Durability;
use log::Log;
use membership::Membership;
use quorum::Quorum;
use read::Reads;
use role::State;
use snapshot::{Incoming, Part};
use timer::ElectionTimer;

/// One node's part in the consensus.
#[derive(Debug)]
pub struct Raft {
    config: Config,
    membership: Membership,
    quorum: Quorum,
    hard_state: HardState,
    state: State,
    leader: Option<NodeId>,
    log: Log,
    snapshot: Option<Snapshot>,
    incoming: Option<Incoming>,
    durability: Durability,
    commit: Index,
    applied: Index,
    forgot: Option<Forgot>,
    reads: Reads,
    timer: ElectionTimer,
    /// The last that was said about the time.
    now: Moment,
    rng: ChaCha8Rng,
    output: Output,
}

/// No leader is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no leader is known")]
pub struct NoLeader;

/// Why a node takes no proposals. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// It does not lead.
    #[error("this node does not lead")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// It is handing its leadership over.
    #[error("this node is handing its leadership over to node {to}")]
    Transferring {
        /// To whom.
        to: NodeId,
    },
}

impl Raft {
    /// A follower with what it remembers from before, if anything.
    ///
    /// # Errors
    /// Where the configuration makes no sense.
    ///
    /// # Panics
    /// Where the recovered log has gaps, or none at its snapshot: recovery has checked that.
    pub fn new(config: Config, recovered: Recovered, rng: ChaCha8Rng) -> Result<Self, ConfigError> {
        config.validate()?;
        let Recovered {
            hard_state,
            snapshot,
            base,
            entries,
        } = recovered;
        let log = Log::new(base, entries);
        let applied = snapshot.as_ref().map_or(0, |snapshot| snapshot.last.index);
        assert!(
            (base.index..=log.last().index).contains(&applied),
            "a recovered snapshot lies within the log"
        );
        let members = snapshot.as_ref().map_or_else(
            || Members::of(config.voters.clone()),
            |snapshot| snapshot.members.clone(),
        );
        let membership = Membership::new(
            config.conf_effective,
            members,
            applied,
            log.range(1, Index::MAX),
        );
        let mut raft = Self {
            quorum: Quorum::new(membership.current_members()),
            membership,
            hard_state,
            state: State::Follower,
            leader: None,
            durability: Durability::new(log.last().index, hard_state),
            log,
            snapshot,
            incoming: None,
            commit: applied,
            applied,
            forgot: None,
            reads: Reads::new(config.first_read),
            timer: ElectionTimer::new(&config, hard_state.term),
            now: 0,
            rng,
            output: Output::default(),
            config,
        };
        raft.restart_timer();
        Ok(raft)
    }

    /// One unit of time has passed.
    pub fn tick(&mut self) {
        self.timer.pass();
        match self.role() {
            Role::Leader => self.tick_leader(),
            Role::Follower | Role::PreCandidate | Role::Candidate => self.tick_election(),
        }
        self.tick_reads();
    }

    /// A message has come. What does not concern this node is dropped.
    pub fn step(&mut self, message: Message) {
        // Whoever it is from: the sender may know of a later configuration.
        let is_ours = message.to == self.config.id && message.from != self.config.id;
        if is_ours && message.is_well_formed() {
            let committed = message.body.committed();
            self.take_in(message);
            self.learn_committed(committed);
        }
    }

    fn take_in(&mut self, message: Message) {
        // Changes no term, and nobody who hears a leader goes into an election for another.
        if let Body::PreVote { campaign, last, .. } = message.body {
            return self.handle_pre_vote(message.from, campaign, last);
        }
        let is_ahead = message.term > self.term();
        // But for a candidate whom the leader itself has asked to take over.
        let is_unasked = matches!(
            message.body,
            Body::Vote {
                is_transfer: false,
                ..
            }
        );
        let is_in_vain = is_unasked && self.hears_leader() || self.is_outsiders_answer(&message);
        if is_ahead && is_in_vain {
            return;
        }
        let asked_late = is_ahead && self.role() == Role::PreCandidate;
        if is_ahead {
            self.become_follower(message.term);
        }
        // Whoever is a term behind may still tell that it would vote in the next one.
        if matches!(message.body, Body::PreVoteResponse { .. }) {
            return self.handle_pre_vote_response(&message, asked_late);
        }
        if message.term < self.term() {
            self.answer_stale(&message);
            return;
        }
        if message.body.is_from_leader() {
            self.hear_leader(message.from);
            if self.role() == Role::Leader {
                return;
            }
        }
        if let State::Leader(leader) = &mut self.state {
            leader.heard.insert(message.from);
        }
        self.dispatch(message);
    }

    fn dispatch(&mut self, message: Message) {
        let from = message.from;
        match message.body {
            Body::Vote { last, .. } => self.handle_vote(from, last),
            Body::VoteResponse { granted, .. } => self.handle_vote_response(from, granted),
            Body::PreVote { .. } | Body::PreVoteResponse { .. } => {
                unreachable!("pre-votes are handled before the terms are compared")
            }
            Body::Append {
                prev,
                entries,
                commit,
            } => {
                self.handle_append(from, prev, entries, commit);
            }
            Body::Snapshot {
                last,
                members,
                total,
                offset,
                chunk,
            } => {
                let part = Part {
                    members,
                    total,
                    offset,
                    chunk,
                };
                self.handle_snapshot(from, last, part);
            }
            Body::SnapshotResponse { last, received } => {
                self.handle_snapshot_response(from, last, received);
            }
            Body::TimeoutNow => self.take_over(),
            Body::AppendResponse(outcome) => self.handle_append_response(from, outcome),
            Body::Heartbeat { commit, round } => self.handle_heartbeat(from, commit, round),
            Body::HeartbeatResponse { round } => self.handle_heartbeat_response(from, round),
            Body::ReadIndex { read, mode } => self.handle_read_index(from, read, mode),
            Body::ReadIndexResponse { read, index } => {
                self.handle_read_index_response(read, index);
            }
        }
    }

    /// Someone lives in a term that is over. A deposed leader or a late candidate is told so, by
    /// a refusal in the present term; everything else of that term means nothing any more.
    ///
    /// Without the answer to a leader a node that was cut off, and has raised its term alone,
    /// could never come back where its own requests for votes are ignored or lost: neither side
    /// would listen to the other (etcd pull request 5468).
    fn answer_stale(&mut self, message: &Message) {
        match &message.body {
            Body::Vote { .. } => self.answer_vote(message.from, false),
            _ if self.config.defects.has(Defect::NoStaleTermNudge) => {}
            Body::Append { prev, .. } => {
                let refusal = AppendOutcome::Rejected {
                    at: prev.index,
                    hint: LogId::ZERO,
                };
                self.say(message.from, Body::AppendResponse(refusal));
            }
            Body::Heartbeat { .. } | Body::Snapshot { .. } | Body::TimeoutNow => {
                let refusal = AppendOutcome::Rejected {
                    at: 0,
                    hint: LogId::ZERO,
                };
                self.say(message.from, Body::AppendResponse(refusal));
            }
            _ => {}
        }
    }

    /// A command to be replicated. It stands in this leader's log afterwards, under the returned
    /// name; whether it is ever committed is another question.
    ///
    /// # Errors
    /// Where this node does not lead, or is about to lead no more; nothing was appended then.
    pub fn propose(&mut self, command: Opaque) -> Result<LogId, ProposeError> {
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader {
                leader: self.leader,
            });
        }
        match self.transferring_to() {
            None => Ok(self.push(Payload::Command(command))),
            Some(to) => Err(ProposeError::Transferring { to }),
        }
    }

    /// All batches up to this one are durable.
    pub fn persisted(&mut self, batch: BatchId) {
        self.durability.persisted(batch);
        self.count_own_vote(batch);
        self.advance_commit();
    }

    /// Everything that the inputs since the last call have led to.
    pub fn take_output(&mut self) -> Output {
        self.leave_joint();
        self.log_reads();
        self.flush_reads();
        self.flush_appends();
        self.flush_transfer();
        self.retire();
        self.output.batch = self.take_batch();
        self.output.barrier = self.durability.last_batch();
        // Committed first: it may find that the state has to be rebuilt.
        self.output.committed = self.take_committed();
        self.answer_logged();
        self.output.reads = self.reads.take_ready(self.applied);
        mem::take(&mut self.output)
    }

    fn take_batch(&mut self) -> Option<Batch> {
        let last = self.log.last().index;
        let handed = self.durability.hand_out(last, self.hard_state)?;
        let (snapshot, drops_log) = handed.snapshot.unzip();
        Some(Batch {
            snapshot,
            drops_log: drops_log.unwrap_or(false),
            id: handed.id,
            hard_state: handed.hard_state,
            truncate_from: handed.truncate_from,
            append: self.log.range(handed.append_from, last).to_vec(),
        })
    }

    fn say(&mut self, to: NodeId, body: Body) {
        let queue = match body.is_promise() {
            true => &mut self.output.send_durable,
            false => &mut self.output.send_now,
        };
        queue.push(Message {
            from: self.config.id,
            to,
            term: self.hard_state.term,
            body,
        });
    }

    fn record(&mut self, event: Event) {
        self.output.events.push(event);
    }

    /// The other voters.
    fn peers(&self) -> Vec<NodeId> {
        let members = self.members();
        let voters = members.voters.union(&members.outgoing).copied();
        voters.filter(|&id| id != self.config.id).collect()
    }

    /// Ends the process where an invariant of the core is broken; but what is there to break them
    /// goes on, as what is of interest then is what clients get to see.
    fn tripwire(&self, holds: bool, broken: &str) {
        let is_sound = !self.config.is_unsound();
        assert!(holds || !is_sound, "node {}: {broken}", self.config.id);
    }
}
