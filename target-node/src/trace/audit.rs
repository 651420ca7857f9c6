//! Reads the traces of all nodes of a cluster, and finds what must never be (Raft paper, figure
//! 3): the same that the simulation checks after every step, on real processes after the fact.
//!
//! It believes nothing about rules: it follows, line by line, what each node's log and disk have
//! become, who led, and what was applied, and compares. Lines are taken in the order of their
//! times; all processes of a machine share that clock.

mod node;

use std::collections::BTreeMap;
use std::fmt;

use node::NodeTrace;

use super::event::{Event, Record};
use crate::protocol::{Digest, Role, StateHash};
use crate::raft::{Index, LogId, NodeId, Term};

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// At most one leader in a term.
    ElectionSafety,
    /// A node votes for one candidate in a term, across its lives.
    OneVote,
    /// Neither the term on a node's disk nor what it applied falls.
    Monotonic,
    /// A vote or an acknowledgement leaves only when the disk has what it says.
    PersistBeforePromise,
    /// A leader does not cut its own log.
    LeaderAppendOnly,
    /// Two logs with the same entry have the same before it.
    LogMatching,
    /// What was committed is in the log of every later leader.
    LeaderCompleteness,
    /// All nodes apply the same entries, in order, and have the same state after each.
    StateMachineSafety,
    /// What a leader commits is on the disks of a majority.
    CommitOnQuorum,
    /// Every node writes every line.
    Complete,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// On which node it showed.
    pub node: NodeId,
    /// The line: a life of the node, and a number in it.
    pub at: (u64, u64),
    /// How.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            node,
            at: (boot, seq),
            detail,
        } = self;
        write!(
            f,
            "{rule:?}, node {node}, life {boot}, line {seq}: {detail}"
        )
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Lines.
    pub records: u64,
    /// Elections won.
    pub leaders: u64,
    /// Lives of nodes.
    pub lives: u64,
    /// Entries applied, on all nodes.
    pub applied: u64,
    /// Promises that left.
    pub promises: u64,
    /// Commits of leaders that were checked against the disks.
    pub commits: u64,
    /// What must not be.
    pub findings: Vec<Finding>,
}

/// Audits the traces of all nodes, in any order.
#[must_use]
pub fn audit(mut records: Vec<Record>) -> Audit {
    records.sort_by_key(|record| (record.time_ns, record.node, record.boot, record.seq));
    let mut auditor = Auditor::default();
    for record in &records {
        auditor.take(record);
    }
    auditor.audit
}

/// What the whole cluster has shown so far.
#[derive(Debug, Default)]
struct Auditor {
    audit: Audit,
    nodes: BTreeMap<NodeId, NodeTrace>,
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// Each entry's content, and the entry before it.
    entries: BTreeMap<LogId, (Digest, LogId)>,
    /// What was applied at each index, the term of the first to apply it, and the state then.
    applied: BTreeMap<Index, (LogId, Digest, StateHash, Term)>,
}

impl Auditor {
    fn take(&mut self, record: &Record) {
        self.audit.records += 1;
        let node = self.nodes.entry(record.node).or_default();
        if let Err(detail) = node.follow(record) {
            self.find(record, Rule::Complete, detail);
        }
        match &record.event {
            Event::Start { hard_state, .. } => {
                self.audit.lives += 1;
                self.check_term(record, hard_state.term);
            }
            Event::Role { role, term, .. } if *role == Role::Leader => self.lead(record, *term),
            Event::Append { prev, entries } => self.check_matching(record, *prev, entries),
            Event::Truncate { from } => self.check_truncation(record, *from),
            Event::Persisted { .. } => self.check_disk(record),
            Event::Promise {
                to,
                kind,
                term,
                matched,
            } => self.promise(record, *to, kind, *term, *matched),
            Event::Commit { index } => self.check_commit(record, *index),
            Event::Apply { id, payload, state } => self.apply(record, *id, *payload, *state),
            Event::Snapshot {
                last,
                state: Some(state),
                ..
            } => self.check_snapshot(record, *last, *state),
            _ => {}
        }
        let node = self.nodes.get_mut(&record.node).expect("it was just there");
        node.become_what(record);
    }

    fn find(&mut self, record: &Record, rule: Rule, detail: String) {
        self.audit.findings.push(Finding {
            rule,
            node: record.node,
            at: (record.boot, record.seq),
            detail,
        });
    }

    fn check_term(&mut self, record: &Record, term: Term) {
        let known = self.nodes[&record.node].disk_state().term;
        if term < known {
            let detail = format!("begins in term {term}, and had term {known} on its disk");
            self.find(record, Rule::Monotonic, detail);
        }
    }

    fn check_disk(&mut self, record: &Record) {
        let Event::Persisted {
            hard_state: Some(state),
            ..
        } = &record.event
        else {
            return;
        };
        let known = self.nodes[&record.node].disk_state();
        let is_other_vote =
            state.term == known.term && known.vote.is_some() && state.vote != known.vote;
        if state.term < known.term || is_other_vote {
            let detail = format!("{state:?} goes over {known:?} on the disk");
            self.find(record, Rule::Monotonic, detail);
        }
    }

