//! Leadership handed over on purpose (Raft thesis section 3.10).
//!
//! ```text
//!  leader                          target                        other voters
//!    │ takes no proposals any more   │                               │
//!    │── appends until it has all ──▶│                               │
//!    │── time-out now ──────────────▶│── vote, whoever is heard ────▶│
//!    │◀── vote, whoever is heard ────│◀── granted ───────────────────│
//!    └ steps down                    └ leads
//! ```
//!
//! After an election timeout the leader gives up and takes proposals again: the target may be
//! dead. The word may still reach the target later, and win it an election while this leader is
//! heard; so from the first such word on, this leader answers no read from its lease in this term.

use thiserror::Error;

use super::Raft;
use super::entry::NodeId;
use super::message::Body;
use super::output::Event;
use super::role::State;

/// A transfer under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    to: NodeId,
    /// Ticks since it began.
    elapsed: u32,
    /// Whether the target was told in this heartbeat interval; the word may be lost.
    is_told: bool,
}

/// Why no transfer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransferError {
    /// Only a leader can hand its leadership over.
    #[error("this node does not lead")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The target could not lead.
    #[error("node {0} is no voter")]
    NotAVoter(NodeId),
}

impl Raft {
    /// Hands the leadership over to a voter, once that has the whole log; nothing where it leads
    /// already. A transfer to another one, if under way, is given up.
    ///
    /// # Errors
    /// Where this node does not lead, or the target could not; nothing has changed then.
    pub fn transfer(&mut self, to: NodeId) -> Result<(), TransferError> {
        let term = self.term();
        let is_voter = self.is_voter(to);
        let leader_known = self.leader;
        let State::Leader(leader) = &mut self.state else {
            return Err(TransferError::NotLeader {
                leader: leader_known,
            });
        };
        if !is_voter {
            return Err(TransferError::NotAVoter(to));
        }
        if to == self.config.id || leader.transfer.is_some_and(|transfer| transfer.to == to) {
            return Ok(());
        }
        leader.transfer = Some(Transfer {
            to,
            elapsed: 0,
            is_told: false,
        });
        self.record(Event::TransferBegan { term, to });
        Ok(())
    }

    /// To whom this leader is handing over, if to anyone.
    #[must_use]
    pub fn transferring_to(&self) -> Option<NodeId> {
        let State::Leader(leader) = &self.state else {
            return None;
        };
        leader.transfer.map(|transfer| transfer.to)
    }

    /// A target that did not take over within an election timeout will not.
    pub(super) fn tick_transfer(&mut self) {
        let (term, patience) = (self.term(), self.config.election_ticks);
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(transfer) = &mut leader.transfer else {
            return;
        };
        transfer.elapsed += 1;
        let to = transfer.to;
        if transfer.elapsed >= patience {
            leader.transfer = None;
            self.record(Event::TransferFailed { term, to });
        }
    }

    /// The word to the target may be lost: it is said again once a heartbeat interval.
    pub(super) fn repeat_transfer(&mut self) {
        if let State::Leader(leader) = &mut self.state
            && let Some(transfer) = &mut leader.transfer
        {
            transfer.is_told = false;
        }
    }

    /// Tells the target once it has the whole log.
    pub(super) fn flush_transfer(&mut self) {
        let last = self.log.last().index;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(transfer) = &mut leader.transfer else {
            return;
        };
        let progress = leader.progress.get(&transfer.to);
        if transfer.is_told || progress.is_none_or(|progress| progress.matched() < last) {
            return;
        }
        transfer.is_told = true;
        let to = transfer.to;
        leader.reads.give_up_lease();
        self.say(to, Body::TimeoutNow);
    }
}
