//! Every drawing in the corpus has the verdict that its name says, and every violation is explained
//! with no operation too many, in words that stand beside it.
//!
//! `name.ok.txt` and `name.bad.txt` are twins; `name.told.txt` is what is said of the bad one. With
//! `ORDEAL_BLESS=1` the words are written anew, to be read in the diff.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Reader, assert_minimal, assert_told, drawn_as, exhaustive, replays, value};
use ordeal_checker::budget::Budget;
use ordeal_checker::history::Time;
use ordeal_checker::linearizability::{Decision, Telling, check};
use ordeal_checker::model::{
    AnyOf, AppendOp, AppendRet, AppendString, CasRegister, Counter, CounterOp, CounterRet,
    FencedLock, FifoQueue, LockOp, LockRet, Model, Mutex, Registers, RegistersOp, SequenceOp,
    SequenceRet, Set, SetOp, SetRet, Stack,
};
use ordeal_checker::verdict::Validity;

/// How many twins there are of each.
const TWINS: [(&str, usize); 11] = [
    ("cas-register", 4),
    ("counter", 2),
    ("fenced-lock", 3),
    ("kv", 4),
    ("mutex", 2),
    ("queue", 5),
    ("register", 8),
    ("registers", 3),
    ("set", 3),
    ("stack", 2),
    ("stutter", 2),
];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// By columns of the drawing.
fn columns(telling: &Telling) -> String {
    match telling.returned {
        Some(Time(returned)) => format!("{} to {returned}", telling.invoked.0),
        None => format!("from {}", telling.invoked.0),
    }
}

fn every_drawing<M: Model>(folder: &str, model: &M, read: Reader<M::Op, M::Ret>)
where
    M::Op: Clone,
    M::Ret: Clone,
{
    let mut twins = [BTreeSet::new(), BTreeSet::new()];
    for entry in fs::read_dir(corpus().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (twin, is_ok) = match (name.strip_suffix(".ok.txt"), name.strip_suffix(".bad.txt")) {
            (Some(twin), _) => (twin, true),
            (_, Some(twin)) => (twin, false),
            _ => continue,
        };
        twins[usize::from(is_ok)].insert(twin.to_owned());
        let name = format!("{folder}/{name}");
        let history = drawn_as(&fs::read_to_string(&path).unwrap(), read);
        let verdict = check(model, &history, &Budget::default());
        assert_eq!(
            exhaustive(model, &history),
            is_ok,
            "{name}: exhaustive search"
        );
        match &verdict.keys[0].decision {
            Decision::Valid { order } if is_ok => {
                assert!(replays(model, &history, order), "{name}: {order:?}");
            }
            Decision::Invalid(contradiction) if !is_ok => {
                assert_minimal(model, &history, contradiction, &name);
                assert_told(&path, &verdict.explain_by(&columns).unwrap());
            }
            decision => panic!("{name}: {decision:?}"),
        }
    }
    assert_eq!(twins[0], twins[1], "{folder}: each good one has a bad twin");
    let expected = TWINS.iter().find(|(name, _)| *name == folder).unwrap().1;
    assert_eq!(twins[0].len(), expected, "{folder}");
}

#[test]
fn registers() {
    every_drawing("register", &CasRegister, crate::support::register);
    every_drawing("cas-register", &CasRegister, crate::support::register);
}

#[test]
fn strings_with_append() {
    every_drawing("kv", &AppendString, |words, _| {
        match words.split(' ').collect::<Vec<_>>()[..] {
            ["get", "→", "nil"] => (AppendOp::Get, AppendRet::Value(String::new())),
            ["get", "→", seen] => (AppendOp::Get, AppendRet::Value(seen.into())),
            ["put", new] => (AppendOp::Put(new.into()), AppendRet::Done),
            ["append", end] => (AppendOp::Append(end.into()), AppendRet::Done),
            _ => panic!("not an operation: {words}"),
        }
    });
}

#[test]
fn sets() {
    every_drawing("set", &Set, |words, _| {
        let words = words.replace(['{', '}'], " ");
        match words.split_whitespace().collect::<Vec<_>>()[..] {
            ["add", element] => (SetOp::Add(element.parse().unwrap()), SetRet::Done),
            ["remove", element] => (SetOp::Remove(element.parse().unwrap()), SetRet::Done),
            ["contains", element, "→", is] => {
                let op = SetOp::Contains(element.parse().unwrap());
                (op, SetRet::Is(is == "yes"))
            }
            ["read", "→", ref seen @ ..] => {
                let seen = seen.iter().map(|element| element.parse().unwrap());
                (SetOp::Read, SetRet::Elements(seen.collect()))
            }
            _ => panic!("not an operation: {words}"),
        }
    });
}

