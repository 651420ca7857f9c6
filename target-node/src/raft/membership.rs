//! Changes of the configuration (Raft paper section 6, Raft thesis chapter 4).
//!
//! ```text
//!  joint    C_old ──▶ entry C_old,new ──committed──▶ entry C_new ──committed──▶ C_new
//!                     both majorities decide         a majority of C_new decides
//!  single   C_old ──▶ entry C_new, one voter more or less: any two majorities share a node
//!  direct   C_old ──▶ entry C_new, whatever it is: unsafe, for demonstration
//! ```
//!
//! A configuration is an entry of the log. It takes effect on a node when it stands in the log
//! ([`Effect::Append`], as the paper has it), and gives way to the one before it when it is cut off
//! again; or when it is applied ([`Effect::Apply`], as etcd has it). With the latter a node must
//! not campaign that has a committed configuration it has not applied, and it counts as in effect
//! what has a successor in the log: that one was proposed only because the first was committed.
//! What a voter knows to be committed it tells with its answer: see [`Raft::learn_committed`].
//!
//! A change begins only when the one before it is over, and only when the leader has committed an
//! entry of its own term: else a change that a predecessor began may be committed behind its back,
//! and two majorities decide that share no node (Ongaro, raft-dev, 2015).

use std::collections::{BTreeMap, BTreeSet};

use super::Raft;
use super::change::Effect;
use super::entry::{Entry, Index, NodeId, Payload};
use super::members::Members;
use super::message::{Body, Message};
use super::output::Event;
use super::progress::Progress;
use super::quorum::Quorum;
use super::role::{Role, State};
use crate::defect::Defect;

/// The configurations of a log: the last one that is settled, and those in the log behind it.
#[derive(Debug)]
pub(super) struct Membership {
    effect: Effect,
    /// As of `base_index`: given at the start, or by a snapshot.
    base: Members,
    base_index: Index,
    /// In the order of the log, all above `base_index`.
    logged: Vec<(Index, Members)>,
    applied: Index,
    /// What was in effect when that was last told.
    announced: Members,
}

impl Membership {
    pub(super) fn new(effect: Effect, base: Members, base_index: Index, entries: &[Entry]) -> Self {
        let mut membership = Self {
            effect,
            base,
            base_index,
            logged: Vec::new(),
            applied: base_index,
            announced: Members::default(),
        };
        for entry in entries.iter().filter(|entry| entry.id.index > base_index) {
            membership.append(entry);
        }
        membership.announced = membership.current().1.clone();
        membership
    }

    fn append(&mut self, entry: &Entry) {
        if let Payload::Members(members) = &entry.payload {
            self.logged.push((entry.id.index, members.clone()));
        }
    }

    fn truncate_from(&mut self, first: Index) {
        self.logged.retain(|&(index, _)| index < first);
    }

    /// How many of the logged ones are in effect, or were.
    fn count_in_effect(&self) -> usize {
        match self.effect {
            Effect::Append => self.logged.len(),
            Effect::Apply => {
                let applied = self
                    .logged
                    .iter()
                    .filter(|&&(index, _)| index <= self.applied);
                applied.count().max(self.logged.len().saturating_sub(1))
            }
        }
    }

    /// The configuration in effect, and its entry.
    fn current(&self) -> (Index, &Members) {
        match self.count_in_effect().checked_sub(1) {
            Some(place) => (self.logged[place].0, &self.logged[place].1),
            None => (self.base_index, &self.base),
        }
    }

    pub(super) fn current_members(&self) -> &Members {
        self.current().1
    }

    /// The entry of the last configuration in the log.
    pub(super) fn latest_index(&self) -> Index {
        self.logged
            .last()
            .map_or(self.base_index, |&(index, _)| index)
    }

    /// The configuration right after the entry at `index`.
    fn at(&self, index: Index) -> &Members {
        let before = self.logged.iter().rev().find(|&&(at, _)| at <= index);
        before.map_or(&self.base, |(_, members)| members)
    }

