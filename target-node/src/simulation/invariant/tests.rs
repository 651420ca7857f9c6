//! Each invariant is shown something that breaks it, made by hand.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::super::{Broken, Invariant};
use super::*;
use crate::protocol::Digest;
use crate::raft::{AppendOutcome, Body, Config, Entry, Message, Opaque, Payload};

const GRANTED: Body = Body::VoteResponse {
    granted: true,
    committed: LogId::ZERO,
};

/// What is on a disk: the terms of the entries.
fn disk(hard_state: HardState, terms: &[Term]) -> Recovered {
    let entry = |(index, &term)| Entry {
        id: LogId::new(term, index),
        payload: Payload::Noop,
    };
    Recovered {
        hard_state,
        entries: (1..).zip(terms).map(entry).collect(),
        ..Recovered::default()
    }
}

fn in_term(term: Term) -> HardState {
    HardState { term, vote: None }
}

fn follower(id: NodeId, recovered: Recovered) -> Raft {
    let voters = BTreeSet::from([1, 2, 3]);
    let rng = ChaCha8Rng::seed_from_u64(id);
    Raft::new(Config::new(id, voters), recovered, rng).unwrap()
}

/// Makes everything durable that a node has handed out.
fn persist(raft: &mut Raft) {
    let barrier = raft.take_output().barrier;
    raft.persisted(barrier);
}

/// A node that leads the term after `term` alone, with one entry of its own behind these.
fn lone_leader(id: NodeId, term: Term, terms: &[Term]) -> Raft {
    let rng = ChaCha8Rng::seed_from_u64(id);
    let config = Config::new(id, BTreeSet::from([id]));
    let mut raft = Raft::new(config, disk(in_term(term), terms), rng).unwrap();
    raft.campaign_with(false);
    persist(&mut raft);
    assert_eq!((raft.role(), raft.term()), (Role::Leader, term + 1));
    raft
}

/// The same, with that entry committed.
fn lone_committer(id: NodeId, term: Term, terms: &[Term]) -> Raft {
    let mut raft = lone_leader(id, term, terms);
    persist(&mut raft);
    assert_eq!(raft.commit(), raft.last().index);
    raft
}

/// Shows nodes one after the other, each with a disk that has all of its log; what the last breaks.
fn broken_by(rafts: &[&Raft]) -> Option<Invariant> {
    let mut invariants = Invariants::new(3);
    let mut last = Ok(());
    for raft in rafts {
        assert_eq!(last, Ok(()));
        let full = Recovered {
            entries: raft.entries(1, Index::MAX).to_vec(),
            ..disk(in_term(raft.term()), &[])
        };
        last = invariants.check_node(raft, &|_| &full);
    }
    last.err().map(|broken| broken.invariant)
}

fn invariant(end: Result<(), Broken>) -> Option<Invariant> {
    end.err().map(|broken| broken.invariant)
}

fn said(from: NodeId, to: NodeId, term: Term, body: Body) -> Message {
    Message {
        from,
        to,
        term,
        body,
    }
}

#[test]
fn i1_two_leaders_of_a_term_are_seen() {
    let (one, two) = (lone_leader(1, 4, &[]), lone_leader(2, 4, &[]));
    assert_eq!(broken_by(&[&one, &two]), Some(Invariant::ElectionSafety));
    assert_eq!(broken_by(&[&one, &lone_leader(2, 5, &[])]), None);
}

#[test]
fn i2_a_second_vote_in_a_term_is_seen_also_after_a_crash() {
    let mut invariants = Invariants::new(3);
    let vote = |vote| HardState {
        term: 4,
        vote: Some(vote),
    };
    let granted = |to| said(1, to, 4, GRANTED);
    let first = invariants.sent(&granted(2), None, &disk(vote(2), &[]));
    assert_eq!(first, Ok(()));
    invariants.crashed(1);
    let second = invariants.sent(&granted(3), None, &disk(vote(3), &[]));
    assert_eq!(invariant(second), Some(Invariant::OneVote));
}

#[test]
fn i3_a_term_or_a_vote_that_is_taken_back_is_seen_on_the_disk_and_in_a_life() {
    let state = |term, vote| HardState { term, vote };
    let before = state(4, Some(2));
    for (now, is_broken) in [
        (state(3, None), true),
        (state(4, None), true),
        (state(4, Some(3)), true),
        (state(4, Some(2)), false),
        (state(5, None), false),
    ] {
        let expected = is_broken.then_some(Invariant::MonotonicTerm);
        let mut invariants = Invariants::new(3);
        invariants.persisted(1, before).unwrap();
        invariants.crashed(1);
        assert_eq!(invariant(invariants.persisted(1, now)), expected, "{now:?}");
        let lives = [before, now].map(|state| follower(1, disk(state, &[])));
        assert_eq!(broken_by(&[&lives[0], &lives[1]]), expected, "{now:?}");
    }
}

