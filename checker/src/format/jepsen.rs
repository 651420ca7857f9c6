//! Jepsen's operation maps, whether they came as EDN or JSON.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::console::Retired;
use super::{FormatError, Line};
use crate::history::{Event, EventError, EventKind, Process, Time};

/// A key of a map.
pub(super) type Key = Cow<'static, str>;

/// An operation map as it was read. There are few keys, so they are looked for one by one.
#[derive(Default)]
pub(super) struct Fields(Vec<(Key, Value)>);

impl Fields {
    pub(super) fn push(&mut self, key: Key, value: Value) {
        self.0.push((key, value));
    }

    /// The value under that key, the last if there are several; nil is none.
    fn take(&mut self, key: &str) -> Option<Value> {
        let field = self.0.iter_mut().rev().find(|(name, _)| name == key);
        field
            .map(|(_, value)| value.take())
            .filter(|value| !value.is_null())
    }

    fn take_text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(map: Map<String, Value>) -> Self {
        let fields = map.into_iter();
        Fields(fields.map(|(key, value)| (key.into(), value)).collect())
    }
}

/// Turns maps into events.
pub(super) struct Events<I> {
    maps: I,
    index: u64,
    retired: Retired,
}

impl<I> Events<I> {
    pub(super) fn new(maps: I) -> Self {
        Events {
            maps,
            index: 0,
            retired: Retired::default(),
        }
    }

    /// Nothing for what no client did.
    fn event(&mut self, mut map: Fields) -> Result<Option<Event>, String> {
        let process = match map.take("process") {
            Some(Value::Number(process)) => process.as_u64().ok_or("a negative process")?,
            Some(Value::String(_)) => return Ok(None),
            _ => return Err("a map without a :process".into()),
        };
        let kind = map.take_text("type");
        let kind = match kind.as_deref() {
            Some("invoke") => EventKind::Invoke,
            Some("ok") => EventKind::Ok,
            Some("fail") => EventKind::Fail,
            Some("info") => EventKind::Info,
            other => return Err(format!("no such event :type: {other:?}")),
        };
        let index = self.index;
        self.index += 1;
        let time = map.take("time").and_then(|time| time.as_u64());
        let Process(process) = self.retired.alias(process, kind);
        Ok(Some(Event {
            index,
            process: Process(process),
            kind,
            f: map.take_text("f").unwrap_or_else(|| "txn".to_owned()),
            key: map.take("key"),
            value: map.take("value").unwrap_or_default(),
            time: Time(time.unwrap_or(index)),
            node: map.take_text("node"),
            term: map.take("term").and_then(|term| term.as_u64()),
            log_index: map.take("log-index").and_then(|index| index.as_u64()),
            error: map.take("error").map(error_of),
            phase: map.take_text("phase"),
        }))
    }
}

/// `[code message]`, a message, or whatever else stands there.
fn error_of(error: Value) -> EventError {
    let (code, message) = match error {
        Value::String(message) => (String::new(), message),
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(code), Value::String(message)] => (code.clone(), message.clone()),
            _ => (String::new(), Value::Array(parts).to_string()),
        },
        other => (String::new(), other.to_string()),
    };
    EventError { code, message }
}

impl<I: Iterator<Item = Result<(usize, Fields), FormatError>>> Iterator for Events<I> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        loop {
            let (line, map) = match self.maps.next()? {
                Ok(map) => map,
                Err(error) => return Some(Err(error)),
            };
            let event = self.event(map).transpose();
            if let Some(event) = event {
                let event = event.map(|event| (line, event));
                return Some(event.map_err(|what| FormatError::new(line, what)));
            }
        }
    }
}
