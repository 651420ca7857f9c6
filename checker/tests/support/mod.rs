//! What several test files share: drawings as histories, and exhaustive search.
#![allow(dead_code, clippy::unwrap_used)]

use ordeal_checker::history::{
    History, HistoryBuilder, Operation, OperationId, Outcome, Process, Reason, Time,
};
use ordeal_checker::model::{Model, RegisterOp, RegisterRet};

pub(crate) type RegisterHistory = History<RegisterOp, RegisterRet>;

/// Reads a drawing: one line a process, time from left to right, one column a tick.
///
/// `├── write 1 ──┤` returned, `├── write 1 ─ ─ ▸` never did. Results: `read → 1`, `read → nil`,
/// `cas 1→2` swapped, `cas 1→2 no` found another value, `write 1 failed` certainly did not happen.
pub(crate) fn drawn(text: &str) -> RegisterHistory {
    let mut history = HistoryBuilder::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((name, spans)) = line.trim_end().split_once(' ') else {
            continue;
        };
        let process = Process(name.trim_start_matches('p').parse().expect("p1, p2, …"));
        let (mut label, mut begun) = (String::new(), Time(0));
        for (column, sign) in (0..).zip(spans.chars()) {
            match sign {
                '├' => (label, begun) = (String::new(), Time(column)),
                '┤' | '▸' => {
                    let words = label.replace('─', " ");
                    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
                    let (op, outcome) = operation(&words);
                    history.invoke(process, begun, op).unwrap();
                    if sign == '┤' {
                        history.complete(process, Time(column), outcome).unwrap();
                    }
                }
                sign => label.push(sign),
            }
        }
    }
    history.finish()
}

fn operation(words: &str) -> (RegisterOp, Outcome<RegisterRet>) {
    let value = |word: &str| match word {
        "nil" => None,
        word => Some(
            word.parse::<i64>()
                .unwrap_or_else(|_| panic!("no value: {word}")),
        ),
    };
    let words: Vec<&str> = words.split(' ').collect();
    let (op, ret) = match words[..] {
        ["read", "→", seen, ..] => (RegisterOp::Read, RegisterRet::Value(value(seen))),
        ["read", ..] => (RegisterOp::Read, RegisterRet::Value(None)),
        ["write", new, ..] => (RegisterOp::Write(value(new).unwrap()), RegisterRet::Written),
        ["cas", pair, ..] => {
            let (expect, new) = pair.split_once('→').expect("cas 1→2");
            let (expect, new) = (value(expect), value(new).unwrap());
            let swapped = RegisterRet::Swapped(words.last() != Some(&"no"));
            (RegisterOp::Cas { expect, new }, swapped)
        }
        _ => panic!("not an operation: {words:?}"),
    };
    match words.last() {
        Some(&"failed") => (op, Outcome::Fail(Reason("drawn so".into()))),
        _ => (op, Outcome::Ok(ret)),
    }
}

/// Tries every order that real time allows, with nothing clever in it: slow and right.
pub(crate) fn exhaustive<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    fn extend<M: Model>(
        model: &M,
        history: &History<M::Op, M::Ret>,
        state: &M::State,
        done: u64,
    ) -> bool {
        let operations = history.operations();
        let is_done = |place: usize| done >> place & 1 == 1;
        let is_left = |place: &usize| operations[*place].returned().is_some() && !is_done(*place);
        if !(0..operations.len()).any(|place| is_left(&place)) {
            return true;
        }
        (0..operations.len()).any(|place| {
            let operation = &operations[place];
            if is_done(place) || matches!(operation.outcome(), Outcome::Fail(_)) {
                return false;
            }
            let is_late = (0..operations.len())
                .filter(is_left)
                .any(|other| operations[other].precedes(operation));
            !is_late
                && model
                    .step(state, operation.op(), operation.outcome().ok())
                    .is_some_and(|next| extend(model, history, &next, done | 1 << place))
        })
    }
    extend(model, history, &model.init(), 0)
}

/// The same history with only those operations.
pub(crate) fn redrawn(
    history: &RegisterHistory,
    kept: impl Iterator<Item = OperationId>,
) -> RegisterHistory {
    let mut builder = HistoryBuilder::new();
    for id in kept {
        let operation = history.get(id);
        // Each under a process of its own, so that any order of them is well-formed.
        let process = Process(id.0 as u64);
        builder
            .invoke(process, operation.invoked(), *operation.op())
            .unwrap();
        if let Some(at) = operation.completed() {
            builder
                .complete(process, at, operation.outcome().clone())
                .unwrap();
        }
    }
    builder.finish()
}

/// True where a value was seen that nobody in the history wrote.
pub(crate) fn has_orphan(history: &RegisterHistory) -> bool {
    let writes = |operation: &Operation<RegisterOp, RegisterRet>| match operation.op() {
        RegisterOp::Write(new) | RegisterOp::Cas { new, .. } => Some(*new),
        RegisterOp::Read => None,
    };
    let written: Vec<i64> = history.operations().iter().filter_map(writes).collect();
    history.operations().iter().any(|operation| {
        let needs = match (operation.op(), operation.outcome().ok()) {
            (RegisterOp::Read, Some(RegisterRet::Value(seen))) => *seen,
            (RegisterOp::Cas { expect, .. }, Some(RegisterRet::Swapped(true))) => *expect,
            _ => None,
        };
        needs.is_some_and(|needs| !written.contains(&needs))
    })
}

/// A small reproducible generator (SplitMix64: Steele, Lea and Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}
