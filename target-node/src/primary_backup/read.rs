//! Linearizable reads: at the primary's commit index, told to whichever node was asked.
//!
//! ```text
//!  client      node asked             primary                       backups
//!    │── get ────▶│── read-index ──────▶│ index := commit           │
//!    │            │                     │── heartbeat round=r ─────▶│  sync: all of them
//!    │            │◀─ index ────────────│◀─ answer round=r ─────────│  must answer
//!    │◀─ value ───│ once applied >= index
//! ```
//!
//! Under `sync` a read needs every backup, as a write does: so a primary that was replaced without
//! noticing answers none. Under `semisync` and `async` the primary answers for itself: a replaced
//! one answers with what was true before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use super::PrimaryBackup;
use super::config::Acknowledge;
use super::message::Body;
use crate::raft::{Index, NoLeader, NodeId, ReadyRead};

/// The reads of this node's own clients.
#[derive(Debug)]
pub(super) struct Reads {
    next: u64,
    /// The primary has not said yet from where they may be served.
    unanswered: BTreeSet<u64>,
    /// They wait until the state machine has come that far.
    indexed: BTreeSet<(Index, u64)>,
    /// Ticks since the primary was last asked about all of them.
    asked_elapsed: u32,
}

impl Reads {
    pub(super) fn new(first: u64) -> Self {
        Self {
            next: first,
            unanswered: BTreeSet::new(),
            indexed: BTreeSet::new(),
            asked_elapsed: 0,
        }
    }

    pub(super) fn answered(&mut self, read: u64, index: Index) {
        if self.unanswered.remove(&read) {
            self.indexed.insert((index, read));
        }
    }

    /// The reads that may be served from the state at `applied`.
    pub(super) fn take_ready(&mut self, applied: Index) -> Vec<ReadyRead> {
        let mut ready = Vec::new();
        while let Some(&(index, name)) = self.indexed.first()
            && index <= applied
        {
            self.indexed.pop_first();
            ready.push(ReadyRead { name, index });
        }
        ready
    }
}

/// What a primary knows of reads that wait for its backups.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// In no round yet: which node asks, and its name for the read.
    waiting: Vec<(NodeId, u64)>,
    /// Rounds not yet confirmed, oldest first.
    open: VecDeque<Round>,
    latest: u64,
    /// The latest round that each backup has answered.
    answered: BTreeMap<NodeId, u64>,
}

#[derive(Debug)]
struct Round {
    number: u64,
    /// The commit index when it began.
    index: Index,
    readers: Vec<(NodeId, u64)>,
}

impl Rounds {
    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    pub(super) fn confirm(&mut self, backup: NodeId, round: u64) {
        let answered = self.answered.entry(backup).or_insert(0);
        *answered = round.max(*answered);
    }

    fn begin(&mut self, index: Index) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        self.latest += 1;
        self.open.push_back(Round {
            number: self.latest,
            index,
            readers: mem::take(&mut self.waiting),
        });
        true
    }

    fn take_confirmed(&mut self, confirmed: u64) -> Vec<(NodeId, u64, Index)> {
        let mut readers = Vec::new();
        while self
            .open
            .front()
            .is_some_and(|round| round.number <= confirmed)
        {
            let round = self.open.pop_front().expect("a front was just seen");
            let named = round.readers.into_iter();
            readers.extend(named.map(|(node, read)| (node, read, round.index)));
        }
        readers
    }
}

impl PrimaryBackup {
    /// A client of this node wants to read: the name that [`Output::reads`](crate::raft::Output)
    /// will give back once the state machine may be asked.
    ///
    /// # Errors
    /// Never in this core, where the epoch always names a primary; so said for all cores alike.
    pub fn read(&mut self) -> Result<u64, NoLeader> {
        let primary = self.leader().ok_or(NoLeader)?;
        let read = self.reads.next;
        self.reads.next += 1;
        self.reads.unanswered.insert(read);
        if primary == self.config.id {
            self.handle_read_index(primary, read);
        } else {
            self.say(primary, Body::ReadIndex { read });
        }
        Ok(read)
    }

    /// Nobody waits for this read any more.
    pub fn cancel_read(&mut self, read: u64) {
        self.reads.unanswered.remove(&read);
        self.reads.indexed.retain(|&(_, indexed)| indexed != read);
    }

    pub(super) fn tick_reads(&mut self) {
        self.reads.asked_elapsed += 1;
        if self.reads.asked_elapsed >= self.config.resend_ticks {
            self.ask_reads();
        }
    }

    /// Asks the primary about all reads without an answer: a question may be lost, or its answer,
    /// or the primary be another now.
    pub(super) fn ask_reads(&mut self) {
        self.reads.asked_elapsed = 0;
        let Some(primary) = self.leader().filter(|&primary| primary != self.config.id) else {
            return;
        };
        let unanswered: Vec<u64> = self.reads.unanswered.iter().copied().collect();
        for read in unanswered {
            self.say(primary, Body::ReadIndex { read });
        }
    }

    /// A new primary asks itself what it has asked another in vain.
    pub(super) fn adopt_reads(&mut self) {
        let unanswered: Vec<u64> = self.reads.unanswered.iter().copied().collect();
        for read in unanswered {
            self.handle_read_index(self.config.id, read);
        }
    }

    pub(super) fn handle_read_index(&mut self, node: NodeId, read: u64) {
        if let Some(primary) = &mut self.primary {
            primary.rounds.waiting.push((node, read));
        }
    }

    /// Begins a round for all reads that came since the last output, and answers those whose round
    /// is confirmed. No round begins before this primary knows what was acknowledged before it.
    pub(super) fn flush_reads(&mut self) {
        let (id, commit) = (self.config.id, self.commit);
        let is_commit_current = self.is_commit_current();
        let needs_all = self.config.acknowledge == Acknowledge::All;
        let Some(primary) = &mut self.primary else {
            return;
        };
        let rounds = &mut primary.rounds;
        let has_begun = is_commit_current && rounds.begin(commit);
        let confirmed = match needs_all {
            true => {
                let answered = primary.backups.keys();
                let answered = answered.map(|peer| rounds.answered.get(peer).copied());
                answered.map(Option::unwrap_or_default).min()
            }
            false => None,
        };
        let confirmed = confirmed.unwrap_or(rounds.latest);
        let readers = rounds.take_confirmed(confirmed);
        if has_begun && needs_all {
            self.broadcast_heartbeat();
        }
        for (node, read, index) in readers {
            match node == id {
                true => self.reads.answered(read, index),
                false => self.say(node, Body::ReadIndexAnswer { read, index }),
            }
        }
    }
}
