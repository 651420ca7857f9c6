//! Writes: from a request to an entry, and from a committed entry to its answer.
//!
//! A waiter is completed by the *name* of its entry, index and term. Another entry may be
//! committed at its index; the index alone would then give its client the outcome of somebody
//! else's command.

use std::collections::BTreeMap;
use std::mem;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Driver, Routing};
use crate::defect::Defect;
use crate::kv::{Command, Kv, Outcome};
use crate::protocol::{ErrorCode, ErrorInfo, NodeId, Stage};
use crate::raft::{Entry, Index, LogId, Opaque, Payload};

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

#[derive(Debug)]
struct Waiter {
    id: LogId,
    asker: Asker,
    /// The tick at which this node stopped to lead with the entry in its log.
    lost_at: Option<u64>,
}

/// Writes that stand in this node's log and wait for their commit.
#[derive(Debug, Default)]
pub(super) struct Writes {
    waiters: BTreeMap<Index, Waiter>,
    /// With [`Defect::AckOnAppend`]: the state that the log will lead to if all of it commits.
    speculation: Option<Kv>,
}

impl Driver {
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
        let speculated = self.speculate(&command);
        match self.parts.raft.propose(command) {
            Ok(id) => match speculated {
                Some(outcome) => self.complete(asker, Ok(Written { id, outcome })),
                None => self.wait(id, asker),
            },
            Err(_) => {
                let message = "this node does not lead";
                let refusal = standing.error(ErrorCode::NotLeader, Stage::PreAppend, message);
                self.complete(asker, Err(refusal));
            }
        }
    }

    /// A waiter that already stands at the index is of a term that is over, and its entry was cut
    /// off here: it may still be in another log, and win there.
    fn wait(&mut self, id: LogId, asker: Asker) {
        let waiter = Waiter {
            id,
            asker,
            lost_at: None,
        };
        if let Some(old) = self.writes.waiters.insert(id.index, waiter) {
            self.complete_lost(old.asker);
        }
    }

    /// The defect: what the command will come to, if everything before it is committed.
    fn speculate(&mut self, command: &Opaque) -> Option<Outcome> {
        if !self.parts.defects.has(Defect::AckOnAppend) {
            return None;
        }
        let raft = &self.parts.raft;
        let next = raft.last().index + 1;
        let speculation = self.writes.speculation.get_or_insert_with(|| {
            let mut kv = self.kv.clone();
            for entry in raft.entries(raft.applied() + 1, Index::MAX) {
                apply_to(&mut kv, entry);
            }
            kv
        });
        Some(speculation.apply(next, Command::decode(command)?))
    }

    /// Applies a committed entry, and answers whoever waited for its index.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let outcome = apply_to(&mut self.kv, entry);
        let Some(waiter) = self.writes.waiters.remove(&entry.id.index) else {
            return;
        };
        let result = match outcome {
            Some(outcome) if waiter.id == entry.id => Ok(Written {
                id: entry.id,
                outcome,
            }),
            _ => {
                let message = format!("{} was committed in the place of {}", entry.id, waiter.id);
                Err(self
                    .standing()
                    .error(ErrorCode::Superseded, Stage::PostAppend, message))
            }
        };
        self.complete(waiter.asker, result);
    }

    /// This node stopped to lead. Its entries may yet be committed, or others in their place:
    /// the waiters stay a while to learn which.
    pub(super) fn lose_leadership(&mut self) {
        self.writes.speculation = None;
        for waiter in self.writes.waiters.values_mut() {
            waiter.lost_at.get_or_insert(self.now);
        }
    }

    /// Gives up on writes whose fate did not show within two election time-outs.
    pub(super) fn expire_writes(&mut self) {
        let patience = 2 * u64::from(self.parts.election_ticks);
        let now = self.now;
        let is_over = |_: &Index, waiter: &mut Waiter| {
            waiter
                .lost_at
                .is_some_and(|lost_at| lost_at + patience <= now)
        };
        let over: Vec<_> = self.writes.waiters.extract_if(.., is_over).collect();
        for (_, waiter) in over {
            self.complete_lost(waiter.asker);
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
        for waiter in mem::take(&mut self.writes.waiters).into_values() {
            let error = standing.error(ErrorCode::ShuttingDown, Stage::PostAppend, message);
            self.complete(waiter.asker, Err(error));
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
