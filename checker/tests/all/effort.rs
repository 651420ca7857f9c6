//! Histories of the size that a run leaves on one key are decided within the default budget.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::play::{Play, Visit, long_history, visit};
use crate::support::{Random, RegisterHistory};
use ordeal_checker::budget::Budget;
use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::linearizability::check;
use ordeal_checker::model::{CasRegister, Keyed, Model, PerKey, RegisterOp, RegisterRet};
use ordeal_checker::verdict::Validity;

/// Closed-loop clients on one register: the next answer is drawn among those in flight.
struct Load {
    operations: u64,
    clients: usize,
    crash_per_1000: u64,
    values: u64,
    /// A read of the last tenth that returns what was never written.
    lie: bool,
}

impl Load {
    fn history(&self, seed: u64) -> RegisterHistory {
        let mut random = Random(seed);
        let mut builder = HistoryBuilder::new();
        let mut flight: BTreeMap<u64, (RegisterOp, Option<RegisterRet>)> = BTreeMap::new();
        let (mut state, mut begun, mut now) = (None, 0, 0);
        let mut lie = self.lie;
        while begun < self.operations || !flight.is_empty() {
            now += 1;
            if begun < self.operations && flight.len() < self.clients {
                let op = self.operation(&mut random);
                builder.invoke(Process(begun), Time(now), op).unwrap();
                flight.insert(begun, (op, None));
                begun += 1;
                continue;
            }
            let place = usize::try_from(random.below(flight.len() as u64)).unwrap();
            let process = *flight.keys().nth(place).unwrap();
            let (op, ret) = flight.get_mut(&process).unwrap();
            if ret.is_none() {
                *ret = Some(take_effect(&mut state, *op));
                continue;
            }
            let (op, ret) = flight.remove(&process).unwrap();
            let mut outcome = Outcome::Ok(ret.unwrap());
            if op != RegisterOp::Read && random.below(1000) < self.crash_per_1000 {
                outcome = Outcome::Info(Reason::default());
            } else if op == RegisterOp::Read && lie && begun * 10 > self.operations * 9 {
                outcome = Outcome::Ok(RegisterRet::Value(Some(-1)));
                lie = false;
            }
            builder
                .complete(Process(process), Time(now), outcome)
                .unwrap();
        }
        builder.finish()
    }

    fn operation(&self, random: &mut Random) -> RegisterOp {
        let mut value = || i64::try_from(random.below(self.values)).unwrap();
        let (expect, new) = (Some(value()), value());
        match random.below(3) {
            0 => RegisterOp::Read,
            1 => RegisterOp::Write(new),
            _ => RegisterOp::Cas { expect, new },
        }
    }
}

fn take_effect(state: &mut Option<i64>, op: RegisterOp) -> RegisterRet {
    match op {
        RegisterOp::Read => RegisterRet::Value(*state),
        RegisterOp::Write(new) => {
            *state = Some(new);
            RegisterRet::Written
        }
        RegisterOp::Cas { expect, .. } => {
            let swaps = *state == expect;
            *state = CasRegister.step(state, &op, None).unwrap();
            RegisterRet::Swapped(swaps)
        }
        RegisterOp::WriteNil | RegisterOp::CasNil { .. } => panic!("not asked here"),
    }
}

fn decided(load: &Load, expected: Validity) {
    for seed in 0..20 {
        let verdict = check(&CasRegister, &load.history(seed), &Budget::states(500_000));
        assert_eq!(
            verdict.validity(),
            expected,
            "seed {seed}: {}",
            verdict.finding().summary
        );
    }
}

#[test]
fn a_key_with_crashed_writes_is_decided() {
    for values in [5, 1_000_000] {
        let load = Load {
            operations: 200,
            clients: 10,
            crash_per_1000: 150,
            values,
            lie: false,
        };
        decided(&load, Validity::Valid);
        decided(&Load { lie: true, ..load }, Validity::Invalid);
    }
}