    /// Whether a node may have to lead: it votes in the configuration in effect, or that is not
    /// committed as far as is known, and it votes in one that it would replace.
    fn may_need(&self, id: NodeId, commit: Index) -> bool {
        let (in_effect, members) = self.current();
        let logged = self.logged.iter();
        let mut replaced = logged.filter(|&&(index, _)| commit < index && index < in_effect);
        members.is_voter(id)
            || in_effect > commit
                && (self.at(commit).is_voter(id) || replaced.any(|(_, older)| older.is_voter(id)))
    }

    /// Everyone in any configuration that is still remembered.
    fn remembered(&self) -> BTreeSet<NodeId> {
        let logged = self.logged.iter().map(|(_, members)| members);
        logged.chain([&self.base]).flat_map(Members::all).collect()
    }
}

/// What a leader keeps about nodes that it no longer needs, but that should hear of it.
pub(super) type Departing = BTreeMap<NodeId, u32>;

impl Raft {
    /// True where a node that takes no part any more answers or asks a leader. It still gets the
    /// log until it knows that it is out, and must not be able to depose whoever sends it. A
    /// candidate and a leader are heard wherever they are from: they may know of a later
    /// configuration.
    pub(super) fn is_outsiders_answer(&self, message: &Message) -> bool {
        let may_know_more =
            matches!(message.body, Body::Vote { .. }) || message.body.is_from_leader();
        self.role() == Role::Leader && !may_know_more && !self.members().contains(message.from)
    }

    /// The configuration in effect on this node.
    #[must_use]
    pub fn members(&self) -> &Members {
        self.membership.current().1
    }

    /// The entry of the configuration in effect; 0 for the one that the node was started with.
    #[must_use]
    pub fn members_index(&self) -> Index {
        self.membership.current().0
    }

