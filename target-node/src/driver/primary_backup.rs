//! Primary and backups, driven like any core with one log.

use super::ReplicatedLog;
use super::replicated_log::{Refusal, View};
use crate::peer::Parcel;
use crate::primary_backup::{Message, PrimaryBackup};
use crate::raft::{
    BatchId, Entry, Index, LogId, NoLeader, NodeId, Opaque, Output, ProposeError, ReadMode,
    Snapshot, Term,
};

impl ReplicatedLog for PrimaryBackup {
    type Message = Message;

    fn message(parcel: Parcel) -> Option<Message> {
        match parcel {
            Parcel::PrimaryBackup(message) => Some(message),
            _ => None,
        }
    }

    fn tick(&mut self) {
        self.tick();
    }

    fn step(&mut self, message: Message) {
        self.step(message);
    }

    fn persisted(&mut self, batch: BatchId) {
        self.persisted(batch);
    }

    fn take_output(&mut self) -> Output<Message> {
        self.take_output()
    }

    fn propose(&mut self, command: Opaque) -> Result<LogId, ProposeError> {
        self.propose(command)
    }

    /// Neither a lease nor the log makes a read more certain here: what the mode has is taken.
    fn read(&mut self, _mode: ReadMode) -> Result<u64, NoLeader> {
        self.read()
    }

    fn cancel_read(&mut self, read: u64) {
        self.cancel_read(read);
    }

    fn compact(&mut self, state: Opaque) {
        self.compact(state);
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
            // The vote of an epoch names its primary, and nobody has voted.
            vote: None,
            commit: self.commit(),
            last: self.last().index,
            base: self.base().index,
            is_alone: self.is_alone(),
            lease: None,
            silent_ticks: self.silent_ticks(),
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

    fn is_commit_final(&self) -> bool {
        self.is_commit_final()
    }

    fn wants_snapshot(&self) -> bool {
        self.wants_snapshot()
    }

    fn promote(&mut self, epoch: Option<Term>) -> Result<Term, Refusal> {
        self.promote(epoch)
            .map_err(|refused| Refusal::Invalid(refused.to_string()))
    }
}
