//! Writes that came to a node that does not lead.
//!
//! A write is forwarded once, and again only where the leader said that it was handing over and
//! appended it nowhere: so what a leader says of it is final. What the leader does not say is not
//! known, and the answer is an indefinite error.

use std::collections::BTreeMap;
use std::mem;

use tokio::sync::oneshot;

use super::{Driver, ReplicatedLog};
use crate::machine::Applied;
use crate::peer::Parcel;
use crate::protocol::{ErrorCode, ErrorInfo, NodeId, Stage};
use crate::raft::Opaque;

use super::write::Asker;

type Reply = oneshot::Sender<Result<Applied, ErrorInfo>>;

/// The longest answer that goes from one node to another.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A write under way to another node.
#[derive(Debug)]
struct Forwarded {
    leader: NodeId,
    command: Opaque,
    reply: Reply,
}

/// Writes under way to another node.
#[derive(Debug)]
pub(super) struct Forwards {
    /// Above every ticket of an earlier life: a late answer to one of those must not meet a new
    /// request.
    next_ticket: u64,
    waiting: BTreeMap<u64, Forwarded>,
}

impl Forwards {
    pub(super) fn new(first_ticket: u64) -> Self {
        Self {
            next_ticket: first_ticket,
            waiting: BTreeMap::new(),
        }
    }
}

impl<C: ReplicatedLog> Driver<C> {
    /// Sends a client's write to the leader.
    pub(super) fn forward(&mut self, leader: NodeId, command: Opaque, reply: Reply) {
        let ticket = self.forwards.next_ticket;
        let parcel = Parcel::Propose {
            ticket,
            command: command.clone(),
        };
        if self.outbox.post(leader, parcel) {
            self.forwards.next_ticket += 1;
            let forwarded = Forwarded {
                leader,
                command,
                reply,
            };
            self.forwards.waiting.insert(ticket, forwarded);
            return;
        }
        let message = format!("the link to node {leader}, which leads, is down or congested");
        let refusal = self
            .standing()
            .error(ErrorCode::NoLeader, Stage::PreAppend, message);
        let _ = reply.send(Err(refusal));
    }

    /// A peer wants a write proposed here.
    pub(super) fn propose_for(&mut self, node: NodeId, ticket: u64, command: Opaque) {
        self.propose_encoded(command, Asker::Peer { node, ticket });
    }

    /// Tells a peer what became of its write.
    pub(super) fn answer_forward(
        &mut self,
        node: NodeId,
        ticket: u64,
        result: &Result<Applied, ErrorInfo>,
    ) {
        let mut json = serde_json::to_vec(result).expect("JSON values can be written as JSON");
        if json.len() > ANSWER_BYTES_MAX {
            let message = format!(
                "the write was applied, and its answer of {} bytes is longer than the \
                 {ANSWER_BYTES_MAX} that go between nodes; ask the leader itself, or for less",
                json.len()
            );
            let error = self.forward_failed(&message);
            let result: Result<Applied, ErrorInfo> = Err(error);
            json = serde_json::to_vec(&result).expect("an error can be written as JSON");
        }
        self.outbox.post(
            node,
            Parcel::Proposed {
                ticket,
                result: Opaque::from(json),
            },
        );
    }

    /// The leader told what became of a write.
    pub(super) fn forwarded(&mut self, from: NodeId, ticket: u64, result: &Opaque) {
        let is_expected = self
            .forwards
            .waiting
            .get(&ticket)
            .is_some_and(|forwarded| forwarded.leader == from);
        if !is_expected {
            return;
        }
        let forwarded = self
            .forwards
            .waiting
            .remove(&ticket)
            .expect("it was just seen");
        let result = serde_json::from_slice(result.as_bytes())
            .unwrap_or_else(|error| Err(self.forward_failed(&format!("a wrong answer: {error}"))));
        let Forwarded { command, reply, .. } = forwarded;
        match result {
            Err(ErrorInfo {
                code: ErrorCode::TransferInProgress,
                term,
                ..
            }) => self.hold(command, Asker::Client(reply), term.saturating_sub(1)),
            result => {
                let _ = reply.send(result);
            }
        }
    }

    /// The connection to a node broke: nobody knows what it did with the writes under way to it.
    pub(super) fn forward_lost(&mut self, to: NodeId) {
        let lost: Vec<_> = self
            .forwards
            .waiting
            .extract_if(.., |_, forwarded| forwarded.leader == to)
            .collect();
        for (_, forwarded) in lost {
            let error = self.forward_failed("the connection to the leader broke");
            let _ = forwarded.reply.send(Err(error));
        }
    }

    fn forward_failed(&self, message: &str) -> ErrorInfo {
        self.standing()
            .error(ErrorCode::ForwardFailed, Stage::Unknown, message)
    }

    pub(super) fn abandon_forwards(&mut self) {
        for forwarded in mem::take(&mut self.forwards.waiting).into_values() {
            let message = "the node is stopping";
            let error = self
                .standing()
                .error(ErrorCode::ShuttingDown, Stage::Unknown, message);
            let _ = forwarded.reply.send(Err(error));
        }
    }
}
