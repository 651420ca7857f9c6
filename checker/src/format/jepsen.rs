//! Jepsen's operation maps, whether they came as EDN or JSON.

use serde_json::{Map, Value};

use super::console::Retired;
use super::{FormatError, Line};
use crate::history::{Event, EventError, EventKind, Process, Time};

/// Where operation maps come from, one after the other.
pub(super) trait Maps {
    /// Adds what the next map says to `fields`, and tells the line on which it ends; nothing at the
    /// end.
    fn next(&mut self, fields: &mut Fields) -> Result<Option<usize>, FormatError>;
}

/// What an operation map says.
#[derive(Default)]
pub(super) struct Fields {
    process: Who,
    kind: Kind,
    f: Option<String>,
    key: Option<Value>,
    value: Value,
    time: When,
    node: Option<String>,
    term: Option<u64>,
    log_index: Option<u64>,
    error: Option<EventError>,
    phase: Option<String>,
}

#[derive(Clone, Copy, Default)]
enum Who {
    #[default]
    Nobody,
    Client(u64),
    /// `:nemesis`, for one.
    NoClient,
    Wrong,
}

/// What a map says of the time.
#[derive(Clone, Copy, Default)]
enum When {
    #[default]
    Unsaid,
    At(u64),
    /// It is no whole number from 0.
    Wrong,
}

enum Kind {
    Known(EventKind),
    Unknown(Option<String>),
}

impl Default for Kind {
    fn default() -> Self {
        Kind::Unknown(None)
    }
}

impl Kind {
    fn of(name: &[u8]) -> Option<EventKind> {
        Some(match name {
            b"invoke" => EventKind::Invoke,
            b"ok" => EventKind::Ok,
            b"fail" => EventKind::Fail,
            b"info" => EventKind::Info,
            _ => return None,
        })
    }
}

/// A key that means something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Process,
    Kind,
    F,
    Key,
    Value,
    Time,
    Node,
    Term,
    LogIndex,
    Error,
    Phase,
}

impl Field {
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"process" => Field::Process,
            b"type" => Field::Kind,
            b"f" => Field::F,
            b"key" => Field::Key,
            b"value" => Field::Value,
            b"time" => Field::Time,
            b"node" => Field::Node,
            b"term" => Field::Term,
            b"log-index" => Field::LogIndex,
            b"error" => Field::Error,
            b"phase" => Field::Phase,
            _ => return None,
        })
    }
}

impl Fields {
    /// Takes note of what stands under that key. Of equal keys the last one counts.
    pub(super) fn put(&mut self, field: Field, value: Value) {
        match field {
            Field::Process => {
                self.process = match value {
                    Value::Number(process) => process.as_u64().map_or(Who::Wrong, Who::Client),
                    Value::String(name) => who(&name),
                    _ => Who::Nobody,
                }
            }
            Field::Kind => {
                let name = text(value);
                let known = name.as_deref().and_then(|name| Kind::of(name.as_bytes()));
                self.kind = known.map_or(Kind::Unknown(name), Kind::Known);
            }
            Field::F => self.f = text(value),
            Field::Key => self.key = Some(value).filter(|key| !key.is_null()),
            Field::Value => self.value = value,
            Field::Time => {
                self.time = match value {
                    Value::Null => When::Unsaid,
                    value => value.as_u64().map_or(When::Wrong, When::At),
                }
            }
            Field::Node => self.node = text(value),
            Field::Term => self.term = value.as_u64(),
            Field::LogIndex => self.log_index = value.as_u64(),
            Field::Error => self.error = error_of(value),
            Field::Phase => self.phase = text(value),
        }
    }

