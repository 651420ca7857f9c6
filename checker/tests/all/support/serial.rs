//! Transactions done one at a time, for exhaustive search, and drawings of them.

use std::collections::{BTreeMap, BTreeSet};

use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Time};
use ordeal_checker::model::Model;
use ordeal_checker::transaction::{Elements, Kind, Name, Step};

use super::exhaustive;

/// What clients asked, and what they saw.
pub(crate) type Transactions = History<Vec<Step>, Vec<Step>>;

/// Lists or registers, which hold that at first.
struct Serial(BTreeMap<Name, Vec<i64>>);

impl Model for Serial {
    type Op = Vec<Step>;
    type Ret = Vec<Step>;
    type State = BTreeMap<Name, Vec<i64>>;
    type Key = ();

    fn init(&self) -> Self::State {
        self.0.clone()
    }

    fn step(
        &self,
        state: &Self::State,
        op: &Vec<Step>,
        ret: Option<&Vec<Step>>,
    ) -> Option<Self::State> {
        let mut state = state.clone();
        for step in ret.unwrap_or(op) {
            match step {
                Step::Append(name, value) => state.entry(name.clone()).or_default().push(*value),
                Step::Write(name, value) => {
                    state.insert(name.clone(), vec![*value]);
                }
                Step::Read(_, None) => {}
                Step::Read(name, Some(seen)) => {
                    let held = state.get(name).cloned().unwrap_or_default();
                    if !seen.iter().eq(held) {
                        return None;
                    }
                }
            }
        }
        Some(state)
    }

    fn key(&self, _: &Vec<Step>) {}
}

/// True where some serial order that real time allows explains what was seen: by exhaustive
/// search, from empty lists, or from any one value in each register.
pub(crate) fn is_strictly_serializable(kind: Kind, history: &Transactions) -> bool {
    let (mut written, mut read) = (BTreeMap::new(), BTreeMap::new());
    for transaction in history.operations() {
        for step in transaction.outcome().ok().unwrap_or(transaction.op()) {
            if let Step::Write(name, value) = step {
                let all: &mut BTreeSet<i64> = written.entry(name.clone()).or_default();
                all.insert(*value);
            } else if let Step::Read(name, Some(seen)) = step {
                let all: &mut BTreeSet<i64> = read.entry(name.clone()).or_default();
                all.extend(seen.iter());
            }
        }
    }
    let mut starts = vec![BTreeMap::new()];
    if kind == Kind::RwRegister {
        for (name, seen) in read {
            let of_others = written.get(&name).cloned().unwrap_or_default();
            let foreign: Vec<i64> = seen.difference(&of_others).copied().collect();
            let with = |start: &BTreeMap<Name, Vec<i64>>| {
                let held = foreign.iter().map(|value| {
                    let mut start = start.clone();
                    start.insert(name.clone(), vec![*value]);
                    start
                });
                held.chain([start.clone()]).collect::<Vec<_>>()
            };
            starts = starts.iter().flat_map(with).collect();
        }
    }
    let mut starts = starts.into_iter();
    starts.any(|start| exhaustive(&Serial(start), history))
}

/// What is asked where that is what comes of it.
pub(crate) fn asked(steps: &[Step]) -> Vec<Step> {
    let asked = steps.iter().map(|step| match step {
        Step::Read(name, _) => Step::Read(name.clone(), None),
        other => other.clone(),
    });
    asked.collect()
}

/// Reads the steps of a drawing: `x+1` appends, `x=1` writes, `x→[1,2]` and `x→nil` read.
pub(crate) fn steps(words: &str, _: u64) -> (Vec<Step>, Vec<Step>) {
    let number =
        |word: &str| -> i64 { word.parse().unwrap_or_else(|_| panic!("no value: {word}")) };
    let name = |word: &str| Name::Word(word.into());
    let seen = |word: &str| -> Elements {
        let list = word.trim_matches(['[', ']']);
        let values = list.split(',').filter(|value| !["", "nil"].contains(value));
        values.map(number).collect()
    };
    let step = |word: &str| match (
        word.split_once('→'),
        word.split_once('+'),
        word.split_once('='),
    ) {
        (Some((of, read)), _, _) => Step::Read(name(of), Some(seen(read))),
        (_, Some((to, value)), _) => Step::Append(name(to), number(value)),
        (_, _, Some((to, value))) => Step::Write(name(to), number(value)),
        _ => panic!("not a step of a transaction: {word}"),
    };
    let steps: Vec<Step> = words.split(' ').map(step).collect();
    (asked(&steps), steps)
}

/// The same in other processes and at another time, `nanoseconds` a column and from `start` on.
pub(crate) fn moved(
    builder: &mut HistoryBuilder<Vec<Step>, Vec<Step>>,
    history: &Transactions,
    (processes, start, nanoseconds): (u64, u64, u64),
) {
    for transaction in history.operations() {
        let process = Process(processes + transaction.process().0);
        let at = |time: Time| Time(start + nanoseconds * time.0);
        let op = transaction.op().clone();
        builder
            .invoke(process, at(transaction.invoked()), op)
            .unwrap();
        if let Some(completed) = transaction.completed() {
            let outcome: Outcome<Vec<Step>> = transaction.outcome().clone();
            builder.complete(process, at(completed), outcome).unwrap();
        }
    }
}
