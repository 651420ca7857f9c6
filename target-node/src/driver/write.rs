//! Writes: from a request to an entry, and from a committed entry to its answer.

use tokio::sync::oneshot;

use super::held::HeldWrites;
use super::waiter::{Fate, Waiters};
use super::{Driver, ReplicatedLog, Routing};
use crate::defect::Defect;
use crate::failpoint::Site;
use crate::machine::{Applied, Machine, Proposal};
use crate::protocol::{ErrorCode, ErrorInfo, NodeId, Stage};
use crate::raft::{Entry, LogId, Opaque, ProposeError};

/// How many writes may wait for their commit.
const WAITING_MAX: usize = 4096;

/// What a node says that takes no part.
pub(super) const OUTSIDE: &str = "this node is no member of the cluster";

/// Who wants to know what becomes of a write.
#[derive(Debug)]
pub(super) enum Asker {
    /// A client of this node.
    Client(oneshot::Sender<Result<Applied, ErrorInfo>>),
    /// A peer, for a client of its own.
    Peer { node: NodeId, ticket: u64 },
}

/// Writes that stand in this node's log and wait for their commit.
#[derive(Debug, Default)]
pub(super) struct Writes {
    waiters: Waiters,
    /// Writes that stand in no log yet.
    pub(super) held: HeldWrites,
    /// With [`Defect::AckOnAppend`]: the state that the log will lead to if all of it commits.
    speculation: Option<Machine>,
}

impl<C: ReplicatedLog> Driver<C> {
    /// A client's write.
    pub(super) fn write(
        &mut self,
        proposal: Proposal,
        reply: oneshot::Sender<Result<Applied, ErrorInfo>>,
    ) {
        let standing = self.standing();
        let refusal = match standing.leader {
            _ if self.core.is_outside() => {
                standing.error(ErrorCode::NotMember, Stage::PreAppend, OUTSIDE)
            }
            Some(leader) if leader == self.parts.membership.id => {
                return self.propose(proposal, Asker::Client(reply));
            }
            Some(leader) if self.parts.routing == Routing::Forward => {
                return self.forward(leader, proposal.encode(), reply);
            }
            Some(leader) => {
                let message = format!("node {leader} leads, and this node does not forward");
                standing.error(ErrorCode::NotLeader, Stage::PreAppend, message)
            }
            None => standing.error(ErrorCode::NoLeader, Stage::PreAppend, "no leader is known"),
        };
        let _ = reply.send(Err(refusal));
    }

    /// A proposal as another node wrote it.
    pub(super) fn propose_encoded(&mut self, bytes: Opaque, asker: Asker) {
        match Proposal::decode(&bytes) {
            Some(proposal) if proposal.needs_time() => self.propose(proposal, asker),
            Some(_) => self.append(bytes, asker),
            None => {
                let message = "the proposal cannot be read";
                let standing = self.standing();
                let refusal = standing.error(ErrorCode::Invalid, Stage::PreAppend, message);
                self.complete(asker, Err(refusal));
            }
        }
    }

    fn propose(&mut self, mut proposal: Proposal, asker: Asker) {
        // Whatever a client or another node may have said: the leader says how late it is.
        proposal.at = proposal.needs_time().then(|| self.log_time());
        self.append(proposal.encode(), asker);
    }

    /// Puts a proposal into this leader's log; refuses where it does not lead.
    fn append(&mut self, proposal: Opaque, asker: Asker) {
        let standing = self.standing();
        if self.writes.waiters.len() + self.writes.held.len() >= WAITING_MAX {
            let message = format!("{WAITING_MAX} writes are waiting already");
            let refusal = standing.error(ErrorCode::Overloaded, Stage::PreAppend, message);
            return self.complete(asker, Err(refusal));
        }
        let id = match self.core.propose(proposal.clone()) {
            Ok(id) => id,
            Err(ProposeError::Transferring { .. }) => {
                return self.hold(proposal, asker, standing.term);
            }
            Err(refusal @ ProposeError::NotLeader { .. }) => {
                let code = ErrorCode::NotLeader;
                let refusal = standing.error(code, Stage::PreAppend, refusal.to_string());
                return self.complete(asker, Err(refusal));
            }
        };
        if self.parts.defects.has(Defect::AckOnAppend) {
            let applied = self.speculate(id);
            self.complete(asker, Ok(applied));
        } else if let Some(displaced) = self.writes.waiters.wait(id, asker) {
            self.complete_lost(displaced);
        }
    }

    /// The defect: what a new entry will come to, if everything before it is committed.
    fn speculate(&mut self, id: LogId) -> Applied {
        let core = &self.core;
        let mut machine = match self.writes.speculation.take() {
            Some(machine) => machine,
            None => self.machine.clone(),
        };
        let mut applied = None;
        for entry in core.entries(machine.index() + 1, id.index) {
            applied = machine.apply(entry.id, &entry.payload);
        }
        self.writes.speculation = Some(machine);
        applied.expect("the last entry is the proposal that was just appended")
    }

    /// Applies a committed entry, and answers whoever waited for its index.
    pub(super) fn apply(&mut self, entry: &Entry) {
        self.parts.failpoints.pass(Site::BeforeApply);
        let applied = self.machine.apply(entry.id, &entry.payload);
        self.trace_applied(entry);
        self.parts.failpoints.pass(Site::AfterApply);
        match (self.writes.waiters.committed(entry.id), applied) {
            (Some(Fate::Committed(asker)), Some(applied)) => self.complete(asker, Ok(applied)),
            (Some(Fate::Superseded(asker, own)), _) => {
                if !self.core.is_commit_final() {
                    return self.complete_lost(asker);
                }
                let message = format!("{} was committed in the place of {own}", entry.id);
                let standing = self.standing();
                let proof = standing.error(ErrorCode::Superseded, Stage::PostAppend, message);
                self.complete(asker, Err(proof));
            }
            (Some(Fate::Committed(_)), None) => {
                unreachable!("nobody waits for an entry that carries no proposal")
            }
            (None, _) => {}
        }
    }

    /// This node stopped to lead.
    pub(super) fn lose_leadership(&mut self) {
        self.writes.speculation = None;
        self.writes.waiters.lose(self.now);
    }

    /// Gives up on writes whose fate did not show within two election time-outs.
    pub(super) fn expire_writes(&mut self) {
        let patience = 2 * u64::from(self.parts.election_ticks);
        for asker in self.writes.waiters.take_expired(self.now, patience) {
            self.complete_lost(asker);
        }
    }

    fn complete_lost(&mut self, asker: Asker) {
        let message = "the node lost its leadership with the entry in its log";
        let loss = self
            .standing()
            .error(ErrorCode::LeadershipLost, Stage::PostAppend, message);
        self.complete(asker, Err(loss));
    }

    pub(super) fn abandon_writes(&mut self) {
        let message = "the node is stopping";
        let standing = self.standing();
        for asker in self.writes.waiters.take_all() {
            let error = standing.error(ErrorCode::ShuttingDown, Stage::PostAppend, message);
            self.complete(asker, Err(error));
        }
        self.abandon_held();
        self.abandon_forwards();
    }

    pub(super) fn complete(&mut self, asker: Asker, result: Result<Applied, ErrorInfo>) {
        match asker {
            Asker::Client(reply) => {
                let _ = reply.send(result);
                self.parts.failpoints.pass(Site::AfterReply);
            }
            Asker::Peer { node, ticket } => self.answer_forward(node, ticket, &result),
        }
    }
}
