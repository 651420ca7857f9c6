//! How events are read as operations and results, object by object.

use std::collections::BTreeSet;

use serde_json::Value;

use super::subject::Wrong;
use crate::history::{Event, Process};
use crate::model::{
    AppendOp, AppendRet, CounterOp, CounterRet, Keyed, LockOp, LockRet, Model, RegisterOp,
    RegisterRet, RegistersOp, SequenceOp, SequenceRet, SetOp, SetRet, question,
};
use crate::transaction::{self, Name, Step};

/// The value of `[key value]`, or the value.
pub(super) fn unkeyed(value: &Value) -> &Value {
    match value.as_array().map(Vec::as_slice) {
        Some([key, value]) if !key.is_array() && (value.is_array() || value.is_null()) => value,
        _ => value,
    }
}

/// The key: the event's own, or the first of `[key value]`. A word that could be taken for
/// something else is in quotes: `"1"` and `1` are two keys. (A keyword is the word that it is.)
pub(super) fn key_of(event: &Event, is_keyed: bool) -> String {
    let key = event
        .key
        .as_ref()
        .or_else(|| event.value.get(0).filter(|_| is_keyed));
    key.map_or(String::new(), |key| match key {
        Value::String(word) if !is_taken_for_other(word) => word.clone(),
        other => other.to_string(),
    })
}

/// Nothing at all, or what a number, a list or the like would be written as.
fn is_taken_for_other(word: &str) -> bool {
    let is_suspect = |first: &u8| !first.is_ascii_alphabetic() || b"tfn".contains(first);
    match word.as_bytes().first() {
        None => true,
        Some(first) => is_suspect(first) && serde_json::from_str::<Value>(word).is_ok(),
    }
}

/// Operations whose answer is what was asked, or nothing.
const CHANGES: [&str; 8] = [
    "add", "append", "cas", "enqueue", "push", "put", "remove", "write",
];

/// False for nil, also under a key.
pub(super) fn says_something(event: &Event) -> bool {
    let value = match event.value.as_array().map(Vec::as_slice) {
        Some([_, value]) if event.key.is_none() => value,
        _ => &event.value,
    };
    !value.is_null()
}

/// Where an answer repeats what it answers, it repeats what was asked.
pub(super) fn same<M: Model>(
    model: &M,
    asked: &Keyed<String, M::Op>,
    answered: &Keyed<String, M::Op>,
    event: &Event,
) -> Result<(), Wrong> {
    let is_of_another = !answered.key.is_empty() && answered.key != asked.key;
    if is_of_another && event.key.is_none() && CHANGES.contains(&event.f.as_str()) {
        return Err("answers for another key than was asked for".to_owned());
    }
    let (asked, answered) = (&asked.op, &answered.op);
    match asked == answered {
        true => Ok(()),
        false => Err(format!(
            "answers {}, and {} was asked",
            question(model, answered),
            question(model, asked)
        )),
    }
}

/// The answer: the event's value, or that of `[key value]` where the key is the one that was asked
/// for.
fn under_key<'e>(key: &str, event: &'e Event) -> Result<&'e Value, Wrong> {
    match event.value.as_array().map(Vec::as_slice) {
        Some([_, value]) if event.key.is_none() && key_of(event, true) == key => Ok(value),
        Some([other, _]) if event.key.is_none() && !key.is_empty() => {
            Err(format!("asked of key {key}, and answered of key {other}"))
        }
        _ => Ok(&event.value),
    }
}

pub(super) fn integer(value: &Value) -> Result<i64, Wrong> {
    value
        .as_i64()
        .ok_or_else(|| format!("expected an integer, found {value}"))
}

pub(super) fn integer_or_nil(value: &Value) -> Result<Option<i64>, Wrong> {
    if value.is_null() {
        Ok(None)
    } else {
        integer(value).map(Some)
    }
}

pub(super) fn register_op(event: &Event) -> Result<Keyed<String, RegisterOp>, Wrong> {
    let value = &event.value;
    let pair = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([expect, new]) => {
            let (expect, new) = (integer_or_nil(expect)?, integer_or_nil(new)?);
            Ok(RegisterOp::cas(expect, new))
        }
        _ => Err(format!("expected [expected new], found {value}")),
    };
    let (op, is_keyed) = match event.f.as_str() {
        "read" => (RegisterOp::Read, value.is_array()),
        "write" => match value.as_array().map(Vec::as_slice) {
            Some([_, value]) => (RegisterOp::write(integer_or_nil(value)?), true),
            _ => (RegisterOp::write(integer_or_nil(value)?), false),
        },
        "cas" if value.get(1).is_some_and(Value::is_array) => (pair(&value[1])?, true),
        "cas" => (pair(value)?, false),
        other => return Err(format!("a register has no {other}")),
    };
    Ok(Keyed::new(key_of(event, is_keyed), op))
}

