//! The one task that owns the core, and carries out what it wants.
//!
//! ```text
//!  server ── requests ──▶┌────────┐── batch ──────────▶ writer thread ─┐
//!  peers ─── events ────▶│ driver │◀───────────── persisted ───────────┘
//!  clock ─── ticks ─────▶└────────┘── parcels ────────▶ links
//! ```
//!
//! Each turn takes everything that waits, then carries out the core's output once: so requests
//! that come together share an append, a write, a sync and a read round. The order is that of
//! [`Output`]: hand the batch to the disk, send what may run ahead of it, hold back what is a
//! promise until its batch is durable, apply, answer reads. Nothing in a turn waits.
//!
//! | file | what |
//! |---|---|
//! | [`turn`] | the loop, the same for every core |
//! | [`outbox`] | what leaves: batches, messages, promises held back |
//! | [`replicated_log`] | what a core must offer to be driven here: a mode of replication |
//! | [`mod@write`], [`read`], [`forward`], [`held`], [`waiter`] | who waits for what |

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the driver owns the clock"
)]

mod beacon;
mod clock;
mod forward;
mod held;
mod observer;
mod order;
mod outbox;
mod primary_backup;
mod quorum;
mod read;
mod replicated_log;
mod report;
mod session;
mod snapshot;
mod turn;
mod waiter;
mod write;

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::console::Console;
use crate::defect::Defects;
use crate::failpoint::{Failpoints, Site};
use crate::failure::Standing;
use crate::machine::{Applied, Machine, Proposal, StateError};
use crate::peer::{Links, Membership, Parcel, PeerEvent};
use crate::protocol::{
    Consistency, ErrorInfo, LogResponse, Modes, NetRuleState, NodeId, StateHash, Status,
};
use crate::raft::{BatchId, Forgot, Index, LogId, Output};
use crate::storage::{StorageError, Writer};
use crate::trace::Tracer;
use clock::Clock;
use forward::Forwards;
use observer::Seen;
use outbox::Outbox;
use read::PendingReads;
use session::LogClock;
use turn::Turns;
use write::Writes;

pub(crate) use beacon::Beacon;
pub(crate) use order::{Order, RuleOrder};
pub(crate) use quorum::QuorumDriver;
pub(crate) use read::Look;
pub(crate) use replicated_log::ReplicatedLog;
pub(crate) use snapshot::machine_of;
pub(crate) use turn::Inbox;

/// What a node that does not lead does with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Routing {
    /// Sends it to the leader and passes on the answer.
    Forward,
    /// Refuses it, and sends the client to the leader.
    Redirect,
    /// Refuses it, and names the leader.
    Reject,
}

/// What a client asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Look at the state.
    Read {
        consistency: Option<Consistency>,
        look: Look,
    },
    /// Change a key.
    Write {
        proposal: Proposal,
        reply: oneshot::Sender<Result<Applied, ErrorInfo>>,
    },
    /// Be the primary from now on.
    Promote {
        epoch: Option<u64>,
        reply: oneshot::Sender<Result<u64, ErrorInfo>>,
    },
    /// Tell about yourself.
    Status { reply: oneshot::Sender<Status> },
    /// Tell the hashes of the state after an entry, the last one applied if none is named.
    Hash {
        index: Option<Index>,
        reply: oneshot::Sender<Result<StateHash, ErrorInfo>>,
    },
    /// Tell a part of the log.
    Log {
        from: Index,
        to: Index,
        reply: oneshot::Sender<Result<LogResponse, ErrorInfo>>,
    },
    /// Do what an administrator wants.
    Order {
        order: Order,
        reply: oneshot::Sender<Result<Status, ErrorInfo>>,
    },
    /// Treat some messages in a way of their own.
    Rule {
        order: RuleOrder,
        reply: oneshot::Sender<Result<Vec<NetRuleState>, ErrorInfo>>,
    },
}

/// Why a driver gave up. The node must stop: nobody knows what is on its disk.
#[derive(Debug, Error)]
pub(crate) enum DriverError {
    /// The log failed.
    #[error("the log failed, and a node must not go on without it: {0}")]
    Storage(#[from] StorageError),
    /// The log's thread is gone.
    #[error("the thread that writes the log is gone")]
    WriterGone,
    /// A leader counts on what is not there any more.
    #[error(
        "this node acknowledged entries up to {commit}, and its log ends at {last}: its data \
         directory was emptied, cut, or replaced by an older one; take the node out of the \
         cluster, and add it again as a new one"
    )]
    Forgot {
        /// Up to here it had acknowledged.
        commit: Index,
        /// Here its log ends.
        last: Index,
    },
    /// A snapshot holds no state.
    #[error(
        "the snapshot up to {last} is no state: {source}; start the version that wrote it, or \
         remove the node"
    )]
    State {
        /// Its last entry.
        last: LogId,
        /// What is wrong with it.
        source: StateError,
    },
}

/// What a driver is given beside its core.
pub(crate) struct Parts {
    pub(crate) membership: Membership,
    pub(crate) boot: u64,
    pub(crate) defects: Defects,
    pub(crate) routing: Routing,
    pub(crate) election_ticks: u32,
    /// How many entries are applied from one snapshot to the next.
    pub(crate) snapshot_entries: u64,
    /// How a read is made that does not say how.
    pub(crate) consistency: Consistency,
    pub(crate) modes: Modes,
    pub(crate) console: Console,
    pub(crate) inbox: Inbox,
    pub(crate) failpoints: Failpoints,
    pub(crate) tracer: Tracer,
    pub(crate) beacon: Arc<Beacon>,
}

