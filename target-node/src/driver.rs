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

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the driver owns the clock"
)]

mod forward;
mod read;
mod report;
mod session;
mod snapshot;
mod waiter;
mod write;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::console::Console;
use crate::defect::Defects;
use crate::failure::Standing;
use crate::machine::{Applied, Machine, Proposal, StateError};
use crate::peer::{Links, Membership, Parcel, PeerEvent};
use crate::protocol::{Consistency, ErrorInfo, LogResponse, Modes, StateHash, Status};
use crate::raft::{BatchId, Index, LogId, Message, Output, Raft};
use crate::storage::{StorageError, Writer};
use forward::Forwards;
use read::PendingReads;
use session::LogClock;
use write::Writes;

pub(crate) use read::Look;

/// What a node that does not lead does with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Routing {
    /// Sends it to the leader and passes on the answer.
    Forward,
    /// Refuses it, and names the leader.
    Reject,
}

/// What a client asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Look at the state.
    Read {
        consistency: Consistency,
        look: Look,
    },
    /// Change a key.
    Write {
        proposal: Proposal,
        reply: oneshot::Sender<Result<Applied, ErrorInfo>>,
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
        reply: oneshot::Sender<LogResponse>,
    },
}

/// The present standing, for those who answer without the driver.
#[derive(Debug, Default)]
pub(crate) struct Beacon {
    term: AtomicU64,
    /// 0: not known.
    leader: AtomicU64,
    applied: AtomicU64,
}

impl Beacon {
    pub(crate) fn standing(&self) -> Standing {
        let leader = self.leader.load(Ordering::Relaxed);
        let term = self.term.load(Ordering::Relaxed);
        Standing {
            term,
            leader: (leader != 0).then_some(leader),
        }
    }

    /// The highest index applied.
    pub(crate) fn applied(&self) -> Index {
        self.applied.load(Ordering::Relaxed)
    }
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

/// What a driver is given.
pub(crate) struct Parts {
    pub(crate) raft: Raft,
    pub(crate) membership: Membership,
    pub(crate) boot: u64,
    pub(crate) defects: Defects,
    pub(crate) routing: Routing,
    pub(crate) tick: Duration,
    pub(crate) election_ticks: u32,
    /// How many entries are applied from one snapshot to the next.
    pub(crate) snapshot_entries: u64,
    pub(crate) modes: Modes,
    pub(crate) console: Console,
    pub(crate) writer: Writer,
    pub(crate) persisted: mpsc::UnboundedReceiver<Result<BatchId, StorageError>>,
    pub(crate) links: Links,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) peers: mpsc::Receiver<PeerEvent>,
    pub(crate) beacon: Arc<Beacon>,
}

/// The task that owns the core.
pub(crate) struct Driver {
    parts: Parts,
    machine: Machine,
    writes: Writes,
    reads: PendingReads,
    forwards: Forwards,
    log_clock: LogClock,
    /// Promises, each with the batch that must be durable first.
    held: VecDeque<(BatchId, Vec<Message>)>,
    durable: BatchId,
    /// Ticks since the start.
    now: u64,
}

