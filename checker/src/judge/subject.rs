//! What a history is of, and how its events are read as that object's operations.

use std::collections::BTreeSet;
use std::fmt;

use super::Unjudgeable;
use super::reading::{
    append_op, append_ret, counter_op, counter_ret, lock_op, register_op, register_ret,
    sequence_op, sequence_ret, set_op, set_ret, unkeyed,
};
use super::source::Source;
use crate::budget::Budget;
use crate::format::{FormatError, Line};
use crate::history::{Event, EventKind, History, HistoryBuilder, Outcome, Reason};
use crate::linearizability::{Telling, check};
use crate::model::{
    AppendString, CasRegister, Counter, FifoQueue, LockRet, Model, Mutex, PerKey, Set, Stack,
};
use crate::transaction;
use crate::verdict::Finding;

/// An object that a file can be judged as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Registers with compare-and-set, one or one per key.
    Register,
    /// Strings with append, one per key.
    Kv,
    /// A set, read as a whole.
    Set,
    /// A first-in first-out queue.
    Queue,
    /// A last-in first-out stack.
    Stack,
    /// A counter.
    Counter,
    /// A lock.
    Mutex,
    /// Transactions that append to lists and read them.
    ListAppend,
    /// Transactions that write registers and read them.
    RwRegister,
}

/// Every name of an operation that some model has.
const KNOWN: [&str; 17] = [
    "acquire", "add", "append", "cas", "contains", "dequeue", "enqueue", "get", "pop", "push",
    "put", "read", "read-set", "release", "remove", "txn", "write",
];

/// A judged history.
pub(crate) struct Judged {
    pub(crate) events: usize,
    pub(crate) finding: Finding,
    pub(crate) explanation: Option<String>,
}

/// What is wrong with an event, in words.
pub(super) type Wrong = String;
/// How events are read: the question, and the answer to it.
struct Reading<O, R> {
    op: fn(&Event) -> Result<O, Wrong>,
    ret: fn(&O, &Event) -> Result<R, Wrong>,
}

impl Subject {
    /// All, with the names that a command line takes.
    pub const ALL: [(&'static str, Subject); 9] = [
        ("register", Subject::Register),
        ("kv", Subject::Kv),
        ("set", Subject::Set),
        ("queue", Subject::Queue),
        ("stack", Subject::Stack),
        ("counter", Subject::Counter),
        ("mutex", Subject::Mutex),
        ("list-append", Subject::ListAppend),
        ("rw-register", Subject::RwRegister),
    ];

    /// What is judged, and by which names of operations it is known, in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Subject::Register => "registers with compare-and-set: read, write, cas",
            Subject::Kv => "strings under keys: get, put, append",
            Subject::Set => "sets: add, remove, contains, and read of the whole",
            Subject::Queue => "a first-in first-out queue: enqueue, dequeue",
            Subject::Stack => "a last-in first-out stack: push, pop",
            Subject::Counter => "a counter: add, read",
            Subject::Mutex => "a lock with one holder: acquire, release",
            Subject::ListAppend => "transactions on lists: txn of append and r",
            Subject::RwRegister => "transactions on registers: txn of w and r",
        }
    }

    /// What these events are of, if it can be told from the names of their operations.
    pub fn guess<'e>(events: impl Iterator<Item = &'e Event>) -> Option<Subject> {
        let (mut names, mut adds_many, mut reads_many) = (BTreeSet::new(), false, false);
        let mut steps = BTreeSet::new();
        for event in events {
            names.insert(event.f.as_str());
            if event.f == "read" && event.kind == EventKind::Ok {
                reads_many |= event.value.as_array().is_some_and(|list| list.len() != 2);
                reads_many |= unkeyed(&event.value).is_array();
                adds_many |= unkeyed(&event.value).is_i64();
            }
            if event.f == "txn" {
                let micro = event.value.as_array().into_iter().flatten();
                steps.extend(micro.filter_map(|step| step.get(0)?.as_str()));
            }
        }
        let only = |allowed: &[&str]| names.iter().all(|name| allowed.contains(name));
        let has = |name: &str| names.contains(name);
        Some(match () {
            () if only(&["txn"]) && steps.contains("append") => Subject::ListAppend,
            () if only(&["txn"]) && steps.contains("w") => Subject::RwRegister,
            () if only(&["add", "read-set", "remove", "contains"])
                && ["read-set", "remove", "contains"].into_iter().any(has) =>
            {
                Subject::Set
            }
            () if only(&["add", "read"]) && has("add") && reads_many => Subject::Set,
            () if only(&["add", "read"]) && has("add") && adds_many => Subject::Counter,
            () if only(&["get", "put", "append"]) && !names.is_empty() => Subject::Kv,
            () if only(&["enqueue", "dequeue"]) && !names.is_empty() => Subject::Queue,
            () if only(&["push", "pop"]) && !names.is_empty() => Subject::Stack,
            () if only(&["acquire", "release"]) && !names.is_empty() => Subject::Mutex,
            () if only(&["read", "write", "cas"]) && !names.is_empty() => Subject::Register,
            () => return None,
        })
    }

    /// Why [`Subject::guess`] could not tell.
    pub(crate) fn no_guess<'e>(events: impl Iterator<Item = &'e Event>) -> String {
        let names: BTreeSet<&str> = events.map(|event| event.f.as_str()).collect();
        let foreign: Vec<&str> = names
            .iter()
            .filter(|name| !KNOWN.contains(name))
            .copied()
            .collect();
        match foreign.as_slice() {
            _ if names.is_empty() => "there are none".to_owned(),
            [] if names.iter().all(|name| ["add", "read"].contains(name)) => {
                "a set and a counter both have them, and no read shows which it is".to_owned()
            }
            [] => "no model has all of them".to_owned(),
            foreign => format!("no model has {}", foreign.join(" or ")),
        }
    }

    pub(crate) fn judge(
        self,
        lines: impl Iterator<Item = Line>,
        budget: &Budget,
    ) -> Result<Judged, Unjudgeable> {
        match self {
            Subject::Register => {
                let reading = Reading {
                    op: register_op,
                    ret: register_ret,
                };
                linearizable(
                    &PerKey::<String, CasRegister>::default(),
                    &reading,
                    lines,
                    budget,
                )
            }
            Subject::Kv => {
                let reading = Reading {
                    op: append_op,
                    ret: append_ret,
                };
                linearizable(
                    &PerKey::<String, AppendString>::default(),
                    &reading,
                    lines,
                    budget,
                )
            }
            Subject::Set => {
                let reading = Reading {
                    op: set_op,
                    ret: set_ret,
                };
                linearizable(&PerKey::<String, Set>::default(), &reading, lines, budget)
            }
            Subject::Queue => {
                let reading = Reading {
                    op: sequence_op,
                    ret: sequence_ret,
                };
                linearizable(&FifoQueue, &reading, lines, budget)
            }
            Subject::Stack => {
                let reading = Reading {
                    op: sequence_op,
                    ret: sequence_ret,
                };
                linearizable(&Stack, &reading, lines, budget)
            }
            Subject::Counter => {
                let reading = Reading {
                    op: counter_op,
                    ret: counter_ret,
                };
                linearizable(&Counter, &reading, lines, budget)
            }
            Subject::Mutex => {
                let reading = Reading {
                    op: lock_op,
                    ret: |_, _| Ok(LockRet::Done(None)),
                };
                linearizable(&Mutex, &reading, lines, budget)
            }
            Subject::ListAppend => transactional(transaction::Kind::ListAppend, lines),
            Subject::RwRegister => transactional(transaction::Kind::RwRegister, lines),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Subject::ALL.iter().find(|(_, subject)| subject == self);
        f.pad(name.map_or("?", |(name, _)| name))
    }
}