impl Parts {
    /// How long a tick is.
    fn tick_ms(&self) -> u64 {
        u64::try_from(self.inbox.tick.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The task that owns the core.
pub(crate) struct Driver<C: ReplicatedLog> {
    core: C,
    parts: Parts,
    outbox: Outbox<C::Message>,
    machine: Machine,
    writes: Writes,
    reads: PendingReads,
    forwards: Forwards,
    log_clock: LogClock,
    seen: Option<Seen>,
    /// Snapshots taken from leaders.
    installed: u64,
    /// Ticks since the start.
    now: u64,
    clock: Clock,
}

impl<C: ReplicatedLog> Driver<C> {
    /// The machine holds what the core's newest snapshot says.
    pub(crate) fn new(
        core: C,
        machine: Machine,
        parts: Parts,
        writer: Writer,
        links: Links,
    ) -> Self {
        let forwards = Forwards::new(parts.boot);
        let clock = Clock::new(parts.inbox.tick);
        let outbox = Outbox::new(&parts, writer, links);
        Self {
            core,
            parts,
            outbox,
            machine,
            writes: Writes::default(),
            reads: PendingReads::default(),
            forwards,
            log_clock: LogClock::default(),
            seen: None,
            installed: 0,
            now: 0,
            clock,
        }
    }

    /// Runs until told to stop, or until the log fails.
    pub(crate) async fn run(mut self, stop: watch::Receiver<bool>) -> Result<(), DriverError> {
        self.introduce();
        self.parts.beacon.start();
        turn::run(&mut self, stop).await?;
        self.stop();
        Ok(())
    }

    /// Tells the core what its clock says: one that is monotonic, and goes on while the process
    /// does not.
    fn observe(&mut self) {
        self.core.observe(self.clock.now());
    }

    fn take_parcel(&mut self, from: NodeId, parcel: Parcel) {
        match parcel {
            Parcel::Propose { ticket, command } => self.propose_for(from, ticket, command),
            Parcel::Proposed { ticket, result } => self.forwarded(from, ticket, &result),
            parcel => {
                if let Some(message) = C::message(parcel) {
                    self.observe();
                    self.core.step(message);
                    self.watch();
                }
            }
        }
    }

    fn publish_standing(&self) {
        let Standing { term, leader } = self.standing();
        self.parts.beacon.stand(term, leader);
    }

    fn standing(&self) -> Standing {
        Standing {
            term: self.core.term(),
            leader: self.core.leader(),
        }
    }

    /// Tells everyone who waits, and closes the log.
    fn stop(mut self) {
        self.abandon_writes();
        self.abandon_reads();
        self.outbox.close();
    }
}

impl<C: ReplicatedLog> Turns for Driver<C> {
    fn inbox(&mut self) -> &mut Inbox {
        &mut self.parts.inbox
    }

    fn persisted(&mut self, batch: BatchId) {
        self.core.persisted(batch);
        self.watch();
        self.outbox.persisted(batch);
    }

    fn take_peer_event(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Arrived { from, parcel } if !self.outbox.has_rules() => {
                self.take_parcel(from, parcel);
            }
            PeerEvent::Arrived { from, parcel } => {
                for passage in self.outbox.admit(from, parcel) {
                    self.take_parcel(passage.from, passage.parcel);
                }
            }
            PeerEvent::Lost { to } => self.forward_lost(to),
        }
    }

    fn take_request(&mut self, request: Request) {
        match request {
            Request::Read { consistency, look } => self.read(consistency, look),
            Request::Write { proposal, reply } => self.write(proposal, reply),
            Request::Promote { epoch, reply } => {
                let promoted = self.core.promote(epoch);
                self.watch();
                let _ = reply.send(promoted.map_err(|refusal| self.refuse(refusal)));
            }
            Request::Status { reply } => {
                let _ = reply.send(self.status());
            }
            Request::Hash { index, reply } => {
                let _ = reply.send(self.hash_at(index));
            }
            Request::Log { from, to, reply } => {
                let _ = reply.send(Ok(self.log(from, to)));
            }
            Request::Order { order, reply } => self.obey(order, reply),
            Request::Rule { order, reply } => self.rule(order, reply),
        }
    }

    fn tick(&mut self) {
        self.now += 1;
        self.observe();
        self.core.tick();
        self.watch();
        self.expire_writes();
        self.expire_sessions();
        self.forget_reads();
    }

    fn carry_out(&mut self) -> Result<(), DriverError> {
        self.release_held();
        self.begin_reads();
        if let Some(Forgot { commit, last }) = self.core.forgot() {
            return Err(DriverError::Forgot { commit, last });
        }
        let output = self.core.take_output();
        self.watch();
        if output.is_empty() {
            return Ok(());
        }
        let Output {
            batch,
            send_now,
            send_durable,
            barrier,
            rebuild,
            committed,
            reads,
            events,
        } = output;
        let failpoints = self.parts.failpoints.clone();
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
        self.publish_standing();
        for event in events {
            self.take_event(event);
        }
        if rebuild {
            failpoints.pass(Site::BeforeInstall);
            self.restore()?;
            self.trace_restored();
            failpoints.pass(Site::AfterInstall);
        }
        for entry in &committed {
            self.apply(entry);
        }
        let applied = self.core.applied();
        self.parts.beacon.apply(applied);
        for read in reads {
            self.answer_read(read);
        }
        self.compact();
        Ok(())
    }
}
