//! Random small histories of transactions against an exhaustive search for a serial order.
//!
//! Of lists the verdict is that of the search, both ways. Of registers an anomaly is never told
//! where there is an order; how many violations are found is counted.

use std::collections::BTreeMap;

use crate::support::serial::{Transactions, asked, is_strictly_serializable};
use crate::support::{Random, seeds};
use ordeal_checker::budget::Budget;
use ordeal_checker::history::{HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::transaction::{Elements, Kind, Name, Step, check};
use ordeal_checker::verdict::Validity;

/// One transaction before it is recorded: by whom, from when to when, and when it took effect.
struct Planned {
    process: u64,
    from: u64,
    to: u64,
    point: u64,
    steps: Vec<Step>,
    outcome: u64,
}

fn planned(kind: Kind, random: &mut Random) -> Vec<Planned> {
    let mut all = Vec::new();
    let mut value = 0;
    for process in 0..1 + random.below(4) {
        let mut at = random.below(40);
        for _ in 0..1 + random.below(2) {
            let (from, to) = (at, at + 5 + random.below(60));
            at = to + 1 + random.below(20);
            let steps = (0..1 + random.below(4)).map(|_| {
                let name = Name::Number(i64::try_from(random.below(2)).unwrap());
                if random.below(2) == 0 {
                    return Step::Read(name, None);
                }
                // Now and then a value is written twice.
                value += i64::from(!random.chance(60));
                match kind {
                    Kind::ListAppend => Step::Append(name, value),
                    Kind::RwRegister => Step::Write(name, value),
                }
            });
            let steps = steps.collect();
            let outcome = random.below(10);
            let point = from + random.below(to - from);
            all.push(Planned {
                process,
                from,
                to,
                point,
                steps,
                outcome,
            });
            if outcome == 1 {
                break; // of unknown result: the process retires
            }
        }
    }
    all
}

/// Does them one after the other, and writes down what they read.
fn perform(all: &mut [Planned], random: &mut Random) {
    let mut state: BTreeMap<Name, Vec<i64>> = BTreeMap::new();
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|at| all[*at].point);
    for at in order {
        let transaction = &mut all[at];
        let happens = match transaction.outcome {
            0 => false,
            1 => random.chance(2),
            _ => true,
        };
        let mut next = state.clone();
        for step in &mut transaction.steps {
            match step {
                Step::Append(name, value) => next.entry(name.clone()).or_default().push(*value),
                Step::Write(name, value) => {
                    next.insert(name.clone(), vec![*value]);
                }
                Step::Read(name, seen) => {
                    *seen = Some(
                        next.get(name)
                            .cloned()
                            .unwrap_or_default()
                            .into_iter()
                            .collect(),
                    );
                }
            }
        }
        if happens {
            state = next;
        }
    }
}

/// Changes what one read saw.
fn lie(kind: Kind, all: &mut [Planned], random: &mut Random) {
    let steps = all
        .iter_mut()
        .flat_map(|transaction| &mut transaction.steps);
    let mut reads: Vec<&mut Elements> = steps
        .filter_map(|step| match step {
            Step::Read(_, seen) => seen.as_mut(),
            _ => None,
        })
        .collect();
    if reads.is_empty() {
        return;
    }
    let at = usize::try_from(random.below(reads.len() as u64)).unwrap();
    let mut values: Vec<i64> = reads[at].iter().collect();
    let other = i64::try_from(random.below(9)).unwrap();
    let place = usize::try_from(random.below(values.len() as u64 + 1)).unwrap();
    match (kind, random.below(4)) {
        (Kind::RwRegister, 0) => values.clear(),
        (Kind::RwRegister, _) => values = vec![other],
        (_, 0) => values.truncate(place),
        (_, 1) => values.insert(place, other),
        (_, 2) if place < values.len() => {
            values.remove(place);
        }
        _ if place > 1 => values.swap(0, place - 1),
        _ => values.push(other),
    }
    *reads[at] = values.into_iter().collect();
}

fn history(kind: Kind, seed: u64) -> Transactions {
    let mut random = Random(seed);
    let mut all = planned(kind, &mut random);
    perform(&mut all, &mut random);
    for _ in 0..random.below(3) {
        lie(kind, &mut all, &mut random);
    }
    let mut builder = HistoryBuilder::new();
    for one in all {
        let (process, from, to) = (Process(one.process), Time(one.from), Time(one.to));
        let outcome = match one.outcome {
            0 => Outcome::Fail(Reason::default()),
            1 => Outcome::Info(Reason::default()),
            _ => Outcome::Ok(one.steps.clone()),
        };
        builder.invoke(process, from, asked(&one.steps)).unwrap();
        builder.complete(process, to, outcome).unwrap();
    }
    builder.finish()
}

/// How many histories had which verdict, by exhaustive search and by dependencies.
#[derive(Debug, Default)]
struct Counts {
    good: u64,
    bad: u64,
    found: u64,
    undecided: u64,
    /// Bad, and nothing was found.
    missed: u64,
}

fn compare(kind: Kind) -> Counts {
    let mut counts = Counts::default();
    for seed in seeds("ORDEAL_SEEDS", 0..30_000) {
        let history = history(kind, seed);
        let is_good = is_strictly_serializable(kind, &history);
        let verdict = check(kind, &history, &Budget::default());
        let finding = verdict.finding();
        for violation in &verdict.violations {
            let is_clear = !violation.message.contains("not clear");
            assert!(is_clear, "seed {seed}: {violation:#?} of {history:#?}");
        }
        counts.good += u64::from(is_good);
        counts.bad += u64::from(!is_good);
        match finding.validity {
            Validity::Invalid => {
                assert!(!is_good, "seed {seed}: {verdict:#?} of {history:#?}");
                counts.found += 1;
            }
            Validity::Unknown => {
                assert!(verdict.undecided.is_some(), "seed {seed}: {verdict:#?}");
                counts.undecided += 1;
            }
            Validity::Valid if kind == Kind::ListAppend => {
                assert!(is_good, "seed {seed}: nothing was found in {history:#?}");
            }
            Validity::Valid => counts.missed += u64::from(!is_good),
        }
    }
    println!("{kind:?}: {counts:?}");
    counts
}

#[test]
fn of_lists_the_verdict_is_that_of_exhaustive_search() {
    let counts = compare(Kind::ListAppend);
    assert!(
        counts.good > 0 && counts.bad > 0 && counts.undecided > 0,
        "{counts:?}"
    );
}

#[test]
fn of_registers_no_anomaly_is_told_where_there_is_an_order() {
    let counts = compare(Kind::RwRegister);
    assert!(counts.good > 0 && counts.bad > 0, "{counts:?}");
    assert!(
        counts.found * 10 > counts.bad * 8,
        "most are found: {counts:?}"
    );
}
