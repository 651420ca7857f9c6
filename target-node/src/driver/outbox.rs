//! What leaves a node: batches to its disk, messages to its peers, in the order that a core's
//! promises need.

use std::collections::VecDeque;

use crate::peer::{Envelope, Links, Parcel};
use crate::raft::{Batch, BatchId, NodeId};
use crate::storage::Writer;

/// The ways to the disk and to the peers.
///
/// ```text
///   batch ─────────▶ writer thread ── durable ──┐
///   send_now ──────▶ links                      ▼
///   send_durable ──▶ held, until the barrier is durable ──▶ links
/// ```
pub(super) struct Outbox<M> {
    writer: Writer,
    links: Links,
    /// Promises, each with the batch that must be durable first.
    held: VecDeque<(BatchId, Vec<M>)>,
    durable: BatchId,
}

impl<M: Envelope> Outbox<M> {
    pub(super) fn new(writer: Writer, links: Links) -> Self {
        Self {
            writer,
            links,
            held: VecDeque::new(),
            durable: 0,
        }
    }

    /// Hands a batch to the disk.
    pub(super) fn persist(&self, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.writer.submit(batch);
        }
    }

    /// Sends what may run ahead of the disk.
    pub(super) fn send_now(&self, messages: Vec<M>) {
        for message in messages {
            self.links.send(message.to(), message.into_parcel());
        }
    }

    /// Sends promises as soon as the batch `barrier` is durable.
    pub(super) fn send_durable(&mut self, barrier: BatchId, messages: Vec<M>) {
        if barrier <= self.durable {
            self.send_now(messages);
        } else if !messages.is_empty() {
            self.held.push_back((barrier, messages));
        }
    }

    /// All batches up to this one are durable: their promises may leave.
    pub(super) fn persisted(&mut self, batch: BatchId) {
        self.durable = batch;
        while self
            .held
            .front()
            .is_some_and(|&(barrier, _)| barrier <= batch)
        {
            let (_, messages) = self.held.pop_front().expect("a front was just seen");
            self.send_now(messages);
        }
    }

    /// Puts a parcel on the way that is no word between cores. False: it provably was not sent.
    pub(super) fn post(&self, to: NodeId, parcel: Parcel) -> bool {
        self.links.send(to, parcel)
    }

    /// Writes what is under way, and closes the log.
    pub(super) fn close(self) {
        self.writer.close();
    }
}