pub(super) fn register_ret(
    op: &Keyed<String, RegisterOp>,
    event: &Event,
) -> Result<RegisterRet, Wrong> {
    Ok(match op.op {
        RegisterOp::Read => {
            let value = under_key(&op.key, event)?;
            RegisterRet::Value(integer_or_nil(value)?)
        }
        RegisterOp::Write(_) | RegisterOp::WriteNil => RegisterRet::Written,
        RegisterOp::Cas { .. } | RegisterOp::CasNil { .. } => {
            match event.value.get(1).unwrap_or(&event.value) {
                Value::Bool(swapped) => RegisterRet::Swapped(*swapped),
                Value::String(word) => {
                    return Err(format!("expected true or false, found {word:?}"));
                }
                // What it expected and what it wrote: it did.
                _ => RegisterRet::Swapped(true),
            }
        }
    })
}

pub(super) fn append_op(event: &Event) -> Result<Keyed<String, AppendOp>, Wrong> {
    let value = keyed_string(event);
    let text = || {
        let text = value.as_str();
        text.map(str::to_owned)
            .ok_or_else(|| format!("expected a string, found {value}"))
    };
    let op = match event.f.as_str() {
        "get" => AppendOp::Get,
        // As which it is read.
        "put" if value.is_null() => AppendOp::Put(String::new()),
        "put" => AppendOp::Put(text()?),
        "append" => AppendOp::Append(text()?),
        other => return Err(format!("a string has no {other}")),
    };
    Ok(Keyed::new(key_of(event, event.value.is_array()), op))
}

pub(super) fn append_ret(op: &Keyed<String, AppendOp>, event: &Event) -> Result<AppendRet, Wrong> {
    Ok(match (&op.op, keyed_string(event)) {
        (AppendOp::Get, Value::Null) => AppendRet::Value(String::new()),
        (AppendOp::Get, Value::String(seen)) => AppendRet::Value(seen.clone()),
        (AppendOp::Get, other) => return Err(format!("expected a string, found {other}")),
        (AppendOp::Put(_) | AppendOp::Append(_), _) => AppendRet::Done,
    })
}

/// The string of `[key string]`, or the string.
fn keyed_string(event: &Event) -> &Value {
    match event.value.as_array().map(Vec::as_slice) {
        Some([_, value]) if event.key.is_none() => value,
        _ => &event.value,
    }
}