/// Key 1 is easy. On key 2 twelve writes of three values overlap with reads that want them in an
/// order of their own, and one write is of unknown result.
fn one_easy_key_and_a_tangled_one() -> History<Keyed<u8, RegisterOp>, RegisterRet> {
    let mut builder = HistoryBuilder::new();
    let write = |value| Keyed::new(2, RegisterOp::Write(value));
    let easy = Keyed::new(1, RegisterOp::Write(7));
    builder.invoke(Process(100), Time(0), easy).unwrap();
    let written = Outcome::Ok(RegisterRet::Written);
    builder.complete(Process(100), Time(1), written).unwrap();
    for process in 0..12 {
        let value = i64::try_from(process % 3).unwrap();
        builder
            .invoke(Process(process), Time(2), write(value))
            .unwrap();
    }
    builder.invoke(Process(50), Time(2), write(1)).unwrap();
    for (at, value) in (3..).zip([2, 0, 1, 2, 1, 0]) {
        let read = Keyed::new(2, RegisterOp::Read);
        let second = at * 1_000_000_000;
        builder
            .invoke(Process(20 + at), Time(second), read)
            .unwrap();
        let seen = Outcome::Ok(RegisterRet::Value(Some(value)));
        builder
            .complete(Process(20 + at), Time(second + 1_000), seen)
            .unwrap();
    }
    for process in 0..12 {
        let written = Outcome::Ok(RegisterRet::Written);
        builder
            .complete(Process(process), Time(20_000_000_000), written)
            .unwrap();
    }
    builder.finish()
}

#[test]
fn a_spent_budget_says_what_is_known_by_then() {
    let model = PerKey::<u8, CasRegister>::default();
    let history = one_easy_key_and_a_tangled_one();
    let whole = check(&model, &history, &Budget::default());
    assert_eq!(whole.validity(), Validity::Valid);
    let finding = check(&model, &history, &Budget::states(1)).finding();
    assert_eq!(finding.validity, Validity::Unknown);
    assert_eq!(
        finding.summary,
        "1 of 2 keys valid; key 2 undecided, 1 operation open, longest consistent prefix up to \
         3.000001 s"
    );
}

/// Plays that between them go through every algorithm: zones, queue, set, and the searches.
const KINDS: [&str; 6] = [
    "registers_of_distinct_values",
    "registers_with_cas",
    "queues_of_distinct_values",
    "sets_of_distinct_elements",
    "stacks",
    "transactions_on_registers",
];

/// What the verdicts on long histories were, within budgets from small to large.
struct Spender {
    unknown: u64,
    decided: u64,
}

impl Visit for Spender {
    fn visit<M: Model + Default>(&mut self, play: &Play<M>)
    where
        M::Op: Clone,
        M::Ret: Clone,
    {
        for seed in 0..12 {
            let history = long_history(play, seed, 60, 8);
            let operations = history.len() as u64;
            for states_max in [1, 10, 100, 1_000, 10_000] {
                let budget = Budget::states(states_max);
                let verdict = check(&play.model, &history, &budget);
                let again = check(&play.model, &history, &budget);
                assert_eq!(verdict, again, "seed {seed}, {states_max} states");
                for key in &verdict.keys {
                    assert!(key.states <= states_max, "{} states", key.states);
                }
                match verdict.validity() {
                    Validity::Unknown => self.unknown += 1,
                    Validity::Valid | Validity::Invalid => self.decided += 1,
                }
            }
            let seconds = Budget {
                wall_max: Some(Duration::ZERO),
                ..Budget::default()
            };
            let verdict = check(&play.model, &history, &seconds);
            let few_states = operations * 64 + 10_000;
            assert!(verdict.keys.iter().all(|key| key.states < few_states));
        }
    }
}

#[test]
fn the_same_input_and_states_give_the_same_verdict_within_them() {
    for name in KINDS {
        let mut spender = Spender {
            unknown: 0,
            decided: 0,
        };
        visit(name, &mut spender);
        println!(
            "{name}: {} unknown, {} decided",
            spender.unknown, spender.decided
        );
        assert!(spender.decided > 0, "{name}: nothing was ever decided");
    }
}

/// How often there was no answer.
struct Starved(u32);

impl Visit for Starved {
    fn visit<M: Model + Default>(&mut self, play: &Play<M>)
    where
        M::Op: Clone,
        M::Ret: Clone,
    {
        let history = long_history(play, 3, 10_000, 6);
        let no_time = Budget {
            wall_max: Some(Duration::ZERO),
            ..Budget::default()
        };
        let no_bytes = Budget {
            bytes_max: 10_000,
            ..Budget::default()
        };
        for budget in [no_time, no_bytes] {
            let verdict = check(&play.model, &history, &budget);
            // A lie may be found at once; that there is none takes time and memory.
            assert_ne!(verdict.validity(), Validity::Valid, "{budget:?}");
            self.0 += u32::from(verdict.validity() == Validity::Unknown);
        }
    }
}

#[test]
fn every_algorithm_stops_without_time_or_bytes() {
    for name in KINDS {
        let mut starved = Starved(0);
        visit(name, &mut starved);
        assert!(starved.0 > 0, "{name}: decided all the same");
    }
}
