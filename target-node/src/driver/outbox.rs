//! What leaves a node: batches to its disk, messages to its peers, in the order that a core's
//! promises need.

use std::collections::VecDeque;

use super::{Parts, RuleOrder};
use crate::failpoint::{Failpoints, Site};
use crate::peer::{Envelope, Links, Parcel, Passage, RuleError, Rules};
use crate::protocol::{NetRuleState, NetSide};
use crate::raft::{Batch, BatchId, NodeId};
use crate::storage::Writer;
use crate::trace::{Event, Tracer};

/// The ways to the disk and to the peers.
///
/// ```text
///   batch ─────────▶ writer thread ── durable ──┐
///   send_now ──────▶ links                      ▼
///   send_durable ──▶ held, until the barrier is durable ──▶ links
/// ```
pub(super) struct Outbox<M> {
    node: NodeId,
    writer: Writer,
    links: Links,
    rules: Rules,
    failpoints: Failpoints,
    tracer: Tracer,
    /// Promises, each with the batch that must be durable first.
    held: VecDeque<(BatchId, Vec<M>)>,
    durable: BatchId,
}

impl<M: Envelope> Outbox<M> {
    pub(super) fn new(parts: &Parts, writer: Writer, links: Links) -> Self {
        Self {
            node: parts.membership.id,
            writer,
            links,
            rules: Rules::default(),
            failpoints: parts.failpoints.clone(),
            tracer: parts.tracer.clone(),
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
    pub(super) fn send_now(&mut self, messages: Vec<M>) {
        for message in messages {
            self.post(message.to(), message.into_parcel());
        }
    }

    fn send_promises(&mut self, messages: Vec<M>) {
        if !messages.is_empty() {
            self.failpoints.pass(Site::BeforePromise);
            for message in messages {
                let (to, parcel) = (message.to(), message.into_parcel());
                self.trace_promise(to, &parcel);
                self.post(to, parcel);
            }
            self.failpoints.pass(Site::AfterPromise);
        }
    }

    fn trace_promise(&self, to: NodeId, parcel: &Parcel) {
        let promise = self.tracer.is_on().then(|| parcel.promise()).flatten();
        if let Some((kind, term, matched)) = promise {
            let kind = kind.to_owned();
            self.tracer.emit(|| Event::Promise {
                to,
                kind,
                term,
                matched,
            });
        }
    }

    /// Sends promises as soon as the batch `barrier` is durable.
    pub(super) fn send_durable(&mut self, barrier: BatchId, messages: Vec<M>) {
        if barrier <= self.durable {
            self.send_promises(messages);
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
            self.send_promises(messages);
        }
    }

    /// Puts a parcel on the way that is no word between cores. False: it provably was not sent.
    pub(super) fn post(&mut self, to: NodeId, parcel: Parcel) -> bool {
        if self.rules.is_empty() {
            return self.links.send(to, parcel);
        }
        let from = self.node;
        let passages = self.rules.pass(NetSide::Send, Passage { from, to, parcel });
        // What a rule lost or holds back is as if it were under way.
        let mut is_under_way = passages.is_empty();
        for passage in passages {
            is_under_way |= self.links.send(passage.to, passage.parcel);
        }
        is_under_way
    }

    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// What the rules leave of a parcel that has come.
    pub(super) fn admit(&mut self, from: NodeId, parcel: Parcel) -> Vec<Passage> {
        let to = self.node;
        self.rules
            .pass(NetSide::Receive, Passage { from, to, parcel })
    }

    /// Changes the rules for messages. What a rule held on its way out is sent; what one held on
    /// its way in is returned.
    pub(super) fn rule(&mut self, order: RuleOrder) -> Result<Vec<Passage>, RuleError> {
        let released = match order {
            RuleOrder::List => Vec::new(),
            RuleOrder::Add(rule) => {
                self.rules.add(rule)?;
                Vec::new()
            }
            RuleOrder::Remove(id) => self.rules.remove(Some(id))?,
            RuleOrder::Clear => self.rules.remove(None)?,
        };
        let mut arrived = Vec::new();
        for (side, passage) in released {
            match side {
                NetSide::Send => drop(self.links.send(passage.to, passage.parcel)),
                NetSide::Receive => arrived.push(passage),
            }
        }
        Ok(arrived)
    }

    /// The rules, and what they have done.
    pub(super) fn rules(&self) -> Vec<NetRuleState> {
        self.rules.list()
    }

    /// Writes what is under way, and closes the log.
    pub(super) fn close(self) {
        self.writer.close();
    }
}
