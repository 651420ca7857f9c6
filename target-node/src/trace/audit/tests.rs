//! Forged traces: each breaks one rule, and one that breaks none.

use super::*;
use crate::trace::{HardStateView, SnapshotSource, TracedEntry};

/// Lines of several nodes, each told a nanosecond after the one before.
#[derive(Default)]
struct Forger {
    records: Vec<Record>,
    seqs: BTreeMap<NodeId, u64>,
}

impl Forger {
    fn say(&mut self, node: NodeId, event: Event) -> &mut Self {
        let seq = self.seqs.entry(node).or_default();
        *seq += 1;
        let record = Record {
            seq: *seq,
            time_ns: self.records.len() as u64,
            node,
            boot: 1,
            event,
        };
        self.records.push(record);
        self
    }

    fn broken(&self) -> Vec<Rule> {
        let findings = audit(self.records.clone()).findings;
        findings.iter().map(|finding| finding.rule).collect()
    }
}

fn start() -> Event {
    Event::Start {
        cluster: "c".to_owned(),
        hard_state: HardStateView::default(),
        base: LogId::ZERO,
        last: LogId::ZERO,
        voters: vec![1, 2, 3],
        defects: Vec::new(),
    }
}

fn lead(term: Term) -> Event {
    Event::Role {
        role: Role::Leader,
        term,
        leader: None,
    }
}

fn append(prev: LogId, term: Term, payload: u64) -> Event {
    let entry = TracedEntry {
        index: prev.index + 1,
        term,
        payload: Digest(payload),
    };
    Event::Append {
        prev,
        entries: vec![entry],
    }
}

fn persisted(term: Term, vote: Option<NodeId>, last: Option<LogId>) -> Event {
    Event::Persisted {
        batch: 1,
        hard_state: Some(HardStateView { term, vote }),
        truncated: None,
        installed: None,
        last,
    }
}

fn promise(kind: &str, to: NodeId, term: Term, matched: Option<Index>) -> Event {
    Event::Promise {
        to,
        kind: kind.to_owned(),
        term,
        matched,
    }
}

fn apply(id: LogId, state: u64) -> Event {
    let state = StateHash {
        index: id.index,
        chain: Digest(1),
        state: Digest(state),
        sessions: Digest(0),
    };
    Event::Apply {
        id,
        payload: Digest(7),
        state,
    }
}

/// Three nodes that elect the first, which commits an entry.
fn good() -> Forger {
    let mut trace = Forger::default();
    let first = LogId::new(1, 1);
    for node in 1..=3 {
        trace.say(node, start());
    }
    trace
        .say(1, Event::Term { term: 1 })
        .say(1, persisted(1, Some(1), None))
        .say(1, promise("vote", 2, 1, None))
        .say(2, persisted(1, Some(1), None))
        .say(2, promise("vote_response", 1, 1, None))
        .say(1, lead(1))
        .say(1, append(LogId::ZERO, 1, 7))
        .say(2, append(LogId::ZERO, 1, 7))
        .say(2, persisted(1, Some(1), Some(first)))
        .say(2, promise("append_response", 1, 1, Some(1)))
        .say(1, persisted(1, Some(1), Some(first)))
        .say(1, Event::Commit { index: 1 })
        .say(1, apply(first, 5))
        .say(2, Event::Term { term: 1 })
        .say(2, apply(first, 5));
    trace
}

#[test]
fn a_good_trace_is_read_to_the_end_and_nothing_is_found() {
    let audit = audit(good().records);
    assert_eq!(audit.findings, []);
    let counts = (audit.lives, audit.leaders, audit.commits, audit.applied);
    assert_eq!(counts, (3, 1, 1, 2));
    assert_eq!(audit.promises, 3);
}

#[test]
fn a_second_leader_of_a_term_and_a_second_vote_are_found() {
    assert_eq!(good().say(3, lead(1)).broken(), [Rule::ElectionSafety]);
    let votes = good().say(2, promise("vote_response", 3, 1, None)).broken();
    assert_eq!(votes, [Rule::PersistBeforePromise, Rule::OneVote]);
}

#[test]
fn a_promise_that_runs_ahead_of_the_disk_is_found() {
    let ahead = good()
        .say(3, append(LogId::ZERO, 1, 7))
        .say(3, promise("append_response", 1, 1, Some(1)))
        .broken();
    assert_eq!(ahead, [Rule::PersistBeforePromise]);
}

#[test]
fn a_log_that_differs_before_an_equal_entry_is_found() {
    let other = good().say(3, append(LogId::ZERO, 1, 8)).broken();
    assert_eq!(other, [Rule::LogMatching]);
}

#[test]
fn a_later_leader_without_what_was_committed_is_found() {
    let lost = good().say(3, lead(2)).broken();
    assert_eq!(lost, [Rule::LeaderCompleteness]);
    let fine = good().say(2, lead(2)).broken();
    assert_eq!(fine, []);
}

#[test]
fn another_entry_another_state_and_a_gap_are_found() {
    let entry = good().say(3, apply(LogId::new(2, 1), 5)).broken();
    assert_eq!(entry, [Rule::StateMachineSafety]);
    let state = good().say(3, apply(LogId::new(1, 1), 6)).broken();
    assert_eq!(state, [Rule::StateMachineSafety]);
    let gap = good().say(2, apply(LogId::new(1, 3), 5)).broken();
    assert_eq!(gap, [Rule::StateMachineSafety]);
    let snapshot = Event::Snapshot {
        last: LogId::new(1, 1),
        source: SnapshotSource::Restored,
        state: Some(StateHash::default()),
    };
    assert_eq!(good().say(3, snapshot).broken(), [Rule::StateMachineSafety]);
}

#[test]
fn a_leader_that_commits_alone_or_cuts_its_log_is_found() {
    let alone = good()
        .say(1, append(LogId::new(1, 1), 1, 9))
        .say(1, persisted(1, Some(1), Some(LogId::new(1, 2))))
        .say(1, Event::Commit { index: 2 })
        .broken();
    assert_eq!(alone, [Rule::CommitOnQuorum]);
    let cut = good().say(1, Event::Truncate { from: 1 }).broken();
    assert_eq!(cut, [Rule::LeaderAppendOnly]);
}

#[test]
fn a_disk_that_goes_back_and_a_line_that_is_missing_are_found() {
    let back = good().say(1, persisted(1, Some(2), None)).broken();
    assert_eq!(back, [Rule::Monotonic]);
    let mut trace = good();
    trace.records.remove(5);
    assert!(trace.broken().contains(&Rule::Complete));
}