fn linearizable<M: Model>(
    model: &M,
    reading: &Reading<M::Op, M::Ret>,
    lines: impl Iterator<Item = Line>,
    budget: &Budget,
) -> Result<Judged, Unjudgeable>
where
    M::Op: Clone,
{
    let (history, source) = history(reading, lines)?;
    let verdict = check(model, &history, budget);
    let place = |telling: &Telling| source.place(telling);
    Ok(Judged {
        events: source.events(),
        finding: source.located(verdict.finding_by(&place)),
        explanation: verdict.explain_by(&place),
    })
}

fn transactional(
    kind: transaction::Kind,
    lines: impl Iterator<Item = Line>,
) -> Result<Judged, Unjudgeable> {
    let reading = Reading {
        op: transaction::steps_of,
        ret: |_, event| transaction::steps_of(event),
    };
    let (history, source) = history(&reading, lines)?;
    let finding = transaction::check(kind, &history).finding();
    Ok(Judged {
        events: source.events(),
        finding: source.located(finding),
        explanation: None,
    })
}

/// Builds the history; `ops` keeps each open question, which its answer is read by.
fn history<O: Clone, R>(
    reading: &Reading<O, R>,
    lines: impl Iterator<Item = Line>,
) -> Result<(History<O, R>, Source), Unjudgeable> {
    let mut builder = HistoryBuilder::new();
    let mut open = std::collections::BTreeMap::new();
    let mut source = Source::default();
    for line in lines {
        let (line, event) = line?;
        let wrong =
            |what: Wrong| FormatError::new(line, format!("{} {}: {what}", event.process, event.f));
        let result = match event.kind {
            EventKind::Invoke => {
                let op = (reading.op)(&event).map_err(wrong)?;
                open.insert(event.process, op.clone());
                builder.invoke(event.process, event.time, op)
            }
            kind => {
                let reason = || {
                    let error = event.error.as_ref();
                    Reason(error.map_or(String::new(), |error| error.message.clone()))
                };
                let outcome = match (kind, open.remove(&event.process)) {
                    (EventKind::Ok, Some(op)) => {
                        Outcome::Ok((reading.ret)(&op, &event).map_err(wrong)?)
                    }
                    (EventKind::Fail, _) => Outcome::Fail(reason()),
                    _ => Outcome::Info(reason()),
                };
                builder.complete(event.process, event.time, outcome)
            }
        };
        result.map_err(|error| Unjudgeable::Malformed(line, error))?;
        source.read(line, &event);
    }
    Ok((builder.finish(), source.finish()))
}
