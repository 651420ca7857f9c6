//! Leaderless quorums without I/O: every key is a register of its own, and whoever is asked asks
//! enough of its replicas.
//!
//! ```text
//!  client        coordinator: any node                 N replicas
//!    │── put ───────▶│── query ──────────────────────────▶│
//!    │               │◀─ value and its stamp ─────────────│  R answers
//!    │               │   stamp := highest counter + 1
//!    │               │── store ──────────────────────────▶│
//!    │◀─ done ───────│◀─ stored, on the disk ─────────────│  W answers
//!    │── get ───────▶│── query ──────────────────────────▶│
//!    │◀─ value ──────│◀─ value and its stamp ─────────────│  R answers: the newest stamp wins
//! ```
//!
//! There is no log that all agree on, no leader and no term; a replica keeps what has the highest
//! [`Stamp`]. What a read does with replicas that are behind is the mode's one switch:
//!
//! | [`Repair`] | a read that found replicas behind | with R + W > N a register is |
//! |---|---|---|
//! | `none` | leaves them so | regular at best |
//! | `async` | tells them, and does not wait | the same, for a shorter time |
//! | `abd` | answers once W of them have the value | linearizable |
//!
//! Regular: of two reads one after the other the first may see a new value and the second the old
//! one. `abd` is the algorithm of Attiya, Bar-Noy and Dolev ("Sharing Memory Robustly in
//! Message-Passing Systems", 1995), for many writers as in Lynch and Shvartsman, 1997.
//!
//! With R + W <= N a read may meet none of the replicas that a write reached, and promises nothing.
//!
//! What an operation that depends on the present value would need is one order of all operations
//! on the key, and that is what this mode has not: between a query and its store, others may
//! store. Whether such operations are refused or done all the same is the driver's choice.
//!
//! What always holds, and where it is enforced:
//!
//! ```text
//! a stamp is given to one value only                   Stamp: counter, node, and its life
//! a replica's stamp never falls, across crashes        replica::store, the log on its disk
//! what a replica answers is on its disk                Body::is_promise
//! ```

mod config;
mod coordinator;
mod message;
mod output;
mod register;
mod replica;

use std::collections::{BTreeMap, VecDeque};
use std::mem;

pub use config::{Config, ConfigError, Repair};
pub use message::{Body, Message};
pub use output::{Answer, Decision, Output, Stage};
pub use register::{Register, Stamp};

use crate::raft::{BatchId, Entry, HardState, Index, LogId, NodeId, Recovered, Snapshot};
use coordinator::Operation;

/// One node: a replica of registers, and a coordinator of what its clients ask.
#[derive(Debug)]
pub struct Quorum {
    config: Config,
    registers: BTreeMap<String, Register>,
    operations: BTreeMap<u64, Operation>,
    next_operation: u64,
    /// The highest counter that this node has seen or given.
    counter: u64,
    /// Where the log on this node's disk ends, once all that was handed out is there.
    last: Index,
    snapshot: LogId,
    /// To be handed out with the next batch.
    next_snapshot: Option<Snapshot>,
    /// A snapshot is to be taken however little has changed since the last one.
    wants_snapshot: bool,
    appended: Vec<Entry>,
    hard_state: HardState,
    last_batch: BatchId,
    durable: BatchId,
    /// Promises of this node to itself, each with the batch that must be durable first.
    own_promises: VecDeque<(BatchId, Message)>,
    output: Output,
}

/// This mode has no terms; its log says so by having only one.
const TERM: u64 = 1;

impl Quorum {
    /// A node with the registers that its disk holds.
    ///
    /// # Errors
    /// Where the configuration makes no sense, or the disk holds what this version cannot read.
    pub fn new(config: Config, recovered: &Recovered) -> Result<Self, ConfigError> {
        config.validate()?;
        let registers = replica::recover(recovered).ok_or(ConfigError::State)?;
        let counters = registers.values().map(|register| register.stamp.counter);
        Ok(Self {
            counter: counters.max().unwrap_or(0),
            registers,
            operations: BTreeMap::new(),
            next_operation: config.life,
            last: recovered.last().index,
            snapshot: recovered
                .snapshot
                .as_ref()
                .map_or(LogId::ZERO, |snapshot| snapshot.last),
            next_snapshot: None,
            wants_snapshot: false,
            appended: Vec::new(),
            hard_state: recovered.hard_state,
            last_batch: 0,
            durable: 0,
            own_promises: VecDeque::new(),
            output: Output::default(),
            config,
        })
    }

    /// A message has come. What does not concern this node is dropped.
    pub fn step(&mut self, message: Message) {
        let is_from_peer =
            message.from != self.config.id && self.config.members.contains(&message.from);
        if message.to == self.config.id && is_from_peer {
            self.dispatch(message);
        }
    }

    fn dispatch(&mut self, message: Message) {
        let Message {
            from,
            operation,
            body,
            ..
        } = message;
        match body {
            Body::Query { key } => self.handle_query(from, operation, &key),
            Body::Store { key, register } => self.handle_store(from, operation, key, register),
            Body::Value { register } => self.handle_value(from, operation, register),
            Body::Stored => self.handle_stored(from, operation),
        }
    }

    /// All batches up to this one are durable.
    pub fn persisted(&mut self, batch: BatchId) {
        self.durable = batch;
        while self
            .own_promises
            .front()
            .is_some_and(|&(barrier, _)| barrier <= batch)
        {
            let (_, message) = self
                .own_promises
                .pop_front()
                .expect("a front was just seen");
            self.dispatch(message);
        }
    }

    /// Takes a snapshot of what this replica holds, where that has changed since the last one.
    pub fn compact(&mut self) {
        self.wants_snapshot = true;
    }

    /// Everything that the inputs since the last call have led to.
    pub fn take_output(&mut self) -> Output {
        self.output.batch = self.take_batch();
        self.output.barrier = self.last_batch;
        mem::take(&mut self.output)
    }

    /// Says something to a replica or a coordinator, which may be this node itself: then it takes
    /// the same way, and a promise waits for the disk like any other.
    fn say(&mut self, to: NodeId, operation: u64, body: Body) {
        let message = Message {
            from: self.config.id,
            to,
            operation,
            body,
        };
        let is_promise = message.body.is_promise();
        let barrier = self.last_batch + u64::from(!self.appended.is_empty());
        if to != self.config.id {
            let queue = match is_promise {
                true => &mut self.output.send_durable,
                false => &mut self.output.send_now,
            };
            queue.push(message);
        } else if is_promise && barrier > self.durable {
            self.own_promises.push_back((barrier, message));
        } else {
            self.dispatch(message);
        }
    }

    /// This node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// What this node itself holds for a key.
    #[must_use]
    pub fn register(&self, key: &str) -> Option<&Register> {
        self.registers.get(key)
    }

    /// How many changes of registers its log has seen.
    #[must_use]
    pub fn last(&self) -> Index {
        self.last
    }

    /// The last of them in its newest snapshot.
    #[must_use]
    pub fn snapshot_index(&self) -> Index {
        self.snapshot.index
    }
}
