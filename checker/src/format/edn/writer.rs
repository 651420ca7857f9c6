//! Histories as EDN, for the tools that read it.

use std::io::Write;

use serde_json::Value;

use crate::history::{Event, EventKind};

/// Writes events as Jepsen writes them: one map a line.
///
/// # Errors
/// If writing fails.
pub fn write_edn<'e>(
    events: impl IntoIterator<Item = &'e Event>,
    mut output: impl Write,
) -> std::io::Result<()> {
    for event in events {
        let kind = match event.kind {
            EventKind::Invoke => "invoke",
            EventKind::Ok => "ok",
            EventKind::Fail => "fail",
            EventKind::Info => "info",
        };
        let value = match &event.key {
            Some(key) => format!("[{} {}]", text(key), text(&event.value)),
            None => text(&event.value),
        };
        writeln!(
            output,
            "{{:index {}, :process {}, :type :{kind}, :f :{}, :value {value}, :time {}}}",
            event.index, event.process.0, event.f, event.time.0
        )?;
    }
    Ok(())
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!(":{key} {}", text(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
