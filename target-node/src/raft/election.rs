//! Elections: who campaigns, who votes, who wins (Raft paper sections 5.2 and 5.4.1; pre-vote,
//! leader stickiness and the leader's own check: Raft thesis sections 9.6, 4.2.3 and 6.2).
//!
//! ```text
//!             time-out            majority would vote        majority voted
//!   Follower ──────────▶ PreCandidate ──────────▶ Candidate ──────────▶ Leader
//!      ▲    (pre-vote off: ─────────────────────────▲ )                    │
//!      └─── a leader is heard, a higher term, or: no majority heard ───────┘
//! ```
//!
//! Pre-vote and the check of the quorum are switches, and each alone can leave a node outside for
//! ever unless stale terms are answered: see `answer_stale` and `handle_pre_vote`.

use std::collections::BTreeMap;
use std::mem;

use rand::RngExt;

use super::Raft;
use super::config::Jitter;
use super::entry::{LogId, NodeId, Payload, Term};
use super::message::{Body, Message};
use super::output::{BatchId, Event};
use super::quorum::Tally;
use super::replication::Leader;
use super::role::{Role, State};
use crate::defect::Defect;

/// What kind of election a node begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Campaign {
    /// Asks first, with no term raised.
    PreElection,
    /// Raises the term, and asks for votes.
    Election,
    /// The same, because the leader wants it: also of those who hear the leader.
    Transfer,
}

/// What a node keeps that asks whether it could win.
#[derive(Debug)]
pub(super) struct PreCandidate {
    /// Answers of the voters for the term in question, begun anew with each question. One that was
    /// asked earlier, for the same term, may still be answered: that promises as little as any
    /// other, and only the election decides.
    votes: BTreeMap<NodeId, bool>,
}

/// What a candidate keeps.
#[derive(Debug)]
pub(super) struct Candidate {
    votes: BTreeMap<NodeId, bool>,
    /// The batch with the vote for itself, which counts only once it is durable.
    ballot: BatchId,
}

impl Raft {
    /// Begins an election, as if the timeout had passed. A leader ignores it, and so does a node
    /// that may not lead: it has no vote, or has yet to apply what would tell who has.
    pub fn campaign(&mut self) {
        if self.role() == Role::Leader || !self.is_promotable() {
            return;
        }
        self.campaign_with(self.config.pre_vote);
    }

    /// Begins an election in this way, whatever the configuration says. A leader ignores it.
    pub fn campaign_with(&mut self, asks_first: bool) {
        if self.role() == Role::Leader {
            return;
        }
        self.begin(match asks_first {
            true => Campaign::PreElection,
            false => Campaign::Election,
        });
    }

    /// Stops to lead, as if no majority had been heard; false where this node does not lead.
    pub fn step_down(&mut self) -> bool {
        let leads = self.role() == Role::Leader;
        if leads {
            self.become_follower(self.term());
        }
        leads
    }

    /// The leader wants this node to lead in its stead.
    pub(super) fn take_over(&mut self) {
        if self.is_promotable() {
            self.begin(Campaign::Transfer);
        }
    }

    fn begin(&mut self, campaign: Campaign) {
        self.leader = None;
        self.restart_timer();
        match campaign {
            Campaign::PreElection => self.ask_for_pre_votes(),
            Campaign::Election => self.ask_for_votes(false),
            Campaign::Transfer => self.ask_for_votes(true),
        }
    }

    /// The node's own pre-vote is a matter of course, and promises nothing that a disk would have
    /// to keep.
    fn ask_for_pre_votes(&mut self) {
        self.state = State::PreCandidate(PreCandidate {
            votes: BTreeMap::from([(self.config.id, true)]),
        });
        let campaign = self.term() + 1;
        let last = self.log.last();
        self.record(Event::PreCampaigned { campaign, last });
        let question = Body::PreVote {
            campaign,
            last,
            committed: self.committed(),
        };
        for peer in self.peers() {
            self.say(peer, question.clone());
        }
        self.count_pre_votes();
    }

    fn ask_for_votes(&mut self, is_transfer: bool) {
        self.hard_state.term += 1;
        self.hard_state.vote = Some(self.config.id);
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
        let question = Body::Vote {
            last,
            is_transfer,
            committed: self.committed(),
        };
        for peer in self.peers() {
            self.say(peer, question.clone());
        }
    }

    pub(super) fn tick_election(&mut self) {
        self.timer.elapsed += 1;
        let base = self.config.election_ticks;
        if self.config.jitter == Jitter::Sofa && self.timer.elapsed == base {
            self.timer.timeout = self.rng.random_range(base..2 * base);
        }
        if self.timer.elapsed >= self.timer.timeout {
            self.campaign();
        }
    }

    /// The election timer begins again, with a new timeout: see [`Jitter`].
    pub(super) fn restart_timer(&mut self) {
        let base = self.config.election_ticks;
        let timeout = match self.config.jitter {
            Jitter::Etcd => self.rng.random_range(base..2 * base),
            // Drawn once `base` has passed.
            Jitter::Sofa => 2 * base,
            Jitter::None => base,
        };
        self.timer.elapsed = 0;
        self.timer.timeout = timeout;
    }