fn sequence(words: &str, _: u64) -> (SequenceOp, SequenceRet) {
    match words.split(' ').collect::<Vec<_>>()[..] {
        ["enqueue" | "push", new] => (SequenceOp::Put(value(new).unwrap()), SequenceRet::Done),
        ["dequeue" | "pop", "→", taken] => (SequenceOp::Take, SequenceRet::Taken(value(taken))),
        ["dequeue" | "pop"] => (SequenceOp::Take, SequenceRet::Taken(None)),
        _ => panic!("not an operation: {words}"),
    }
}

#[test]
fn queues_and_stacks() {
    every_drawing("queue", &FifoQueue, sequence);
    every_drawing("stack", &Stack, sequence);
}

fn counter(words: &str, _: u64) -> (CounterOp, CounterRet) {
    match words.split(' ').collect::<Vec<_>>()[..] {
        ["add", by] => (CounterOp::Add(by.parse().unwrap()), CounterRet::Added),
        ["read", "→", seen] => (CounterOp::Read, CounterRet::Value(seen.parse().unwrap())),
        _ => panic!("not an operation: {words}"),
    }
}

#[test]
fn counters_also_such_as_stutter() {
    every_drawing("counter", &Counter, counter);
    every_drawing("stutter", &AnyOf(crate::support::Stutter), counter);
}

fn lock(words: &str, who: u64) -> (LockOp, LockRet) {
    match words.split(' ').collect::<Vec<_>>()[..] {
        ["acquire"] => (LockOp::Acquire(who), LockRet::Done(None)),
        ["acquire", "→", token] => (
            LockOp::Acquire(who),
            LockRet::Done(Some(token.parse().unwrap())),
        ),
        ["release"] => (LockOp::Release(who), LockRet::Done(None)),
        _ => panic!("not an operation: {words}"),
    }
}

#[test]
fn locks() {
    every_drawing("mutex", &Mutex, lock);
    every_drawing("fenced-lock", &FencedLock, lock);
}

#[test]
fn transactions_on_registers() {
    every_drawing("registers", &Registers, |words, _| {
        let (mut steps, mut seen) = (Vec::new(), Vec::new());
        let name = |name: &str| i64::from(name == "y");
        for step in words.split(' ') {
            if let Some((register, new)) = step.split_once('=') {
                steps.push(RegistersOp::Write(name(register), new.parse().unwrap()));
            } else {
                let (register, read) = step.split_once('→').expect("x→1 or x=1");
                steps.push(RegistersOp::Read(name(register)));
                seen.push(value(read));
            }
        }
        (steps, seen)
    });
}

#[test]
fn a_violation_is_told_with_who_and_when() {
    let history = crate::support::drawn(include_str!("../corpus/register/stale-read.bad.txt"));
    let finding = check(&CasRegister, &history, &Budget::default()).finding_by(&columns);
    assert_eq!(finding.validity, Validity::Invalid);
    assert_eq!(
        finding.anomalies[0].message,
        "the history is not linearizable. p3's read → 1 (34 to 49) cannot follow: the object \
         holds 2, since p2's write 2 (17 to 31)."
    );
    assert_eq!(finding.anomalies[0].events, [2, 1, 0]);
}

#[test]
fn a_spent_budget_is_unknown_never_valid() {
    // Two writes of one value keep the zones out of it.
    let history = crate::support::drawn(
        "p1 ├── write 1 ──────────────┤
p2  ├── write 2 ─────────────┤
p3   ├── write 1 ────────────┤
p4     ├── read → 2 ──┤ ├── read → 1 ──┤",
    );
    let verdict = check(&CasRegister, &history, &Budget::states(1));
    assert_eq!(verdict.validity(), Validity::Unknown);
    assert!(matches!(verdict.keys[0].decision, Decision::Unknown(_)));
    assert_eq!(
        check(&CasRegister, &history, &Budget::default()).validity(),
        Validity::Valid
    );
}
