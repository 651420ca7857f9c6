//! Every model, on small random histories, against exhaustive search.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use ordeal_checker::budget::Budget;
use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::linearizability::check;
use ordeal_checker::model::{
    AnyOf, AppendOp, AppendRet, AppendString, Counter, CounterOp, CounterRet, FencedLock,
    FifoQueue, LockOp, LockRet, Model, Mutex, Nondeterministic, Registers, RegistersOp, SequenceOp,
    SequenceRet, Set, SetOp, SetRet, Stack,
};
use ordeal_checker::verdict::Validity;
use support::{Random, exhaustive};

/// How to ask and to answer one kind of object.
struct Play<M: Model> {
    model: M,
    ask: fn(&mut Random, u64) -> M::Op,
    answer: fn(&M::State, &M::Op, &mut Random) -> M::Ret,
}

/// A history of up to seven operations, of which some may be answered wrongly.
fn random_history<M: Model>(play: &Play<M>, seed: u64) -> History<M::Op, M::Ret>
where
    M::Op: Clone,
{
    let mut random = Random(seed);
    let (mut state, mut begun) = (play.model.init(), 0);
    let count = 2 + random.below(6);
    let mut builder = HistoryBuilder::new();
    let mut open: Vec<(u64, M::Op, Option<M::Ret>)> = Vec::new();
    for now in 0.. {
        if begun < count && open.len() < 4 && (open.is_empty() || random.below(2) == 0) {
            let op = (play.ask)(&mut random, begun);
            builder
                .invoke(Process(begun), Time(now), op.clone())
                .unwrap();
            open.push((begun, op, None));
            begun += 1;
            continue;
        }
        if open.is_empty() {
            break;
        }
        let place = usize::try_from(random.below(open.len() as u64)).unwrap();
        let (process, op, ret) = &mut open[place];
        if ret.is_none() {
            *ret = Some((play.answer)(&state, op, &mut random));
            if random.below(12) > 0 {
                state = play.model.step(&state, op, ret.as_ref()).unwrap_or(state);
            }
            continue;
        }
        let outcome = match random.below(8) {
            0 => Outcome::Info(Reason::default()),
            1 => Outcome::Fail(Reason::default()),
            _ => Outcome::Ok(ret.take().unwrap()),
        };
        builder
            .complete(Process(*process), Time(now), outcome)
            .unwrap();
        open.swap_remove(place);
    }
    builder.finish()
}

/// So many histories for each model; `ORDEAL_MODEL_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("ORDEAL_MODEL_SEEDS").map_or(1_000, |seeds| seeds.parse().unwrap())
}

fn agrees<M: Model>(play: &Play<M>)
where
    M::Op: Clone,
{
    let mut seen = [0_u64; 3];
    for seed in 0..seeds() {
        let history = random_history(play, seed);
        let verdict = check(&play.model, &history, &Budget::default()).validity();
        let expected = match exhaustive(&play.model, &history) {
            true => Validity::Valid,
            false => Validity::Invalid,
        };
        assert_eq!(verdict, expected, "seed {seed}: {history:?}");
        seen[verdict as usize] += 1;
    }
    assert!(
        seen[0] > 20 && seen[2] > 20,
        "both kinds are there: {seen:?}"
    );
}

fn number(random: &mut Random, below: u64) -> i64 {
    i64::try_from(random.below(below)).unwrap()
}

#[test]
fn append_strings_agree() {
    agrees(&Play {
        model: AppendString,
        ask: |random, begun| match random.below(4) {
            0 => AppendOp::Put(begun.to_string()),
            1 => AppendOp::Append(begun.to_string()),
            _ => AppendOp::Get,
        },
        answer: |state, op, _| match op {
            AppendOp::Get => AppendRet::Value(state.clone()),
            _ => AppendRet::Done,
        },
    });
}

#[test]
fn sets_agree() {
    agrees(&Play {
        model: Set,
        ask: |random, _| match random.below(5) {
            0 | 1 => SetOp::Add(number(random, 3)),
            2 => SetOp::Remove(number(random, 3)),
            3 => SetOp::Contains(number(random, 3)),
            _ => SetOp::Read,
        },
        answer: |state, op, _| match op {
            SetOp::Contains(element) => SetRet::Is(state.contains(element)),
            SetOp::Read => SetRet::Elements(state.clone()),
            _ => SetRet::Done,
        },
    });
}

fn ask_sequence(random: &mut Random, begun: u64) -> SequenceOp {
    let distinct = i64::try_from(begun).unwrap();
    let value = if random.chance(4) {
        number(random, 2)
    } else {
        distinct
    };
    if random.below(2) == 0 {
        SequenceOp::Put(value)
    } else {
        SequenceOp::Take
    }
}

