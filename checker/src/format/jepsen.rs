//! Jepsen's operation maps, whether they came as EDN or JSON.

use serde_json::{Map, Value};

use super::console::Retired;
use super::{FormatError, Line};
use crate::history::{Event, EventError, EventKind, Process, Time};

/// A key of a map.
pub(super) enum Key {
    /// One of the usual ones.
    Known(Field),
    Other(String),
}

impl Key {
    /// As it is written.
    pub(super) fn into_text(self) -> String {
        match self {
            Key::Known(field) => String::from_utf8_lossy(field.name()).into_owned(),
            Key::Other(text) => text,
        }
    }
}

macro_rules! fields {
    ($($field:ident $name:literal)*) => {
        /// The keys that operation maps have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Field { $($field,)* }

        impl Field {
            /// The one that is written like this.
            pub(super) fn named(name: &[u8]) -> Option<Self> {
                Some(match name {
                    $($name => Field::$field,)*
                    _ => return None,
                })
            }

            fn name(self) -> &'static [u8] {
                match self { $(Field::$field => $name,)* }
            }
        }
    };
}

fields! {
    Type b"type"
    F b"f"
    Value b"value"
    Process b"process"
    Time b"time"
    // Where it stands is counted, whatever it says.
    Index b"index"
    Error b"error"
    Key b"key"
    Node b"node"
    Term b"term"
    LogIndex b"log-index"
    Phase b"phase"
}

/// So many of them a map has most often.
const FIELDS_USUAL: usize = 6;

/// An operation map as it was read: there are few keys, so they are looked for one by one.
pub(super) struct Fields(Vec<(Field, Value)>);

impl Default for Fields {
    fn default() -> Self {
        Fields(Vec::with_capacity(FIELDS_USUAL))
    }
}

impl Fields {
    /// Keys that mean nothing are left out.
    pub(super) fn push(&mut self, key: &Key, value: Value) {
        if let Key::Known(field) = key {
            self.0.push((*field, value));
        }
    }

    /// The value under that key, the last if there are several; nil is none.
    fn take(&mut self, field: Field) -> Option<Value> {
        let found = self.0.iter_mut().rev().find(|(name, _)| *name == field);
        found
            .map(|(_, value)| value.take())
            .filter(|value| !value.is_null())
    }

    fn take_text(&mut self, field: Field) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(map: Map<String, Value>) -> Self {
        let mut fields = Fields::default();
        for (key, value) in map {
            let field = Field::named(key.as_bytes());
            fields.0.extend(field.map(|field| (field, value)));
        }
        fields
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
        let process = match map.take(Field::Process) {
            Some(Value::Number(process)) => process.as_u64().ok_or("a negative process")?,
            Some(Value::String(_)) => return Ok(None),
            _ => return Err("a map without a :process".into()),
        };
        let kind = map.take_text(Field::Type);
        let kind = match kind.as_deref() {
            Some("invoke") => EventKind::Invoke,
            Some("ok") => EventKind::Ok,
            Some("fail") => EventKind::Fail,
            Some("info") => EventKind::Info,
            other => return Err(format!("no such event :type: {other:?}")),
        };
        let index = self.index;
        self.index += 1;
        let time = map.take(Field::Time).and_then(|time| time.as_u64());
        let Process(process) = self.retired.alias(process, kind);
        Ok(Some(Event {
            index,
            process: Process(process),
            kind,
            f: map.take_text(Field::F).unwrap_or_else(|| "txn".to_owned()),
            key: map.take(Field::Key),
            value: map.take(Field::Value).unwrap_or_default(),
            time: Time(time.unwrap_or(index)),
            node: map.take_text(Field::Node),
            term: map.take(Field::Term).and_then(|term| term.as_u64()),
            log_index: map.take(Field::LogIndex).and_then(|index| index.as_u64()),
            error: map.take(Field::Error).map(error_of),
            phase: map.take_text(Field::Phase),
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