    /// Counts towards the check that a leader makes once in an election timeout: it steps down
    /// unless a majority has said something in its term since the last check. So one that is cut
    /// off stops to lead within two timeouts (Raft thesis section 6.2).
    pub(super) fn tick_quorum(&mut self) {
        self.timer.elapsed += 1;
        if self.timer.elapsed < self.config.election_ticks {
            return;
        }
        self.quiet_timer();
        let (id, term) = (self.config.id, self.term());
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let heard = mem::take(&mut leader.heard);
        let has_quorum = self
            .quorum
            .has(|voter| voter == id || heard.contains(&voter));
        if self.config.check_quorum && !has_quorum {
            self.record(Event::LostQuorum { term });
            self.become_follower(term);
        }
    }

    /// True while this node may not help another into an election: it leads, or may have heard the
    /// leader within the shortest election timeout. That is what lets a leader with a majority
    /// stay, whatever a node wants that comes back or was removed (Raft thesis section 4.2.3). A
    /// leader stays in this state only as long as the check of its quorum goes well.
    pub(super) fn hears_leader(&self) -> bool {
        let is_fresh = self.timer.elapsed < self.config.election_ticks;
        self.config.check_quorum && (self.leader.is_some() && is_fresh || self.timer.bound > 0)
    }

    /// The election timer begins again, with the timeout it had. Only for what proves that an
    /// election is not needed: a word of the current leader, or a vote given.
    pub(super) fn quiet_timer(&mut self) {
        self.timer.elapsed = 0;
    }

    /// May the owner of a log that ends at `last` lead this node?
    fn is_up_to_date(&self, last: LogId) -> bool {
        self.config.defects.has(Defect::NoLogCheckInVote) || last >= self.log.last()
    }

    /// A question whether this node would vote. It changes nothing here: not the term, not the
    /// vote, not the timer.
    ///
    /// Every question is answered, in this node's own term. One from a node whose term is behind
    /// must not be met with silence: where the only node with the longer log is also the one with
    /// the lower term, it would ask for ever and never be told (etcd issue 8501).
    pub(super) fn handle_pre_vote(&mut self, asker: NodeId, campaign: Term, last: LogId) {
        let granted = campaign > self.term() && !self.hears_leader() && self.is_up_to_date(last);
        let committed = self.committed();
        let answer = Body::PreVoteResponse {
            campaign,
            granted,
            committed,
        };
        self.say(asker, answer);
    }

    /// The question was about the wrong term, so it is asked about the right one at once: after a
    /// new timeout, one that cannot win, asks others only and has no pre-vote may be ahead again.
    fn ask_again(&mut self) {
        if !self.hears_leader() && self.is_promotable() {
            self.begin(Campaign::PreElection);
        }
    }

    /// `was_late` where the answer told that the term is over.
    pub(super) fn handle_pre_vote_response(&mut self, message: &Message, was_late: bool) {
        let next = self.term() + 1;
        if was_late {
            return self.ask_again();
        }
        if let State::PreCandidate(candidate) = &mut self.state
            && let Body::PreVoteResponse {
                campaign, granted, ..
            } = message.body
            && campaign == next
        {
            candidate.votes.insert(message.from, granted);
            self.count_pre_votes();
        }
    }

    fn count_pre_votes(&mut self) {
        let State::PreCandidate(candidate) = &self.state else {
            return;
        };
        match self.quorum.tally(&candidate.votes) {
            Tally::Won => self.begin(Campaign::Election),
            Tally::Lost => self.become_follower(self.term()),
            Tally::Open => {}
        }
    }

    /// A request for this node's vote, in this node's term.
    pub(super) fn handle_vote(&mut self, candidate: NodeId, last: LogId) {
        let is_vote_free = self.hard_state.vote.is_none_or(|vote| vote == candidate);
        let is_passive = matches!(self.role(), Role::Follower | Role::PreCandidate);
        let granted = is_passive && is_vote_free && self.is_up_to_date(last);
        let is_rival = self.role() != Role::Leader && self.vote() == Some(self.config.id);
        if granted {
            if self.role() == Role::PreCandidate {
                // Whoever votes waits for the outcome, and asks no more for itself.
                self.become_follower(self.term());
            }
            if self.hard_state.vote.is_none() {
                self.record(Event::Voted {
                    term: self.term(),
                    candidate,
                });
            }
            self.hard_state.vote = Some(candidate);
            self.quiet_timer();
        } else if is_rival && last > self.log.last() {
            // It stands in the way of one that could win: both wait anew. Else this one may be
            // first for ever, where the other needs its vote and does not hear of its terms.
            self.restart_timer();
        }
        self.answer_vote(candidate, granted);
    }

    pub(super) fn answer_vote(&mut self, candidate: NodeId, granted: bool) {
        let committed = self.committed();
        self.say(candidate, Body::VoteResponse { granted, committed });
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
        match self.quorum.tally(&candidate.votes) {
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
            State::PreCandidate(_) | State::Candidate(_) | State::Leader(_) => {
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
            Role::PreCandidate | Role::Candidate => self.become_follower(self.term()),
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
        self.quiet_timer();
        let mut leader = Leader::new(self.listeners(), last.index);
        leader.reads.adopt(self.config.id, &self.reads);
        self.state = State::Leader(Box::new(leader));
        self.push(Payload::Noop);
    }
}