#[test]
fn queues_agree() {
    agrees(&Play {
        model: FifoQueue,
        ask: ask_sequence,
        answer: |state, op, _| match op {
            SequenceOp::Put(_) => SequenceRet::Done,
            SequenceOp::Take => SequenceRet::Taken(state.front().copied()),
        },
    });
}

/// All values distinct, so that the order of values decides and not the search.
#[test]
fn queues_of_distinct_values_agree() {
    agrees(&Play {
        model: FifoQueue,
        ask: |random, begun| match random.below(2) {
            0 => SequenceOp::Put(i64::try_from(begun).unwrap()),
            _ => SequenceOp::Take,
        },
        answer: |state, op, random| match op {
            SequenceOp::Put(_) => SequenceRet::Done,
            SequenceOp::Take if random.chance(8) => SequenceRet::Taken(state.back().copied()),
            SequenceOp::Take => SequenceRet::Taken(state.front().copied()),
        },
    });
}

#[test]
fn stacks_agree() {
    agrees(&Play {
        model: Stack,
        ask: ask_sequence,
        answer: |state, op, _| match op {
            SequenceOp::Put(_) => SequenceRet::Done,
            SequenceOp::Take => SequenceRet::Taken(state.back().copied()),
        },
    });
}

#[test]
fn counters_agree() {
    agrees(&Play {
        model: Counter,
        ask: |random, _| match random.below(2) {
            0 => CounterOp::Add(number(random, 3)),
            _ => CounterOp::Read,
        },
        answer: |state, op, _| match op {
            CounterOp::Add(_) => CounterRet::Added,
            CounterOp::Read => CounterRet::Value(*state),
        },
    });
}

fn ask_lock(random: &mut Random, _: u64) -> LockOp {
    let who = random.below(2);
    if random.below(2) == 0 {
        LockOp::Acquire(who)
    } else {
        LockOp::Release(who)
    }
}

#[test]
fn locks_agree() {
    agrees(&Play {
        model: Mutex,
        ask: ask_lock,
        answer: |_, _, _| LockRet::Done(None),
    });
}

#[test]
fn fenced_locks_agree() {
    agrees(&Play {
        model: FencedLock,
        ask: ask_lock,
        answer: |(_, largest), op, random| match op {
            LockOp::Acquire(_) => LockRet::Done(Some(largest + 1 - random.below(10) / 9)),
            LockOp::Release(_) => LockRet::Done(None),
        },
    });
}

#[test]
fn transactions_on_registers_agree() {
    agrees(&Play {
        model: Registers,
        ask: |random, begun| {
            let step = |random: &mut Random| match random.below(2) {
                0 => RegistersOp::Read(number(random, 2)),
                _ => RegistersOp::Write(number(random, 2), i64::try_from(begun).unwrap()),
            };
            vec![step(random), step(random)]
        },
        answer: |state, op, _| {
            let mut state = state.clone();
            let mut seen = Vec::new();
            for step in op {
                match step {
                    RegistersOp::Read(register) => seen.push(state.get(register).copied()),
                    RegistersOp::Write(register, value) => {
                        state.insert(*register, *value);
                    }
                }
            }
            seen
        },
    });
}

/// A counter that sometimes counts double.
#[derive(Default)]
struct Stutter;

impl Nondeterministic for Stutter {
    type Op = CounterOp;
    type Ret = CounterRet;
    type State = i64;
    type Key = ();

    fn init(&self) -> Vec<i64> {
        vec![0]
    }

    fn step(&self, state: &i64, op: &CounterOp, ret: Option<&CounterRet>) -> Vec<i64> {
        match (op, ret) {
            (CounterOp::Add(by), _) => vec![state + by, state + 2 * by],
            (CounterOp::Read, Some(CounterRet::Value(seen))) if seen != state => Vec::new(),
            (CounterOp::Read, _) => vec![*state],
        }
    }

    fn key(&self, _: &CounterOp) {}
}

#[test]
fn nondeterministic_objects_agree() {
    agrees(&Play {
        model: AnyOf(Stutter),
        ask: |random, _| match random.below(2) {
            0 => CounterOp::Add(1 + number(random, 2)),
            _ => CounterOp::Read,
        },
        answer: |states: &BTreeSet<i64>, op, random| match op {
            CounterOp::Add(_) => CounterRet::Added,
            CounterOp::Read => {
                let place = usize::try_from(random.below(states.len() as u64)).unwrap();
                CounterRet::Value(*states.iter().nth(place).unwrap() + number(random, 9) / 8)
            }
        },
    });
}
