//! Writes that wait while the leadership is handed over.
//!
//! ```text
//!   the leader hands over       ── write ──▶ held
//!     it leads on, or again:      proposed here
//!     another leads:              a client's goes there, if this node forwards at all
//!                                 a peer's is refused, and the peer holds it in turn
//!     nobody, for too long:       refused, as what was never appended anywhere
//! ```
//!
//! A leader that hands over takes no new writes, so that the one to come can have all of its log
//! (Raft thesis section 3.10); it need not send clients away for that.

use super::write::Asker;
use super::{Driver, ReplicatedLog, Routing};
use crate::protocol::{ErrorCode, ErrorInfo, Stage};
use crate::raft::{Opaque, Term};

/// A write that was appended nowhere yet.
#[derive(Debug)]
struct Held {
    proposal: Opaque,
    asker: Asker,
    /// Whoever leads in this term or an earlier one has refused it.
    refused_in: Term,
    /// In ticks.
    since: u64,
}

/// All that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct HeldWrites(Vec<Held>);

impl HeldWrites {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Where a held write goes.
enum Way {
    /// It waits on.
    Nowhere,
    Log,
    Forward(u64),
    Refusal,
}

impl<C: ReplicatedLog> Driver<C> {
    /// Keeps a write until it shows who leads after the term `refused_in`.
    pub(super) fn hold(&mut self, proposal: Opaque, asker: Asker, refused_in: Term) {
        self.writes.held.0.push(Held {
            proposal,
            asker,
            refused_in,
            since: self.now,
        });
    }

    /// Lets go on what needs to wait no more.
    pub(super) fn release_held(&mut self) {
        if self.writes.held.0.is_empty() || self.core.is_transferring() {
            return;
        }
        for held in std::mem::take(&mut self.writes.held.0) {
            match (self.way(&held), held.asker) {
                (Way::Nowhere, asker) => self.writes.held.0.push(Held { asker, ..held }),
                (Way::Log, asker) => self.propose_encoded(held.proposal, asker),
                (Way::Forward(leader), Asker::Client(reply)) => {
                    self.forward(leader, held.proposal, reply);
                }
                (Way::Forward(_) | Way::Refusal, asker) => self.refuse_held(asker),
            }
        }
    }

    fn way(&self, held: &Held) -> Way {
        let patience = 2 * u64::from(self.parts.election_ticks);
        let forwards = self.parts.routing == Routing::Forward;
        match (self.core.leader(), &held.asker) {
            (Some(leader), _) if leader == self.parts.membership.id => Way::Log,
            (_, Asker::Peer { .. }) => Way::Refusal,
            (Some(_), Asker::Client(_)) if !forwards => Way::Refusal,
            (Some(leader), _) if self.core.term() > held.refused_in => Way::Forward(leader),
            _ if held.since + patience <= self.now => Way::Refusal,
            _ => Way::Nowhere,
        }
    }

    /// It was appended nowhere, so it can be asked again without a second thought.
    fn refuse_held(&mut self, asker: Asker) {
        let message = "the leadership was being handed over, and is not here any more; ask again";
        let standing = self.standing();
        let refusal = standing.error(ErrorCode::TransferInProgress, Stage::PreAppend, message);
        self.complete(asker, Err(refusal));
    }

    /// The node is stopping.
    pub(super) fn abandon_held(&mut self) {
        for held in std::mem::take(&mut self.writes.held.0) {
            let message = "the node is stopping";
            let standing = self.standing();
            let error = standing.error(ErrorCode::ShuttingDown, Stage::PreAppend, message);
            let definite = true;
            self.complete(held.asker, Err(ErrorInfo { definite, ..error }));
        }
    }
}