#[test]
fn i4_a_promise_ahead_of_the_disk_is_seen() {
    let accepted = Body::AppendResponse(AppendOutcome::Accepted { matched: 3 });
    let granted = GRANTED;
    let vote = Body::Vote {
        last: LogId::ZERO,
        is_transfer: false,
        committed: LogId::ZERO,
    };
    let voted = |vote| HardState {
        term: 4,
        vote: Some(vote),
    };
    for (body, has, lacks) in [
        (
            accepted,
            disk(in_term(4), &[1, 1, 4]),
            disk(in_term(4), &[1, 1]),
        ),
        (granted, disk(voted(2), &[]), disk(in_term(4), &[])),
        (vote, disk(voted(1), &[]), disk(in_term(3), &[])),
    ] {
        let message = said(1, 2, 4, body);
        let sent = |disk| invariant(Invariants::new(3).sent(&message, None, disk));
        assert_eq!(sent(&has), None, "{message}");
        assert_eq!(
            sent(&lacks),
            Some(Invariant::PersistBeforeSend),
            "{message}"
        );
    }
    // As many entries, but not those of the log.
    let message = said(1, 2, 4, accepted_to(2));
    let raft = follower(1, disk(in_term(4), &[1, 4]));
    let sent = Invariants::new(3).sent(&message, Some(&raft), &disk(in_term(4), &[1, 3]));
    assert_eq!(invariant(sent), Some(Invariant::PersistBeforeSend));
}

fn accepted_to(matched: Index) -> Body {
    Body::AppendResponse(AppendOutcome::Accepted { matched })
}

#[test]
fn i5_a_leader_that_drops_an_entry_of_its_own_is_seen() {
    let (long, short) = (lone_leader(1, 4, &[1, 1]), lone_leader(1, 4, &[1]));
    let broken = broken_by(&[&long, &short]);
    assert_eq!(broken, Some(Invariant::LeaderAppendOnly));
    assert_eq!(broken_by(&[&short, &short]), None);
}

#[test]
fn i6_one_name_for_two_entries_or_behind_two_others_is_seen() {
    let mut other = disk(in_term(4), &[1, 1]);
    other.entries[1].payload = Payload::Command(Opaque::from(&b"x"[..]));
    let (one, two) = (follower(1, disk(in_term(4), &[1, 1])), follower(2, other));
    assert_eq!(broken_by(&[&one, &two]), Some(Invariant::LogMatching));
    let (one, two) = (
        follower(1, disk(in_term(4), &[1, 3])),
        follower(2, disk(in_term(4), &[2, 3])),
    );
    assert_eq!(broken_by(&[&one, &two]), Some(Invariant::LogMatching));
}

#[test]
fn i6_an_entry_that_is_changed_behind_what_was_checked_is_seen_on_the_whole_log() {
    let mut changed = disk(in_term(4), &[1, 1]);
    changed.entries[0].payload = Payload::Command(Opaque::from(&b"x"[..]));
    let mut invariants = Invariants::new(3);
    let before = follower(1, disk(in_term(4), &[1, 1]));
    let whole = invariants.check_whole_log(&before);
    assert_eq!(whole, Ok(()));
    let whole = invariants.check_whole_log(&follower(1, changed));
    assert_eq!(invariant(whole), Some(Invariant::LogMatching));
}

#[test]
fn i7_another_entry_committed_at_an_index_is_seen() {
    let (one, two) = (lone_committer(1, 4, &[]), lone_committer(2, 3, &[]));
    let broken = broken_by(&[&one, &two]);
    assert_eq!(broken, Some(Invariant::StateMachineSafety));
}

#[test]
fn i8_a_leader_without_what_was_committed_before_its_term_is_seen() {
    let (one, two) = (lone_committer(1, 4, &[]), lone_leader(2, 5, &[]));
    let broken = broken_by(&[&one, &two]);
    assert_eq!(broken, Some(Invariant::LeaderCompleteness));
    assert_eq!(broken_by(&[&one, &lone_leader(2, 5, &[5])]), None);
}

#[test]
fn i9_another_state_a_gap_and_what_nobody_committed_are_seen() {
    let seen = |index, state| Seen {
        applied: LogId::new(5, index),
        hash: StateHash {
            index,
            state: Digest(state),
            ..StateHash::default()
        },
    };
    let committed = || {
        let mut invariants = Invariants::new(3);
        let raft = lone_committer(1, 4, &[]);
        let full = disk(in_term(5), &[5]);
        invariants.check_node(&raft, &|_| &full).unwrap();
        invariants.applied(1, seen(1, 7)).unwrap();
        invariants
    };
    assert_eq!(committed().applied(2, seen(1, 7)), Ok(()));
    let bad = [(2, seen(1, 8)), (3, seen(2, 7)), (1, seen(2, 7))];
    for (node, seen) in bad {
        let end = committed().applied(node, seen);
        assert_eq!(
            invariant(end),
            Some(Invariant::StateMachineSafety),
            "{seen:?}"
        );
    }
    let last = LogId::new(5, 1);
    let right = Some(seen(1, 7).hash);
    assert_eq!(committed().restored(2, last, right), Ok(()));
    for (last, hash) in [
        (last, Some(seen(1, 8).hash)),
        (LogId::new(4, 1), right),
        (last, None),
    ] {
        let end = committed().restored(2, last, hash);
        assert_eq!(invariant(end), Some(Invariant::SnapshotEquality));
    }
}

