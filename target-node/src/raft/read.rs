//! Linearizable reads that write nothing to the log (ReadIndex, Raft thesis section 6.4).
//!
//! ```text
//!  client      node asked             leader                      other nodes
//!    │── get ────▶│── read-index ──────▶│ index := commit           │
//!    │            │                     │── heartbeat round=r ─────▶│
//!    │            │                     │◀─ answer round=r ─────────│  a majority: it led when
//!    │            │◀─ index ────────────│                           │  the question came
//!    │◀─ value ───│ once applied >= index
//! ```
//!
//! Rounds are numbered upwards within a term and never reused, so an answer confirms its own
//! round and all earlier ones, and an old answer can never confirm a newer round. Every heartbeat
//! carries the latest round: a lost confirmation needs no retry of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use super::Raft;
use super::entry::{Index, NodeId};
use super::message::Body;
use super::quorum::Majority;
use super::role::State;
use super::{NoLeader, Role};
use crate::defect::Defect;

/// The reads of this node's own clients, whatever role it plays.
#[derive(Debug)]
pub(super) struct Reads {
    next: u64,
    /// The leader has not said yet from where they may be served.
    unanswered: BTreeSet<u64>,
    /// They wait until the state machine has come that far.
    indexed: BTreeSet<(Index, u64)>,
    /// Ticks since the leader was last asked about all of them.
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

    fn answered(&mut self, read: u64, index: Index) {
        if self.unanswered.remove(&read) {
            self.indexed.insert((index, read));
        }
    }

    /// The reads that may be served from the state at `applied`.
    pub(super) fn take_ready(&mut self, applied: Index) -> Vec<u64> {
        let mut ready = Vec::new();
        while let Some(&(index, read)) = self.indexed.first()
            && index <= applied
        {
            self.indexed.pop_first();
            ready.push(read);
        }
        ready
    }
}

/// A read of some node, that node named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    node: NodeId,
    read: u64,
}

/// What a leader knows about the reads that wait for a proof of its leadership.
#[derive(Debug, Default)]
pub(super) struct ReadRounds {
    /// In no round yet.
    waiting: Vec<Reader>,
    /// Rounds not yet confirmed, oldest first.
    rounds: VecDeque<Round>,
    latest: u64,
    /// The latest round that each follower has answered.
    answered: BTreeMap<NodeId, u64>,
}

#[derive(Debug)]
struct Round {
    number: u64,
    /// The commit index when the round began.
    index: Index,
    readers: Vec<Reader>,
}

impl ReadRounds {
    /// The latest round begun, 0 before the first.
    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// A new leader asks itself what it has asked others in vain.
    pub(super) fn adopt(&mut self, id: NodeId, reads: &Reads) {
        self.waiting.extend(
            reads
                .unanswered
                .iter()
                .map(|&read| Reader { node: id, read }),
        );
    }

    pub(super) fn confirm(&mut self, follower: NodeId, round: u64) {
        let answered = self.answered.entry(follower).or_insert(0);
        *answered = round.max(*answered);
    }

    fn begin(&mut self, index: Index) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        self.latest += 1;
        let readers = mem::take(&mut self.waiting);
        self.rounds.push_back(Round {
            number: self.latest,
            index,
            readers,
        });
        true
    }

    /// The readers of all rounds that a majority has answered, the leader itself included.
    fn take_confirmed(&mut self, id: NodeId, majority: &Majority) -> Vec<(Reader, Index)> {
        let confirmed = majority.agreed(|voter| match voter == id {
            true => self.latest,
            false => self.answered.get(&voter).copied().unwrap_or(0),
        });
        let mut readers = Vec::new();
        while self
            .rounds
            .front()
            .is_some_and(|round| round.number <= confirmed)
        {
            let round = self.rounds.pop_front().expect("a front was just seen");
            readers.extend(
                round
                    .readers
                    .into_iter()
                    .map(|reader| (reader, round.index)),
            );
        }
        readers
    }
}

impl Raft {
    /// A client of this node wants to read: the name that [`Output::reads`](super::Output) will
    /// give back once the state machine may be asked. Until then the question is repeated, also
    /// to the next leader.
    ///
    /// # Errors
    /// Where no leader is known; nothing is remembered then.
    pub fn read(&mut self) -> Result<u64, NoLeader> {
        let leader = self.leader.ok_or(NoLeader)?;
        let read = self.reads.next;
        self.reads.next += 1;
        self.reads.unanswered.insert(read);
        if leader == self.config.id {
            self.handle_read_index(leader, read);
        } else {
            self.say(leader, Body::ReadIndex { read });
        }
        Ok(read)
    }

    /// Nobody waits for this read any more.
    pub fn cancel_read(&mut self, read: u64) {
        self.reads.unanswered.remove(&read);
        self.reads.indexed.retain(|&(_, indexed)| indexed != read);
    }

    /// A question that nobody has answered is asked again: it, or its answer, may be lost.
    pub(super) fn tick_reads(&mut self) {
        self.reads.asked_elapsed += 1;
        if self.reads.asked_elapsed >= (self.config.election_ticks / 2).max(1) {
            self.ask_reads();
        }
    }

    /// Asks the leader about all reads without an answer.
    pub(super) fn ask_reads(&mut self) {
        self.reads.asked_elapsed = 0;
        let Some(leader) = self.leader.filter(|&leader| leader != self.config.id) else {
            return;
        };
        let unanswered: Vec<u64> = self.reads.unanswered.iter().copied().collect();
        for read in unanswered {
            self.say(leader, Body::ReadIndex { read });
        }
    }

    pub(super) fn handle_read_index(&mut self, node: NodeId, read: u64) {
        let reader = Reader { node, read };
        if self.role() == Role::Leader && self.config.defects.has(Defect::ReadLeaderLocal) {
            self.answer(reader, self.applied);
        } else if let State::Leader(leader) = &mut self.state {
            leader.reads.waiting.push(reader);
        }
    }

    pub(super) fn handle_read_index_response(&mut self, read: u64, index: Index) {
        self.reads.answered(read, index);
    }

    /// Begins a round for all reads that came since the last output, and answers those whose
    /// round is confirmed. No round begins before the leader's own commit index can be trusted.
    pub(super) fn flush_reads(&mut self) {
        let is_commit_current = self.has_committed_in_term();
        let (id, commit) = (self.config.id, self.commit);
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let has_begun = is_commit_current && leader.reads.begin(commit);
        let confirmed = leader.reads.take_confirmed(id, &self.majority);
        if has_begun {
            self.broadcast_heartbeat();
        }
        for (reader, index) in confirmed {
            self.answer(reader, index);
        }
    }

    fn answer(&mut self, reader: Reader, index: Index) {
        if reader.node == self.config.id {
            self.reads.answered(reader.read, index);
        } else {
            self.say(
                reader.node,
                Body::ReadIndexResponse {
                    read: reader.read,
                    index,
                },
            );
        }
    }
}
