//! Linearizable reads (Raft thesis section 6.4), in three ways.
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
//!
//! | mode | the leader answers | rests on |
//! |---|---|---|
//! | [`ReadMode::Index`] | once a round that began after the question is confirmed | Raft |
//! | [`ReadMode::Lease`] | at once while its lease runs, else as with `Index` | clocks, see below |
//! | [`ReadMode::Log`] | once an entry that it appended for the question is committed | Raft |
//!
//! **The lease.** A majority that answered a round sent at `t` votes for nobody else for an
//! election timeout of its own ticks from then on, so until then nobody else can lead. The lease
//! runs from `t` for `(ET - 2) * 90 %` on this node's monotonic clock: two ticks for what a tick
//! may be early, and a tenth for clocks. **The bound: of any two nodes, neither clock runs more
//! than 10 % faster than the other.** It needs [`Config::check_quorum`](super::Config) and
//! [`Config::leases`](super::Config) on all nodes: with them, who has restarted votes for nobody
//! for an election timeout, for it may have answered a round before. Time that the process was
//! paused counts, because the clock is read at each question. And a leader that has asked another
//! to take over has no lease any more in its term: that election asks nobody's patience.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use serde::{Deserialize, Serialize};

use super::Raft;
use super::entry::Payload;
use super::entry::{Index, NodeId};
use super::message::Body;
use super::output::ReadyRead;
use super::quorum::Quorum;
use super::role::State;
use super::{NoLeader, Role};
use crate::defect::Defect;

/// A moment on a node's own monotonic clock, in thousandths of a tick.
pub type Moment = u64;

/// How it is made sure that a read is linearizable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadMode {
    /// A majority confirms after the question that the leader leads.
    #[default]
    Index,
    /// The leader relies on its lease, and so on clocks.
    Lease,
    /// The question gets an entry of its own in the log.
    Log,
}

/// The reads of this node's own clients, whatever role it plays.
#[derive(Debug)]
pub(super) struct Reads {
    next: u64,
    /// The leader has not said yet from where they may be served.
    unanswered: BTreeMap<u64, ReadMode>,
    /// They wait until the state machine has come that far.
    indexed: BTreeSet<(Index, u64)>,
    /// Ticks since the leader was last asked about all of them.
    asked_elapsed: u32,
}

impl Reads {
    pub(super) fn new(first: u64) -> Self {
        Self {
            next: first,
            unanswered: BTreeMap::new(),
            indexed: BTreeSet::new(),
            asked_elapsed: 0,
        }
    }

