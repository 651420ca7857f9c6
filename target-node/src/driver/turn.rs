//! The loop that every driver runs, whatever its core does: wait, take all that came, carry out.
//!
//! Each turn takes everything that waits, then carries out the core's output once: so requests
//! that come together share an append, a write, a sync and a read round. Nothing in a turn waits.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{DriverError, Request};
use crate::peer::PeerEvent;
use crate::raft::BatchId;
use crate::storage::StorageError;

/// How much of each queue one turn takes: enough to share the costs, and little enough that a
/// tick is not late.
const TURN_MAX: usize = 512;

/// Everything that can reach a driver.
pub(crate) struct Inbox {
    pub(crate) persisted: mpsc::UnboundedReceiver<Result<BatchId, StorageError>>,
    pub(crate) peers: mpsc::Receiver<PeerEvent>,
    pub(crate) requests: mpsc::Receiver<Request>,
    /// How long a tick is.
    pub(crate) tick: Duration,
}

/// What a turn hands to a driver.
pub(super) trait Turns {
    /// Where its work comes from.
    fn inbox(&mut self) -> &mut Inbox;
    /// All batches up to this one are durable.
    fn persisted(&mut self, batch: BatchId);
    /// Something happened on the links.
    fn take_peer_event(&mut self, event: PeerEvent);
    /// A client asks.
    fn take_request(&mut self, request: Request);
    /// A tick has passed.
    fn tick(&mut self);
    /// Does what the core wants done since the last turn.
    fn carry_out(&mut self) -> Result<(), DriverError>;
}

enum Arrival {
    Persisted(BatchId),
    Peer(PeerEvent),
    Request(Request),
    Time,
}

impl Inbox {
    async fn next(&mut self, next_tick: Instant) -> Result<Arrival, DriverError> {
        tokio::select! {
            biased;
            report = self.persisted.recv() => {
                Ok(Arrival::Persisted(report.ok_or(DriverError::WriterGone)??))
            }
            Some(event) = self.peers.recv() => Ok(Arrival::Peer(event)),
            Some(request) = self.requests.recv() => Ok(Arrival::Request(request)),
            () = sleep_until(next_tick) => Ok(Arrival::Time),
        }
    }
}

/// Runs a driver until it is told to stop, or until its log fails.
pub(super) async fn run(
    driver: &mut impl Turns,
    mut stop: watch::Receiver<bool>,
) -> Result<(), DriverError> {
    let mut next_tick = Instant::now() + driver.inbox().tick;
    loop {
        let arrival = tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => return Ok(()),
            arrival = driver.inbox().next(next_tick) => arrival?,
        };
        match arrival {
            Arrival::Persisted(batch) => driver.persisted(batch),
            Arrival::Peer(event) => driver.take_peer_event(event),
            Arrival::Request(request) => driver.take_request(request),
            Arrival::Time => {}
        }
        take_waiting(driver)?;
        if Instant::now() >= next_tick {
            driver.tick();
            // A late tick does not put off the next one; but after a pause of the whole
            // process there is no burst of them: what the leader said meanwhile still waits
            // in the queue and has to be heard first.
            next_tick = (next_tick + driver.inbox().tick).max(Instant::now());
        }
        driver.carry_out()?;
    }
}

/// Takes what else waits.
fn take_waiting(driver: &mut impl Turns) -> Result<(), DriverError> {
    while let Ok(report) = driver.inbox().persisted.try_recv() {
        driver.persisted(report?);
    }
    for _ in 0..TURN_MAX {
        let Ok(event) = driver.inbox().peers.try_recv() else {
            break;
        };
        driver.take_peer_event(event);
    }
    for _ in 0..TURN_MAX {
        let Ok(request) = driver.inbox().requests.try_recv() else {
            break;
        };
        driver.take_request(request);
    }
    Ok(())
}
