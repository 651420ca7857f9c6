//! Transactions: anomalies as drawn in the literature, and a million at once.

#![allow(clippy::unwrap_used)]

use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Time};
use ordeal_checker::transaction::{Kind, Name, Step, check};
use ordeal_checker::verdict::Validity;

type Transactions = History<Vec<Step>, Vec<Step>>;

fn append(list: i64, value: i64) -> Step {
    Step::Append(Name::Number(list), value)
}

fn read(list: i64, seen: &[i64]) -> Step {
    Step::Read(Name::Number(list), Some(seen.into()))
}

/// Transactions with their times, each by a process of its own.
fn history(transactions: &[(u64, u64, Vec<Step>)]) -> Transactions {
    let mut builder = HistoryBuilder::new();
    for (process, (from, to, steps)) in (0..).zip(transactions) {
        let asked = steps
            .iter()
            .map(|step| match step {
                Step::Read(name, _) => Step::Read(name.clone(), None),
                other => other.clone(),
            })
            .collect();
        builder
            .invoke(Process(process), Time(*from), asked)
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

/// Four operations each, on 100 lists at a time; a list that has 64 elements makes way for a new
/// one, as in Elle's generator, for otherwise what is read grows with the square of the history.
fn large(count: u64, skew: bool) -> Transactions {
    let mut builder = HistoryBuilder::new();
    let mut lists: Vec<(i64, Vec<i64>)> = (0..100).map(|name| (name, Vec::new())).collect();
    let (mut next_name, mut next_value, mut draw) = (100, 0, 1_u64);
    let mut random = |bound: u64| {
        draw = draw
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (draw >> 33) % bound
    };
    for number in 0..count {
        let mut steps = Vec::new();
        for _ in 0..4 {
            let list = &mut lists[usize::try_from(random(100)).unwrap()];
            if random(2) == 0 {
                steps.push(read(list.0, &list.1));
                continue;
            }
            next_value += 1;
            list.1.push(next_value);
            steps.push(append(list.0, next_value));
            if list.1.len() == 64 {
                *list = (next_name, Vec::new());
                next_name += 1;
            }
        }
        push(&mut builder, number, 2 * number, 2 * number + 15, steps);
    }
    if skew {
        let at = 2 * count;
        push(
            &mut builder,
            count,
            at,
            at + 9,
            vec![append(-1, 1), append(-2, 1)],
        );
        push(
            &mut builder,
            count + 1,
            at,
            at + 9,
            vec![read(-1, &[1]), read(-2, &[])],
        );
        push(
            &mut builder,
            count + 2,
            at + 20,
            at + 29,
            vec![read(-1, &[1]), read(-2, &[1])],
        );
    }
    builder.finish()
}

fn push(
    builder: &mut HistoryBuilder<Vec<Step>, Vec<Step>>,
    process: u64,
    from: u64,
    to: u64,
    steps: Vec<Step>,
) {
    builder
        .invoke(Process(process), Time(from), steps.clone())
        .unwrap();
    builder
        .complete(Process(process), Time(to), Outcome::Ok(steps))
        .unwrap();
}

/// With `ORDEAL_TRANSACTIONS=1000000` among as many as that; time and memory are printed.
#[test]
fn many_transactions_are_decided_and_one_read_skew_among_them_is_found() {
    let count = std::env::var("ORDEAL_TRANSACTIONS").map_or(20_000, |n| n.parse().unwrap());
    for (skew, expected) in [(false, &[][..]), (true, &["G-single"])] {
        let history = large(count, skew);
        let began = std::time::Instant::now();
        let kinds = kinds(&history);
        let took = began.elapsed();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        println!("{count} transactions, {kinds:?}: {took:?}, {peak}");
        assert_eq!(kinds, expected);
    }
}
