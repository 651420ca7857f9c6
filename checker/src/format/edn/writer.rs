//! Histories as EDN, for the tools that read it.
//!
//! What an event says beyond Jepsen's own keys (`:node`, `:term`, `:log-index`, `:phase`) stands
//! under keys that Jepsen passes over, so that nothing is lost on the way back.

use std::fmt::Write as _;
use std::io::Write;

use serde_json::Value;

use crate::history::{Event, EventKind};

/// Writes events as Jepsen writes them: one map a line, keys as `[key value]`, the names of a
/// transaction's steps as keywords.
///
/// # Errors
/// If writing fails.
pub fn write_edn<'e>(
    events: impl IntoIterator<Item = &'e Event>,
    mut output: impl Write,
) -> std::io::Result<()> {
    for event in events {
        writeln!(output, "{}", line(event))?;
    }
    Ok(())
}

fn line(event: &Event) -> String {
    let kind = match event.kind {
        EventKind::Invoke => "invoke",
        EventKind::Ok => "ok",
        EventKind::Fail => "fail",
        EventKind::Info => "info",
    };
    let value = match &event.key {
        Some(key) => format!("[{} {}]", text(key), text(&event.value)),
        None if event.f == "txn" => steps(&event.value),
        None => text(&event.value),
    };
    let (process, f, time) = (event.process.0, keyword(&event.f), event.time.0);
    let mut line = format!("{{:index {}, :process {process}", event.index);
    let _ = write!(
        line,
        ", :type :{kind}, :f {f}, :value {value}, :time {time}"
    );
    if let Some(node) = &event.node {
        let _ = write!(line, ", :node {}", string(node));
    }
    let numbers = [("term", event.term), ("log-index", event.log_index)];
    for (key, number) in numbers {
        if let Some(number) = number {
            let _ = write!(line, ", :{key} {number}");
        }
    }
    if let Some(error) = &event.error {
        let (code, message) = (string(&error.code), string(&error.message));
        let _ = match error.code.is_empty() {
            true => write!(line, ", :error {message}"),
            false => write!(line, ", :error [{code} {message}]"),
        };
    }
    if let Some(phase) = &event.phase {
        let _ = write!(line, ", :phase {}", string(phase));
    }
    line.push('}');
    line
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::String(words) => string(words),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{} {}", keyword(key), text(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// `[[:append 3 1] [:r 3 nil]]`.
fn steps(value: &Value) -> String {
    let Value::Array(steps) = value else {
        return text(value);
    };
    let step = |step: &Value| match step.as_array().map(Vec::as_slice) {
        Some([Value::String(f), rest @ ..]) => {
            let rest = rest.iter().map(|value| format!(" {}", text(value)));
            format!("[{}{}]", keyword(f), rest.collect::<String>())
        }
        _ => text(step),
    };
    let steps = steps.iter().map(step).collect::<Vec<_>>();
    format!("[{}]", steps.join(" "))
}

/// A string, with the escapes that every reader of EDN knows.
fn string(words: &str) -> String {
    let mut text = String::with_capacity(words.len() + 2);
    text.push('"');
    for sign in words.chars() {
        match sign {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            sign => text.push(sign),
        }
    }
    text.push('"');
    text
}

/// A keyword where the word can be one, else a string.
fn keyword(word: &str) -> String {
    let is_word = |sign: char| sign.is_ascii_alphanumeric() || "-_?!*+./".contains(sign);
    let is_keyword = word.starts_with(|first: char| first.is_ascii_alphabetic());
    match is_keyword && word.chars().all(is_word) {
        true => format!(":{word}"),
        false => string(word),
    }
}
