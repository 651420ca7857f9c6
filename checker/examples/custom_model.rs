//! Two objects that the crate does not have, one of each kind: `cargo run --example custom_model`

use std::process::ExitCode;

use ordeal_checker::budget::Budget;
use ordeal_checker::history::{History, HistoryBuilder, MalformedHistory, Outcome, Process, Time};
use ordeal_checker::linearizability::{Linearizability, check};
use ordeal_checker::model::{AnyOf, Model, Nondeterministic};

/// Deterministic: hands out 0, 1, 2, … for each name, every number once.
struct Sequencer;

impl Model for Sequencer {
    type Op = &'static str; // the name to draw a number for
    type Ret = u64;
    type State = u64; // the next number
    type Key = &'static str;

    fn init(&self) -> u64 {
        0
    }
    fn step(&self, next: &u64, _: &&'static str, drawn: Option<&u64>) -> Option<u64> {
        drawn.is_none_or(|drawn| drawn == next).then_some(next + 1)
    }
    fn key(&self, name: &&'static str) -> &'static str {
        name // names have nothing to do with each other: each is searched on its own
    }
}

/// Nondeterministic: a counter behind a client that asks again when it hears nothing, so that what
/// was added once may count twice.
struct AtLeastOnce;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ask {
    Add(i64),
    Read,
}

impl Nondeterministic for AtLeastOnce {
    type Op = Ask;
    type Ret = Option<i64>; // what was read
    type State = i64;
    type Key = ();

    fn init(&self) -> Vec<i64> {
        vec![0]
    }
    fn step(&self, sum: &i64, ask: &Ask, ret: Option<&Option<i64>>) -> Vec<i64> {
        match (ask, ret) {
            (Ask::Add(by), _) => vec![sum + by, sum + 2 * by],
            (Ask::Read, Some(Some(seen))) if seen != sum => vec![],
            (Ask::Read, _) => vec![*sum],
        }
    }
    fn key(&self, _: &Ask) {}
}

/// What one client after the other asked and heard.
fn one_by_one<O, R>(
    heard: impl IntoIterator<Item = (O, R)>,
) -> Result<History<O, R>, MalformedHistory> {
    let mut history = HistoryBuilder::new();
    for (place, (op, ret)) in (1..).zip(heard) {
        let at = place * 1_000_000;
        history.invoke(Process(place), Time(at), op)?;
        history.complete(Process(place), Time(at + 500_000), Outcome::Ok(ret))?;
    }
    Ok(history.finish())
}

fn drawn(numbers: [(&'static str, u64); 3]) -> Result<Linearizability, MalformedHistory> {
    Ok(check(&Sequencer, &one_by_one(numbers)?, &Budget::default()))
}

fn counted(sums: [i64; 2]) -> Result<Linearizability, MalformedHistory> {
    let reads = sums.map(|sum| (Ask::Read, Some(sum)));
    let history = one_by_one([(Ask::Add(1), None)].into_iter().chain(reads))?;
    Ok(check(&AnyOf(AtLeastOnce), &history, &Budget::default()))
}

fn main() -> ExitCode {
    let verdicts = [
        drawn([("a", 0), ("b", 0), ("a", 1)]),
        drawn([("a", 0), ("b", 0), ("a", 0)]),
        counted([2, 2]),
        counted([2, 1]),
    ];
    for verdict in verdicts {
        match verdict {
            Ok(verdict) => {
                println!("{}", verdict.finding().summary);
                println!("{}", verdict.explain().unwrap_or_default());
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
    use ordeal_checker::linearizability::KeyVerdict;
    use ordeal_checker::verdict::Validity;

    #[test]
    fn a_number_is_drawn_once_for_each_name() {
        let right = drawn([("a", 0), ("b", 0), ("a", 1)]).unwrap();
        assert_eq!(right.validity(), Validity::Valid);
        let twice = drawn([("a", 0), ("b", 0), ("a", 0)]).unwrap();
        let verdicts: Vec<_> = twice.keys.iter().map(KeyVerdict::validity).collect();
        assert_eq!(verdicts, [Validity::Invalid, Validity::Valid]);
    }

    #[test]
    fn what_may_count_twice_must_not_change_its_mind() {
        assert_eq!(counted([2, 2]).unwrap().validity(), Validity::Valid);
        assert_eq!(counted([1, 1]).unwrap().validity(), Validity::Valid);
        assert_eq!(counted([2, 1]).unwrap().validity(), Validity::Invalid);
        assert_eq!(counted([3, 3]).unwrap().validity(), Validity::Invalid);
    }
}
