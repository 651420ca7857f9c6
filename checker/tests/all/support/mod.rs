//! What several test files share: drawings as histories, and exhaustive search.

pub(crate) mod files;
pub(crate) mod play;
mod random;
pub(crate) mod serial;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub(crate) use random::Random;

use ordeal_checker::history::{
    History, HistoryBuilder, Operation, OperationId, Outcome, Process, Reason, Time,
};
use ordeal_checker::linearizability::Contradiction;
use ordeal_checker::model::{
    CounterOp, CounterRet, Model, Nondeterministic, RegisterOp, RegisterRet,
};

pub(crate) type RegisterHistory = History<RegisterOp, RegisterRet>;

/// What is told of a drawing is what stands beside it; `ORDEAL_BLESS=1` writes that anew.
pub(crate) fn assert_told(drawing: &Path, told: &str) {
    let name = drawing.file_name().unwrap().to_string_lossy();
    let golden = drawing.with_file_name(name.replace(".bad.txt", ".told.txt"));
    if std::env::var_os("ORDEAL_BLESS").is_some() {
        fs::write(&golden, told).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(
        told,
        expected,
        "{}: ORDEAL_BLESS=1 writes what is told now",
        golden.display()
    );
}

/// How the words of a drawn operation are read, and by whom it is done.
pub(crate) type Reader<O, R> = fn(&str, u64) -> (O, R);

/// Reads a drawing of a register: `read → 1`, `read → nil`, `write 1`, `cas 1→2` swapped,
/// `cas 1→2 no` found another value.
pub(crate) fn drawn(text: &str) -> RegisterHistory {
    drawn_as(text, register)
}

/// Reads a drawing: one line a process, time from left to right, one column a tick.
///
/// `├── write 1 ──┤` returned, `├── write 1 ─ ─ ▸` never did, `├── write 1 failed ──┤` certainly
/// did not happen.
pub(crate) fn drawn_as<O, R>(text: &str, read: Reader<O, R>) -> History<O, R> {
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
                    let (words, outcome) = match words.strip_suffix(" failed") {
                        Some(words) => (words, Some(Outcome::Fail(Reason("drawn so".into())))),
                        None => (words.as_str(), None),
                    };
                    let (op, ret) = read(words, process.0);
                    let outcome = outcome.unwrap_or(Outcome::Ok(ret));
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

/// A number, or nil.
pub(crate) fn value(word: &str) -> Option<i64> {
    (word != "nil").then(|| word.parse().unwrap_or_else(|_| panic!("no value: {word}")))
}

pub(crate) fn register(words: &str, _: u64) -> (RegisterOp, RegisterRet) {
    let words: Vec<&str> = words.split(' ').collect();
    match words[..] {
        ["read", "→", seen] => (RegisterOp::Read, RegisterRet::Value(value(seen))),
        ["write", new] => (RegisterOp::write(value(new)), RegisterRet::Written),
        ["cas", pair, ..] => {
            let (expect, new) = pair.split_once('→').expect("cas 1→2");
            let (expect, new) = (value(expect), value(new));
            let swapped = RegisterRet::Swapped(words.last() != Some(&"no"));
            (RegisterOp::cas(expect, new), swapped)
        }
        _ => panic!("not an operation: {words:?}"),
    }
}

/// Tries every order that real time allows, key by key, with nothing clever in it: slow and right.
pub(crate) fn exhaustive<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    let operations = history.operations().iter();
    let keys: BTreeSet<M::Key> = operations.map(|op| model.key(op.op())).collect();
    keys.iter().all(|key| exhaustive_on(model, history, key))
}

/// The same, on one key.
pub(crate) fn exhaustive_on<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    key: &M::Key,
) -> bool {
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
    let others = history.operations().iter();
    let others = others.filter(|op| model.key(op.op()) != *key);
    let others = others.fold(0, |others, op| others | 1 << op.id().0);
    extend(model, history, &model.init(), others)
}

