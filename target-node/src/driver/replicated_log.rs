//! What a driver needs of a core that puts commands into one log, which one node at a time leads.
//!
//! The driver knows no rule of any mode of replication: when an entry is committed, who leads and
//! what a read must wait for is the core's business. So a mode is a core with this face, and not a
//! branch in the driver. What only one of them can do is a method here whose default refuses.

use crate::peer::{Envelope, Parcel};
use crate::raft::{
    BatchId, Change, ChangeError, Entry, Index, LogId, Members, Moment, NoLeader, NodeId, Opaque,
    Output, ProposeError, Raft, ReadMode, Role, Snapshot, Term, TransferError,
};

/// A core that puts commands into one log, which one node at a time leads.
pub(crate) trait ReplicatedLog {
    /// What two of them say to each other.
    type Message: Envelope;

    /// The message in a parcel; none where it is for another kind of core.
    fn message(parcel: Parcel) -> Option<Self::Message>;

    /// What the node's monotonic clock says, in thousandths of a tick; for cores with leases.
    fn observe(&mut self, _now: Moment) {}
    /// One unit of time has passed.
    fn tick(&mut self);
    /// A message has come.
    fn step(&mut self, message: Self::Message);
    /// All batches up to this one are durable.
    fn persisted(&mut self, batch: BatchId);
    /// Everything that the inputs since the last call have led to.
    fn take_output(&mut self) -> Output<Self::Message>;

    /// Puts a command into the leader's log; refuses where this node does not lead.
    fn propose(&mut self, command: Opaque) -> Result<LogId, ProposeError>;
    /// Changes who takes part; the entry that begins the change.
    #[allow(dead_code, reason = "for the admin API")]
    fn change(&mut self, _change: &Change) -> Result<LogId, ChangeError> {
        Err(ChangeError::Unsupported)
    }
    /// Hands the leadership over.
    #[allow(dead_code, reason = "for the admin API")]
    fn transfer(&mut self, to: NodeId) -> Result<(), TransferError> {
        Err(TransferError::NotAVoter(to))
    }
    /// Who takes part; none where that is everyone for ever.
    fn members(&self) -> Option<&Members> {
        None
    }
    /// True where a committed configuration leaves this node out.
    fn is_outside(&self) -> bool {
        false
    }
    /// The name that the output gives back once a read may be answered from what is applied. A
    /// core that cannot make it certain in the way asked for takes one that is as good.
    fn read(&mut self, mode: ReadMode) -> Result<u64, NoLeader>;
    /// Nobody waits for this read any more.
    fn cancel_read(&mut self, read: u64);
    /// Takes the state right after the last applied entry as a snapshot.
    fn compact(&mut self, state: Opaque);
    /// The newest snapshot.
    fn snapshot(&self) -> Option<&Snapshot>;
    /// The entries from `first` to `last`, as far as there are any.
    fn entries(&self, first: Index, last: Index) -> &[Entry];
    /// Where the core stands.
    fn view(&self) -> View;
    /// The leader as this node knows it.
    fn leader(&self) -> Option<NodeId>;
    /// The current term.
    fn term(&self) -> Term;
    /// The highest index handed out for applying.
    fn applied(&self) -> Index;
    /// The last index in the newest snapshot, 0 where there is none.
    fn snapshot_index(&self) -> Index;
}

/// Where a core stands, for its status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) role: Role,
    pub(crate) vote: Option<NodeId>,
    pub(crate) commit: Index,
    pub(crate) last: Index,
    /// The last index that the log no longer has.
    pub(crate) base: Index,
}

impl ReplicatedLog for Raft {
    type Message = crate::raft::Message;

    fn message(parcel: Parcel) -> Option<Self::Message> {
        match parcel {
            Parcel::Raft(message) => Some(message),
            _ => None,
        }
    }

    fn observe(&mut self, now: Moment) {
        self.observe(now);
    }

    fn tick(&mut self) {
        self.tick();
    }

    fn step(&mut self, message: Self::Message) {
        self.step(message);
    }

    fn persisted(&mut self, batch: BatchId) {
        self.persisted(batch);
    }

    fn take_output(&mut self) -> Output {
        self.take_output()
    }

    fn propose(&mut self, command: Opaque) -> Result<LogId, ProposeError> {
        self.propose(command)
    }

    fn change(&mut self, change: &Change) -> Result<LogId, ChangeError> {
        self.change(change)
    }

    fn transfer(&mut self, to: NodeId) -> Result<(), TransferError> {
        self.transfer(to)
    }

    fn members(&self) -> Option<&Members> {
        Some(self.members())
    }

    fn is_outside(&self) -> bool {
        self.is_outside()
    }

    fn read(&mut self, mode: ReadMode) -> Result<u64, NoLeader> {
        self.read(mode)
    }

    fn cancel_read(&mut self, read: u64) {
        self.cancel_read(read);
    }

    fn compact(&mut self, state: Opaque) {
        self.compact(state);
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot()
    }

    fn entries(&self, first: Index, last: Index) -> &[Entry] {
        self.entries(first, last)
    }

    fn view(&self) -> View {
        View {
            role: self.role(),
            vote: self.vote(),
            commit: self.commit(),
            last: self.last().index,
            base: self.base().index,
        }
    }

    fn leader(&self) -> Option<NodeId> {
        self.leader()
    }

    fn term(&self) -> Term {
        self.term()
    }

    fn applied(&self) -> Index {
        self.applied()
    }

    fn snapshot_index(&self) -> Index {
        self.snapshot_index()
    }
}
