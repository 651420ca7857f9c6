//! What an administrator orders a leaderless node, and what it traces: no roles and no terms, but
//! what its disk and its own clock do.

use tokio::sync::oneshot;

use super::super::{Order, RuleOrder};
use super::{QuorumDriver, unsupported};
use crate::failpoint::Site;
use crate::failure::Standing;
use crate::machine;
use crate::protocol::admin::TraceRequest;
use crate::protocol::{ErrorCode, ErrorInfo, NetRuleState, Stage, Status};
use crate::raft::{Batch, Entry, LogId};
use crate::trace::{Event, HardStateView, SnapshotSource, TracedEntry};

impl QuorumDriver {
    /// Does what is ordered; tells where the node stands then.
    pub(super) fn obey(&mut self, order: Order, reply: oneshot::Sender<Result<Status, ErrorInfo>>) {
        let result = self.carry_order(order).map(|()| self.status());
        let _ = reply.send(result);
    }

    fn carry_order(&mut self, order: Order) -> Result<(), ErrorInfo> {
        match order {
            Order::Snapshot => {
                // What this turn has changed so far has to be on its way to the disk before.
                self.flush();
                self.parts.failpoints.pass(Site::BeforeSnapshot);
                self.core.compact();
                self.flush();
                self.parts.failpoints.pass(Site::AfterSnapshot);
                Ok(())
            }
            Order::ClockRate(rate) => {
                self.clock.set_rate(rate);
                self.parts.inbox.tick = self.clock.tick();
                Ok(())
            }
            Order::Trace(TraceRequest { on: false, .. }) => {
                self.parts.tracer.stop();
                Ok(())
            }
            Order::Trace(TraceRequest { file, .. }) => {
                let started = self.parts.tracer.start(file.as_deref());
                started.map_err(|error| invalid(format!("the file of the trace: {error}")))?;
                self.introduce();
                Ok(())
            }
            Order::Transfer { .. }
            | Order::Change(_)
            | Order::Campaign { .. }
            | Order::StepDown
            | Order::Compact { .. } => Err(unsupported()),
        }
    }

    /// Changes the rules for messages, and lists them.
    pub(super) fn rule(
        &mut self,
        order: RuleOrder,
        reply: oneshot::Sender<Result<Vec<NetRuleState>, ErrorInfo>>,
    ) {
        let arrived = self.outbox.rule(order).map(|arrived| {
            for passage in arrived {
                self.take_parcel(passage.parcel);
            }
        });
        let result = arrived.map(|()| self.outbox.rules());
        let _ = reply.send(result.map_err(|error| invalid(error.to_string())));
    }

    /// The first line of a trace; none where there is no trace.
    pub(super) fn introduce(&self) {
        let membership = &self.parts.membership;
        self.parts.tracer.emit(|| Event::Start {
            cluster: membership.cluster.clone(),
            hard_state: HardStateView::default(),
            base: LogId::new(0, self.core.snapshot_index()),
            last: LogId::new(0, self.core.last()),
            voters: membership.addresses.keys().copied().collect(),
            defects: Vec::new(),
        });
    }

    /// What is handed to the disk.
    pub(super) fn trace_batch(&self, batch: &Batch) {
        let tracer = &self.parts.tracer;
        if !tracer.is_on() {
            return;
        }
        if let Some(snapshot) = &batch.snapshot {
            let (last, source) = (snapshot.last, SnapshotSource::Taken);
            tracer.emit(|| Event::Snapshot {
                last,
                source,
                state: None,
            });
        }
        if let Some(first) = batch.append.first() {
            let before = first.id.index - 1;
            let prev = LogId::new(first.id.term * u64::from(before > 0), before);
            let entry = |entry: &Entry| TracedEntry {
                index: entry.id.index,
                term: entry.id.term,
                payload: machine::payload_hash(&entry.payload),
            };
            let entries = batch.append.iter().map(entry).collect();
            tracer.emit(|| Event::Append { prev, entries });
        }
    }
}

fn invalid(message: String) -> ErrorInfo {
    Standing::default().error(ErrorCode::Invalid, Stage::PreAppend, message)
}