    /// True where a committed configuration leaves this node out: it must not serve any more. A
    /// node that waits to be taken in is none either.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        let (index, members) = self.membership.current();
        index <= self.commit && !members.contains(self.config.id)
    }

    /// An entry came to the end of the log.
    pub(super) fn note_appended(&mut self, entry: &Entry) {
        if matches!(entry.payload, Payload::Members(_)) {
            let before = self.members_index();
            self.membership.append(entry);
            self.members_may_have_changed(before);
        }
    }

    /// The log was cut: a configuration there never was.
    pub(super) fn note_truncated(&mut self, first: Index) {
        let before = self.members_index();
        self.membership.truncate_from(first);
        self.members_may_have_changed(before);
    }

    /// Everything up to `applied` is applied.
    pub(super) fn note_applied(&mut self) {
        let before = self.members_index();
        self.membership.applied = self.applied;
        self.members_may_have_changed(before);
    }

    /// A snapshot took the place of the whole log.
    pub(super) fn note_installed(&mut self, members: Members, last: Index) {
        let before = self.members_index();
        let announced = std::mem::take(&mut self.membership.announced);
        self.membership = Membership::new(self.config.conf_effective, members, last, &[]);
        self.membership.announced = announced;
        self.members_may_have_changed(before);
    }

    /// The configuration to be kept in a snapshot of everything applied; older ones are forgotten.
    pub(super) fn settle_members(&mut self) -> Members {
        let members = self.membership.at(self.applied).clone();
        self.membership.base = members.clone();
        self.membership.base_index = self.applied;
        self.membership
            .logged
            .retain(|&(index, _)| index > self.applied);
        members
    }

    fn members_may_have_changed(&mut self, before: Index) {
        let (index, members) = self.membership.current();
        if index == before || *members == self.membership.announced {
            return;
        }
        let members = members.clone();
        self.membership.announced.clone_from(&members);
        self.quorum = Quorum::new(&members);
        self.record(Event::Configured {
            index,
            members: members.clone(),
        });
        match self.role() {
            Role::Leader => self.lead_members(&members),
            // Whoever asked for votes asked for those of other voters.
            Role::PreCandidate | Role::Candidate => self.become_follower(self.term()),
            Role::Follower => {}
        }
    }

    /// A leader replicates to those in the configuration, and for a while to those who were.
    fn lead_members(&mut self, members: &Members) {
        let (id, last) = (self.config.id, self.log.last().index);
        let patience = 2 * self.config.election_ticks;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        for peer in members.all().into_iter().filter(|&peer| peer != id) {
            // What one had that was out meanwhile, it has to show anew: it may have come back with
            // an empty disk.
            if leader.departing.remove(&peer).is_some() {
                leader.progress.remove(&peer);
            }
            leader
                .progress
                .entry(peer)
                .or_insert_with(|| Progress::new(last));
        }
        for &peer in leader
            .progress
            .keys()
            .filter(|&&peer| !members.contains(peer))
        {
            leader.departing.entry(peer).or_insert(patience);
        }
        self.advance_commit();
    }

    /// Whom a new leader talks to, and for how long to those who are out already: they may not
    /// know.
    pub(super) fn listeners(&self) -> (BTreeSet<NodeId>, Departing) {
        let (id, patience) = (self.config.id, 2 * self.config.election_ticks);
        let members = self.members();
        let everyone = self.membership.remembered().into_iter();
        let everyone: BTreeSet<NodeId> = everyone.filter(|&peer| peer != id).collect();
        let departing = everyone.iter().filter(|&&peer| !members.contains(peer));
        let departing = departing.map(|&peer| (peer, patience)).collect();
        (everyone, departing)
    }

    /// Those who are out hear of it for two election timeouts after it is committed.
    pub(super) fn tick_departing(&mut self) {
        let is_settled = self.membership.latest_index() <= self.commit;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if !is_settled {
            return;
        }
        let gone = leader.departing.extract_if(.., |_, left| {
            *left = left.saturating_sub(1);
            *left == 0
        });
        for (peer, _) in gone {
            leader.progress.remove(&peer);
        }
    }

    /// The second half of a joint change, as soon as the first is settled. Whoever leads then does
    /// it, also where another began the change.
    pub(super) fn leave_joint(&mut self) {
        let (index, members) = self.membership.current();
        let is_due = members.is_joint()
            && index <= self.settled_index()
            && self.membership.latest_index() == index;
        if self.role() == Role::Leader && is_due && self.transferring_to().is_none() {
            let settled = members.settled();
            self.push(Payload::Members(settled));
        }
    }

    /// A leader that is out leads until that is settled, and no longer. It asks the one that is
    /// furthest to take over, so that nobody waits for an election timeout; the end of the log is
    /// on its way to that one already.
    pub(super) fn retire(&mut self) {
        let (index, members) = self.membership.current();
        let is_out = !members.is_voter(self.config.id) && index <= self.settled_index();
        let State::Leader(leader) = &self.state else {
            return;
        };
        if !is_out {
            return;
        }
        let voters = members.voters.iter();
        let matched = voters.filter_map(|&id| Some((leader.progress.get(&id)?.matched(), id)));
        if let Some((_, heir)) = matched.max() {
            self.say(heir, Body::TimeoutNow);
        }
        self.become_follower(self.term());
    }

    /// Whether this node may campaign at all.
    ///
    /// Also one that is out by a configuration that may not be committed: it may be the only one
    /// that has the entry, and then nobody else can be elected. It does not count its own vote, and
    /// steps down as soon as the entry is committed (Raft thesis section 4.2.2).
    pub(super) fn is_promotable(&self) -> bool {
        let has_unapplied =
            |&(index, _): &(Index, Members)| self.applied < index && index <= self.commit;
        let is_behind = self.config.conf_effective == Effect::Apply
            && self.membership.logged.iter().any(has_unapplied)
            && !self.config.defects.has(Defect::ConfCampaignUnapplied);
        // A snapshot that is not applied yet is not durable either.
        let is_whole = self.applied >= self.log.base().index;
        let is_needed = self.membership.may_need(self.config.id, self.commit);
        is_needed && is_whole && !is_behind
    }
}
