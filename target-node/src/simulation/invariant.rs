//! What must hold after every step. Everything here is learnt from outside: from what nodes send,
//! apply and show, and from their disks; never from the code that could be wrong.
//!
//! Only what a step has changed is looked at. By induction that is as much as to look at all: an
//! entry was compared when it came into a log, what was committed when it was. What the induction
//! rests on, that a node changes nothing behind its marks, is checked on whole logs whenever a node
//! crashes or begins to lead, and at the end.
//!
//! The invariants of Raft (paper, figure 3, and what others check on real systems), and where each
//! is looked at: here, and by [`trace::audit`](crate::trace::audit) on traces of real processes.
//! The tests in `invariant/tests.rs` begin with the numbers, and show that each can be broken;
//! `tests/simulation.rs` has the seeded defects that break some.
//!
//! | | what | here | by the audit |
//! |---|---|---|---|
//! | I1 | one leader in a term | `ElectionSafety` | the same |
//! | I2 | one vote in a term, across crashes | `OneVote` | the same |
//! | I3 | term and vote are never taken back | `MonotonicTerm` | `Monotonic` |
//! | I4 | on the disk before it is promised | `PersistBeforeSend` | `PersistBeforePromise` |
//! | I5 | a leader only appends | `LeaderAppendOnly` | the same |
//! | I6 | logs with the same entry are equal up to it | `LogMatching` | the same |
//! | I7 | what was committed stays | `StateMachineSafety` | the same, once applied |
//! | I8 | every later leader has it | `LeaderCompleteness` | the same |
//! | I9 | one state after an entry | `StateMachineSafety`, `SnapshotEquality` | the first |
//! | I10 | commit and applied never fall in a life | `Order` | applied only |
//! | I11 | base, snapshot, applied, commit, last in order | `Order` | not in a trace |
//! | I11 | a leader counts what is on disks | `MatchOnDisk` | not in a trace |
//! | I12 | committed in its own term, by a quorum of disks | `CommitOnQuorum` | the same |

mod log;
mod promise;

use super::{Broken, Invariant};
use crate::protocol::StateHash;
use crate::raft::{HardState, Index, LogId, Members, NodeId, Raft, Recovered, Role, Term};

use super::world::place;
use log::KnownLog;
use promise::Promises;

/// What the whole cluster has shown so far.
#[derive(Debug)]
pub(super) struct Invariants {
    log: KnownLog,
    promises: Promises,
    /// Who led each term.
    leaders: Vec<Option<NodeId>>,
    /// The hashes of the state after each applied entry, and after none.
    states: Vec<Option<StateHash>>,
    /// What each node showed last.
    views: Vec<View>,
    /// The latest term that a node was ever in.
    latest: Term,
}

/// True where those with the property are a majority of each configuration. Counted here anew, and
/// not with the core's own counting.
pub(super) fn is_quorum(members: &Members, has: impl Fn(NodeId) -> bool) -> bool {
    let halves = [&members.voters, &members.outgoing].into_iter();
    let mut halves = halves.filter(|half| !half.is_empty()).peekable();
    halves.peek().is_some()
        && halves.all(|half| 2 * half.iter().filter(|&&id| has(id)).count() > half.len())
}

/// The place of a number in a list that grows as needed.
fn slot<T: Default>(list: &mut Vec<T>, number: u64) -> &mut T {
    let place = usize::try_from(number).expect("simulations are small");
    if list.len() <= place {
        list.resize_with(place + 1, T::default);
    }
    &mut list[place]
}

/// All that is compared from one step to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    role: Role,
    hard_state: HardState,
    commit: Index,
    applied: Index,
    durable: Index,
    last: LogId,
    base: LogId,
    snapshot: Index,
}

impl Standing {
    fn of(raft: &Raft) -> Self {
        Self {
            role: raft.role(),
            hard_state: HardState {
                term: raft.term(),
                vote: raft.vote(),
            },
            commit: raft.commit(),
            applied: raft.applied(),
            durable: raft.durable(),
            last: raft.last(),
            base: raft.base(),
            snapshot: raft.snapshot_index(),
        }
    }

    fn leads(&self) -> Option<Term> {
        (self.role == Role::Leader).then_some(self.hard_state.term)
    }
}

/// What a node showed last, in this life.
#[derive(Clone, Debug, Default)]
struct View {
    standing: Option<Standing>,
    members: Members,
    /// Up to where the log was checked, and what stood there.
    checked: LogId,
    /// What a leader counted on each node.
    matched: Vec<Index>,
    /// The last entry that the state machine has taken.
    applied: Index,
}

/// What came of applying an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) applied: LogId,
    pub(super) hash: StateHash,
}

/// What is synced on a node's disk.
pub(super) type Synced<'a> = dyn Fn(NodeId) -> &'a Recovered + 'a;