    fn lead(&mut self, record: &Record, term: Term) {
        let first = *self.leaders.entry(term).or_insert(record.node);
        if first != record.node {
            let detail = format!("leads term {term}, which node {first} has led");
            return self.find(record, Rule::ElectionSafety, detail);
        }
        self.audit.leaders += 1;
        let node = &self.nodes[&record.node];
        let applied = self.applied.iter();
        let missing = applied
            .filter(|(_, (_, _, _, by))| *by < term)
            .map(|(_, (id, ..))| *id)
            .find(|&id| !node.may_hold(id));
        if let Some(id) = missing {
            let detail = format!("leads term {term} without {id}, which was committed before");
            self.find(record, Rule::LeaderCompleteness, detail);
        }
    }

    fn check_matching(
        &mut self,
        record: &Record,
        prev: LogId,
        entries: &[super::event::TracedEntry],
    ) {
        let mut before = prev;
        for entry in entries {
            let id = LogId::new(entry.term, entry.index);
            let (payload, prior) = *self.entries.entry(id).or_insert((entry.payload, before));
            // A name with term 0 is one that the node no longer knew.
            let is_known = prior.term > 0 && before.term > 0;
            if payload != entry.payload || is_known && prior != before {
                let detail = format!(
                    "{id} carries {} behind {before}, and {payload} behind {prior} elsewhere",
                    entry.payload
                );
                self.find(record, Rule::LogMatching, detail);
            }
            before = id;
        }
    }

    fn check_truncation(&mut self, record: &Record, from: Index) {
        if self.nodes[&record.node].leads() {
            let detail = format!("cuts its log from {from} on while it leads");
            self.find(record, Rule::LeaderAppendOnly, detail);
        }
    }

    fn promise(
        &mut self,
        record: &Record,
        to: NodeId,
        kind: &str,
        term: Term,
        matched: Option<Index>,
    ) {
        self.audit.promises += 1;
        let node = &self.nodes[&record.node];
        let disk = node.disk_state();
        if let Some(matched) = matched {
            if !node.has_durable(matched) {
                let detail = format!("acknowledges up to {matched}, which its disk has not");
                self.find(record, Rule::PersistBeforePromise, detail);
            }
            return;
        }
        let candidate = if kind == "vote" { record.node } else { to };
        if disk.term < term || disk.term == term && disk.vote != Some(candidate) {
            let detail = format!("votes for {candidate} in term {term}, and its disk has {disk:?}");
            self.find(record, Rule::PersistBeforePromise, detail);
        }
        let first = *self.votes.entry((record.node, term)).or_insert(candidate);
        if first != candidate {
            let detail = format!("votes for {candidate} in term {term}, and for {first} before");
            self.find(record, Rule::OneVote, detail);
        }
    }

    /// What a leader commits of its own term, a majority has on its disks.
    fn check_commit(&mut self, record: &Record, index: Index) {
        let node = &self.nodes[&record.node];
        let Some(id) = node.entry_at(index).filter(|id| id.term == node.term()) else {
            return;
        };
        if !node.leads() {
            return;
        }
        let has = |voter: &&NodeId| {
            let voter = self.nodes.get(voter);
            voter.is_some_and(|voter| voter.has_on_disk(id))
        };
        let counts = node
            .halves()
            .map(|half| (half.iter().filter(has).count(), half.len()));
        let counts: Vec<(usize, usize)> = counts.collect();
        self.audit.commits += 1;
        for (count, size) in counts {
            if count <= size / 2 {
                let detail = format!("commits {id}, which is on {count} of {size} disks");
                self.find(record, Rule::CommitOnQuorum, detail);
            }
        }
    }

    fn apply(&mut self, record: &Record, id: LogId, payload: Digest, state: StateHash) {
        self.audit.applied += 1;
        let node = &self.nodes[&record.node];
        if let Some(expected) = node.next_to_apply().filter(|&next| next != id.index) {
            let detail = format!("applies {id} where {expected} is next");
            self.find(record, Rule::StateMachineSafety, detail);
        }
        let by = self.nodes[&record.node].term();
        let known = self.applied.entry(id.index);
        let (first, carried, reached, _) = *known.or_insert((id, payload, state, by));
        if (first, carried, reached) != (id, payload, state) {
            let detail = format!(
                "applies {id} with {payload} and comes to {state:?}; another applied {first} with \
                 {carried} and came to {reached:?}"
            );
            self.find(record, Rule::StateMachineSafety, detail);
        }
    }

    fn check_snapshot(&mut self, record: &Record, last: LogId, state: StateHash) {
        let Some((id, _, reached, _)) = self.applied.get(&last.index).copied() else {
            return;
        };
        if (id, reached) != (last, state) {
            let detail = format!("a snapshot at {last} with {state:?}; {id} led to {reached:?}");
            self.find(record, Rule::StateMachineSafety, detail);
        }
    }
}

#[cfg(test)]
mod tests;
