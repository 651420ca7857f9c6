//! The backup's side: its log becomes the primary's, whatever it was before.
//!
//! | the backup's log | it |
//! |---|---|
//! | has the entry before the new ones | puts them behind it, and drops a tail that conflicts |
//! | has not | says where the two could be equal, and is sent more |
//! | conflicts within its own snapshot | says so, and takes the primary's whole state |
//!
//! A dropped tail may hold what was acknowledged: that is the weakness of `async` and `semisync`,
//! and `sync` has no such tails, because there every acknowledged entry is in every log.

use super::PrimaryBackup;
use super::message::Body;
use crate::raft::{Entry, Event, Index, LogId, Members, Opaque, Snapshot};

/// A snapshot that has come in part.
#[derive(Debug)]
pub(super) struct Incoming {
    last: LogId,
    bytes: Vec<u8>,
}

impl PrimaryBackup {
    fn answer(&mut self, body: Body) {
        if let Some(primary) = self.leader() {
            self.say(primary, body);
        }
    }

    pub(super) fn handle_append(&mut self, prev: LogId, entries: Vec<Entry>, commit: Index) {
        if prev.index < self.log.base().index {
            // It speaks of what this node has dropped: long equal, or never to be known.
            let matched = self.verified;
            return match prev.index <= matched {
                true => self.answer(Body::Accepted { matched }),
                false => self.answer(Body::Diverged),
            };
        }
        if !self.log.contains(prev) {
            if prev.index <= self.snapshot_index() {
                return self.answer(Body::Diverged);
            }
            let at = prev.index;
            let hint = self.log.last_possible_match(prev);
            return self.answer(Body::Rejected { at, hint });
        }
        let matched = entries.last().map_or(prev.index, |entry| entry.id.index);
        let conflict = entries.iter().find(|entry| !self.log.contains(entry.id));
        if conflict.is_some_and(|entry| entry.id.index <= self.snapshot_index()) {
            return self.answer(Body::Diverged);
        }
        self.take_entries(entries);
        self.verified = self.verified.max(matched);
        self.learn_commit(commit);
        self.answer(Body::Accepted { matched });
    }

    fn take_entries(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if self.log.contains(entry.id) {
                continue;
            }
            if entry.id.index <= self.log.last().index {
                self.truncate(entry.id.index);
            }
            self.log.push(entry);
        }
    }

    /// Drops a tail. Where some of it was applied, the state is built again from the rest.
    fn truncate(&mut self, from: Index) {
        let last = self.log.last();
        self.record(Event::Truncated { from, last });
        self.commit = self.commit.min(from - 1);
        if from <= self.applied {
            self.applied = self.snapshot_index();
            self.output.rebuild = true;
        }
        self.log.truncate_from(from);
        self.durability.truncated(from);
    }

    /// What the primary has committed, as far as this log is known to be the primary's.
    fn learn_commit(&mut self, commit: Index) {
        self.commit = self.commit.max(commit.min(self.verified));
    }

    /// The commit index told is never beyond what the primary knows this log to have of its own, in
    /// this epoch, durably: so up to there the two are equal, also where a crash made this node
    /// forget that it knew.
    pub(super) fn handle_heartbeat(&mut self, commit: Index, round: u64) {
        self.verified = self.verified.max(commit.min(self.log.last().index));
        self.learn_commit(commit);
        self.answer(Body::HeartbeatAnswer { round });
    }

    pub(super) fn handle_snapshot(&mut self, last: LogId, total: u64, offset: u64, chunk: &Opaque) {
        if last.index <= self.verified {
            self.incoming = None;
            let matched = self.verified;
            return self.answer(Body::Accepted { matched });
        }
        let begun = self.incoming.take();
        let mut incoming = begun
            .filter(|incoming| incoming.last == last)
            .unwrap_or_else(|| Incoming {
                last,
                bytes: Vec::new(),
            });
        if offset == incoming.bytes.len() as u64 {
            incoming.bytes.extend_from_slice(chunk.as_bytes());
        }
        let received = incoming.bytes.len() as u64;
        if received < total {
            self.incoming = Some(incoming);
            return self.answer(Body::Received { last, received });
        }
        let state = Opaque::from(incoming.bytes);
        self.install(Snapshot {
            last,
            members: Members::default(),
            state,
        });
        let matched = last.index;
        self.answer(Body::Accepted { matched });
    }

    /// The primary's state takes the place of the log, unless the log holds its last entry: then
    /// the two are equal up to there, and nothing has to be dropped.
    fn install(&mut self, snapshot: Snapshot) {
        let last = snapshot.last;
        self.verified = last.index;
        if self.log.contains(last) {
            return self.learn_commit(last.index);
        }
        self.record(Event::Installed { last });
        // Nothing of the old log means anything to this primary, not even what was committed.
        self.durability.replaced(0, snapshot.clone());
        self.log.reset(last);
        self.commit = last.index;
        self.applied = 0;
        self.snapshot = Some(snapshot);
    }
}
