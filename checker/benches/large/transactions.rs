//! Histories of transactions as large as anybody has.

use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Time};
use ordeal_checker::transaction::{Name, Step};

/// What clients asked, and what they saw.
pub(crate) type Transactions = History<Vec<Step>, Vec<Step>>;

/// Adds `value` to that list.
pub(crate) fn append(list: i64, value: i64) -> Step {
    Step::Append(Name::Number(list), value)
}

/// Sees those elements in that list.
pub(crate) fn read(list: i64, seen: &[i64]) -> Step {
    Step::Read(Name::Number(list), Some(seen.into()))
}

/// What is asked where that is what comes of it.
pub(crate) fn asked(steps: &[Step]) -> Vec<Step> {
    let asked = steps.iter().map(|step| match step {
        Step::Read(name, _) => Step::Read(name.clone(), None),
        other => other.clone(),
    });
    asked.collect()
}

/// What is wrong with a history, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Half of a transaction is read, in the end.
    Skew,
    /// In the end the first list is read as it was in the beginning: all of the history is in one
    /// component.
    Stale,
}

/// Four operations each, on 100 lists at a time; a list that has 64 elements makes way for a new
/// one, as in Elle's generator, for otherwise what is read grows with the square of the history.
pub(crate) fn large(count: u64, fault: Fault) -> Transactions {
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
            let list = &mut lists[usize::try_from(random(100)).expect("below a usize")];
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
    let at = 2 * count;
    if fault == Fault::Stale {
        push(&mut builder, count, at + 20, at + 29, vec![read(0, &[])]);
    }
    if fault == Fault::Skew {
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
        .invoke(Process(process), Time(from), asked(&steps))
        .expect("well-formed");
    builder
        .complete(Process(process), Time(to), Outcome::Ok(steps))
        .expect("well-formed");
}