    fn answered(&mut self, read: u64, index: Index) {
        if self.unanswered.remove(&read).is_some() {
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

/// A read of some node, that node named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reader {
    node: NodeId,
    read: u64,
}

/// What a leader knows about the reads that wait for a proof of its leadership.
#[derive(Debug, Default)]
pub(super) struct ReadRounds {
    /// In no round yet.
    waiting: Vec<Reader>,
    /// They want an entry in the log.
    unlogged: BTreeSet<Reader>,
    /// The entry that each waits for: a question that is asked again gets no second one.
    logged: BTreeMap<Reader, Index>,
    /// Rounds not yet confirmed, oldest first.
    rounds: VecDeque<Round>,
    latest: u64,
    /// The latest round that each follower has answered.
    answered: BTreeMap<NodeId, u64>,
    lease: Lease,
}

/// Until when nobody else can lead.
#[derive(Debug, Default)]
struct Lease {
    /// When the latest confirmed round was sent.
    confirmed: Option<Moment>,
    /// Someone was asked to take over.
    is_given_up: bool,
}

/// What a tick of an election timeout is worth to a lease, in thousandths of a tick.
const LEASE_PER_TICK: u64 = 900;

#[derive(Debug)]
struct Round {
    number: u64,
    sent: Moment,
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
        for (&read, &mode) in &reads.unanswered {
            self.ask(Reader { node: id, read }, mode);
        }
    }

    fn ask(&mut self, reader: Reader, mode: ReadMode) {
        match mode {
            ReadMode::Index | ReadMode::Lease => self.waiting.push(reader),
            ReadMode::Log if self.logged.contains_key(&reader) => {}
            ReadMode::Log => {
                self.unlogged.insert(reader);
            }
        }
    }

    /// From now on the lease means nothing, for as long as this leader leads.
    pub(super) fn give_up_lease(&mut self) {
        self.lease.is_given_up = true;
    }

    /// A round in which nobody reads; it renews the lease.
    pub(super) fn begin_empty(&mut self, now: Moment) {
        self.push_round(now, 0, Vec::new());
    }

    fn push_round(&mut self, sent: Moment, index: Index, readers: Vec<Reader>) {
        self.latest += 1;
        self.rounds.push_back(Round {
            number: self.latest,
            sent,
            index,
            readers,
        });
    }

    pub(super) fn confirm(&mut self, follower: NodeId, round: u64) {
        let answered = self.answered.entry(follower).or_insert(0);
        *answered = round.max(*answered);
    }

    fn begin(&mut self, now: Moment, index: Index) -> bool {
        let readers = mem::take(&mut self.waiting);
        let has_readers = !readers.is_empty();
        if has_readers {
            self.push_round(now, index, readers);
        }
        has_readers
    }

    /// The readers of all rounds that a majority has answered, the leader itself included.
    fn take_confirmed(&mut self, id: NodeId, quorum: &Quorum) -> Vec<(Reader, Index)> {
        let confirmed = quorum.agreed(|voter| match voter == id {
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
            self.lease.confirmed = Some(round.sent);
            readers.extend(
                round
                    .readers
                    .into_iter()
                    .map(|reader| (reader, round.index)),
            );
        }
        readers
    }

    /// The readers whose entries are committed.
    fn take_logged(&mut self, applied: Index) -> Vec<(Reader, Index)> {
        self.logged
            .extract_if(.., |_, &mut index| index <= applied)
            .collect()
    }
}

impl Raft {
    /// Tells the time. It never goes back, and goes on while the process is paused; a read from a
    /// lease is only as right as the last word of it.
    pub fn observe(&mut self, now: Moment) {
        self.now = self.now.max(now);
    }

    /// For how long yet nobody else can lead, if clocks are as good as they must be, in
    /// thousandths of a tick; none where this node holds no lease.
    #[must_use]
    pub fn lease(&self) -> Option<Moment> {
        let State::Leader(leader) = &self.state else {
            return None;
        };
        let lease = &leader.reads.lease;
        if !self.config.has_leases() || lease.is_given_up {
            return None;
        }
        let length = u64::from(self.config.election_ticks.saturating_sub(2)) * LEASE_PER_TICK;
        let end = lease.confirmed?.saturating_add(length);
        end.checked_sub(self.now).filter(|&left| left > 0)
    }

    /// A client of this node wants to read: the name that [`Output::reads`](super::Output) will
    /// give back once the state machine may be asked. Until then the question is repeated, also
    /// to the next leader.
    ///
    /// # Errors
    /// Where no leader is known; nothing is remembered then.
    pub fn read(&mut self, mode: ReadMode) -> Result<u64, NoLeader> {
        let leader = self.leader.ok_or(NoLeader)?;
        let read = self.reads.next;
        self.reads.next += 1;
        self.reads.unanswered.insert(read, mode);
        if leader == self.config.id {
            self.handle_read_index(leader, read, mode);
        } else {
            self.say(leader, Body::ReadIndex { read, mode });
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
        for (read, mode) in self.reads.unanswered.clone() {
            self.say(leader, Body::ReadIndex { read, mode });
        }
    }

    pub(super) fn handle_read_index(&mut self, node: NodeId, read: u64, mode: ReadMode) {
        let reader = Reader { node, read };
        if self.role() == Role::Leader && self.config.defects.has(Defect::ReadLeaderLocal) {
            return self.answer(reader, self.applied);
        }
        if mode == ReadMode::Lease && self.has_committed_in_term() && self.lease().is_some() {
            return self.answer(reader, self.commit);
        }
        if let State::Leader(leader) = &mut self.state {
            leader.reads.ask(reader, mode);
        }
    }

    /// Puts one entry into the log for all questions that want one. A leader that is handing over
    /// keeps them until it leads on, or another one is asked.
    pub(super) fn log_reads(&mut self) {
        let is_transferring = self.transferring_to().is_some();
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if is_transferring || leader.reads.unlogged.is_empty() {
            return;
        }
        let readers = mem::take(&mut leader.reads.unlogged);
        let entry = self.push(Payload::Noop);
        if let State::Leader(leader) = &mut self.state {
            let readers = readers.into_iter().map(|reader| (reader, entry.index));
            leader.reads.logged.extend(readers);
        }
    }

    /// Answers the questions whose entries are applied here. They are this leader's own entries:
    /// it has dropped none of its log.
    pub(super) fn answer_logged(&mut self) {
        let applied = self.applied;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        for (reader, index) in leader.reads.take_logged(applied) {
            self.answer(reader, index);
        }
    }

    pub(super) fn handle_read_index_response(&mut self, read: u64, index: Index) {
        self.reads.answered(read, index);
    }

    /// Begins a round for all reads that came since the last output, and answers those whose
    /// round is confirmed. No round begins before the leader's own commit index can be trusted.
    pub(super) fn flush_reads(&mut self) {
        let is_commit_current = self.has_committed_in_term();
        let (id, commit, now) = (self.config.id, self.commit, self.now);
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let has_begun = is_commit_current && leader.reads.begin(now, commit);
        let confirmed = leader.reads.take_confirmed(id, &self.quorum);
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