    /// The same of a word as EDN has it, without a detour, if it is of the usual kind.
    pub(super) fn put_word(&mut self, field: Field, word: &[u8]) -> bool {
        match (field, word) {
            (Field::Kind, [b':', name @ ..]) => match Kind::of(name) {
                Some(kind) => self.kind = Kind::Known(kind),
                None => return false,
            },
            (Field::F, [b':', name @ ..]) if name.is_ascii() && !name.starts_with(b":") => {
                self.f = str::from_utf8(name).ok().map(str::to_owned);
            }
            (Field::Process, digits) => match digits_of(digits) {
                Some(process) => self.process = Who::Client(process),
                None => return false,
            },
            (Field::Time, digits) => match digits_of(digits) {
                Some(time) => self.time = When::At(time),
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// Those of a map that was read as a whole.
    pub(super) fn put_all(&mut self, map: Map<String, Value>) {
        for (key, value) in map {
            if let Some(field) = Field::of(key.as_bytes()) {
                self.put(field, value);
            }
        }
    }
}

/// The number, if those are a few digits.
fn digits_of(word: &[u8]) -> Option<u64> {
    let digit = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(10 * number + digit)
    };
    let is_short = (1..19).contains(&word.len());
    is_short.then(|| word.iter().try_fold(0, digit)).flatten()
}

/// A client by its number in quotes, or somebody else, as the nemesis.
fn who(name: &str) -> Who {
    let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    match name.parse() {
        Ok(process) if is_number => Who::Client(process),
        Err(_) if is_number => Who::Wrong,
        _ => Who::NoClient,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// What is known of a file before its next event.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) fields: Fields,
    index: u64,
    retired: Retired,
    /// Whether events say when they were, once there is one.
    is_timed: Option<bool>,
}

impl Reader {
    /// Takes note of an event that was read as one of ours, and tells who did it with Jepsen.
    pub(super) fn follow(&mut self, event: &Event) -> Process {
        self.index += 1;
        self.is_timed = Some(true);
        self.retired.alias(event.process.0, event.kind)
    }

    /// What the fields say: nothing for what no client did. They are empty after it.
    pub(super) fn event(&mut self) -> Result<Option<Event>, String> {
        let fields = &mut self.fields;
        let process = std::mem::take(&mut fields.process);
        let kind = std::mem::take(&mut fields.kind);
        let time = std::mem::take(&mut fields.time);
        let index = self.index;
        let mut event = Event {
            index,
            process: Process(0),
            kind: EventKind::Invoke,
            f: fields.f.take().unwrap_or_else(|| "txn".to_owned()),
            key: fields.key.take(),
            value: fields.value.take(),
            time: Time(0),
            node: fields.node.take(),
            term: fields.term.take(),
            log_index: fields.log_index.take(),
            error: fields.error.take(),
            phase: fields.phase.take(),
        };
        let process = match process {
            Who::Client(process) => process,
            Who::NoClient => return Ok(None),
            Who::Wrong => return Err("a :process that is no whole number from 0".into()),
            Who::Nobody => return Err("a map without a :process".into()),
        };
        event.kind = match kind {
            Kind::Known(kind) => kind,
            Kind::Unknown(other) => return Err(format!("no such event :type: {other:?}")),
        };
        let is_timed = !matches!(time, When::Unsaid);
        event.time = match time {
            When::At(time) => Time(time),
            When::Unsaid => Time(index),
            When::Wrong => return Err("a :time that is no whole number from 0".into()),
        };
        if *self.is_timed.get_or_insert(is_timed) != is_timed {
            return Err("some events have a :time, and some have none".into());
        }
        event.process = self.retired.alias(process, event.kind);
        self.index += 1;
        Ok(Some(event))
    }
}

/// Turns maps into events.
pub(super) struct Events<I> {
    maps: I,
    reader: Reader,
    failed: bool,
}

impl<I> Events<I> {
    pub(super) fn new(maps: I) -> Self {
        Events {
            maps,
            reader: Reader::default(),
            failed: false,
        }
    }
}

/// `[code message]`, a message, or whatever else stands there but nil.
fn error_of(error: Value) -> Option<EventError> {
    let (code, message) = match error {
        Value::Null => return None,
        Value::String(message) => (String::new(), message),
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(code), Value::String(message)] => (code.clone(), message.clone()),
            _ => (String::new(), Value::Array(parts).to_string()),
        },
        other => (String::new(), other.to_string()),
    };
    Some(EventError { code, message })
}

impl<I: Maps> Iterator for Events<I> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while !self.failed {
            let line = match self.maps.next(&mut self.reader.fields) {
                Ok(line) => line?,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            };
            match self.reader.event() {
                Ok(Some(event)) => return Some(Ok((line, event))),
                Ok(None) => {}
                Err(what) => return Some(Err(FormatError::new(line, what))),
            }
        }
        None
    }
}
