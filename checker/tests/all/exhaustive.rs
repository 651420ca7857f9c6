//! The search against exhaustive search, on many small random histories.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::support::{Random, assert_minimal, exhaustive, seeds};
use ordeal_checker::budget::Budget;
use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::linearizability::{Decision, check};
use ordeal_checker::model::{CasRegister, Keyed, Model, PerKey, RegisterOp, RegisterRet};
use ordeal_checker::verdict::Validity;

type Op = Keyed<u8, RegisterOp>;

/// A history of up to eight operations on up to two keys, of a register that sometimes lies.
fn random_history(seed: u64) -> History<Op, RegisterRet> {
    let mut random = Random(seed);
    let keys = 1 + random.below(2);
    let values = 1 + random.below(3);
    let mut builder = HistoryBuilder::new();
    let mut registers: BTreeMap<u8, Option<i64>> = BTreeMap::new();
    let mut open: BTreeMap<u64, (Op, RegisterRet)> = BTreeMap::new();
    let (mut now, mut next_process, mut begun) = (0, 0, 0);
    let operations = 2 + random.below(7);
    while begun < operations || !open.is_empty() {
        now += random.below(2);
        if begun < operations && (open.len() < 4 && random.below(2) == 0 || open.is_empty()) {
            let key = u8::try_from(random.below(keys)).unwrap();
            let op = random_op(&mut random, values);
            let state = registers.entry(key).or_default();
            let ret = answer(state, op, &mut random, values);
            let op = Keyed::new(key, op);
            builder
                .invoke(Process(next_process), Time(now), op.clone())
                .unwrap();
            open.insert(next_process, (op, ret));
            next_process += 1;
            begun += 1;
        } else {
            let place = usize::try_from(random.below(open.len() as u64)).unwrap();
            let process = *open.keys().nth(place).unwrap();
            let (_, ret) = open.remove(&process).unwrap();
            let outcome = match random.below(8) {
                0 => Outcome::Info(Reason::default()),
                1 => Outcome::Fail(Reason::default()),
                _ => Outcome::Ok(ret),
            };
            builder
                .complete(Process(process), Time(now), outcome)
                .unwrap();
        }
    }
    builder.finish()
}

fn random_op(random: &mut Random, values: u64) -> RegisterOp {
    let mut value = || i64::try_from(random.below(values)).unwrap();
    let (first, second) = (value(), value());
    match random.below(3) {
        0 => RegisterOp::Read,
        1 => RegisterOp::Write(first),
        _ => RegisterOp::Cas {
            expect: (!random.chance(5)).then_some(first),
            new: second,
        },
    }
}

fn answer(
    state: &mut Option<i64>,
    op: RegisterOp,
    random: &mut Random,
    values: u64,
) -> RegisterRet {
    let lies = random.chance(8);
    let other = i64::try_from(random.below(values)).unwrap();
    match op {
        RegisterOp::Read if lies => RegisterRet::Value((other > 0).then_some(other)),
        RegisterOp::Read => RegisterRet::Value(*state),
        RegisterOp::Write(new) => {
            *state = Some(new);
            RegisterRet::Written
        }
        RegisterOp::Cas { expect, new } => {
            let swaps = *state == expect;
            if swaps {
                *state = Some(new);
            }
            RegisterRet::Swapped(swaps != lies)
        }
        RegisterOp::WriteNil | RegisterOp::CasNil { .. } => panic!("not asked here"),
    }
}

/// Exhaustive search over the whole history, keys and all, by a model that is one map.
struct Registers;

impl Model for Registers {
    type Op = Op;
    type Ret = RegisterRet;
    type State = BTreeMap<u8, Option<i64>>;
    type Key = ();

    fn init(&self) -> Self::State {
        BTreeMap::new()
    }

    fn step(&self, state: &Self::State, op: &Op, ret: Option<&RegisterRet>) -> Option<Self::State> {
        let before = state.get(&op.key).copied().unwrap_or_default();
        let after = CasRegister.step(&before, &op.op, ret)?;
        let mut next = state.clone();
        next.insert(op.key, after);
        Some(next)
    }

    fn key(&self, _: &Op) {}
}

fn agrees(seed: u64) -> Validity {
    let history = random_history(seed);
    let model = PerKey::<u8, CasRegister>::default();
    let verdict = check(&model, &history, &Budget::default());
    let whole = check(&Registers, &history, &Budget::default());
    let expected = match exhaustive(&Registers, &history) {
        true => Validity::Valid,
        false => Validity::Invalid,
    };
    assert_eq!(verdict.validity(), expected, "seed {seed}: {history:?}");
    assert_eq!(
        whole.validity(),
        expected,
        "seed {seed}, not split by key: {history:?}"
    );
    for key in &verdict.keys {
        match &key.decision {
            Decision::Valid { order } => replays(&history, order),
            Decision::Invalid(contradiction) if seed.is_multiple_of(16) => {
                assert_minimal(&model, &history, contradiction, &format!("seed {seed}"));
            }
            _ => {}
        }
    }
    expected
}

/// A witness order gives every result, holds every known operation and respects real time.
fn replays(history: &History<Op, RegisterRet>, order: &[ordeal_checker::history::OperationId]) {
    let mut state = None;
    for (rank, id) in order.iter().enumerate() {
        let operation = history.get(*id);
        let ret = operation.outcome().ok();
        state = CasRegister
            .step(&state, &operation.op().op, ret)
            .expect("the order replays");
        let later = &order[rank + 1..];
        assert!(
            later
                .iter()
                .all(|other| !history.get(*other).precedes(operation))
        );
    }
}

/// With `ORDEAL_SEEDS=0..10000000` on as many as that (minutes, in release).
#[test]
fn verdicts_agree_with_exhaustive_search_on_random_histories() {
    let std::ops::Range {
        start: from,
        end: to,
    } = seeds("ORDEAL_SEEDS", 0..40_000);
    let started = Instant::now();
    let mut seen = [0_u64; 3];
    for seed in from..to {
        seen[agrees(seed) as usize] += 1;
    }
    let [valid, unknown, invalid] = seen;
    let rate = u128::from(to - from) * 1000 / started.elapsed().as_millis().max(1);
    println!(
        "seeds {from}..{to}: {valid} valid, {invalid} invalid, no disagreement; {rate} a second"
    );
    assert_eq!(unknown, 0, "so small a history is always decided");
    let few = (to - from) / 8;
    assert!(
        valid > few && invalid > few,
        "both kinds are there: {seen:?}"
    );
}
