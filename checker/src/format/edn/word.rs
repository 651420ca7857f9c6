//! Where words end, and what the usual ones are.

use serde_json::{Number, Value};

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

/// What a word is, if it is text at all.
pub(super) fn meaning(word: &[u8]) -> Option<Value> {
    let text = str::from_utf8(word).ok()?;
    Some(match text {
        "nil" | "NaN" | "Inf" | "-Inf" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if text.starts_with(':') => Value::from(text.trim_start_matches(':')),
        _ => number(text).unwrap_or_else(|| Value::from(text)),
    })
}

fn number(word: &str) -> Option<Value> {
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