#[test]
fn i10_a_commit_index_that_falls_within_a_life_is_seen() {
    let committed = lone_committer(1, 4, &[]);
    let fallen = follower(1, disk(in_term(6), &[5]));
    let broken = broken_by(&[&committed, &fallen]);
    assert_eq!(broken, Some(Invariant::Order));
}

#[test]
fn i11_marks_that_are_out_of_order_are_seen() {
    let right = Standing {
        role: Role::Follower,
        hard_state: in_term(4),
        base: LogId::new(1, 1),
        snapshot: 2,
        applied: 3,
        commit: 4,
        durable: 4,
        last: LogId::new(4, 5),
    };
    assert_eq!(check_order(1, &right), Ok(()));
    let base = LogId::new(1, 3);
    let wrong = [
        Standing { base, ..right },
        Standing {
            snapshot: 4,
            ..right
        },
        Standing {
            applied: 5,
            ..right
        },
        Standing { commit: 6, ..right },
        Standing {
            durable: 2,
            ..right
        },
        Standing {
            durable: 6,
            ..right
        },
    ];
    for standing in wrong {
        let end = check_order(1, &standing);
        assert_eq!(invariant(end), Some(Invariant::Order), "{standing:?}");
    }
}

#[test]
fn a_question_that_makes_a_new_term_or_gives_a_vote_is_seen() {
    let raft = follower(1, disk(in_term(4), &[]));
    let asking = |hard_state| Standing {
        role: Role::PreCandidate,
        hard_state,
        ..Standing::of(&raft)
    };
    let voted = HardState {
        term: 5,
        vote: Some(1),
    };
    let ends = [
        (in_term(4), None),
        (in_term(5), None),
        (in_term(6), Some(Invariant::PreVoteIsFree)),
        (voted, Some(Invariant::PreVoteIsFree)),
    ];
    for (hard_state, expected) in ends {
        let end = check_steps(&raft, &asking(in_term(4)), &asking(hard_state), 5);
        assert_eq!(invariant(end), expected, "{hard_state:?}");
    }
}

/// Leads three in term 5 by the votes of two; its own entry is on its own disk only.
fn leader_of_three() -> Raft {
    let mut raft = follower(1, disk(in_term(4), &[]));
    raft.campaign_with(false);
    persist(&mut raft);
    raft.step(said(2, 1, 5, GRANTED));
    persist(&mut raft);
    assert_eq!((raft.role(), raft.commit()), (Role::Leader, 0));
    raft
}

#[test]
fn i11_a_leader_that_counts_what_a_disk_has_not_is_seen() {
    let mut raft = leader_of_three();
    let (full, empty) = (disk(in_term(5), &[5]), disk(in_term(5), &[]));
    let mut invariants = Invariants::new(3);
    invariants.check_node(&raft, &|_| &empty).unwrap();
    raft.step(said(3, 1, 5, accepted_to(1)));
    // It is committed by it, and that is right as far as the disks of the others go.
    let disks = |id| if id == 3 { &empty } else { &full };
    let end = invariants.check_node(&raft, &disks);
    assert_eq!(invariant(end), Some(Invariant::MatchOnDisk));
}

#[test]
fn i12_a_commit_that_no_quorum_has_on_its_disks_is_seen() {
    let mut raft = leader_of_three();
    let (full, empty) = (disk(in_term(5), &[5]), disk(in_term(5), &[]));
    raft.step(said(2, 1, 5, accepted_to(1)));
    assert_eq!(raft.commit(), 1);
    for (holders, expected) in [(&[1][..], Some(Invariant::CommitOnQuorum)), (&[1, 2], None)] {
        let disks = |id| if holders.contains(&id) { &full } else { &empty };
        let end = Invariants::new(3).check_node(&raft, &disks);
        assert_eq!(invariant(end), expected, "{holders:?}");
    }
}

#[test]
fn a_quorum_is_a_majority_of_each_half_and_nobody_is_none() {
    let members = Members {
        voters: BTreeSet::from([3, 4, 5]),
        outgoing: BTreeSet::from([1, 2, 3]),
        learners: BTreeSet::from([6]),
    };
    assert!(is_quorum(&members, |id| [1, 3, 4].contains(&id)));
    assert!(!is_quorum(&members, |id| id >= 3));
    assert!(!is_quorum(&members, |id| id <= 3));
    assert!(!is_quorum(&Members::default(), |_| true));
}
