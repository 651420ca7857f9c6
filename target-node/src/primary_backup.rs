//! Primary and backups without I/O: one node orders all writes, the others copy its log, and
//! somebody outside says which node that is.
//!
//! ```text
//!  client ── write ──▶ primary ── append, once it is on its own disk ──▶ every backup
//!                         ▲                                                 │
//!                         └──────────── accepted, once on its disk ─────────┘
//! ```
//!
//! Three modes differ in one number, how many backups must have a write before it is acknowledged
//! ([`Acknowledge`]), and so in what they promise:
//!
//! | mode | acknowledged when it is on the disk of | one backup away | a promotion may lose |
//! |---|---|---|---|
//! | `sync` | the primary and all backups | no write at all | nothing |
//! | `semisync` | the primary and one backup, or alone | goes on | see below |
//! | `async` | the primary | goes on | what was not yet sent |
//!
//! `semisync` goes on alone where no backup answers in time; a promotion then loses all of that,
//! and else what the backup that answered has and the promoted one has not.
//!
//! Nobody votes. An operator *promotes* a node with an **epoch** higher than any before; the epoch
//! travels with every message, and who hears of a later one follows its primary. That is all the
//! fencing there is: a primary that has not heard of its successor goes on, and what it
//! acknowledges then is kept only where the mode needs a backup that knows better.
//!
//! What always holds, and where it is enforced:
//!
//! ```text
//! an epoch can have one primary only                                Config::owner, promote
//! what a primary sends is on its own disk                           primary::next_append
//! acknowledged => committed by the mode's rule => on these disks    primary::advance_commit
//! within an epoch the primary's log only grows                      propose
//! a backup's log up to `verified` equals the primary's              backup
//! ```
//!
//! An entry that was acknowledged may still be lost in the two weaker modes: a promoted node's log
//! replaces all others, and the state of a node that had applied more is built again from what is
//! left. Terms are those of the Raft core, whose log and disk this core shares: a term is an
//! epoch, and the vote in it names its primary.

mod backup;
mod config;
mod follower;
mod message;
mod primary;
mod read;
mod snapshot;
mod view;

use std::mem;

use thiserror::Error;

pub use config::{Acknowledge, Config, ConfigError};
pub use message::{Body, Message};

use crate::raft::durability::Durability;
use crate::raft::log::Log;
use crate::raft::{
    Batch, BatchId, Entry, Event, HardState, Index, LogId, NodeId, Opaque, Output, Payload,
    ProposeError, Recovered, Snapshot, Term,
};
use backup::Incoming;
use primary::Primary;
use read::Reads;

/// One node's part in the replication.
#[derive(Debug)]
pub struct PrimaryBackup {
    config: Config,
    /// The epoch, and its primary in the place of a vote.
    hard_state: HardState,
    /// What a primary keeps; none in a backup.
    primary: Option<Primary>,
    log: Log,
    snapshot: Option<Snapshot>,
    incoming: Option<Incoming>,
    durability: Durability,
    commit: Index,
    applied: Index,
    /// A backup: up to here its log is known to equal the log of this epoch's primary.
    verified: Index,
    /// A backup: ticks since it last heard its primary.
    silent_ticks: u64,
    reads: Reads,
    output: Output<Message>,
}

/// Why a node is not promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EpochRefused {
    /// The epoch would not be a new one.
    #[error("epoch {asked} is not above {current}, which this node has heard of")]
    Stale {
        /// What was asked for.
        asked: Term,
        /// What the node knows.
        current: Term,
    },
    /// The epoch can only be another node's.
    #[error("epoch {asked} is node {owner}'s; the next that can be this node's is {next}")]
    NotOurs {
        /// What was asked for.
        asked: Term,
        /// Whose it is.
        owner: NodeId,
        /// What to ask for.
        next: Term,
    },
}

impl PrimaryBackup {
    /// A node with what it remembers from before. In a cluster without a past, the node with the
    /// lowest number is the primary of epoch 1.
    ///
    /// # Errors
    /// Where the configuration makes no sense.
    ///
    /// # Panics
    /// Where the recovered log has gaps, or none at its snapshot: recovery has checked that.
    pub fn new(config: Config, recovered: Recovered) -> Result<Self, ConfigError> {
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
        let durability = Durability::new(log.last().index, hard_state);
        let mut core = Self {
            hard_state: match hard_state.term {
                0 => HardState {
                    term: 1,
                    vote: Some(config.owner(1)),
                },
                _ => hard_state,
            },
            primary: None,
            log,
            snapshot,
            incoming: None,
            durability,
            commit: applied,
            applied,
            verified: 0,
            silent_ticks: 0,
            reads: Reads::new(config.first_read),
            output: Output::default(),
            config,
        };
        if core.leader() == Some(core.config.id) {
            core.begin_to_lead();
        }
        Ok(core)
    }

    /// One unit of time has passed.
    pub fn tick(&mut self) {
        self.silent_ticks += 1;
        self.tick_primary();
        self.tick_reads();
    }

    /// A message has come. What does not concern this node is dropped.
    pub fn step(&mut self, message: Message) {
        let is_from_peer =
            message.from != self.config.id && self.config.members.contains(&message.from);
        let is_owned = self.config.owner(message.epoch) == message.primary;
        let is_sound = is_from_peer && is_owned && message.is_well_formed();
        if message.to != self.config.id || !is_sound {
            return;
        }
        if message.epoch > self.term() {
            self.follow(message.epoch, message.primary);
        }
        if message.epoch < self.term() {
            // Whoever speaks for an epoch that is over is told so; answers are not answered.
            if message.body.is_request() {
                self.say(message.from, Body::Fenced);
            }
            return;
        }
        if Some(message.from) == self.leader() {
            self.silent_ticks = 0;
        }
        self.dispatch(message);
    }

