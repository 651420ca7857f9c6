//! What must hold after every step. Everything here is learnt from outside: from what nodes send,
//! apply and show, and from their disks; never from the code that could be wrong.

use std::collections::BTreeMap;

use super::{Broken, Invariant};
use crate::protocol::StateHash;
use crate::raft::{
    Body, Entry, Index, LogId, Members, Message, NodeId, Payload, Raft, Recovered, Role, Term,
};

/// What the whole cluster has shown so far.
#[derive(Debug)]
pub(super) struct Invariants {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// Every entry ever seen in a log: what it carries and what stands before it.
    entries: BTreeMap<LogId, (LogId, Payload)>,
    /// Every entry ever committed, with the term of the leader that committed it.
    committed: BTreeMap<Index, (LogId, Term)>,
    /// The hashes of the state after each applied entry, and after none.
    states: BTreeMap<Index, StateHash>,
    /// The last entry of every log that was checked, by node.
    views: BTreeMap<NodeId, View>,
    acknowledged: BTreeMap<Index, LogId>,
}

/// True where those with the property are a majority of each configuration. Counted here anew, and
/// not with the core's own counting.
pub(super) fn is_quorum(members: &Members, has: impl Fn(NodeId) -> bool) -> bool {
    let halves = [&members.voters, &members.outgoing].into_iter();
    let mut halves = halves.filter(|half| !half.is_empty()).peekable();
    halves.peek().is_some()
        && halves.all(|half| 2 * half.iter().filter(|&&id| has(id)).count() > half.len())
}

/// What a node showed last, in this life.
#[derive(Clone, Debug, Default)]
struct View {
    term: Term,
    vote: Option<NodeId>,
    commit: Index,
    applied: Index,
    last: LogId,
    was_leader: bool,
    members: Members,
    /// Up to where the log was checked, and what stood there.
    checked: LogId,
}

/// True where a node has the entry, or has dropped it for a snapshot: what was in that is judged
/// by the state.
fn holds(raft: &Raft, id: LogId) -> bool {
    let entry = raft.entries(id.index, id.index).first();
    id.index <= raft.base().index || entry.is_some_and(|entry| entry.id == id)
}

/// What is synced on a node's disk.
pub(super) type Synced<'a> = dyn Fn(NodeId) -> &'a Recovered + 'a;

fn broken<T>(invariant: Invariant, detail: String) -> Result<T, Broken> {
    Err(Broken { invariant, detail })
}

