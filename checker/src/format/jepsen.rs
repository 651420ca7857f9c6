//! Jepsen's operation maps, whether they came as EDN or JSON.

use serde_json::Value;

use super::console::Retired;
use super::{FormatError, Line};
use crate::history::{Event, EventError, EventKind, Process, Time};

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
    fn event(&mut self, map: &Value) -> Result<Option<Event>, String> {
        let word = |key: &str| map.get(key).and_then(Value::as_str);
        if !map.is_object() {
            return Err("expected a map".into());
        }
        let process = match map.get("process") {
            Some(Value::Number(process)) => process.as_u64().ok_or("a negative process")?,
            Some(Value::String(_)) => return Ok(None),
            _ => return Err("a map without a :process".into()),
        };
        let kind = match word("type") {
            Some("invoke") => EventKind::Invoke,
            Some("ok") => EventKind::Ok,
            Some("fail") => EventKind::Fail,
            Some("info") => EventKind::Info,
            other => return Err(format!("no such event :type: {other:?}")),
        };
        let index = self.index;
        self.index += 1;
        let time = map.get("time").and_then(Value::as_u64).unwrap_or(index);
        let Process(process) = self.retired.alias(process, kind);
        Ok(Some(Event {
            index,
            process: Process(process),
            kind,
            f: word("f").unwrap_or("txn").to_owned(),
            key: map.get("key").filter(|key| !key.is_null()).cloned(),
            value: map.get("value").cloned().unwrap_or(Value::Null),
            time: Time(time),
            node: word("node").map(str::to_owned),
            term: None,
            log_index: None,
            error: map
                .get("error")
                .filter(|error| !error.is_null())
                .map(|error| EventError {
                    code: String::new(),
                    message: error.to_string(),
                }),
            phase: None,
        }))
    }
}

impl<I: Iterator<Item = Result<(usize, Value), FormatError>>> Iterator for Events<I> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        loop {
            let (line, map) = match self.maps.next()? {
                Ok(map) => map,
                Err(error) => return Some(Err(error)),
            };
            let event = self.event(&map).transpose();
            if let Some(event) = event {
                let event = event.map(|event| (line, event));
                return Some(event.map_err(|what| FormatError::new(line, what)));
            }
        }
    }
}