    fn dispatch(&mut self, message: Message) {
        let from = message.from;
        match message.body {
            Body::Append {
                prev,
                entries,
                commit,
            } => self.handle_append(prev, entries, commit),
            Body::Heartbeat { commit, round } => self.handle_heartbeat(commit, round),
            Body::Snapshot {
                last,
                total,
                offset,
                chunk,
            } => self.handle_snapshot(last, total, offset, &chunk),
            Body::Accepted { matched } => self.handle_accepted(from, matched),
            Body::Rejected { at, hint } => self.handle_rejected(from, at, hint),
            Body::Diverged => self.handle_diverged(from),
            Body::Received { last, received } => self.handle_received(from, last, received),
            Body::HeartbeatAnswer { round } => self.handle_heartbeat_answer(from, round),
            Body::ReadIndex { read } => self.handle_read_index(from, read),
            Body::ReadIndexAnswer { read, index } => self.reads.answered(read, index),
            Body::Fenced => {}
        }
    }

    /// A command to be replicated. It stands in the primary's log afterwards, under the returned
    /// name.
    ///
    /// # Errors
    /// Where this node is not the primary; nothing was appended then.
    pub fn propose(&mut self, command: Opaque) -> Result<LogId, ProposeError> {
        match self.primary {
            Some(_) => Ok(self.push(Payload::Command(command))),
            None => Err(ProposeError::NotLeader {
                leader: self.leader(),
            }),
        }
    }

    /// Somebody outside says that this node is the primary from now on, in a new epoch: the given
    /// one, or the next that can be its own.
    ///
    /// Epochs are dealt out to the nodes in turn, so that two nodes can never be promoted with the
    /// same one, whatever the operator does: their entries would have the same names.
    ///
    /// Its log is what the others will have. Whether that holds all that was acknowledged is the
    /// operator's business: `sync` has it in every log.
    ///
    /// # Errors
    /// Where the epoch is not new, or is another node's; nothing changed then.
    pub fn promote(&mut self, epoch: Option<Term>) -> Result<Term, EpochRefused> {
        let (current, id) = (self.term(), self.config.id);
        let next = (current + 1..)
            .find(|&epoch| self.config.owner(epoch) == id)
            .expect("epochs are dealt out to all members in turn");
        let asked = epoch.unwrap_or(next);
        if asked <= current {
            return Err(EpochRefused::Stale { asked, current });
        }
        let owner = self.config.owner(asked);
        if owner != id {
            return Err(EpochRefused::NotOurs { asked, owner, next });
        }
        let was_primary = self.primary.is_some();
        self.enter(asked, self.config.id);
        if was_primary {
            self.record(Event::BecameFollower { term: asked });
        }
        let last = self.log.last();
        self.record(Event::BecameLeader { term: asked, last });
        // The first entry of the epoch: a snapshot that holds it is newer than any of before.
        self.push(Payload::Noop);
        self.begin_to_lead();
        Ok(asked)
    }

    /// All batches up to this one are durable.
    pub fn persisted(&mut self, batch: BatchId) {
        self.durability.persisted(batch);
        self.advance_commit();
    }

    /// Everything that the inputs since the last call have led to.
    pub fn take_output(&mut self) -> Output<Message> {
        self.advance_commit();
        self.flush_reads();
        self.flush_appends();
        self.output.batch = self.take_batch();
        self.output.barrier = self.durability.last_batch();
        // Committed first: it may find that the state has to be rebuilt.
        self.output.committed = self.take_committed();
        self.output.reads = self.reads.take_ready(self.readable());
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

    /// What may be applied now: committed, and on this node's own disk.
    fn take_committed(&mut self) -> Vec<Entry> {
        let upto = self.commit.min(self.durability.durable());
        if self.applied < self.log.base().index {
            // The primary's snapshot came in place of the log; it has to be durable first.
            if upto < self.snapshot_index() {
                return Vec::new();
            }
            self.applied = self.snapshot_index();
            self.output.rebuild = true;
        }
        let entries = self.log.range(self.applied + 1, upto).to_vec();
        self.applied = self.applied.max(upto);
        entries
    }

    /// Up to where the state may be shown as this epoch's: what a backup has applied of another
    /// epoch's log is not, until it knows that the primary has it too.
    fn readable(&self) -> Index {
        match self.primary {
            Some(_) => self.applied,
            None => self.applied.min(self.verified),
        }
    }

    /// Someone speaks for a later epoch.
    fn follow(&mut self, epoch: Term, primary: NodeId) {
        let was_primary = self.primary.is_some();
        self.enter(epoch, primary);
        if was_primary {
            self.record(Event::BecameFollower { term: epoch });
        }
        self.record(Event::Follows {
            term: epoch,
            leader: primary,
        });
        self.ask_reads();
    }

    fn enter(&mut self, epoch: Term, primary: NodeId) {
        self.hard_state = HardState {
            term: epoch,
            vote: Some(primary),
        };
        self.primary = None;
        self.incoming = None;
        self.verified = 0;
        self.silent_ticks = 0;
    }

    fn push(&mut self, payload: Payload) -> LogId {
        let id = LogId::new(self.term(), self.log.last().index + 1);
        self.log.push(Entry { id, payload });
        id
    }

    fn say(&mut self, to: NodeId, body: Body) {
        let queue = match body.is_promise() {
            true => &mut self.output.send_durable,
            false => &mut self.output.send_now,
        };
        queue.push(Message {
            from: self.config.id,
            to,
            epoch: self.hard_state.term,
            primary: self.hard_state.vote.unwrap_or(0),
            body,
        });
    }

    fn record(&mut self, event: Event) {
        self.output.events.push(event);
    }
}