impl Invariants {
    pub(super) fn new() -> Self {
        Self {
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: BTreeMap::new(),
            states: BTreeMap::from([(0, StateHash::default())]),
            views: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    /// A node forgets; what it has said stays said.
    pub(super) fn crashed(&mut self, id: NodeId) {
        self.views.insert(id, View::default());
    }

    /// A vote that has left a node, also the candidate's own, is a vote for ever.
    pub(super) fn sent(&mut self, message: &Message) -> Result<(), Broken> {
        let candidate = match message.body {
            Body::Vote { .. } => message.from,
            Body::VoteResponse { granted: true } => message.to,
            _ => return Ok(()),
        };
        let first = *self
            .votes
            .entry((message.from, message.term))
            .or_insert(candidate);
        if first == candidate {
            return Ok(());
        }
        let (voter, term) = (message.from, message.term);
        let detail = format!("node {voter} voted for {first} and {candidate} in term {term}");
        broken(Invariant::OneVote, detail)
    }

    pub(super) fn became_leader(&mut self, raft: &Raft, term: Term) -> Result<(), Broken> {
        let leader = raft.id();
        let first = *self.leaders.entry(term).or_insert(leader);
        if first != leader {
            let detail = format!("nodes {first} and {leader} lead term {term}");
            return broken(Invariant::ElectionSafety, detail);
        }
        for &(id, committed_in) in self.committed.values() {
            let has_it = holds(raft, id);
            if committed_in < term && !has_it {
                let detail = format!(
                    "node {leader} leads term {term} without {id}, committed in term {committed_in}"
                );
                return broken(Invariant::LeaderCompleteness, detail);
            }
        }
        Ok(())
    }

    pub(super) fn applied(
        &mut self,
        node: NodeId,
        entry: &Entry,
        hash: StateHash,
    ) -> Result<(), Broken> {
        let view = self.views.entry(node).or_default();
        let expected = view.applied + 1;
        view.applied = entry.id.index;
        if entry.id.index != expected {
            let detail = format!("node {node} applies {} where {expected} is next", entry.id);
            return broken(Invariant::StateMachineSafety, detail);
        }
        let first = *self.states.entry(entry.id.index).or_insert(hash);
        if first != hash {
            let detail = format!(
                "node {node} has another state than others after {}",
                entry.id
            );
            return broken(Invariant::StateMachineSafety, detail);
        }
        match self.committed.get(&entry.id.index) {
            Some(&(id, _)) if id == entry.id => Ok(()),
            Some(&(id, _)) => {
                let detail = format!("node {node} applies {} where {id} is committed", entry.id);
                broken(Invariant::StateMachineSafety, detail)
            }
            None => {
                let detail = format!("node {node} applies {}, which nobody committed", entry.id);
                broken(Invariant::StateMachineSafety, detail)
            }
        }
    }

    /// A node's state was replaced by that of a snapshot, or is empty for want of one.
    pub(super) fn restored(
        &mut self,
        node: NodeId,
        last: LogId,
        hash: Option<StateHash>,
    ) -> Result<(), Broken> {
        self.views.entry(node).or_default().applied = last.index;
        let is_committed = self
            .committed
            .get(&last.index)
            .is_some_and(|&(id, _)| id == last);
        if hash.is_some_and(|hash| self.states.get(&last.index) == Some(&hash))
            && (is_committed || last == LogId::ZERO)
        {
            return Ok(());
        }
        let detail = format!("node {node} has a snapshot at {last} that is not the state there");
        broken(Invariant::SnapshotEquality, detail)
    }

    pub(super) fn acknowledged(&mut self, id: LogId) {
        self.acknowledged.insert(id.index, id);
    }

    /// The highest index that some client was told about.
    pub(super) fn acknowledged_index(&self) -> Index {
        self.acknowledged
            .last_key_value()
            .map_or(0, |(&index, _)| index)
    }

    pub(super) fn read(&self, node: NodeId, at: Index, floor: Index) -> Result<(), Broken> {
        if at >= floor {
            return Ok(());
        }
        let detail = format!("node {node} read at {at}; {floor} was acknowledged before it began");
        broken(Invariant::FreshReads, detail)
    }

    /// Compares a node with what it and others have shown; `disks` are the synced logs of all.
    pub(super) fn check_node(&mut self, raft: &Raft, disks: &Synced<'_>) -> Result<(), Broken> {
        let id = raft.id();
        let mut view = std::mem::take(self.views.entry(id).or_default());
        self.check_order(raft, &view)?;
        let checked = self.check_log(raft, &view)?;
        // Also one that has stopped to lead in this very step, because of what it committed.
        let led = view.was_leader && view.term == raft.term();
        if led || raft.role() == Role::Leader {
            self.check_commit(raft, &view, disks)?;
        }
        view.term = raft.term();
        view.vote = raft.vote();
        view.commit = raft.commit();
        view.last = raft.last();
        view.was_leader = raft.role() == Role::Leader;
        view.checked = checked;
        if view.members != *raft.members() {
            view.members.clone_from(raft.members());
        }
        self.views.insert(id, view);
        Ok(())
    }

    fn check_order(&self, raft: &Raft, view: &View) -> Result<(), Broken> {
        let (applied, durable, commit) = (raft.applied(), raft.durable(), raft.commit());
        let last = raft.last();
        let is_ordered = applied <= commit && applied <= durable && durable <= last.index;
        if !is_ordered || commit < view.commit || raft.term() < view.term {
            let detail = format!(
                "node {}: applied {applied}, commit {commit} (was {}), durable {durable}, last \
                 {last}, term {} (was {})",
                raft.id(),
                view.commit,
                raft.term(),
                view.term
            );
            return broken(Invariant::Order, detail);
        }
        let was = (view.term, view.vote);
        if raft.role() == Role::PreCandidate && (raft.term(), raft.vote()) != was {
            let (id, term, vote) = (raft.id(), raft.term(), raft.vote());
            let detail = format!("node {id} asks, and goes from {was:?} to ({term}, {vote:?})");
            return broken(Invariant::PreVoteIsFree, detail);
        }
        let leads_on = view.was_leader && raft.role() == Role::Leader && view.term == raft.term();
        if leads_on && !holds(raft, view.last) {
            let detail = format!("leader {} dropped {}", raft.id(), view.last);
            return broken(Invariant::LeaderAppendOnly, detail);
        }
        Ok(())
    }

    /// Each entry has one content and one predecessor, on whatever node it is seen: by induction
    /// two logs with the same entry are equal up to it. Only what is new since the last look is
    /// looked at; returns up to where.
    fn check_log(&mut self, raft: &Raft, view: &View) -> Result<LogId, Broken> {
        let unchanged = view.checked.index;
        let is_prefix_kept = raft
            .entries(unchanged, unchanged)
            .first()
            .is_some_and(|e| e.id == view.checked);
        let mut previous = if is_prefix_kept {
            view.checked
        } else {
            raft.base()
        };
        let first = previous.index + 1;
        for entry in raft.entries(first, Index::MAX) {
            let seen = (previous, entry.payload.clone());
            let known = self.entries.entry(entry.id).or_insert_with(|| seen.clone());
            if *known != seen {
                let detail = format!(
                    "node {} has {entry} after {previous}, not after {}",
                    raft.id(),
                    known.0
                );
                return broken(Invariant::LogMatching, detail);
            }
            previous = entry.id;
        }
        Ok(previous)
    }

    /// What a leader newly commits is on the disks of a majority, and nothing else was committed
    /// there before.
    fn check_commit(&mut self, raft: &Raft, view: &View, disks: &Synced<'_>) -> Result<(), Broken> {
        let new = raft.entries(view.commit + 1, raft.commit());
        for entry in new {
            let term = raft.term();
            let (first, _) = *self
                .committed
                .entry(entry.id.index)
                .or_insert((entry.id, term));
            if first != entry.id {
                let detail = format!("{} is committed where {first} was before", entry.id);
                return broken(Invariant::StateMachineSafety, detail);
            }
        }
        let Some(last) = new.last() else {
            return Ok(());
        };
        if last.id.term != raft.term() {
            let (id, term) = (raft.id(), raft.term());
            let detail = format!("leader {id} of term {term} commits {} by counting", last.id);
            return broken(Invariant::CommitOnQuorum, detail);
        }
        // The configuration may have changed right after the commit, because of it.
        let has = |node: NodeId| disks(node).holds(last.id);
        if !is_quorum(raft.members(), has) && !is_quorum(&view.members, has) {
            let holders = raft.members().all().into_iter().filter(|&id| has(id));
            let holders: Vec<NodeId> = holders.collect();
            let detail = format!(
                "leader {} of {} commits {} held by {holders:?}",
                raft.id(),
                raft.members(),
                last.id
            );
            return broken(Invariant::CommitOnQuorum, detail);
        }
        Ok(())
    }

    /// Everything acknowledged is in every log.
    pub(super) fn check_durability(&self, rafts: &[&Raft]) -> Result<(), Broken> {
        for &id in self.acknowledged.values() {
            for raft in rafts {
                if !holds(raft, id) {
                    let detail = format!("{id} was acknowledged; node {} lost it", raft.id());
                    return broken(Invariant::Durability, detail);
                }
            }
        }
        Ok(())
    }
}
