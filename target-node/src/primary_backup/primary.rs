//! The primary's side: when a write is acknowledged, and how backups get the log.

use std::collections::BTreeMap;

use super::PrimaryBackup;
use super::config::Acknowledge;
use super::follower::{Chunk, Follower};
use super::message::Body;
use super::read::Rounds;
use crate::raft::{Event, Index, LogId, NodeId, Opaque};

/// What a primary keeps.
#[derive(Debug)]
pub(super) struct Primary {
    pub(super) backups: BTreeMap<NodeId, Follower>,
    /// Where its log ended when it began: before all that is committed, it does not know what
    /// was acknowledged.
    begun_at: Index,
    heartbeat_elapsed: u32,
    /// Ticks in which something waited for a backup and nothing came.
    waited: u32,
    /// Semi-synchronous, and gone on alone: what was on its disk a heartbeat ago.
    alone: Option<Index>,
    pub(super) rounds: Rounds,
}

impl PrimaryBackup {
    pub(super) fn begin_to_lead(&mut self) {
        let last = self.log.last().index;
        let backups = self.peers().into_iter();
        self.primary = Some(Primary {
            backups: backups.map(|peer| (peer, Follower::new(last))).collect(),
            begun_at: last,
            heartbeat_elapsed: 0,
            waited: 0,
            alone: None,
            rounds: Rounds::default(),
        });
        self.adopt_reads();
    }

    /// True once the epoch, and what the log held at its beginning, is on this node's disk. Before
    /// that a crash could make the node forget that it was promoted, so it says nothing.
    fn is_established(&self, primary: &Primary) -> bool {
        self.durability.durable() >= primary.begun_at
    }

    /// True where this primary knows of everything that was ever acknowledged in its log.
    pub(super) fn is_commit_current(&self) -> bool {
        let primary = self.primary.as_ref();
        primary.is_some_and(|primary| self.commit >= primary.begun_at)
    }

