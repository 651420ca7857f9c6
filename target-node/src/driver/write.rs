//! Writes: from a request to an entry, and from a committed entry to its answer.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::waiter::{Fate, Waiters};
use super::{Driver, ReplicatedLog, Routing};
use crate::defect::Defect;
use crate::kv::{Command, Kv, Outcome};
use crate::protocol::{ErrorCode, ErrorInfo, NodeId, Stage};
use crate::raft::{Entry, LogId, Opaque, Payload, ProposeError};

/// How many writes may wait for their commit.
const WAITING_MAX: usize = 4096;

/// A write that was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Its entry.
    pub(crate) id: LogId,
    /// What it came to.
    pub(crate) outcome: Outcome,
}

/// Who wants to know what becomes of a write.
#[derive(Debug)]
pub(super) enum Asker {
    /// A client of this node.
    Client(oneshot::Sender<Result<Written, ErrorInfo>>),
    /// A peer, for a client of its own.
    Peer { node: NodeId, ticket: u64 },
}

/// Writes that stand in this node's log and wait for their commit.
#[derive(Debug, Default)]
pub(super) struct Writes {
    waiters: Waiters,
    /// With [`Defect::AckOnAppend`]: the state that the log will lead to if all of it commits.
    speculation: Option<Kv>,
}

impl<C: ReplicatedLog> Driver<C> {
    /// A client's write.
    pub(super) fn write(
        &mut self,
        command: &Command,
        reply: oneshot::Sender<Result<Written, ErrorInfo>>,
    ) {
        let standing = self.standing();
        let refusal = match standing.leader {
            Some(leader) if leader == self.parts.membership.id => {
                return self.propose(command.encode(), Asker::Client(reply));
            }
            Some(leader) if self.parts.routing == Routing::Forward => {
                return self.forward(leader, command.encode(), reply);
            }
            Some(leader) => {
                let message = format!("node {leader} leads, and this node does not forward");
                standing.error(ErrorCode::NotLeader, Stage::PreAppend, message)
            }
            None => standing.error(ErrorCode::NoLeader, Stage::PreAppend, "no leader is known"),
        };
        let _ = reply.send(Err(refusal));
    }

    /// Puts a command into this leader's log; refuses where it does not lead.
    pub(super) fn propose(&mut self, command: Opaque, asker: Asker) {
        let standing = self.standing();
        if self.writes.waiters.len() >= WAITING_MAX {
            let message = format!("{WAITING_MAX} writes are waiting already");
            let refusal = standing.error(ErrorCode::Overloaded, Stage::PreAppend, message);
            return self.complete(asker, Err(refusal));
        }
        let Some(command_of_ours) = Command::decode(&command) else {
            let message = "the command cannot be read";
            let refusal = standing.error(ErrorCode::Invalid, Stage::PreAppend, message);
            return self.complete(asker, Err(refusal));
        };
        let id = match self.core.propose(command) {
            Ok(id) => id,
            Err(refusal) => {
                let code = match refusal {
                    ProposeError::NotLeader { .. } => ErrorCode::NotLeader,
                    ProposeError::Transferring { .. } => ErrorCode::TransferInProgress,
                };
                let refusal = standing.error(code, Stage::PreAppend, refusal.to_string());
                return self.complete(asker, Err(refusal));
            }
        };
        if self.parts.defects.has(Defect::AckOnAppend) {
            let outcome = self.speculate(id, command_of_ours);
            self.complete(asker, Ok(Written { id, outcome }));
        } else if let Some(displaced) = self.writes.waiters.wait(id, asker) {
            self.complete_lost(displaced);
        }
    }

    /// The defect: what a new entry will come to, if everything before it is committed.
    fn speculate(&mut self, id: LogId, command: Command) -> Outcome {
        let core = &self.core;
        let speculation = self.writes.speculation.get_or_insert_with(|| {
            let mut kv = self.kv.clone();
            for entry in core.entries(core.applied() + 1, id.index - 1) {
                apply_to(&mut kv, entry);
            }
            kv
        });
        speculation.apply(id.index, command)
    }

    /// Applies a committed entry, and answers whoever waited for its index.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let outcome = apply_to(&mut self.kv, entry);
        match (self.writes.waiters.committed(entry.id), outcome) {
            (Some(Fate::Committed(asker)), Some(outcome)) => {
                self.complete(
                    asker,
                    Ok(Written {
                        id: entry.id,
                        outcome,
                    }),
                );
            }
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
                unreachable!("nobody waits for an entry that carries no command")
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

    fn complete_lost(&self, asker: Asker) {
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
        self.abandon_forwards();
    }

    fn complete(&self, asker: Asker, result: Result<Written, ErrorInfo>) {
        match asker {
            Asker::Client(reply) => {
                let _ = reply.send(result);
            }
            Asker::Peer { node, ticket } => self.answer_forward(node, ticket, &result),
        }
    }
}

/// What an entry does to a state; none where it carries no command.
fn apply_to(kv: &mut Kv, entry: &Entry) -> Option<Outcome> {
    let Payload::Command(command) = &entry.payload else {
        return None;
    };
    Some(match Command::decode(command) {
        Some(command) => kv.apply(entry.id.index, command),
        None => Outcome::Refused {
            reason: "the entry is no command".to_owned(),
        },
    })
}
