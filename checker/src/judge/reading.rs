//! How events are read as operations and results, object by object.

use serde_json::Value;

use super::subject::Wrong;
use crate::history::Event;
use crate::model::{
    AppendOp, AppendRet, CounterOp, CounterRet, Keyed, LockOp, RegisterOp, RegisterRet, SequenceOp,
    SequenceRet, SetOp, SetRet,
};

/// The value of `[key value]`, or the value.
pub(super) fn unkeyed(value: &Value) -> &Value {
    match value.as_array().map(Vec::as_slice) {
        Some([key, value]) if !key.is_array() && (value.is_array() || value.is_null()) => value,
        _ => value,
    }
}

/// The key: the event's own, or the first of `[key value]`.
pub(super) fn key_of(event: &Event, is_keyed: bool) -> String {
    let key = event
        .key
        .as_ref()
        .or_else(|| event.value.get(0).filter(|_| is_keyed));
    key.map_or(String::new(), |key| match key {
        Value::String(key) => key.clone(),
        other => other.to_string(),
    })
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

pub(super) fn register_ret(
    op: &Keyed<String, RegisterOp>,
    event: &Event,
) -> Result<RegisterRet, Wrong> {
    Ok(match op.op {
        RegisterOp::Read => {
            let value = event.value.get(1).unwrap_or(&event.value);
            RegisterRet::Value(integer_or_nil(value)?)
        }
        RegisterOp::Write(_) => RegisterRet::Written,
        RegisterOp::Cas { .. } => RegisterRet::Swapped(event.value.as_bool().unwrap_or(true)),
    })
}

pub(super) fn append_op(event: &Event) -> Result<Keyed<String, AppendOp>, Wrong> {
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

pub(super) fn append_ret(op: &Keyed<String, AppendOp>, event: &Event) -> Result<AppendRet, Wrong> {
    Ok(match op.op {
        AppendOp::Get => AppendRet::Value(event.value.as_str().unwrap_or_default().to_owned()),
        AppendOp::Put(_) | AppendOp::Append(_) => AppendRet::Done,
    })
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
/// elements that were never added under it, whatever their numbers.
pub(super) fn set_ret(op: &Keyed<String, SetOp>, event: &Event) -> Result<SetRet, Wrong> {
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

/// An operation on the one object that there is.
fn whole<O>(op: O) -> Keyed<String, O> {
    Keyed::new(String::new(), op)
}

pub(super) fn sequence_op(event: &Event) -> Result<Keyed<String, SequenceOp>, Wrong> {
    Ok(whole(match event.f.as_str() {
        "enqueue" | "push" => SequenceOp::Put(integer(&event.value)?),
        "dequeue" | "pop" => SequenceOp::Take,
        other => return Err(format!("a queue or stack has no {other}")),
    }))
}

pub(super) fn sequence_ret(
    op: &Keyed<String, SequenceOp>,
    event: &Event,
) -> Result<SequenceRet, Wrong> {
    Ok(match op.op {
        SequenceOp::Put(_) => SequenceRet::Done,
        SequenceOp::Take => SequenceRet::Taken(integer_or_nil(&event.value)?),
    })
}

pub(super) fn counter_op(event: &Event) -> Result<Keyed<String, CounterOp>, Wrong> {
    Ok(whole(match event.f.as_str() {
        "add" => CounterOp::Add(integer(&event.value)?),
        "read" => CounterOp::Read,
        other => return Err(format!("a counter has no {other}")),
    }))
}

pub(super) fn counter_ret(
    op: &Keyed<String, CounterOp>,
    event: &Event,
) -> Result<CounterRet, Wrong> {
    Ok(match op.op {
        CounterOp::Add(_) => CounterRet::Added,
        CounterOp::Read => CounterRet::Value(integer(&event.value)?),
    })
}

pub(super) fn lock_op(event: &Event) -> Result<Keyed<String, LockOp>, Wrong> {
    Ok(whole(match event.f.as_str() {
        "acquire" => LockOp::Acquire(event.process.0),
        "release" => LockOp::Release(event.process.0),
        other => return Err(format!("a lock has no {other}")),
    }))
}
