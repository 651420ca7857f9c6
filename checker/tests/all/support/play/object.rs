//! How each object is asked, and how it answers.

use std::collections::BTreeSet;

use ordeal_checker::model::{
    AnyOf, AppendOp, AppendRet, AppendString, CasRegister, Counter, CounterOp, CounterRet,
    FencedLock, FifoQueue, Keyed, LockOp, LockRet, Mutex, PerKey, RegisterOp, RegisterRet,
    Registers, RegistersOp, SequenceOp, SequenceRet, Set, SetOp, SetRet, Stack,
};

use super::super::{Random, Stutter};
use super::Play;

pub(super) fn registers_with_cas() -> Play<CasRegister> {
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
            RegisterOp::Write(_) | RegisterOp::WriteNil => RegisterRet::Written,
            RegisterOp::Cas { expect, .. } | RegisterOp::CasNil { expect } => {
                RegisterRet::Swapped(expect == state)
            }
        },
    }
}

/// Nil is written too, and swapped in.
pub(super) fn registers_emptied() -> Play<CasRegister> {
    Play {
        model: CasRegister,
        ask: |random, _| match random.below(3) {
            0 => RegisterOp::Read,
            1 => RegisterOp::write(nil_or_number(random)),
            _ => RegisterOp::cas(nil_or_number(random), nil_or_number(random)),
        },
        answer: registers_with_cas().answer,
    }
}

fn nil_or_number(random: &mut Random) -> Option<i64> {
    (!random.chance(3)).then(|| number(random, 2))
}

/// So that zones decide.
pub(super) fn registers_of_distinct_values() -> Play<CasRegister> {
    Play {
        model: CasRegister,
        ask: |random, begun| {
            let new = i64::try_from(begun).unwrap();
            let recent = number(random, begun + 1) - 1;
            match random.below(3) {
                0 => RegisterOp::Read,
                1 => RegisterOp::Write(new),
                _ => RegisterOp::Cas {
                    expect: (recent >= 0).then_some(recent),
                    new,
                },
            }
        },
        answer: registers_with_cas().answer,
    }
}

/// Reads and writes only.
pub(crate) fn play_of_registers() -> Play<CasRegister> {
    Play {
        model: CasRegister,
        ask: |random, _| match random.below(2) {
            0 => RegisterOp::Read,
            _ => RegisterOp::Write(number(random, 3)),
        },
        answer: registers_with_cas().answer,
    }
}

pub(crate) fn play_of_stacks() -> Play<Stack> {
    stacks()
}

pub(super) fn registers_under_keys() -> Play<PerKey<u8, CasRegister>> {
    Play {
        model: PerKey::default(),
        ask: |random, begun| {
            let key = u8::try_from(random.below(2)).unwrap();
            Keyed::new(key, (registers_with_cas().ask)(random, begun))
        },
        answer: |state, op, random| (registers_with_cas().answer)(state, &op.op, random),
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

pub(super) fn append_strings() -> Play<AppendString> {
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

pub(super) fn append_strings_of_few_values() -> Play<AppendString> {
    Play {
        model: AppendString,
        ask: |random, _| {
            let text = ["", "a", "b", "ab"][usize::try_from(random.below(4)).unwrap()].to_owned();
            match random.below(4) {
                0 => AppendOp::Put(text),
                1 => AppendOp::Append(text),
                _ => AppendOp::Get,
            }
        },
        answer: append_strings().answer,
    }
}

pub(super) fn append_strings_under_keys() -> Play<PerKey<u8, AppendString>> {
    Play {
        model: PerKey::default(),
        ask: |random, begun| {
            let key = u8::try_from(random.below(2)).unwrap();
            Keyed::new(key, (append_strings().ask)(random, begun))
        },
        answer: |state, op, random| (append_strings().answer)(state, &op.op, random),
    }
}

/// No element is added or removed twice, so that who saw what decides and not the search.
pub(super) fn sets_of_distinct_elements() -> Play<Set> {
    Play {
        model: Set,
        ask: |random, begun| {
            let new = i64::try_from(begun).unwrap();
            match random.below(6) {
                0..3 => SetOp::Add(new),
                3 => SetOp::Remove(new - 1),
                4 => SetOp::Contains(number(random, begun + 1)),
                _ => SetOp::Read,
            }
        },
        answer: sets().answer,
    }
}

pub(super) fn sets() -> Play<Set> {
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

pub(super) fn queues() -> Play<FifoQueue> {
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
pub(super) fn queues_of_distinct_values() -> Play<FifoQueue> {
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

pub(super) fn stacks() -> Play<Stack> {
    Play {
        model: Stack,
        ask: ask_sequence,
        answer: |state, op, _| match op {
            SequenceOp::Put(_) => SequenceRet::Done,
            SequenceOp::Take => SequenceRet::Taken(state.back().copied()),
        },
    }
}

pub(super) fn counters() -> Play<Counter> {
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

pub(super) fn locks() -> Play<Mutex> {
    Play {
        model: Mutex,
        ask: ask_lock,
        answer: |_, _, _| LockRet::Done(None),
    }
}

pub(super) fn fenced_locks() -> Play<FencedLock> {
    Play {
        model: FencedLock,
        ask: ask_lock,
        answer: |(_, largest), op, random| match op {
            LockOp::Acquire(_) => {
                let next = largest.map_or(0, |largest| largest + 1);
                LockRet::Done(Some(next - number(random, 10) / 9))
            }
            LockOp::Release(_) => LockRet::Done(None),
        },
    }
}

pub(super) fn transactions_on_registers() -> Play<Registers> {
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

pub(super) fn transactions_of_few_values() -> Play<Registers> {
    Play {
        model: Registers,
        ask: |random, _| {
            let step = |random: &mut Random| match random.below(2) {
                0 => RegistersOp::Read(number(random, 2)),
                _ => RegistersOp::Write(number(random, 2), number(random, 2)),
            };
            let count = 1 + random.below(3);
            (0..count).map(|_| step(random)).collect()
        },
        answer: transactions_on_registers().answer,
    }
}

pub(super) fn nondeterministic_objects() -> Play<AnyOf<Stutter>> {
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
