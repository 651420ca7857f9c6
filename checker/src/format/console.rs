//! Jepsen's console log: `INFO  jepsen.util - 7 :invoke :cas [1 2]`, fields apart by
//! tabs or spaces.
//!
//! A failed compare-and-set is an observation there: the log does not tell *refused* from *found
//! another value*, and the etcd corpus means the latter.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde_json::{Value, json};

use super::line::Lines;
use super::{FormatError, Line, edn};
use crate::history::{Event, EventKind, Process, Time};

pub(super) fn lines<R: BufRead>(input: R) -> impl Iterator<Item = Line> {
    let mut retired = Retired::default();
    let mut index = 0;
    let mut lines = Lines::new(input);
    std::iter::from_fn(move || {
        loop {
            let line = match lines.next() {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            let number = line.number;
            let Ok(text) = str::from_utf8(line.text) else {
                return Some(Err(FormatError::new(number, "a line that is not UTF-8")));
            };
            // `12` may have been `123`: nothing but its end tells that a line is whole.
            if !line.is_ended && text.contains(MARK) {
                let error = FormatError::new(number, "the file ends before this line does");
                return Some(Err(error.torn_if(true)));
            }
            let Some(event) = event(text, index, &mut retired).transpose() else {
                continue;
            };
            index += 1;
            let event = event.map(|event| (number, event));
            return Some(event.map_err(|what| FormatError::new(number, what)));
        }
    })
}

/// What stands before every operation.
const MARK: &str = "jepsen.util - ";

/// Nothing where the line is not an operation.
fn event(line: &str, index: u64, retired: &mut Retired) -> Result<Option<Event>, String> {
    let Some((_, rest)) = line.split_once(MARK) else {
        return Ok(None);
    };
    let mut rest = rest.trim();
    let mut field = || {
        let (field, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = after.trim_start();
        field
    };
    let (process, kind, f) = (field(), field(), field());
    if f.is_empty() {
        return Ok(None);
    }
    let Ok(process) = process.parse::<u64>() else {
        return Ok(None);
    };
    let (kind, f) = (
        kind.trim_start_matches(':'),
        f.trim_start_matches(':').to_owned(),
    );
    let mut kind = match kind {
        "invoke" => EventKind::Invoke,
        "ok" => EventKind::Ok,
        "fail" => EventKind::Fail,
        "info" => EventKind::Info,
        other => return Err(format!("no such event type: {other}")),
    };
    let value = edn::parse(if rest.is_empty() { "nil" } else { rest })?;
    let value = match (f.as_str(), kind) {
        ("cas", EventKind::Ok) => json!(true),
        ("cas", EventKind::Fail) if value.is_array() => {
            kind = EventKind::Ok;
            json!(false)
        }
        (_, EventKind::Info | EventKind::Fail) => Value::Null,
        _ => value,
    };
    Ok(Some(Event {
        index,
        process: retired.alias(process, kind),
        kind,
        f,
        key: None,
        value,
        time: Time(index),
        node: None,
        term: None,
        log_index: None,
        error: None,
        phase: None,
    }))
}

/// Gives a process that goes on after an unknown outcome a new number: its own, and in how many
/// lives it was before ([`Process`] tells them so).
#[derive(Default)]
pub(super) struct Retired {
    names: BTreeMap<u64, u64>,
}

impl Retired {
    pub(super) fn alias(&mut self, process: u64, kind: EventKind) -> Process {
        let name = *self.names.get(&process).unwrap_or(&process);
        if kind == EventKind::Info {
            self.names.insert(process, name.wrapping_add(Process::LIFE));
        }
        Process(name)
    }
}
