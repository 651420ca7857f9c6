//! What a history is of, and how its events are read as that object's operations.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::Unjudgeable;
use crate::budget::Budget;
use crate::format::{FormatError, Line};
use crate::history::{Event, EventKind, History, HistoryBuilder, Outcome, Reason};
use crate::linearizability::check;
use crate::model::{
    AppendOp, AppendRet, AppendString, CasRegister, Counter, CounterOp, CounterRet, FifoQueue,
    Keyed, LockOp, LockRet, Model, Mutex, PerKey, RegisterOp, RegisterRet, SequenceOp, SequenceRet,
    Set, SetOp, SetRet, Stack,
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

/// A judged history.
pub(crate) struct Judged {
    pub(crate) events: usize,
    pub(crate) finding: Finding,
    pub(crate) explanation: Option<String>,
}

/// What is wrong with an event, in words.
type Wrong = String;
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
            () if only(&["add", "read-set", "remove", "contains"]) && has("add") => Subject::Set,
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
    let (history, events) = history(reading, lines)?;
    let verdict = check(model, &history, budget);
    Ok(Judged {
        events,
        finding: verdict.finding(),
        explanation: verdict.explain(),
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
    let (history, events) = history(&reading, lines)?;
    let finding = transaction::check(kind, &history).finding();
    Ok(Judged {
        events,
        finding,
        explanation: None,
    })
}

/// Builds the history; `ops` keeps each open question, which its answer is read by.
fn history<O: Clone, R>(
    reading: &Reading<O, R>,
    lines: impl Iterator<Item = Line>,
) -> Result<(History<O, R>, usize), Unjudgeable> {
    let mut builder = HistoryBuilder::new();
    let mut open = std::collections::BTreeMap::new();
    let mut events = 0;
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
        events += 1;
    }
    Ok((builder.finish(), events))
}

/// The value of `[key value]`, or the value.
fn unkeyed(value: &Value) -> &Value {
    match value.as_array().map(Vec::as_slice) {
        Some([key, value]) if !key.is_array() && (value.is_array() || value.is_null()) => value,
        _ => value,
    }
}

/// The key: the event's own, or the first of `[key value]`.
fn key_of(event: &Event, is_keyed: bool) -> String {
    let key = event
        .key
        .as_ref()
        .or_else(|| event.value.get(0).filter(|_| is_keyed));
    key.map_or(String::new(), |key| match key {
        Value::String(key) => key.clone(),
        other => other.to_string(),
    })
}

fn integer(value: &Value) -> Result<i64, Wrong> {
    value
        .as_i64()
        .ok_or_else(|| format!("expected an integer, found {value}"))
}

fn integer_or_nil(value: &Value) -> Result<Option<i64>, Wrong> {
    if value.is_null() {
        Ok(None)
    } else {
        integer(value).map(Some)
    }
}

fn register_op(event: &Event) -> Result<Keyed<String, RegisterOp>, Wrong> {
    let value = &event.value;
    let pair = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([expect, new]) => {
            let (expect, new) = (integer_or_nil(expect)?, integer(new)?);
            Ok(RegisterOp::Cas { expect, new })
        }
        _ => Err(format!("expected [expected new], found {value}")),
    };
    let (op, is_keyed) = match event.f.as_str() {
        "read" => (RegisterOp::Read, value.is_array()),
        "write" if value.is_array() => (RegisterOp::Write(integer(&value[1])?), true),
        "write" => (RegisterOp::Write(integer(value)?), false),
        "cas" if value.get(1).is_some_and(Value::is_array) => (pair(&value[1])?, true),
        "cas" => (pair(value)?, false),
        other => return Err(format!("a register has no {other}")),
    };
    Ok(Keyed::new(key_of(event, is_keyed), op))
}

fn register_ret(op: &Keyed<String, RegisterOp>, event: &Event) -> Result<RegisterRet, Wrong> {
    Ok(match op.op {
        RegisterOp::Read => {
            let value = event.value.get(1).unwrap_or(&event.value);
            RegisterRet::Value(integer_or_nil(value)?)
        }
        RegisterOp::Write(_) => RegisterRet::Written,
        RegisterOp::Cas { .. } => RegisterRet::Swapped(event.value.as_bool().unwrap_or(true)),
    })
}