fn broken<T>(invariant: Invariant, detail: String) -> Result<T, Broken> {
    Err(Broken { invariant, detail })
}

impl Invariants {
    /// For a cluster of so many.
    pub(super) fn new(count: u64) -> Self {
        Self {
            log: KnownLog::default(),
            promises: Promises::default(),
            leaders: Vec::new(),
            states: vec![Some(StateHash::default())],
            views: (0..count).map(|_| View::default()).collect(),
            latest: 0,
        }
    }

    /// A node forgets; what it has said stays said.
    pub(super) fn crashed(&mut self, id: NodeId) {
        self.views[place(id)] = View::default();
    }

    /// Compares a node with what it and others have shown; `disks` are the synced logs of all.
    pub(super) fn check_node(&mut self, raft: &Raft, disks: &Synced<'_>) -> Result<(), Broken> {
        let now = Standing::of(raft);
        let id = raft.id();
        let before = self.views[place(id)].standing;
        if before != Some(now) {
            if let Some(before) = &before {
                check_steps(raft, before, &now, self.latest)?;
            }
            check_order(id, &now)?;
            self.check_log(raft)?;
            self.check_leader(raft, before.as_ref(), &now)?;
            self.check_commit(raft, before.as_ref(), &now, disks)?;
            self.latest = self.latest.max(now.hard_state.term);
            let view = &mut self.views[place(id)];
            view.standing = Some(now);
            if view.members != *raft.members() {
                view.members.clone_from(raft.members());
            }
        }
        if now.role == Role::Leader {
            self.check_matched(raft, disks)?;
        }
        Ok(())
    }

    /// Whoever leads is alone in its term, and has what was committed in earlier ones.
    fn check_leader(
        &mut self,
        raft: &Raft,
        before: Option<&Standing>,
        now: &Standing,
    ) -> Result<(), Broken> {
        let Some(term) = now.leads() else {
            return Ok(());
        };
        if before.and_then(Standing::leads) == Some(term) {
            return Ok(());
        }
        let id = raft.id();
        let first = *slot(&mut self.leaders, term).get_or_insert(id);
        if first != id {
            let detail = format!("nodes {first} and {id} lead term {term}");
            return broken(Invariant::ElectionSafety, detail);
        }
        self.views[place(id)].matched.clear();
        self.log.compare(raft, raft.base())?;
        self.log.check_completeness(raft)
    }

    /// New entries are those that others have. Returns up to where.
    fn check_log(&mut self, raft: &Raft) -> Result<(), Broken> {
        let view = &mut self.views[place(raft.id())];
        let from = view.checked;
        let entry = raft.entries(from.index, from.index).first();
        let is_kept = entry.is_some_and(|entry| entry.id == from);
        let from = if is_kept { from } else { raft.base() };
        view.checked = self.log.compare(raft, from)?;
        Ok(())
    }

    /// All that a node has in its log is what others have, and what was committed.
    pub(super) fn check_whole_log(&mut self, raft: &Raft) -> Result<(), Broken> {
        self.log.compare(raft, raft.base()).map(|_| ())?;
        self.log.check_committed(raft, 0)
    }

    /// What is newly committed was committed by a leader, which had it on the disks of a quorum.
    fn check_commit(
        &mut self,
        raft: &Raft,
        before: Option<&Standing>,
        now: &Standing,
        disks: &Synced<'_>,
    ) -> Result<(), Broken> {
        let from = before.map_or(0, |before| before.commit);
        let term = now.hard_state.term;
        // Also one that has stopped to lead in this very step, because of what it committed.
        let leads = now.leads().is_some() || before.and_then(Standing::leads) == Some(term);
        if leads {
            self.log.commit(raft, from)?;
            self.check_quorum(raft, from, disks)?;
        }
        self.log.check_committed(raft, from)
    }

    fn check_quorum(&self, raft: &Raft, from: Index, disks: &Synced<'_>) -> Result<(), Broken> {
        let new = raft.entries(from + 1, raft.commit());
        let Some(last) = new.last().map(|entry| entry.id) else {
            return Ok(());
        };
        let (id, term) = (raft.id(), raft.term());
        if last.term != term {
            let detail = format!("leader {id} of term {term} commits {last} by counting");
            return broken(Invariant::CommitOnQuorum, detail);
        }
        // The configuration may have changed right after the commit, because of it.
        let has = |node: NodeId| disks(node).holds(last);
        let members = [raft.members(), &self.views[place(id)].members];
        if members.iter().any(|members| is_quorum(members, has)) {
            return Ok(());
        }
        let holders = raft.members().all().into_iter().filter(|&id| has(id));
        let holders: Vec<NodeId> = holders.collect();
        let detail = format!(
            "leader {id} of {} commits {last} held by {holders:?}",
            raft.members()
        );
        broken(Invariant::CommitOnQuorum, detail)
    }

