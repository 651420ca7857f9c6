//! Histories of the size that a run leaves on one key are decided within the default budget.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use ordeal_checker::budget::Budget;
use ordeal_checker::history::{HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::linearizability::check;
use ordeal_checker::model::{CasRegister, Model, RegisterOp, RegisterRet};
use ordeal_checker::verdict::Validity;
use support::{Random, RegisterHistory};

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
        RegisterOp::Cas { expect, new } => {
            let swaps = *state == expect;
            *state = CasRegister.step(state, &op, None).unwrap();
            let _ = new;
            RegisterRet::Swapped(swaps)
        }
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
