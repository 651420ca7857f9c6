//! Elections: who campaigns, who votes, who wins (Raft paper sections 5.2 and 5.4.1).

use std::collections::BTreeMap;
use std::mem;

use rand::RngExt;

use super::Raft;
use super::entry::{LogId, NodeId, Payload, Term};
use super::message::Body;
use super::output::{BatchId, Event};
use super::quorum::Tally;
use super::replication::Leader;
use super::role::{Role, State};
use crate::defect::Defect;

/// What a candidate keeps.
#[derive(Debug)]
pub(super) struct Candidate {
    votes: BTreeMap<NodeId, bool>,
    /// The batch with the vote for itself, which counts only once it is durable.
    ballot: BatchId,
}

/// Counts the ticks in which no leader was heard.
#[derive(Debug, Default)]
pub(super) struct ElectionTimer {
    elapsed: u32,
    /// When to campaign: drawn anew with each role, so that split votes do not repeat.
    timeout: u32,
}

impl Raft {
    /// Begins an election, as if the timeout had passed. A leader ignores it.
    pub fn campaign(&mut self) {
        if self.role() == Role::Leader {
            return;
        }
        self.hard_state.term += 1;
        self.hard_state.vote = Some(self.config.id);
        self.leader = None;
        self.restart_timer();
        let ballot = self.durability.next_batch();
        self.state = State::Candidate(Candidate {
            votes: BTreeMap::new(),
            ballot,
        });
        let last = self.log.last();
        self.record(Event::Campaigned {
            term: self.term(),
            last,
        });
        for peer in self.peers() {
            self.say(peer, Body::Vote { last });
        }
    }

    pub(super) fn tick_election(&mut self) {
        self.timer.elapsed += 1;
        if self.timer.elapsed >= self.timer.timeout {
            self.campaign();
        }
    }

    /// The election timer begins again with a new random timeout in `[ET, 2*ET-1]`.
    pub(super) fn restart_timer(&mut self) {
        let base = self.config.election_ticks;
        self.timer = ElectionTimer {
            elapsed: 0,
            timeout: self.rng.random_range(base..2 * base),
        };
    }

    /// The election timer begins again, with the timeout it had. Only for what proves that an
    /// election is not needed: a word of the current leader, or a vote given.
    pub(super) fn quiet_timer(&mut self) {
        self.timer.elapsed = 0;
    }

    /// A request for this node's vote, in this node's term.
    pub(super) fn handle_vote(&mut self, candidate: NodeId, last: LogId) {
        let is_vote_free = self.hard_state.vote.is_none_or(|vote| vote == candidate);
        let is_up_to_date =
            self.config.defects.has(Defect::NoLogCheckInVote) || last >= self.log.last();
        let granted = self.role() == Role::Follower && is_vote_free && is_up_to_date;
        if granted {
            if self.hard_state.vote.is_none() {
                self.record(Event::Voted {
                    term: self.term(),
                    candidate,
                });
            }
            self.hard_state.vote = Some(candidate);
            self.quiet_timer();
        }
        self.say(candidate, Body::VoteResponse { granted });
    }

    pub(super) fn handle_vote_response(&mut self, voter: NodeId, granted: bool) {
        if let State::Candidate(candidate) = &mut self.state {
            candidate.votes.insert(voter, granted);
            self.count_votes();
        }
    }

    /// The candidate's vote for itself may have become durable.
    pub(super) fn count_own_vote(&mut self, persisted: BatchId) {
        let id = self.config.id;
        if let State::Candidate(candidate) = &mut self.state
            && candidate.ballot <= persisted
            && candidate.votes.insert(id, true).is_none()
        {
            self.count_votes();
        }
    }

    fn count_votes(&mut self) {
        let State::Candidate(candidate) = &self.state else {
            return;
        };
        match self.majority.tally(&candidate.votes) {
            Tally::Won => self.become_leader(),
            Tally::Lost => self.become_follower(self.term()),
            Tally::Open => {}
        }
    }

    /// Follows in `term`, whose leader is not known yet. In a term that is new to the node its vote
    /// is free again; in the same term it stays given, whatever the node was until now.
    ///
    /// A follower's timer runs on: a higher term alone, say of a candidate that cannot win, is no
    /// reason to put off the election of one that can.
    pub(super) fn become_follower(&mut self, term: Term) {
        if term > self.term() {
            self.hard_state.term = term;
            self.hard_state.vote = None;
        }
        self.leader = None;
        match mem::replace(&mut self.state, State::Follower) {
            State::Follower => {}
            State::Candidate(_) | State::Leader(_) => {
                self.restart_timer();
                self.record(Event::BecameFollower { term });
            }
        }
    }

    /// The current leader spoke.
    pub(super) fn hear_leader(&mut self, leader: NodeId) {
        match self.role() {
            Role::Leader => {
                self.tripwire(false, "two leaders in one term");
                return;
            }
            Role::Candidate => self.become_follower(self.term()),
            Role::Follower => {}
        }
        self.quiet_timer();
        if self.leader != Some(leader) {
            self.leader = Some(leader);
            self.record(Event::Follows {
                term: self.term(),
                leader,
            });
            self.ask_reads();
        }
    }

    /// Leads from now on. The first thing is an entry of its own term that says nothing: only its
    /// commit makes the entries of earlier terms count as committed (section 5.4.2, figure 8).
    fn become_leader(&mut self) {
        let last = self.log.last();
        self.record(Event::BecameLeader {
            term: self.term(),
            last,
        });
        self.leader = Some(self.config.id);
        let mut leader = Leader::new(self.peers(), last.index);
        leader.reads.adopt(self.config.id, &self.reads);
        self.state = State::Leader(leader);
        self.push(Payload::Noop);
    }
}
