//! Replication: the leader's appends and heartbeats, the follower's answers (Raft paper
//! section 5.3).

use std::collections::{BTreeMap, BTreeSet};

use super::Raft;
use super::entry::{Entry, Index, LogId, NodeId, Payload};
use super::membership::Departing;
use super::message::{AppendOutcome, Body};
use super::output::Event;
use super::progress::Progress;
use super::read::ReadRounds;
use super::role::State;
use super::transfer::Transfer;

/// What a leader keeps.
#[derive(Debug)]
pub(super) struct Leader {
    /// The progress of everyone else who gets the log.
    pub(super) progress: BTreeMap<NodeId, Progress>,
    /// Ticks since it last spoke to all.
    heartbeat_elapsed: u32,
    /// Reads that wait for a proof that it still leads.
    pub(super) reads: ReadRounds,
    /// Who has said anything in this term since the quorum was last checked.
    pub(super) heard: BTreeSet<NodeId>,
    /// To whom it is handing over.
    pub(super) transfer: Option<Transfer>,
    /// Who is out of the configuration, and for how many ticks yet it gets the log all the same.
    pub(super) departing: Departing,
}

impl Leader {
    pub(super) fn new(listeners: (BTreeSet<NodeId>, Departing), last: Index) -> Self {
        let (listeners, departing) = listeners;
        Self {
            departing,
            progress: listeners
                .into_iter()
                .map(|peer| (peer, Progress::new(last)))
                .collect(),
            heartbeat_elapsed: 0,
            reads: ReadRounds::default(),
            heard: BTreeSet::new(),
            transfer: None,
        }
    }
}

// The leader's side.
impl Raft {
    /// Puts an entry of this term at the end of the leader's log.
    pub(super) fn push(&mut self, payload: Payload) -> LogId {
        let id = LogId::new(self.term(), self.log.last().index + 1);
        let entry = Entry { id, payload };
        self.log.push(entry.clone());
        self.note_appended(&entry);
        id
    }

    pub(super) fn tick_leader(&mut self) {
        self.tick_heartbeat();
        self.tick_transfer();
        self.tick_departing();
        self.tick_quorum();
    }

    fn tick_heartbeat(&mut self) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        leader.heartbeat_elapsed += 1;
        if leader.heartbeat_elapsed >= self.config.heartbeat_ticks {
            leader.heartbeat_elapsed = 0;
            if self.config.has_leases() {
                leader.reads.begin_empty(self.now);
            }
            leader
                .progress
                .values_mut()
                .for_each(Progress::begin_interval);
            self.repeat_transfer();
            self.broadcast_heartbeat();
        }
    }

    /// Speaks to all followers. The commit index told is never beyond what the follower is known
    /// to hold: its log may have a foreign tail there.
    pub(super) fn broadcast_heartbeat(&mut self) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let round = leader.reads.latest();
        let commit = self.commit;
        let known = leader.progress.iter();
        let heartbeats: Vec<_> = known
            .map(|(&peer, progress)| (peer, commit.min(progress.matched())))
            .collect();
        for (peer, commit) in heartbeats {
            self.say(peer, Body::Heartbeat { commit, round });
        }
    }

    /// Sends every append that is due. Called once an output, so that everything proposed since
    /// the last one travels together.
    pub(super) fn flush_appends(&mut self) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        let listeners: Vec<NodeId> = leader.progress.keys().copied().collect();
        for peer in listeners {
            while let Some(body) = self.next_append(peer) {
                self.say(peer, body);
            }
        }
    }

    fn next_append(&mut self, peer: NodeId) -> Option<Body> {
        let State::Leader(leader) = &mut self.state else {
            return None;
        };
        let progress = leader.progress.get_mut(&peer)?;
        if !progress.is_due(
            self.log.last().index,
            self.commit,
            self.config.in_flight_max,
        ) {
            return None;
        }
        if progress.is_behind(self.log.base().index) {
            let snapshot = self.snapshot.clone();
            progress.begin_snapshot(snapshot.expect("only a snapshot lets entries be dropped"));
        }
        if let Some(chunk) = progress.take_chunk(self.config.chunk_bytes_max) {
            return Some(chunk);
        }
        let before = progress.next() - 1;
        let term = self
            .log
            .term_at(before)
            .expect("next is neither beyond the end nor before the base");
        let entries = self
            .log
            .batch_after(before, self.config.append_bytes_max)
            .to_vec();
        let last = entries.last().map_or(before, |entry| entry.id.index);
        progress.sent(last, self.commit);
        Some(Body::Append {
            prev: LogId::new(term, before),
            entries,
            commit: self.commit,
        })
    }

    pub(super) fn progress_of(&mut self, follower: NodeId) -> Option<&mut Progress> {
        let State::Leader(leader) = &mut self.state else {
            return None;
        };
        leader.progress.get_mut(&follower)
    }

    pub(super) fn handle_append_response(&mut self, follower: NodeId, outcome: AppendOutcome) {
        let last = self.log.last().index;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(progress) = leader.progress.get_mut(&follower) else {
            return;
        };
        match outcome {
            AppendOutcome::Accepted { matched } if matched <= last => {
                progress.accepted(matched);
                self.advance_commit();
            }
            AppendOutcome::Accepted { .. } => {
                self.tripwire(false, "a follower acknowledged entries that do not exist");
            }
            AppendOutcome::Rejected { at, hint } => {
                progress.rejected(at, self.log.last_possible_match(hint).index);
            }
        }
    }

    pub(super) fn handle_heartbeat_response(&mut self, follower: NodeId, round: u64) {
        let last = self.log.last().index;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(progress) = leader.progress.get_mut(&follower) else {
            return;
        };
        progress.answered_heartbeat(last);
        leader.reads.confirm(follower, round);
    }
}

