//! What is wrong in a long history is told in short, and in little time.

use std::collections::BTreeSet;

use ordeal_checker::budget::Budget;
use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Time};
use ordeal_checker::linearizability::{Contradiction, Decision, check};
use ordeal_checker::model::{FifoQueue, Model, SequenceOp, SequenceRet, Set, SetOp, SetRet};

/// Operations of one process, or each of its own, one after the other.
fn in_turn<O: Clone, R: Clone>(operations: &[(O, R)]) -> History<O, R> {
    let mut builder = HistoryBuilder::new();
    for (at, (op, ret)) in (0..).zip(operations) {
        builder
            .invoke(Process(1), Time(2 * at), op.clone())
            .unwrap();
        let outcome = Outcome::Ok(ret.clone());
        builder
            .complete(Process(1), Time(2 * at + 1), outcome)
            .unwrap();
    }
    builder.finish()
}

fn contradiction<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> (Contradiction, String) {
    let verdict = check(model, history, &Budget::default());
    let told = verdict.explain().expect("it is wrong");
    let again = check(model, history, &Budget::default());
    assert_eq!(verdict, again, "the same budget, the same words");
    match verdict.keys.into_iter().next().unwrap().decision {
        Decision::Invalid(contradiction) => (contradiction, told),
        other => panic!("{other:?}"),
    }
}

/// `count` values go in and come out; the first comes out once more in the end.
fn twice(count: i64) -> History<SequenceOp, SequenceRet> {
    let mut operations: Vec<_> = (0..count)
        .map(|value| (SequenceOp::Put(value), SequenceRet::Done))
        .collect();
    operations.extend((0..count).map(|value| (SequenceOp::Take, SequenceRet::Taken(Some(value)))));
    operations.push((SequenceOp::Take, SequenceRet::Taken(Some(0))));
    in_turn(&operations)
}

#[test]
fn a_value_that_comes_out_twice_of_a_long_queue_is_told_by_itself() {
    for count in [100, 10_000] {
        let (contradiction, told) = contradiction(&FifoQueue, &twice(count));
        let what: Vec<&str> = contradiction.minimal.iter().map(|op| &*op.what).collect();
        let all = ["enqueue 0", "dequeue → 0", "dequeue → 0"];
        assert!(what.iter().all(|what| all.contains(what)), "{told}");
        assert!((2..=3).contains(&what.len()), "{told}");
        assert!(contradiction.is_minimal && contradiction.is_whole, "{told}");
    }
}

/// Elements are added and read in turn; one of them is in no read.
fn lost(count: i64) -> History<SetOp, SetRet> {
    let (mut operations, mut there) = (Vec::new(), BTreeSet::new());
    for element in 0..count {
        operations.push((SetOp::Add(element), SetRet::Done));
        if element != 17 {
            there.insert(element);
        }
        operations.push((SetOp::Read, SetRet::Elements(there.clone())));
    }
    in_turn(&operations)
}

#[test]
fn a_lost_element_of_a_large_set_is_named() {
    for count in [20, 300] {
        let (contradiction, told) = contradiction(&Set, &lost(count));
        let what: Vec<&str> = contradiction.minimal.iter().map(|op| &*op.what).collect();
        assert_eq!(what.len(), 2, "{told}");
        assert_eq!(what[0], "add 17", "{told}");
        assert!(what[1].ends_with(", without 17"), "{told}");
        assert!(contradiction.is_minimal && contradiction.is_whole, "{told}");
        assert!(told.contains("cannot come next: there it would return 17 too"));
        assert!(told.contains("): the object holds 17\n"), "{told}");
    }
}

#[test]
fn two_reads_of_a_large_set_that_disagree_are_told_by_two_elements() {
    let mut builder = HistoryBuilder::new();
    for element in 0..40 {
        let process = Process(u64::try_from(element).unwrap());
        builder
            .invoke(process, Time(1), SetOp::Add(element))
            .unwrap();
    }
    for (process, missing) in [(100, 3), (101, 5)] {
        builder
            .invoke(Process(process), Time(2), SetOp::Read)
            .unwrap();
        let seen = (0..40).filter(|element| *element != missing).collect();
        let seen = Outcome::Ok(SetRet::Elements(seen));
        builder.complete(Process(process), Time(3), seen).unwrap();
    }
    for element in 0..40 {
        let process = Process(u64::try_from(element).unwrap());
        builder
            .complete(process, Time(4), Outcome::Ok(SetRet::Done))
            .unwrap();
    }
    let (contradiction, told) = contradiction(&Set, &builder.finish());
    assert_eq!(contradiction.minimal.len(), 2, "{told}");
    assert!(told.contains(", with 5, but no 3"), "{told}");
    assert!(told.contains(", with 3, but no 5"), "{told}");
}

#[test]
fn without_a_budget_to_search_the_reason_is_that_of_the_order_of_values() {
    let budget = Budget::states(1);
    let verdict = check(&FifoQueue, &twice(200), &budget);
    let Decision::Invalid(contradiction) = &verdict.keys[0].decision else {
        panic!("decided by the order of values alone");
    };
    let told = verdict.explain().unwrap();
    assert!(
        contradiction.minimal.len() <= 3,
        "the monitor's own reason: {told}"
    );
}