/// Replays a witness through the model: every result as it was seen, every known operation in it,
/// nothing before what preceded it.
pub(crate) fn replays<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    order: &[OperationId],
) -> bool {
    let mut state = model.init();
    for (rank, id) in order.iter().enumerate() {
        let operation = history.get(*id);
        let later = &order[rank + 1..];
        let next = model.step(&state, operation.op(), operation.outcome().ok());
        let Some(next) = next else { return false };
        if matches!(operation.outcome(), Outcome::Fail(_))
            || later.contains(id)
            || later
                .iter()
                .any(|other| history.get(*other).precedes(operation))
        {
            return false;
        }
        state = next;
    }
    let key_of = |id: OperationId| model.key(history.get(id).op());
    let is_whole = |key: &M::Key| {
        let operations = history.operations().iter();
        let known = operations.filter(|op| op.returned().is_some());
        let mut known = known.map(Operation::id).filter(|id| key_of(*id) == *key);
        known.all(|id| order.contains(&id))
    };
    // Another key's operations are another witness's. An empty witness is that of a key of which
    // nothing is known.
    match order.first() {
        Some(first) => is_whole(&key_of(*first)),
        None => history
            .operations()
            .iter()
            .any(|op| is_whole(&key_of(op.id()))),
    }
}

/// The history as it is told when only `needed` is known, and that only until then: everything
/// else that had begun may have happened at any time or never.
pub(crate) fn forgetful<O: Clone, R: Clone>(
    history: &History<O, R>,
    concerns: impl Fn(&O) -> bool,
    needed: &[OperationId],
    until: Time,
) -> History<O, R> {
    let mut builder = HistoryBuilder::new();
    for operation in history.operations() {
        let is_out = operation.invoked() > until
            || matches!(operation.outcome(), Outcome::Fail(_))
            || !concerns(operation.op());
        if is_out {
            continue;
        }
        // Each under a process of its own, so that any of them may be forgotten.
        let process = Process(operation.id().0 as u64);
        let is_needed = needed.contains(&operation.id());
        let invoked = if is_needed {
            operation.invoked()
        } else {
            Time(0)
        };
        builder
            .invoke(process, invoked, operation.op().clone())
            .unwrap();
        let returned = operation.returned().filter(|at| is_needed && *at <= until);
        if let Some(at) = returned {
            builder
                .complete(process, at, operation.outcome().clone())
                .unwrap();
        }
    }
    builder.finish()
}

/// Checks what [`Contradiction`] promises, by exhaustive search: enough, and minimal.
///
/// # Panics
/// If it does not hold.
pub(crate) fn assert_minimal<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    contradiction: &Contradiction,
    told_of: &str,
) where
    M::Op: Clone,
    M::Ret: Clone,
{
    let search = |history: &_| exhaustive(model, history);
    assert_minimal_by(search, model, history, contradiction, told_of);
}

/// The same by a search that tells whether there is an order.
///
/// # Panics
/// If it does not hold.
pub(crate) fn assert_minimal_by<M: Model>(
    search: impl Fn(&History<M::Op, M::Ret>) -> bool,
    model: &M,
    history: &History<M::Op, M::Ret>,
    contradiction: &Contradiction,
    told_of: &str,
) where
    M::Op: Clone,
    M::Ret: Clone,
{
    let early = contradiction.early.iter().flat_map(|e| &e.operations);
    let needed = contradiction.minimal.iter().chain(early);
    let needed: Vec<OperationId> = needed.map(|t| t.operation).collect();
    let key = model.key(history.get(needed[0]).op());
    let concerns = |op: &M::Op| model.key(op) == key;
    let is_explained =
        |needed: &[OperationId]| search(&forgetful(history, concerns, needed, contradiction.until));
    assert!(
        !is_explained(&needed),
        "{told_of}: not enough: {contradiction:?}"
    );
    assert!(
        contradiction.is_minimal,
        "{told_of}: not minimal: {contradiction:?}"
    );
    for left in contradiction.minimal.iter().map(|t| &t.operation) {
        let fewer: Vec<_> = needed.iter().filter(|id| *id != left).copied().collect();
        assert!(
            is_explained(&fewer),
            "{told_of}: {left:?} is not needed: {contradiction:?}"
        );
    }
}

/// A counter that sometimes counts double.
#[derive(Default)]
pub(crate) struct Stutter;

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

/// The seeds that the environment asks for (`0..100`, or how many), or else these.
pub(crate) fn seeds(variable: &str, otherwise: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var(variable) else {
        return otherwise;
    };
    let number = |text: &str| -> u64 {
        let number = text.parse();
        number.unwrap_or_else(|_| panic!("{variable}={asked}: from..to, or how many"))
    };
    match asked.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&asked),
    }
}
