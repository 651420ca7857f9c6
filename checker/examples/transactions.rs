//! Transactions that append to lists and read them, judged by their dependencies:
//! `cargo run --example transactions`

use std::process::ExitCode;

use ordeal_checker::budget::Budget;
use ordeal_checker::history::{HistoryBuilder, MalformedHistory, Outcome, Process, Time};
use ordeal_checker::transaction::{Elements, Kind, Name, Serializability, Step, check};

fn append(list: &str, value: i64) -> Step {
    Step::Append(Name::Word(list.into()), value)
}

fn read(list: &str, seen: &[i64]) -> Step {
    Step::Read(Name::Word(list.into()), Some(Elements::from(seen)))
}

/// The question of a step: a read is not known yet.
fn asked(step: &Step) -> Step {
    match step {
        Step::Read(list, _) => Step::Read(list.clone(), None),
        write => write.clone(),
    }
}

/// One transaction moves something from `x` to `y` while another looks at both and sees this; a
/// third looks when they are done.
fn judge(seen_in_x: &[i64], seen_in_y: &[i64]) -> Result<Serializability, MalformedHistory> {
    let transactions = [
        (1, 9, vec![append("x", 1), append("y", 1)]),
        (1, 9, vec![read("x", seen_in_x), read("y", seen_in_y)]),
        (10, 11, vec![read("x", &[1]), read("y", &[1])]),
    ];
    let mut history = HistoryBuilder::new();
    for (process, (from, to, steps)) in (1..).zip(transactions) {
        let question = steps.iter().map(asked).collect();
        history.invoke(Process(process), Time(from), question)?;
        history.complete(Process(process), Time(to), Outcome::Ok(steps))?;
    }
    Ok(check(
        Kind::ListAppend,
        &history.finish(),
        &Budget::default(),
    ))
}

fn main() -> ExitCode {
    for (x, y) in [(&[1][..], &[1][..]), (&[], &[]), (&[1], &[])] {
        match judge(x, y) {
            Ok(verdict) => {
                println!("x {x:?}, y {y:?}: {}", verdict.finding().summary);
                for violation in &verdict.violations {
                    println!("{}: {}", violation.kind, violation.message);
                }
            }
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(seen_in_x: &[i64], seen_in_y: &[i64]) -> Vec<String> {
        let verdict = judge(seen_in_x, seen_in_y).unwrap();
        verdict
            .violations
            .into_iter()
            .map(|violation| violation.kind)
            .collect()
    }

    #[test]
    fn all_of_a_transaction_or_nothing_may_be_seen() {
        assert!(kinds(&[1], &[1]).is_empty());
        assert!(kinds(&[], &[]).is_empty());
    }

    #[test]
    fn half_of_a_transaction_is_read_skew() {
        assert_eq!(kinds(&[1], &[]), ["G-single"]);
        assert_eq!(kinds(&[], &[1]), ["G-single"]);
    }
}