fn append_op(event: &Event) -> Result<Keyed<String, AppendOp>, Wrong> {
    let text = || {
        let text = event.value.as_str();
        text.map(str::to_owned)
            .ok_or_else(|| format!("expected a string, found {}", event.value))
    };
    let op = match event.f.as_str() {
        "get" => AppendOp::Get,
        "put" => AppendOp::Put(text()?),
        "append" => AppendOp::Append(text()?),
        other => return Err(format!("a string has no {other}")),
    };
    Ok(Keyed::new(key_of(event, false), op))
}

fn append_ret(op: &Keyed<String, AppendOp>, event: &Event) -> Result<AppendRet, Wrong> {
    Ok(match op.op {
        AppendOp::Get => AppendRet::Value(event.value.as_str().unwrap_or_default().to_owned()),
        AppendOp::Put(_) | AppendOp::Append(_) => AppendRet::Done,
    })
}

fn set_op(event: &Event) -> Result<Keyed<String, SetOp>, Wrong> {
    let element = || integer(event.value.get(1).unwrap_or(&event.value));
    let op = match event.f.as_str() {
        "add" => SetOp::Add(element()?),
        "remove" => SetOp::Remove(element()?),
        "contains" => SetOp::Contains(element()?),
        "read" | "read-set" => SetOp::Read,
        other => return Err(format!("a set has no {other}")),
    };
    Ok(Keyed::new(key_of(event, event.value.is_array()), op))
}

/// `[key list]` is the set under that key. A bare list that answers a question about a key has
/// elements that were never added under it, whatever their numbers.
fn set_ret(op: &Keyed<String, SetOp>, event: &Event) -> Result<SetRet, Wrong> {
    Ok(match op.op {
        SetOp::Add(_) | SetOp::Remove(_) => SetRet::Done,
        SetOp::Contains(_) => SetRet::Is(event.value.as_bool().ok_or("expected true or false")?),
        SetOp::Read => {
            let value = unkeyed(&event.value);
            let is_bare = !op.key.is_empty() && event.key.is_none() && value == &event.value;
            let list = value.as_array().ok_or("expected a list")?;
            let foreign = if is_bare { i64::MIN } else { 0 };
            let elements = list.iter().map(|value| Ok(integer(value)? ^ foreign));
            SetRet::Elements(elements.collect::<Result<_, Wrong>>()?)
        }
    })
}

fn sequence_op(event: &Event) -> Result<SequenceOp, Wrong> {
    Ok(match event.f.as_str() {
        "enqueue" | "push" => SequenceOp::Put(integer(&event.value)?),
        "dequeue" | "pop" => SequenceOp::Take,
        other => return Err(format!("a queue or stack has no {other}")),
    })
}

fn sequence_ret(op: &SequenceOp, event: &Event) -> Result<SequenceRet, Wrong> {
    Ok(match op {
        SequenceOp::Put(_) => SequenceRet::Done,
        SequenceOp::Take => SequenceRet::Taken(integer_or_nil(&event.value)?),
    })
}

fn counter_op(event: &Event) -> Result<CounterOp, Wrong> {
    Ok(match event.f.as_str() {
        "add" => CounterOp::Add(integer(&event.value)?),
        "read" => CounterOp::Read,
        other => return Err(format!("a counter has no {other}")),
    })
}

fn counter_ret(op: &CounterOp, event: &Event) -> Result<CounterRet, Wrong> {
    Ok(match op {
        CounterOp::Add(_) => CounterRet::Added,
        CounterOp::Read => CounterRet::Value(integer(&event.value)?),
    })
}

fn lock_op(event: &Event) -> Result<LockOp, Wrong> {
    Ok(match event.f.as_str() {
        "acquire" => LockOp::Acquire(event.process.0),
        "release" => LockOp::Release(event.process.0),
        other => return Err(format!("a lock has no {other}")),
    })
}
