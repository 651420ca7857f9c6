//! A body as JSON: taken as it was meant, or refused.
//!
//! Three things a parser of JSON would let pass. What is nested as deep as it can just read could
//! not be read back any more once it stands within a list, a snapshot or another node's question.
//! A list would be taken for an object, its members in the order of the fields. And a whole number
//! beyond 64 bits would become a fraction close to it: the client would read back another number
//! than it wrote.

use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why bytes are no request.
#[derive(Debug, Error)]
pub(super) enum BodyError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("a request is an object, in {{}}")]
    NotAnObject,
    #[error("nested deeper than {DEPTH_MAX}")]
    Depth,
    #[error("the number {0} does not fit 64 bits; write it as a string")]
    Number(String),
}

/// How deep a request may be nested; a parser of JSON gives up at twice that.
const DEPTH_MAX: usize = 64;

/// Reads a request.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    let request = serde_json::from_slice(bytes)?;
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(BodyError::NotAnObject);
    }
    if depth(bytes) > DEPTH_MAX {
        return Err(BodyError::Depth);
    }
    match whole_numbers(bytes).find(|text| !fits(text)) {
        Some(text) => Err(BodyError::Number(text.chars().take(40).collect())),
        None => Ok(request),
    }
}

fn fits(number: &str) -> bool {
    number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()
}

/// How deep a text that is JSON is nested.
fn depth(json: &[u8]) -> usize {
    let (mut rest, mut now, mut deepest) = (json, 0_usize, 0);
    while let Some((&byte, behind)) = rest.split_first() {
        rest = match byte {
            b'"' => behind_string(rest),
            _ => behind,
        };
        match byte {
            b'[' | b'{' => now += 1,
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

/// All whole numbers of a text that is JSON, outside of its strings.
fn whole_numbers(json: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let start = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9'))?;
            rest = &rest[start..];
            if rest[0] == b'"' {
                rest = behind_string(rest);
                continue;
            }
            let is_part =
                |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
            let length = rest.iter().take_while(|byte| is_part(byte)).count();
            let (number, behind) = rest.split_at(length);
            rest = behind;
            let is_whole = !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
            if is_whole && let Ok(number) = str::from_utf8(number) {
                return Some(number);
            }
        }
    })
}

/// What follows the string that a text begins with.
fn behind_string(text: &[u8]) -> &[u8] {
    let mut is_escaped = false;
    let end = text.iter().skip(1).position(|&byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(&[], |end| &text[end + 2..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn refusal(text: &str) -> String {
        parse::<Value>(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_number_is_taken_whole_or_refused() {
        for text in [
            r#"{"value": 18446744073709551615}"#,
            r#"{"value": [-9223372036854775808, 1e300, 123456789012345678901234567890.5]}"#,
            r#"{"value": "18446744073709551616", "a \" 18446744073709551616": "\\"}"#,
        ] {
            parse::<Value>(text.as_bytes()).unwrap();
        }
        for number in ["18446744073709551616", "-9223372036854775809"] {
            assert!(refusal(&format!(r#"{{"a": ["\\", {number}]}}"#)).contains(number));
            assert!(refusal(&format!(r#"{{"{number}": {number}}}"#)).contains(number));
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_and_brackets_in_strings_are_not_counted() {
        let nested = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            format!(r#"{{"{open}": "{open}\"{open}", "value": {open}{close}}}"#)
        };
        parse::<Value>(nested(DEPTH_MAX - 1).as_bytes()).unwrap();
        assert!(refusal(&nested(DEPTH_MAX)).contains("deeper than 64"));
    }

    #[test]
    fn only_an_object_is_a_request() {
        for text in ["[\"x\", 1]", " null", "7", "\"{}\""] {
            assert!(refusal(text).contains("object"), "{text}");
        }
        assert!(refusal("{").contains("EOF"));
    }

    proptest! {
        #[test]
        fn every_string_is_skipped_and_every_number_found(text in ".*", number in any::<i64>()) {
            let json = serde_json::json!({ text.clone(): [text, number] }).to_string();
            let found: Vec<&str> = whole_numbers(json.as_bytes()).collect();
            prop_assert_eq!(found, [number.to_string()]);
        }
    }
}
