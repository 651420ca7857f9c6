//! Transactions: how much is told, what a budget leaves open, and many at once.

use std::io::Write;
use std::time::Duration;

use crate::many::{Fault, Transactions, append, asked, large, read};
use ordeal_checker::budget::Budget;
use ordeal_checker::history::{HistoryBuilder, Outcome, Process, Time};
use ordeal_checker::judge::{Options, Report, Subject, check_file};
use ordeal_checker::transaction::{Kind, Name, Serializability, Step, check};
use ordeal_checker::verdict::Validity;

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

fn lists(history: &Transactions, budget: &Budget) -> Serializability {
    check(Kind::ListAppend, history, budget)
}

fn kinds(history: &Transactions) -> Vec<String> {
    let violations = lists(history, &Budget::default()).violations;
    violations
        .into_iter()
        .map(|violation| violation.kind)
        .collect()
}

#[test]
fn many_transactions_are_decided_and_one_anomaly_among_them_is_found() {
    for (fault, expected) in [
        (Fault::Nothing, &[][..]),
        (Fault::Skew, &["G-single"]),
        (Fault::Stale, &["G-single-realtime"]),
    ] {
        assert_eq!(kinds(&large(20_000, fault)), expected);
    }
}

/// Pairs of transactions, each of which appended before the other.
fn write_cycles(count: i64) -> Transactions {
    let mut all = Vec::new();
    for pair in 0..count {
        let (x, y) = (2 * pair, 2 * pair + 1);
        all.push((1, 9, vec![append(x, 1), append(y, 1)]));
        all.push((1, 9, vec![append(x, 2), append(y, 2)]));
        all.push((10, 11, vec![read(x, &[1, 2]), read(y, &[2, 1])]));
    }
    history(&all)
}

#[test]
fn of_many_cycles_the_first_are_told_and_the_others_counted() {
    let verdict = lists(&write_cycles(40), &Budget::default());
    assert_eq!(verdict.violations.len(), 16);
    assert_eq!(verdict.cycles_untold, 24);
    let finding = verdict.finding();
    assert_eq!(
        finding.summary,
        "40 violations, the first of them G0; 24 of them are not told"
    );
    assert_eq!(finding.statistics["violations"]["G0"], 16);
    assert_eq!(finding.statistics["cycles_untold"], 24);
}

#[test]
fn of_many_wrong_reads_the_first_are_told_and_all_counted() {
    let reads = (0_u64..40).map(|at| (at, at + 1, vec![read(at.cast_signed(), &[7])]));
    let verdict = lists(&history(&reads.collect::<Vec<_>>()), &Budget::default());
    assert_eq!(verdict.violations.len(), 16);
    assert_eq!(verdict.counts["garbage-read"], 40);
    assert_eq!(
        verdict.finding().summary,
        "40 violations, the first of them garbage-read; 24 of them are not told"
    );
}

#[test]
fn without_time_or_bytes_it_says_what_is_known_by_then() {
    let history = large(20_000, Fault::Nothing);
    let no_time = Budget {
        wall_max: Some(Duration::ZERO),
        ..Budget::default()
    };
    let bytes = |bytes_max| Budget {
        bytes_max,
        ..Budget::default()
    };
    for (budget, known) in [
        (
            no_time,
            "the budget of time is spent: 0 of 20000 transactions were held",
        ),
        (
            bytes(1_000_000),
            "transactions were held against themselves",
        ),
        (
            bytes(2_500_000),
            "of all 684 lists were compared, cycles are left open",
        ),
    ] {
        let finding = lists(&history, &budget).finding();
        assert_eq!(finding.validity, Validity::Unknown, "{budget:?}");
        assert!(finding.summary.contains(known), "{}", finding.summary);
    }
    let finding = lists(&history, &bytes(20_000_000)).finding();
    assert_eq!(finding.validity, Validity::Valid, "{}", finding.summary);
}

#[test]
fn what_was_found_before_the_budget_was_spent_is_told() {
    let mut all = vec![(0, 1, vec![append(-1, 1), read(-1, &[])])];
    for at in 1_u64..30_000 {
        all.push((at, at + 1, vec![append(1, at.cast_signed())]));
    }
    let budget = Budget {
        bytes_max: 100_000,
        ..Budget::default()
    };
    let finding = lists(&history(&all), &budget).finding();
    assert_eq!(finding.validity, Validity::Invalid);
    assert!(
        finding
            .summary
            .starts_with("1 violation: internal; the budget of bytes is spent")
    );
}

#[test]
fn what_was_written_twice_leaves_open_who_was_read() {
    let history = history(&[
        (1, 2, vec![append(1, 1)]),
        (3, 4, vec![append(1, 1)]),
        (5, 6, vec![append(2, 1)]),
    ]);
    let finding = lists(&history, &Budget::default()).finding();
    assert_eq!(finding.validity, Validity::Unknown);
    assert_eq!(
        finding.summary,
        "3 transactions undecided: 1 of 2 lists are not judged, the first of them 1: a value was \
         written to it twice, so that nobody can tell which was read"
    );
}