    /// True where a semi-synchronous primary has given up waiting for its backups.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.primary
            .as_ref()
            .is_some_and(|primary| primary.alone.is_some())
    }

    pub(super) fn tick_primary(&mut self) {
        let resend_ticks = self.config.resend_ticks;
        let own = self.durability.durable();
        let Some(primary) = &mut self.primary else {
            return;
        };
        for follower in primary.backups.values_mut() {
            follower.tick(resend_ticks);
        }
        primary.heartbeat_elapsed += 1;
        if primary.heartbeat_elapsed >= self.config.heartbeat_ticks {
            primary.heartbeat_elapsed = 0;
            if let Some(mark) = &mut primary.alone {
                *mark = own;
            }
            self.broadcast_heartbeat();
        }
        self.tick_patience();
    }

    /// Semi-synchronous: after so long without a backup the primary goes on alone.
    fn tick_patience(&mut self) {
        let Acknowledge::One { patience_ticks } = self.config.acknowledge else {
            return;
        };
        let (commit, own, last) = (self.commit, self.durability.durable(), self.log.last());
        let term = self.term();
        let Some(primary) = &mut self.primary else {
            return;
        };
        if primary.alone.is_some() || commit >= own {
            primary.waited = 0;
            return;
        }
        primary.waited += 1;
        if primary.waited < patience_ticks {
            return;
        }
        primary.alone = Some(own);
        self.record(Event::WentAlone { term, last });
        self.advance_commit();
    }

    /// The rule of the mode: what is acknowledged, and applied, is on all these disks.
    pub(super) fn advance_commit(&mut self) {
        let own = self.durability.durable();
        self.rejoin();
        let Some(primary) = &mut self.primary else {
            return;
        };
        let matched = primary.backups.values().map(Follower::matched);
        let agreed = match self.config.acknowledge {
            Acknowledge::All => matched.min().unwrap_or(own).min(own),
            Acknowledge::One { .. } if primary.alone.is_none() => {
                matched.max().unwrap_or(0).min(own)
            }
            Acknowledge::One { .. } | Acknowledge::Own => own,
        };
        if agreed > self.commit {
            self.commit = agreed;
            primary.waited = 0;
        }
    }

    /// A primary that went on alone waits for backups again once one of them has all that was on
    /// its disk a heartbeat ago: under load none ever has all of this moment.
    fn rejoin(&mut self) {
        let term = self.term();
        let Some(primary) = &mut self.primary else {
            return;
        };
        let mut backups = primary.backups.values();
        let has_company = primary
            .alone
            .is_some_and(|mark| backups.any(|follower| follower.matched() >= mark));
        if has_company {
            primary.alone = None;
            primary.waited = 0;
            self.record(Event::Accompanied { term });
        }
    }

    /// Speaks to all backups. The commit index told is never beyond what the backup is known to
    /// hold.
    pub(super) fn broadcast_heartbeat(&mut self) {
        let Some(primary) = self.primary.as_ref() else {
            return;
        };
        if !self.is_established(primary) {
            return;
        }
        let round = primary.rounds.latest();
        let known = primary.backups.iter();
        let heartbeats: Vec<_> = known
            .map(|(&peer, follower)| (peer, self.commit.min(follower.matched())))
            .collect();
        for (peer, commit) in heartbeats {
            self.say(peer, Body::Heartbeat { commit, round });
        }
    }

    /// Sends what each backup lacks.
    pub(super) fn flush_appends(&mut self) {
        let primary = self.primary.as_ref();
        if !primary.is_some_and(|primary| self.is_established(primary)) {
            return;
        }
        for peer in self.peers() {
            if let Some(body) = self.next_append(peer) {
                self.say(peer, body);
            }
        }
    }

    /// Only what is on this node's own disk is sent: after a crash it comes back as the primary of
    /// the same epoch, and would give the index of an entry that it has forgotten to another.
    fn next_append(&mut self, peer: NodeId) -> Option<Body> {
        let (term, own, commit) = (self.term(), self.durability.durable(), self.commit);
        let follower = self.primary.as_mut()?.backups.get_mut(&peer)?;
        let needs_state = follower.is_diverged() || follower.next() <= self.log.base().index;
        if needs_state {
            let fits = |last: LogId| !follower.is_diverged() || last.term == term;
            let snapshot = self.snapshot.as_ref()?;
            if !fits(snapshot.last) {
                return None;
            }
            follower.begin_snapshot(snapshot);
            let Chunk {
                last,
                total,
                offset,
                bytes,
            } = follower.chunk(self.config.chunk_bytes_max)?;
            return Some(Body::Snapshot {
                last,
                total,
                offset,
                chunk: Opaque::from(bytes),
            });
        }
        if !follower.is_due(own, commit) {
            return None;
        }
        let before = follower.next() - 1;
        let prev = LogId::new(self.log.term_at(before)?, before);
        let entries = self.log.batch_after(before, self.config.append_bytes_max);
        let durable = entries.iter().take_while(|entry| entry.id.index <= own);
        let entries: Vec<_> = durable.cloned().collect();
        follower.sent(commit);
        Some(Body::Append {
            prev,
            entries,
            commit,
        })
    }

    /// A backup needs the state, and there is no snapshot of this epoch to send: the driver is to
    /// take one.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        let Some(primary) = &self.primary else {
            return false;
        };
        let term = self.term();
        let newest = self.snapshot.as_ref().map(|snapshot| snapshot.last.term);
        let is_applied = self.log.term_at(self.applied) == Some(term);
        let mut backups = primary.backups.values();
        newest != Some(term) && is_applied && backups.any(Follower::is_diverged)
    }

    fn follower(&mut self, peer: NodeId) -> Option<&mut Follower> {
        self.primary.as_mut()?.backups.get_mut(&peer)
    }

    pub(super) fn handle_accepted(&mut self, peer: NodeId, matched: Index) {
        // No backup holds more of this epoch's log than was ever sent.
        if matched > self.durability.durable() {
            return;
        }
        if let Some(follower) = self.follower(peer) {
            follower.accepted(matched);
            self.advance_commit();
        }
    }

    pub(super) fn handle_rejected(&mut self, peer: NodeId, at: Index, hint: LogId) {
        let hint = self.log.last_possible_match(hint).index;
        if let Some(follower) = self.follower(peer) {
            follower.rejected(at, hint);
        }
    }

    pub(super) fn handle_diverged(&mut self, peer: NodeId) {
        if let Some(follower) = self.follower(peer) {
            follower.diverge();
        }
    }

    pub(super) fn handle_received(&mut self, peer: NodeId, last: LogId, received: u64) {
        if let Some(follower) = self.follower(peer) {
            follower.received(last, received);
        }
    }

    pub(super) fn handle_heartbeat_answer(&mut self, peer: NodeId, round: u64) {
        if let Some(primary) = &mut self.primary {
            primary.rounds.confirm(peer, round);
        }
    }
}