/// How much of each queue one turn takes: enough to share the costs, and little enough that a
/// tick is not late.
const TURN_MAX: usize = 512;

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let forwards = Forwards::new(parts.boot);
        Self {
            parts,
            machine: Machine::default(),
            writes: Writes::default(),
            reads: PendingReads::default(),
            forwards,
            log_clock: LogClock::default(),
            held: VecDeque::new(),
            durable: 0,
            now: 0,
        }
    }

    /// Runs until told to stop, or until the log fails.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), DriverError> {
        self.restore()?;
        let mut next_tick = Instant::now() + self.parts.tick;
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|&stop| stop) => break,
                report = self.parts.persisted.recv() => self.take_report(report)?,
                Some(event) = self.parts.peers.recv() => self.take_peer_event(event),
                Some(request) = self.parts.requests.recv() => self.take_request(request),
                () = sleep_until(next_tick) => {}
            }
            self.take_waiting()?;
            if Instant::now() >= next_tick {
                self.tick();
                // A late tick does not put off the next one; but after a pause of the whole
                // process there is no burst of them: what the leader said meanwhile still waits
                // in the queue and has to be heard first.
                next_tick = (next_tick + self.parts.tick).max(Instant::now());
            }
            self.carry_out()?;
        }
        self.stop();
        Ok(())
    }

    /// Takes what else waits.
    fn take_waiting(&mut self) -> Result<(), DriverError> {
        while let Ok(report) = self.parts.persisted.try_recv() {
            self.take_report(Some(report))?;
        }
        for _ in 0..TURN_MAX {
            let Ok(event) = self.parts.peers.try_recv() else {
                break;
            };
            self.take_peer_event(event);
        }
        for _ in 0..TURN_MAX {
            let Ok(request) = self.parts.requests.try_recv() else {
                break;
            };
            self.take_request(request);
        }
        Ok(())
    }

    fn take_report(
        &mut self,
        report: Option<Result<BatchId, StorageError>>,
    ) -> Result<(), DriverError> {
        let batch = report.ok_or(DriverError::WriterGone)??;
        self.durable = batch;
        self.parts.raft.persisted(batch);
        while self
            .held
            .front()
            .is_some_and(|&(barrier, _)| barrier <= batch)
        {
            let (_, messages) = self.held.pop_front().expect("a front was just seen");
            self.send(messages);
        }
        Ok(())
    }

    fn take_peer_event(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Arrived { from, parcel } => match parcel {
                Parcel::Hello { .. } => {}
                Parcel::Raft(message) => self.parts.raft.step(message),
                Parcel::Propose { ticket, command } => self.propose_for(from, ticket, command),
                Parcel::Proposed { ticket, result } => self.forwarded(from, ticket, &result),
            },
            PeerEvent::Lost { to } => self.forward_lost(to),
        }
    }

    fn take_request(&mut self, request: Request) {
        match request {
            Request::Read { consistency, look } => self.read(consistency, look),
            Request::Write { proposal, reply } => self.write(proposal, reply),
            Request::Status { reply } => {
                let _ = reply.send(self.status());
            }
            Request::Hash { index, reply } => {
                let _ = reply.send(self.hash_at(index));
            }
            Request::Log { from, to, reply } => {
                let _ = reply.send(self.log(from, to));
            }
        }
    }

    fn tick(&mut self) {
        self.now += 1;
        self.parts.raft.tick();
        self.expire_writes();
        self.expire_sessions();
        self.forget_reads();
    }

    /// Does what the core wants done since the last turn.
    fn carry_out(&mut self) -> Result<(), DriverError> {
        self.begin_reads();
        let output = self.parts.raft.take_output();
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
        if let Some(batch) = batch {
            self.parts.writer.submit(batch);
        }
        self.send(send_now);
        if barrier <= self.durable {
            self.send(send_durable);
        } else if !send_durable.is_empty() {
            self.held.push_back((barrier, send_durable));
        }
        self.publish_standing();
        for event in events {
            self.take_event(event);
        }
        if rebuild {
            self.restore()?;
        }
        for entry in &committed {
            self.apply(entry);
        }
        let applied = self.parts.raft.applied();
        self.parts.beacon.applied.store(applied, Ordering::Relaxed);
        for read in reads {
            self.answer_read(read);
        }
        self.compact();
        Ok(())
    }

    fn send(&self, messages: Vec<Message>) {
        for message in messages {
            self.parts.links.send(message.to, Parcel::Raft(message));
        }
    }

    fn publish_standing(&self) {
        let Standing { term, leader } = self.standing();
        self.parts.beacon.term.store(term, Ordering::Relaxed);
        self.parts
            .beacon
            .leader
            .store(leader.unwrap_or(0), Ordering::Relaxed);
    }

    fn standing(&self) -> Standing {
        Standing {
            term: self.parts.raft.term(),
            leader: self.parts.raft.leader(),
        }
    }

    /// Tells everyone who waits, and closes the log.
    fn stop(mut self) {
        self.abandon_writes();
        self.abandon_reads();
        self.parts.writer.close();
    }
}