pub(super) fn set_op(event: &Event) -> Result<Keyed<String, SetOp>, Wrong> {
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
/// nothing under it: nothing of that set was seen.
pub(super) fn set_ret(op: &Keyed<String, SetOp>, event: &Event) -> Result<SetRet, Wrong> {
    Ok(match op.op {
        SetOp::Add(_) | SetOp::Remove(_) => SetRet::Done,
        SetOp::Contains(_) => {
            let is = event.value.get(1).unwrap_or(&event.value);
            SetRet::Is(is.as_bool().ok_or("expected true or false")?)
        }
        SetOp::Read => {
            let value = unkeyed(&event.value);
            let is_bare = !op.key.is_empty() && event.key.is_none() && value == &event.value;
            let list = value.as_array().ok_or("expected a list")?;
            let elements = list.iter().map(integer).collect::<Result<_, Wrong>>()?;
            SetRet::Elements(if is_bare { BTreeSet::new() } else { elements })
        }
    })
}

/// An operation on the object of that event, and what is said of it: the value, or that of
/// `[key value]`.
fn keyed<O>(
    event: &Event,
    op: impl FnOnce(&Value) -> Result<O, Wrong>,
) -> Result<Keyed<String, O>, Wrong> {
    let (is_pair, value) = match event.value.as_array().map(Vec::as_slice) {
        Some([_, value]) if event.key.is_none() => (true, value),
        _ => (false, &event.value),
    };
    Ok(Keyed::new(key_of(event, is_pair), op(value)?))
}

/// Each value that a drain returns was taken at a moment of its own.
const DRAIN: &str = "a drain is many dequeues in one event, which does not say when each of them \
                     was: record each as a dequeue, or leave the drain and all after it out";

pub(super) fn sequence_op(event: &Event) -> Result<Keyed<String, SequenceOp>, Wrong> {
    keyed(event, |value| {
        Ok(match event.f.as_str() {
            "enqueue" | "push" => SequenceOp::Put(integer(value)?),
            "dequeue" | "pop" => SequenceOp::Take,
            "drain" => return Err(DRAIN.to_owned()),
            other => return Err(format!("a queue or stack has no {other}")),
        })
    })
}

pub(super) fn sequence_ret(
    op: &Keyed<String, SequenceOp>,
    event: &Event,
) -> Result<SequenceRet, Wrong> {
    Ok(match op.op {
        SequenceOp::Put(_) => SequenceRet::Done,
        SequenceOp::Take => SequenceRet::Taken(integer_or_nil(under_key(&op.key, event)?)?),
    })
}

pub(super) fn counter_op(event: &Event) -> Result<Keyed<String, CounterOp>, Wrong> {
    keyed(event, |value| {
        Ok(match event.f.as_str() {
            "add" => CounterOp::Add(integer(value)?),
            "read" => CounterOp::Read,
            other => return Err(format!("a counter has no {other}")),
        })
    })
}

pub(super) fn counter_ret(
    op: &Keyed<String, CounterOp>,
    event: &Event,
) -> Result<CounterRet, Wrong> {
    Ok(match op.op {
        CounterOp::Add(_) => CounterRet::Added,
        CounterOp::Read => CounterRet::Value(integer(under_key(&op.key, event)?)?),
    })
}

/// The client is the same in all its lives, which `Clients::Counted` tells from large numbers.
pub(super) fn lock_op(event: &Event) -> Result<Keyed<String, LockOp>, Wrong> {
    keyed(event, |_| {
        Ok(match event.f.as_str() {
            "acquire" => LockOp::Acquire(event.process.0 % Process::LIFE),
            "release" => LockOp::Release(event.process.0 % Process::LIFE),
            other => return Err(format!("a lock has no {other}")),
        })
    })
}

pub(super) fn fenced_ret(op: &Keyed<String, LockOp>, event: &Event) -> Result<LockRet, Wrong> {
    Ok(LockRet::Done(match op.op {
        LockOp::Acquire(_) => {
            let value = under_key(&op.key, event)?;
            let token = value.as_i64();
            Some(token.ok_or_else(|| format!("expected a token, found {value}"))?)
        }
        LockOp::Release(_) => None,
    }))
}

pub(super) fn registers_op(event: &Event) -> Result<Keyed<String, Vec<RegistersOp>>, Wrong> {
    if event.f != "txn" {
        return Err(format!("registers have no {}", event.f));
    }
    let steps = transaction::steps_of(event)?;
    let steps = steps.into_iter().map(|step| {
        Ok(match step {
            Step::Read(name, _) => RegistersOp::Read(number(&name)?),
            Step::Write(name, value) => RegistersOp::Write(number(&name)?, value),
            Step::Append(..) => return Err("registers have no append".to_owned()),
        })
    });
    // One object, whatever it is called: a transaction is on all registers.
    Ok(Keyed::new(
        String::new(),
        steps.collect::<Result<_, Wrong>>()?,
    ))
}

/// What each read of the transaction saw.
pub(super) fn registers_ret(
    _: &Keyed<String, Vec<RegistersOp>>,
    event: &Event,
) -> Result<Vec<Option<i64>>, Wrong> {
    let steps = transaction::steps_of(event)?;
    let seen = steps.iter().filter_map(|step| match step {
        Step::Read(_, None) => Some(Ok(None)),
        Step::Read(_, Some(seen)) => Some(match seen.len() {
            0 | 1 => Ok(seen.iter().next()),
            _ => Err("a register holds one value".to_owned()),
        }),
        Step::Write(..) | Step::Append(..) => None,
    });
    seen.collect()
}

fn number(name: &Name) -> Result<i64, Wrong> {
    match name {
        Name::Number(number) => Ok(*number),
        Name::Word(word) => Err(format!(
            "the model registers names them by numbers, not {word:?}; rw-register takes words"
        )),
    }
}
