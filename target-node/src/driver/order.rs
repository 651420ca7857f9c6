//! What an administrator orders.

use tokio::sync::oneshot;

use super::replicated_log::Refusal;
use super::{Driver, ReplicatedLog};
use crate::failpoint::Site;
use crate::protocol::admin::TraceRequest;
use crate::protocol::{ErrorCode, ErrorInfo, NetRule, NetRuleState, NodeId, Stage, Status};
use crate::raft::Change;

/// An order to this node.
#[derive(Debug)]
pub(crate) enum Order {
    Transfer { to: NodeId },
    Change(Change),
    Campaign { asks_first: Option<bool> },
    StepDown,
    Snapshot,
    Compact { keep: u64 },
    ClockRate(f64),
    Trace(TraceRequest),
}

/// What to do with the rules for messages.
#[derive(Debug)]
pub(crate) enum RuleOrder {
    List,
    Add(NetRule),
    Remove(u64),
    Clear,
}

impl<C: ReplicatedLog> Driver<C> {
    /// Does what is ordered; tells where the node stands then.
    pub(super) fn obey(&mut self, order: Order, reply: oneshot::Sender<Result<Status, ErrorInfo>>) {
        self.observe();
        let result = match order {
            Order::Transfer { to } => self.core.transfer(to),
            Order::Change(change) => self.change(&change),
            Order::Campaign { asks_first } => self.core.campaign(asks_first),
            Order::StepDown => self.core.step_down(),
            Order::Snapshot => {
                self.take_snapshot();
                Ok(())
            }
            Order::Compact { keep } => self.core.drop_entries(keep),
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
                let started = self.start_trace(file.as_deref());
                started.map_err(|error| Refusal::Invalid(format!("the file of the trace: {error}")))
            }
        };
        self.watch();
        let result = result.map(|()| self.status());
        let _ = reply.send(result.map_err(|refusal| self.refuse(refusal)));
    }

    fn change(&mut self, change: &Change) -> Result<(), Refusal> {
        let known = &self.parts.membership.addresses;
        match change.nodes().find(|id| !known.contains_key(id)) {
            Some(id) => Err(Refusal::Invalid(format!(
                "node {id} is unknown here: no --peer tells its address"
            ))),
            None => self.core.change(change),
        }
    }

    /// Why an order is not carried out.
    pub(super) fn refuse(&self, refusal: Refusal) -> ErrorInfo {
        let (code, message) = match refusal {
            Refusal::NotSupported => {
                let message = "a node of this mode of replication cannot do that";
                (ErrorCode::Unsupported, message.to_owned())
            }
            Refusal::NotLeader => {
                let message = "only the leader can do that, and this node does not lead";
                (ErrorCode::NotLeader, message.to_owned())
            }
            Refusal::Invalid(message) => (ErrorCode::Invalid, message),
            Refusal::NotNow(code, message) => (code, message),
        };
        self.standing().error(code, Stage::PreAppend, message)
    }

    /// Takes a snapshot now. Nothing where there is one already, or where one of the leader has
    /// come that is not yet durable.
    pub(super) fn take_snapshot(&mut self) {
        if self.core.applied() > self.core.snapshot_index() {
            self.parts.failpoints.pass(Site::BeforeSnapshot);
            self.core.compact(self.machine.encode());
            self.parts.failpoints.pass(Site::AfterSnapshot);
        }
    }

    /// Changes the rules for messages, and lists them.
    pub(super) fn rule(
        &mut self,
        order: RuleOrder,
        reply: oneshot::Sender<Result<Vec<NetRuleState>, ErrorInfo>>,
    ) {
        let arrived = self.outbox.rule(order);
        let arrived = arrived.map(|arrived| {
            for passage in arrived {
                self.take_parcel(passage.from, passage.parcel);
            }
        });
        let result = arrived.map(|()| self.outbox.rules());
        let _ = reply.send(result.map_err(|error| {
            let standing = self.standing();
            standing.error(ErrorCode::Invalid, Stage::PreAppend, error.to_string())
        }));
    }
}
