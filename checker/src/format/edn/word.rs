//! Where words end, and what the usual ones are.

use serde_json::{Number, Value};

/// Maps in histories have few keys but these.
pub(super) fn known(key: &[u8]) -> Option<&'static str> {
    Some(match key {
        b"process" => "process",
        b"type" => "type",
        b"f" => "f",
        b"value" => "value",
        b"time" => "time",
        b"index" => "index",
        b"error" => "error",
        b"key" => "key",
        b"node" => "node",
        b"term" => "term",
        b"log-index" => "log-index",
        b"phase" => "phase",
        _ => return None,
    })
}

/// Which bytes are between words and brackets.
pub(super) const IS_SPACE: [bool; 256] = table(b" \t\n\r\x0C,");
/// Which bytes a word ends before.
pub(super) const ENDS_WORD: [bool; 256] = table(b" \t\n\r\x0C,;()[]{}\"");

const fn table(bytes: &[u8]) -> [bool; 256] {
    let (mut table, mut at) = ([false; 256], 0);
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
}

pub(super) fn number(word: &str) -> Option<Value> {
    let number = word.trim_end_matches(['N', 'M']).trim_start_matches('+');
    if let Ok(integer) = number.parse::<i64>() {
        return Some(Value::from(integer));
    }
    if let Ok(integer) = number.parse::<u64>() {
        return Some(Value::from(integer));
    }
    let is_float = number.contains(['.', 'e', 'E']);
    let float = number.parse().ok().filter(|_| is_float)?;
    Number::from_f64(float).map(Value::Number)
}
