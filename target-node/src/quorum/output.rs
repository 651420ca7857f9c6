//! What the core wants done.

use super::message::Message;
use super::register::{Register, Stamp};
use crate::raft::{Batch, BatchId};

/// Everything to be done since the last time. The order is that of the Raft core's
/// [`Output`](crate::raft::Output): to the disk, to the network, to clients.
#[derive(Debug, Default)]
pub struct Output {
    /// To be made durable.
    pub batch: Option<Batch>,
    /// To be sent at once.
    pub send_now: Vec<Message>,
    /// To be sent once `barrier` is durable.
    pub send_durable: Vec<Message>,
    /// The batch that `send_durable` waits for: the last one handed out.
    pub barrier: BatchId,
    /// Writes that know what the key holds: what is it to hold now? Each is to be answered with
    /// [`Quorum::decide`](super::Quorum::decide).
    pub decisions: Vec<Decision>,
    /// Operations that are done, or given up.
    pub answers: Vec<(u64, Answer)>,
}

/// A write whose first half is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The operation.
    pub operation: u64,
    /// The key.
    pub key: String,
    /// The newest that R replicas hold.
    pub current: Option<Register>,
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A read found this.
    Read(Option<Register>),
    /// A write is on W disks under this version.
    Written(Stamp),
    /// Too few replicas answered in time.
    GivenUp(Stage),
}

/// How far an operation had come when it was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It asked what there is: nothing was changed, and nothing will be.
    Query,
    /// It stored: some replicas may have the value, and others get it from them.
    Store,
}

impl Output {
    /// True where there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_none()
            && self.send_now.is_empty()
            && self.send_durable.is_empty()
            && self.decisions.is_empty()
            && self.answers.is_empty()
    }
}