    /// What a leader counts on a node is on that node's disk, as the leader has it; unless the node
    /// has gone on to a later term, whose leader may have replaced it.
    fn check_matched(&mut self, raft: &Raft, disks: &Synced<'_>) -> Result<(), Broken> {
        let count = self.views.len();
        let view = &mut self.views[place(raft.id())];
        view.matched.resize(count, 0);
        for (peer, known) in (1..).zip(&mut view.matched) {
            let Some((matched, ..)) = raft.progress(peer) else {
                *known = 0;
                continue;
            };
            if matched == *known {
                continue;
            }
            *known = matched;
            let disk = disks(peer);
            let entry = raft.entries(matched, matched).first();
            let has_it = entry.is_none_or(|entry| disk.holds(entry.id));
            let is_there = matched <= raft.last().index && matched <= disk.last().index;
            if disk.hard_state.term <= raft.term() && !(has_it && is_there) {
                let detail = format!(
                    "leader {} of term {} counts {matched} on node {peer}, which has up to {}",
                    raft.id(),
                    raft.term(),
                    disk.last(),
                );
                return broken(Invariant::MatchOnDisk, detail);
            }
        }
        Ok(())
    }

    pub(super) fn applied(&mut self, node: NodeId, seen: Seen) -> Result<(), Broken> {
        let Seen { applied, hash } = seen;
        let view = &mut self.views[place(node)];
        let expected = view.applied + 1;
        view.applied = applied.index;
        if applied.index != expected {
            let detail = format!("node {node} applies {applied} where {expected} is next");
            return broken(Invariant::StateMachineSafety, detail);
        }
        let first = *slot(&mut self.states, applied.index).get_or_insert(hash);
        if first != hash {
            let detail = format!("node {node} has another state than others after {applied}");
            return broken(Invariant::StateMachineSafety, detail);
        }
        match self.log.committed(applied.index) {
            Some(id) if id == applied => Ok(()),
            Some(id) => {
                let detail = format!("node {node} applies {applied} where {id} is committed");
                broken(Invariant::StateMachineSafety, detail)
            }
            None => {
                let detail = format!("node {node} applies {applied}, which nobody committed");
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
        self.views[place(node)].applied = last.index;
        let is_known = hash.is_some() && *slot(&mut self.states, last.index) == hash;
        if is_known && (self.log.committed(last.index) == Some(last) || last == LogId::ZERO) {
            return Ok(());
        }
        let detail = format!("node {node} has a snapshot at {last} that is not the state there");
        broken(Invariant::SnapshotEquality, detail)
    }
}

/// From one step to the next of a life: what never goes back, and what may not change.
///
/// Who asks may be told of a later term and ask again, but goes to no term that was none before.
fn check_steps(raft: &Raft, before: &Standing, now: &Standing, latest: Term) -> Result<(), Broken> {
    let id = raft.id();
    if now.commit < before.commit || now.applied < before.applied {
        let detail = format!("node {id} goes back from {before:?} to {now:?}");
        return broken(Invariant::Order, detail);
    }
    let (was, is) = (before.hard_state, now.hard_state);
    if promise::goes_back(was, is) {
        let detail = format!("node {id} goes from {was:?} to {is:?}");
        return broken(Invariant::MonotonicTerm, detail);
    }
    let learns = was.term < is.term && is.term <= latest && is.vote.is_none();
    if now.role == Role::PreCandidate && was != is && !learns {
        let detail = format!("node {id} asks, and goes from {was:?} to {is:?}");
        return broken(Invariant::PreVoteIsFree, detail);
    }
    let leads_on = now.leads().is_some() && now.leads() == before.leads();
    if leads_on && !super::healing::holds(raft, before.last) {
        let detail = format!("leader {id} dropped {}", before.last);
        return broken(Invariant::LeaderAppendOnly, detail);
    }
    Ok(())
}

/// `base <= snapshot <= applied <= commit <= last` and `applied <= durable <= last`; but a snapshot
/// that has just come is applied only when it is durable.
fn check_order(id: NodeId, now: &Standing) -> Result<(), Broken> {
    let Standing {
        commit,
        applied,
        durable,
        last,
        base,
        snapshot,
        ..
    } = *now;
    let is_installing = applied < base.index && snapshot == base.index;
    let is_ordered = applied <= commit
        && commit <= last.index
        && (applied <= durable && durable <= last.index || is_installing)
        && base.index <= snapshot
        && (snapshot <= applied || snapshot <= commit && is_installing);
    if is_ordered {
        return Ok(());
    }
    broken(Invariant::Order, format!("node {id} is at {now:?}"))
}

#[cfg(test)]
mod tests;