#[test]
fn a_register_is_not_judged_as_a_list() {
    let write = Step::Write(Name::Number(1), 1);
    let finding = lists(&history(&[(1, 2, vec![write])]), &Budget::default()).finding();
    assert_eq!(finding.validity, Validity::Unknown);
    assert!(
        finding.summary.contains("a step that is none of lists"),
        "{}",
        finding.summary
    );
}

#[test]
fn many_readers_before_many_lost_appends_take_no_more_edges_than_there_are_of_both() {
    let many = 20_000;
    let mut all = Vec::new();
    for at in 0_u64..many {
        all.push((at, 10 * many, vec![append(1, at.cast_signed())]));
        all.push((at, 10 * many, vec![read(1, &[])]));
    }
    let verdict = lists(&history(&all), &Budget::default());
    assert_eq!(verdict.finding().validity, Validity::Valid);
    assert!(
        verdict.dependencies < 5 * all.len(),
        "{}",
        verdict.dependencies
    );
}

#[test]
fn a_cycle_through_a_hundred_thousand_overflows_no_stack_and_is_told_in_part() {
    let count = 100_000;
    let mut all: Vec<_> = (0..count).map(|at| (1, 9, vec![append(1, at)])).collect();
    all[0].2.push(append(2, 2));
    all[usize::try_from(count).unwrap() - 1]
        .2
        .push(append(2, 1));
    let order: Vec<i64> = (0..count).collect();
    all.push((10, 11, vec![read(1, &order), read(2, &[1, 2])]));
    let verdict = lists(&history(&all), &Budget::default());
    let [violation] = &verdict.violations[..] else {
        panic!("{:?}", verdict.finding().summary);
    };
    assert_eq!(violation.kind, "G0");
    assert_eq!(violation.transactions.len(), 100_000);
    let words = &violation.message;
    assert!(
        words.contains("There are 99988 more") && words.len() < 4_000,
        "{words}"
    );
    let last: Vec<&str> = words.lines().rev().take(2).collect();
    assert_eq!(
        last[1],
        "T100000 came before T1: T100000 appended 1 to 2, and T1 then 2: p100000 read it as [1, 2]."
    );
    assert!(
        last[0].ends_with("before … before T100000 before T1: no order is like that."),
        "{}",
        last[0]
    );
}

/// What is said of a file with those lines.
fn judged(model: Subject, lines: &str) -> Result<Report, String> {
    let mut file = tempfile::Builder::new()
        .suffix(".jsonl")
        .tempfile()
        .unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    let options = Options {
        model: Some(model),
        ..Options::default()
    };
    check_file(file.path(), &options).map_err(|error| error.to_string())
}

#[test]
fn nil_in_an_answer_is_what_was_read() {
    let lines = r#"{"index":0,"time":10,"process":1,"type":"invoke","f":"txn","value":[["w","x",1]]}
{"index":1,"time":20,"process":1,"type":"ok","f":"txn","value":[["w","x",1]]}
{"index":2,"time":30,"process":2,"type":"invoke","f":"txn","value":[["r","x",null]]}
{"index":3,"time":40,"process":2,"type":"ok","f":"txn","value":[["r","x",null]]}
"#;
    let report = judged(Subject::RwRegister, lines).unwrap();
    assert_eq!(report.finding.anomalies[0].kind, "G-single-realtime");
    assert_eq!(report.finding.anomalies[0].lines, [3, 1]);
    let lines = lines.replace("\"w\"", "\"append\"");
    let report = judged(Subject::ListAppend, &lines).unwrap();
    assert_eq!(report.finding.anomalies[0].kind, "G-single-realtime");
}

#[test]
fn a_step_that_the_objects_do_not_have_is_an_error_with_its_line() {
    let lines = r#"{"index":0,"time":10,"process":1,"type":"invoke","f":"txn","value":[["w","x",1]]}
"#;
    let error = judged(Subject::ListAppend, lines).unwrap_err();
    assert!(
        error.contains("1: p1 txn: lists have append and r, and no w"),
        "{error}"
    );
}

#[test]
fn a_value_that_nobody_wrote_is_counted_where_it_may_have_been_there() {
    let read = |value| Step::Read(Name::Number(1), Some(std::iter::once(value).collect()));
    let write = Step::Write(Name::Number(1), 2);
    let history = history(&[
        (1, 2, vec![write]),
        (3, 4, vec![read(3)]),
        (5, 6, vec![read(2)]),
    ]);
    let verdict = check(Kind::RwRegister, &history, &Budget::default());
    assert_eq!(verdict.unwritten, 1);
    assert_eq!(
        verdict.finding().summary,
        "no anomaly among 3 transactions, as far as reads of registers tell; 1 register held a \
         value that nobody here wrote, of which nothing is made"
    );
}
