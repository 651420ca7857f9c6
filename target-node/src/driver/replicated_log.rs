//! What a driver needs of a core that puts commands into one log, which one node at a time leads.
//!
//! The driver knows no rule of any mode of replication: when an entry is committed, who leads and
//! what a read must wait for is the core's business. So a mode is a core with this face, and not a
//! branch in the driver. What only one of them can do is a method here whose default refuses.

use crate::peer::{Envelope, Parcel};
use crate::protocol::ErrorCode;
use crate::raft::{
    BatchId, Change, ChangeError, Entry, Forgot, Index, LogId, Members, Moment, NoLeader, NodeId,
    Opaque, Output, ProposeError, Raft, ReadMode, Role, Snapshot, Term, TransferError,
};

/// A core that puts commands into one log, which one node at a time leads.
pub(crate) trait ReplicatedLog {
    /// What two of them say to each other.
    type Message: Envelope;

    /// The message in a parcel; none where it is for another kind of core.
    fn message(parcel: Parcel) -> Option<Self::Message>;

    /// What shows that the node has forgotten what it had acknowledged, if the core can tell.
    fn forgot(&self) -> Option<Forgot> {
        None
    }

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
    /// Who takes part; none where that is everyone for ever.
    fn members(&self) -> Option<&Members> {
        None
    }
    /// Where the configuration in effect stands in the log.
    fn members_index(&self) -> Index {
        0
    }
    /// A leader's view of a follower: matched, next, and how it is sent to.
    fn progress(&self, _follower: NodeId) -> Option<(Index, Index, &'static str)> {
        None
    }
    /// True where a committed configuration leaves this node out.
    fn is_outside(&self) -> bool {
        false
    }
    /// True while this node hands its leadership over, and so takes no writes.
    fn is_transferring(&self) -> bool {
        false
    }
    /// The name that the output gives back once a read may be answered from what is applied. A
    /// core that cannot make it certain in the way asked for takes one that is as good.
    fn read(&mut self, mode: ReadMode) -> Result<u64, NoLeader>;
    /// Nobody waits for this read any more.
    fn cancel_read(&mut self, read: u64);
    /// Takes the state right after the last applied entry as a snapshot.
    fn compact(&mut self, state: Opaque);
    /// Begins an election: asking first or not, or as the core was told at its start.
    fn campaign(&mut self, _asks_first: Option<bool>) -> Result<(), Refusal> {
        Err(Refusal::NotSupported)
    }
    /// Stops to lead.
    fn step_down(&mut self) -> Result<(), Refusal> {
        Err(Refusal::NotSupported)
    }
    /// Hands the leadership over.
    fn transfer(&mut self, _to: NodeId) -> Result<(), Refusal> {
        Err(Refusal::NotSupported)
    }
    /// Begins a change of the members.
    fn change(&mut self, _change: &Change) -> Result<(), Refusal> {
        Err(Refusal::NotSupported)
    }
    /// Drops the entries that the newest snapshot stands for, but for the last `kept` of them.
    fn drop_entries(&mut self, _kept: u64) -> Result<(), Refusal> {
        Err(Refusal::NotSupported)
    }
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

    /// True where what was committed at an index stays there for ever: then whoever waited for
    /// another entry at that index knows that it never will be.
    fn is_commit_final(&self) -> bool {
        true
    }
    /// True where the core needs a snapshot now, however little has been applied.
    fn wants_snapshot(&self) -> bool {
        false
    }
    /// Makes this node the primary of a new epoch, because somebody outside has decided so; its
    /// number.
    fn promote(&mut self, _epoch: Option<Term>) -> Result<Term, Refusal> {
        Err(Refusal::NotSupported)
    }
}

/// Why a core does not do what an administrator orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Cores of its kind cannot.
    NotSupported,
    /// Only a leader can.
    NotLeader,
    /// It makes no sense.
    Invalid(String),
    /// It makes no sense now.
    NotNow(ErrorCode, String),
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
    /// A semi-synchronous primary that has given up waiting for its backups.
    pub(crate) is_alone: bool,
    /// For how long yet a leader's lease runs, in thousandths of a tick; none where it has none.
    pub(crate) lease: Option<Moment>,
    /// For how many ticks a backup has not heard its primary; none where nobody is promoted.
    pub(crate) silent_ticks: Option<u64>,
}

/// Why a node without a vote does not lead: it is a learner, or no member at all.
fn no_vote(raft: &Raft, id: NodeId, message: String) -> Refusal {
    match raft.members().contains(id) {
        true => Refusal::NotNow(ErrorCode::Learner, message),
        false => Refusal::Invalid(message),
    }
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

    fn forgot(&self) -> Option<Forgot> {
        self.forgot()
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

    fn change(&mut self, change: &Change) -> Result<(), Refusal> {
        match self.change(change) {
            Ok(_) => Ok(()),
            Err(ChangeError::NotLeader { .. }) => Err(Refusal::NotLeader),
            Err(error) => {
                let message = error.to_string();
                Err(match error {
                    ChangeError::Pending(_) => {
                        Refusal::NotNow(ErrorCode::ConfchangePending, message)
                    }
                    ChangeError::NotReady | ChangeError::LearnerBehind { .. } => {
                        Refusal::NotNow(ErrorCode::ConfchangeNotReady, message)
                    }
                    ChangeError::Transferring { .. } => {
                        Refusal::NotNow(ErrorCode::TransferInProgress, message)
                    }
                    _ => Refusal::Invalid(message),
                })
            }
        }
    }

    fn progress(&self, follower: NodeId) -> Option<(Index, Index, &'static str)> {
        self.progress(follower)
    }

    fn members(&self) -> Option<&Members> {
        Some(self.members())
    }
    fn members_index(&self) -> Index {
        self.members_index()
    }

    fn is_outside(&self) -> bool {
        self.is_outside()
    }

    fn is_transferring(&self) -> bool {
        self.transferring_to().is_some()
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

    fn campaign(&mut self, asks_first: Option<bool>) -> Result<(), Refusal> {
        if self.role() == Role::Leader {
            let message = "this node leads already; let it step down first";
            return Err(Refusal::Invalid(message.to_owned()));
        }
        if !self.members().is_voter(self.id()) {
            let message = "this node has no vote, and so may not lead";
            return Err(no_vote(self, self.id(), message.to_owned()));
        }
        match asks_first {
            Some(asks_first) => self.campaign_with(asks_first),
            None => self.campaign(),
        }
        Ok(())
    }

    fn step_down(&mut self) -> Result<(), Refusal> {
        match self.step_down() {
            true => Ok(()),
            false => Err(Refusal::NotLeader),
        }
    }

    fn transfer(&mut self, to: NodeId) -> Result<(), Refusal> {
        self.transfer(to).map_err(|error| match error {
            TransferError::NotLeader { .. } => Refusal::NotLeader,
            TransferError::NotAVoter(id) => no_vote(self, id, error.to_string()),
        })
    }

    fn drop_entries(&mut self, kept: u64) -> Result<(), Refusal> {
        self.drop_entries(kept);
        Ok(())
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
            is_alone: false,
            lease: self.lease(),
            silent_ticks: None,
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
