//! Transactions: anomalies as drawn in the literature, and a million at once.

#![allow(clippy::unwrap_used)]

#[path = "../benches/large/transactions.rs"]
mod transactions;

use ordeal_checker::history::{HistoryBuilder, Outcome, Process, Time};
use ordeal_checker::transaction::{Kind, Step, check};
use ordeal_checker::verdict::Validity;
use transactions::{Transactions, append, asked, large, read};

/// Transactions with their times, each by a process of its own.
fn history(transactions: &[(u64, u64, Vec<Step>)]) -> Transactions {
    let mut builder = HistoryBuilder::new();
    for (process, (from, to, steps)) in (0..).zip(transactions) {
        builder
            .invoke(Process(process), Time(*from), asked(steps))
            .unwrap();
        builder
            .complete(Process(process), Time(*to), Outcome::Ok(steps.clone()))
            .unwrap();
    }
    builder.finish()
}

fn kinds(history: &Transactions) -> Vec<String> {
    let verdict = check(Kind::ListAppend, history);
    verdict
        .violations
        .into_iter()
        .map(|violation| violation.kind)
        .collect()
}

#[test]
fn appends_that_are_read_in_order_are_serializable() {
    let history = history(&[
        (1, 2, vec![append(1, 1)]),
        (3, 4, vec![append(1, 2)]),
        (5, 6, vec![read(1, &[1, 2])]),
    ]);
    assert_eq!(
        check(Kind::ListAppend, &history).finding().validity,
        Validity::Valid
    );
}

#[test]
fn two_lists_appended_in_opposite_orders_are_a_write_cycle() {
    let history = history(&[
        (1, 9, vec![append(1, 1), append(2, 1)]),
        (1, 9, vec![append(1, 2), append(2, 2)]),
        (10, 11, vec![read(1, &[1, 2]), read(2, &[2, 1])]),
    ]);
    assert_eq!(kinds(&history), ["G0"]);
}

#[test]
fn a_transaction_that_saw_half_of_another_is_read_skew() {
    let history = history(&[
        (1, 9, vec![append(1, 1), append(2, 1)]),
        (1, 9, vec![read(1, &[1]), read(2, &[])]),
        (10, 11, vec![read(1, &[1]), read(2, &[1])]),
    ]);
    assert_eq!(kinds(&history), ["G-single"]);
    let finding = check(Kind::ListAppend, &history).finding();
    assert_eq!(
        finding.anomalies[0].message,
        "T1 is p1's (read 1 → [1], read 2 → []). T2 is p0's (append 1 1, append 2 1). T1 came \
         before T2: the former read what the latter overwrote. T2 came before T1: the former \
         wrote what the latter read"
    );
}

#[test]
fn a_read_that_misses_what_was_complete_is_a_violation_of_real_time_only() {
    let history = history(&[
        (1, 2, vec![append(1, 1)]),
        (3, 4, vec![read(1, &[])]),
        (5, 6, vec![read(1, &[1])]),
    ]);
    assert_eq!(kinds(&history), ["G-single-realtime"]);
}

#[test]
fn reads_that_disagree_about_the_order_are_incompatible() {
    let history = history(&[
        (1, 9, vec![append(1, 1)]),
        (1, 9, vec![append(1, 2)]),
        (10, 11, vec![read(1, &[1, 2])]),
        (10, 11, vec![read(1, &[2, 1])]),
    ]);
    assert!(kinds(&history).contains(&"incompatible-order".to_owned()));
}

#[test]
fn many_transactions_are_decided_and_one_read_skew_among_them_is_found() {
    for (skew, expected) in [(false, &[][..]), (true, &["G-single"])] {
        assert_eq!(kinds(&large(20_000, skew)), expected);
    }
}
