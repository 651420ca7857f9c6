//! Snapshots: the state at one index in place of all entries up to it (Raft paper section 7).
//!
//! ```text
//!   log     │ 1 … base │ trailing entries │ … applied … last
//!           └─ gone ───┘                  ▲
//!                                snapshot at `last`: base <= snapshot <= applied
//! ```
//!
//! A leader sends its snapshot to a follower that needs an entry before its base, a chunk at a
//! time; each is answered with how much has come, so a lost one is simply sent again. What a
//! follower does with a whole one:
//!
//! | the follower has | it |
//! |---|---|
//! | committed as far | ignores it, and tells how far it is |
//! | the snapshot's last entry in its log | learns that it is committed; its log stays |
//! | neither | drops its whole log, and takes the state |

use super::Raft;
use super::entry::{Entry, HardState, Index, LogId, NodeId, Opaque, Term};
use super::members::Members;
use super::message::{AppendOutcome, Body};
use super::output::Event;

/// The state machine right after one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The entry.
    pub last: LogId,
    /// The configuration there.
    pub members: Members,
    /// The state, as the state machine writes it.
    pub state: Opaque,
}

/// What recovery read back from the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The newest snapshot, if any.
    pub snapshot: Option<Snapshot>,
    /// The entry before `entries`; it is not above the snapshot.
    pub base: LogId,
    /// The log, contiguous from `base.index + 1`.
    pub entries: Vec<Entry>,
}

impl Recovered {
    /// The last entry, or the one before the first.
    #[must_use]
    pub fn last(&self) -> LogId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    /// True where this entry is in the log, or in the snapshot for all that can be told.
    #[must_use]
    pub fn holds(&self, id: LogId) -> bool {
        let Some(place) = id.index.checked_sub(self.base.index + 1) else {
            return true;
        };
        let entry = usize::try_from(place)
            .ok()
            .and_then(|place| self.entries.get(place));
        entry.is_some_and(|entry| entry.id == id)
    }
}

/// A snapshot that has come in part.
#[derive(Debug)]
pub(super) struct Incoming {
    term: Term,
    last: LogId,
    bytes: Vec<u8>,
}

impl Raft {
    /// Takes the state right after the last entry handed out for applying as a snapshot, and drops
    /// entries that it makes superfluous, but for a few that slow followers may still ask for.
    /// Nothing where there is one already.
    pub fn compact(&mut self, state: Opaque) {
        if self.applied <= self.snapshot_index() {
            return;
        }
        let term = self.log.term_at(self.applied);
        let term = term.expect("what was applied is in the log, or in a snapshot");
        let last = LogId::new(term, self.applied);
        let members = self.settle_members();
        let snapshot = Snapshot {
            last,
            members,
            state,
        };
        self.record(Event::Compacted { last });
        self.durability.compacted(snapshot.clone());
        self.snapshot = Some(snapshot);
        let kept = self.config.trailing_entries;
        self.log.compact_to(last.index.saturating_sub(kept));
    }

    /// Drops the entries that the newest snapshot stands for, but for the last `kept` of them.
    pub fn drop_entries(&mut self, kept: u64) {
        let covered = self.snapshot_index().min(self.applied);
        self.log.compact_to(covered.saturating_sub(kept));
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// The last entry in the newest snapshot; 0 where there is none.
    #[must_use]
    pub fn snapshot_index(&self) -> Index {
        self.snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.last.index)
    }

    /// The entry before the first that the log still has.
    #[must_use]
    pub fn base(&self) -> LogId {
        self.log.base()
    }

    pub(super) fn handle_snapshot(&mut self, leader: NodeId, last: LogId, part: Part) {
        if last.index <= self.commit {
            self.incoming = None;
            return self.accept(leader, self.commit);
        }
        let term = self.term();
        let begun = self.incoming.take();
        let mut incoming = begun
            .filter(|incoming| (incoming.term, incoming.last) == (term, last))
            .unwrap_or_else(|| Incoming {
                term,
                last,
                bytes: Vec::new(),
            });
        if part.offset == incoming.bytes.len() as u64 {
            incoming.bytes.extend_from_slice(part.chunk.as_bytes());
        }
        let received = incoming.bytes.len() as u64;
        if received < part.total {
            self.incoming = Some(incoming);
            return self.say(leader, Body::SnapshotResponse { last, received });
        }
        self.install(Snapshot {
            last,
            members: part.members,
            state: Opaque::from(incoming.bytes),
        });
        self.accept(leader, last.index);
    }

    fn accept(&mut self, leader: NodeId, matched: Index) {
        self.say(
            leader,
            Body::AppendResponse(AppendOutcome::Accepted { matched }),
        );
    }

    fn install(&mut self, snapshot: Snapshot) {
        let last = snapshot.last;
        if self.log.contains(last) {
            return self.learn_commit(last.index);
        }
        self.record(Event::Installed { last });
        self.durability.replaced(self.commit, snapshot.clone());
        self.log.reset(last);
        self.note_installed(snapshot.members.clone(), last.index);
        self.commit = last.index;
        self.snapshot = Some(snapshot);
    }

    /// What a leader takes from an answer to a chunk.
    pub(super) fn handle_snapshot_response(
        &mut self,
        follower: NodeId,
        last: LogId,
        received: u64,
    ) {
        if let Some(progress) = self.progress_of(follower) {
            progress.received(last, received);
        }
    }
}

/// One chunk of a snapshot.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) members: Members,
    pub(super) total: u64,
    pub(super) offset: u64,
    pub(super) chunk: Opaque,
}
