//! What the core wants done: the effects that its driver carries out.
//!
//! ```text
//!            ┌──────────── one Output ────────────┐
//!   batch ───┼─▶ disk: hard state, truncate, append, in one write and one sync
//!   send_now ┼─▶ network, at once: it may run ahead of the disk
//!   send_durable ─▶ network, but only once batch number `barrier` is durable
//!   committed ┼─▶ state machine, in order
//!   reads ────┼─▶ clients, after `committed` is applied
//!   events ───┼─▶ log lines and traces; nothing depends on them
//!            └────────────────────────────────────┘
//! ```
//!
//! Batches become durable in the order of their numbers. The driver reports each with
//! [`Raft::persisted`](super::Raft::persisted); until then the core does not count this node
//! among those that hold an entry.

use super::entry::{Entry, HardState, Index, LogId, NodeId, Term};
use super::members::Members;
use super::message::Message;
use super::snapshot::Snapshot;

/// Numbers the batches handed out for persisting, from 1; 0 is before the first.
pub type BatchId = u64;

/// What must become durable together, in this order.
///
/// The hard state comes first: a crash that keeps only a part of the batch then never leaves an
/// entry of a term that the node does not remember to have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub id: BatchId,
    /// The new term and vote, where they changed.
    pub hard_state: Option<HardState>,
    /// Drop the entry at this index and all behind it.
    pub truncate_from: Option<Index>,
    /// Then keep this snapshot, with its place in the log.
    pub snapshot: Option<Snapshot>,
    /// The snapshot stands for the whole log: drop all of it.
    pub drops_log: bool,
    /// Then put these at the end.
    pub append: Vec<Entry>,
}

/// A read that may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyRead {
    /// Its name.
    pub name: u64,
    /// All that was acknowledged before it was asked is at or below this index.
    pub index: Index,
}

/// Everything to be done since the last time.
///
/// `M` is what two cores say to each other: the other modes of replication have messages of
/// their own, and everything else in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output<M = Message> {
    /// To be made durable.
    pub batch: Option<Batch>,
    /// To be sent at once.
    pub send_now: Vec<M>,
    /// To be sent once `barrier` is durable.
    pub send_durable: Vec<M>,
    /// The batch that `send_durable` waits for: the last one handed out.
    pub barrier: BatchId,
    /// Forget the state first: it is now what [`Raft::snapshot`](super::Raft::snapshot) says, or
    /// empty, and `committed` begins right behind it.
    pub rebuild: bool,
    /// To be applied, in order.
    pub committed: Vec<Entry>,
    /// Reads that may be answered from the state that `committed` leads to.
    pub reads: Vec<ReadyRead>,
    /// What happened, for people.
    pub events: Vec<Event>,
}

impl<M> Default for Output<M> {
    fn default() -> Self {
        Self {
            batch: None,
            send_now: Vec::new(),
            send_durable: Vec::new(),
            barrier: 0,
            rebuild: false,
            committed: Vec::new(),
            reads: Vec::new(),
            events: Vec::new(),
        }
    }
}

impl<M> Output<M> {
    /// True where there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_none()
            && self.send_now.is_empty()
            && self.send_durable.is_empty()
            && !self.rebuild
            && self.committed.is_empty()
            && self.reads.is_empty()
            && self.events.is_empty()
    }
}

/// Something that happened in the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The node asks whether it could win an election.
    PreCampaigned {
        /// The term it would campaign in.
        campaign: Term,
        /// Where its log ended.
        last: LogId,
    },
    /// The node began an election.
    Campaigned {
        /// Its new term.
        term: Term,
        /// Where its log ended.
        last: LogId,
    },
    /// It gave its vote.
    Voted {
        /// In which term.
        term: Term,
        /// For whom.
        candidate: NodeId,
    },
    /// It won.
    BecameLeader {
        /// The term it leads.
        term: Term,
        /// Where its log ended before its own first entry.
        last: LogId,
    },
    /// It led, and has not heard a majority for an election timeout.
    LostQuorum {
        /// The term it led.
        term: Term,
    },
    /// It is handing its leadership over, and takes no proposals meanwhile.
    TransferBegan {
        /// The term it leads.
        term: Term,
        /// To whom.
        to: NodeId,
    },
    /// The one that it was handing over to did not take over in time: it leads on.
    TransferFailed {
        /// The term it leads.
        term: Term,
        /// To whom.
        to: NodeId,
    },
    /// It stopped to lead or to campaign.
    BecameFollower {
        /// Its term now.
        term: Term,
    },
    /// It learnt who leads.
    Follows {
        /// The term.
        term: Term,
        /// The leader.
        leader: NodeId,
    },
    /// Another configuration is in effect.
    Configured {
        /// Its entry; 0 for the one that the node was started with.
        index: Index,
        /// The configuration.
        members: Members,
    },
    /// It took a snapshot of its own state.
    Compacted {
        /// The last entry in it.
        last: LogId,
    },
    /// It got a snapshot from the leader, in place of its log.
    Installed {
        /// The last entry in it.
        last: LogId,
    },
    /// A semi-synchronous primary got no answer in time, and goes on without its backups.
    WentAlone {
        /// Its epoch.
        term: Term,
        /// Where its log ended.
        last: LogId,
    },
    /// A semi-synchronous primary waits for its backups again.
    Accompanied {
        /// Its epoch.
        term: Term,
    },
    /// It dropped a tail that conflicted with the leader's log.
    Truncated {
        /// The first index dropped.
        from: Index,
        /// Where the log had ended.
        last: LogId,
    },
}
