//! Random histories of every model: small, concurrent, with unknown results, failures, duplicate
//! values and nil, and now and then a wrong answer.

use std::collections::BTreeSet;

use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::model::{
    AnyOf, AppendOp, AppendRet, AppendString, CasRegister, Counter, CounterOp, CounterRet,
    FencedLock, FifoQueue, LockOp, LockRet, Model, Mutex, RegisterOp, RegisterRet, Registers,
    RegistersOp, SequenceOp, SequenceRet, Set, SetOp, SetRet, Stack,
};

use super::{Random, Stutter};

/// How to ask and to answer one kind of object.
pub(crate) struct Play<M: Model> {
    pub(crate) model: M,
    ask: fn(&mut Random, u64) -> M::Op,
    answer: fn(&M::State, &M::Op, &mut Random) -> M::Ret,
}

/// A history of up to seven operations, of which some may be answered wrongly.
pub(crate) fn random_history<M: Model>(play: &Play<M>, seed: u64) -> History<M::Op, M::Ret>
where
    M::Op: Clone,
{
    let mut random = Random(seed);
    let (mut state, mut begun) = (play.model.init(), 0);
    let count = 2 + random.below(6);
    // One answer in so many leaves no trace in the object.
    let care = 2 + random.below(8);
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
            if random.below(care) > 0 {
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

/// Something to do with every model.
pub(crate) trait Visit {
    fn visit<M: Model>(&mut self, play: &Play<M>)
    where
        M::Op: Clone,
        M::Ret: Clone;
}

/// Every model's name.
pub(crate) const NAMES: [&str; 11] = [
    "registers_with_cas",
    "append_strings",
    "sets",
    "queues",
    "queues_of_distinct_values",
    "stacks",
    "counters",
    "locks",
    "fenced_locks",
    "transactions_on_registers",
    "nondeterministic_objects",
];

/// Shows the model of that name.
pub(crate) fn visit(name: &str, visitor: &mut impl Visit) {
    match name {
        "registers_with_cas" => visitor.visit(&registers_with_cas()),
        "append_strings" => visitor.visit(&append_strings()),
        "sets" => visitor.visit(&sets()),
        "queues" => visitor.visit(&queues()),
        "queues_of_distinct_values" => visitor.visit(&queues_of_distinct_values()),
        "stacks" => visitor.visit(&stacks()),
        "counters" => visitor.visit(&counters()),
        "locks" => visitor.visit(&locks()),
        "fenced_locks" => visitor.visit(&fenced_locks()),
        "transactions_on_registers" => visitor.visit(&transactions_on_registers()),
        "nondeterministic_objects" => visitor.visit(&nondeterministic_objects()),
        _ => panic!("no such model: {name}"),
    }
}

fn registers_with_cas() -> Play<CasRegister> {
    Play {
        model: CasRegister,
        ask: |random, _| match random.below(3) {
            0 => RegisterOp::Read,
            1 => RegisterOp::Write(number(random, 3)),
            _ => RegisterOp::Cas {
                expect: (!random.chance(4)).then(|| number(random, 3)),
                new: number(random, 3),
            },
        },
        answer: |state, op, random| match op {
            RegisterOp::Read if random.chance(12) => RegisterRet::Value(None),
            RegisterOp::Read => RegisterRet::Value(*state),
            RegisterOp::Write(_) => RegisterRet::Written,
            RegisterOp::Cas { expect, .. } => RegisterRet::Swapped(expect == state),
        },
    }
}

fn number(random: &mut Random, below: u64) -> i64 {
    i64::try_from(random.below(below)).unwrap()
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

fn ask_lock(random: &mut Random, _: u64) -> LockOp {
    let who = random.below(2);
    if random.below(2) == 0 {
        LockOp::Acquire(who)
    } else {
        LockOp::Release(who)
    }
}

fn append_strings() -> Play<AppendString> {
    Play {
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
    }
}

fn sets() -> Play<Set> {
    Play {
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
    }
}

fn queues() -> Play<FifoQueue> {
    Play {
        model: FifoQueue,
        ask: ask_sequence,
        answer: |state, op, _| match op {
            SequenceOp::Put(_) => SequenceRet::Done,
            SequenceOp::Take => SequenceRet::Taken(state.front().copied()),
        },
    }
}

/// All values distinct, so that the order of values decides and not the search.
fn queues_of_distinct_values() -> Play<FifoQueue> {
    Play {
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
    }
}

fn stacks() -> Play<Stack> {
    Play {
        model: Stack,
        ask: ask_sequence,
        answer: |state, op, _| match op {
            SequenceOp::Put(_) => SequenceRet::Done,
            SequenceOp::Take => SequenceRet::Taken(state.back().copied()),
        },
    }
}

fn counters() -> Play<Counter> {
    Play {
        model: Counter,
        ask: |random, _| match random.below(2) {
            0 => CounterOp::Add(number(random, 3)),
            _ => CounterOp::Read,
        },
        answer: |state, op, _| match op {
            CounterOp::Add(_) => CounterRet::Added,
            CounterOp::Read => CounterRet::Value(*state),
        },
    }
}

fn locks() -> Play<Mutex> {
    Play {
        model: Mutex,
        ask: ask_lock,
        answer: |_, _, _| LockRet::Done(None),
    }
}

fn fenced_locks() -> Play<FencedLock> {
    Play {
        model: FencedLock,
        ask: ask_lock,
        answer: |(_, largest), op, random| match op {
            LockOp::Acquire(_) => LockRet::Done(Some(largest + 1 - random.below(10) / 9)),
            LockOp::Release(_) => LockRet::Done(None),
        },
    }
}

fn transactions_on_registers() -> Play<Registers> {
    Play {
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
    }
}

fn nondeterministic_objects() -> Play<AnyOf<Stutter>> {
    Play {
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
    }
}