// The follower's side.
impl Raft {
    pub(super) fn handle_append(
        &mut self,
        leader: NodeId,
        prev: LogId,
        entries: Vec<Entry>,
        commit: Index,
    ) {
        let outcome = if prev.index < self.log.base().index {
            // It speaks of what this node has long had committed, and has dropped.
            AppendOutcome::Accepted {
                matched: self.commit,
            }
        } else if self.log.contains(prev) {
            let matched = entries.last().map_or(prev.index, |entry| entry.id.index);
            self.take_entries(entries);
            self.learn_commit(commit.min(matched));
            AppendOutcome::Accepted { matched }
        } else {
            // The refused entry cannot match, so the leader need not try it again; but without
            // the cap the answer about a short log could name an entry above the one refused.
            let hint = self.log.last_possible_match(prev);
            AppendOutcome::Rejected {
                at: prev.index,
                hint,
            }
        };
        self.say(leader, Body::AppendResponse(outcome));
    }

    /// Appends what is new. An existing entry is dropped only where it conflicts with a new one:
    /// an append that is late and short proves nothing against what stands behind it.
    fn take_entries(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if self.log.contains(entry.id) {
                continue;
            }
            if entry.id.index <= self.log.last().index {
                self.truncate(entry.id.index);
            }
            self.log.push(entry.clone());
            self.note_appended(&entry);
        }
    }

    fn truncate(&mut self, from: Index) {
        self.tripwire(from > self.commit, "a committed entry is overwritten");
        self.forget_committed(from);
        self.record(Event::Truncated {
            from,
            last: self.log.last(),
        });
        self.log.truncate_from(from);
        self.note_truncated(from);
        self.durability.truncated(from);
    }

    /// Only behind the tripwire, with a seeded defect: what was committed from `from` on is gone.
    /// The state is what the log says, so it is built again from what is left, as after a restart.
    fn forget_committed(&mut self, from: Index) {
        self.commit = self.commit.min(from - 1);
        if from <= self.snapshot_index() {
            self.applied = self.applied.min(from - 1);
        } else if from <= self.applied {
            self.applied = self.snapshot_index();
            self.output.rebuild = true;
        }
    }

    pub(super) fn handle_heartbeat(&mut self, leader: NodeId, commit: Index, round: u64) {
        self.learn_commit(commit);
        self.say(leader, Body::HeartbeatResponse { round });
    }
}
