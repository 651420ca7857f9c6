//! Why a line is no event of ours, in words: which field, what was expected, and what stood there.

use serde_json::{Map, Value};

/// What a field has to be.
struct Field {
    name: &'static str,
    is_needed: bool,
    expected: &'static str,
    fits: fn(&Value) -> bool,
}

const fn needed(name: &'static str, expected: &'static str, fits: fn(&Value) -> bool) -> Field {
    Field {
        name,
        is_needed: true,
        expected,
        fits,
    }
}

const fn optional(name: &'static str, expected: &'static str, fits: fn(&Value) -> bool) -> Field {
    Field {
        is_needed: false,
        ..needed(name, expected, fits)
    }
}

const NUMBER: &str = "a whole number from 0";

/// All that an [`Event`](crate::history::Event) demands.
const FIELDS: [Field; 9] = [
    needed("index", NUMBER, Value::is_u64),
    needed("process", NUMBER, Value::is_u64),
    needed("type", "\"invoke\", \"ok\", \"fail\" or \"info\"", is_kind),
    needed("f", "the name of an operation", Value::is_string),
    needed(
        "time",
        "nanoseconds as a whole number from 0",
        Value::is_u64,
    ),
    optional("node", "a name", Value::is_string),
    optional("term", NUMBER, Value::is_u64),
    optional("log_index", NUMBER, Value::is_u64),
    optional("phase", "a name", Value::is_string),
];

fn is_kind(value: &Value) -> bool {
    let kinds = ["invoke", "ok", "fail", "info"];
    value.as_str().is_some_and(|kind| kinds.contains(&kind))
}

fn is_error(value: &Value) -> bool {
    ["code", "message"]
        .iter()
        .all(|name| value[name].is_string())
}

/// Longer values are not told whole.
const TOLD_MAX: usize = 60;

fn told(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(TOLD_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What is wrong with a line that could not be read as an event.
pub(super) fn refusal(line: &[u8], error: &serde_json::Error) -> String {
    match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => of_fields(&object).unwrap_or_else(|| bare(error)),
        Ok(other) => format!("expected an event as an object, found {}", told(&other)),
        Err(error) => format!("no JSON: {}, at column {}", bare(&error), error.column()),
    }
}

/// The first field that is not as it has to be.
fn of_fields(object: &Map<String, Value>) -> Option<String> {
    let wrong = |field: &Field| {
        let (name, expected) = (field.name, field.expected);
        match object.get(name) {
            None if field.is_needed => Some(format!("no field {name:?}: expected {expected}")),
            Some(Value::Null) if !field.is_needed => None,
            Some(value) if !(field.fits)(value) => {
                let found = told(value);
                Some(format!(
                    "field {name:?}: expected {expected}, found {found}"
                ))
            }
            _ => None,
        }
    };
    let error = optional("error", "an object of \"code\" and \"message\"", is_error);
    FIELDS.iter().chain([&error]).find_map(wrong)
}

/// Without the line, which is always its first.
fn bare(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Event;

    fn said(line: &str) -> String {
        let error = serde_json::from_str::<Event>(line).expect_err("it is none");
        refusal(line.as_bytes(), &error)
    }

    #[test]
    fn the_field_is_named_with_what_was_expected_and_what_stood_there() {
        let good = r#"{"index":0,"process":1,"type":"ok","f":"read","time":4,"value":2}"#;
        serde_json::from_str::<Event>(good).expect("it is an event");
        for (part, instead, words) in [
            (
                r#""time":4"#,
                r#""time":-4"#,
                "field \"time\": expected nanoseconds as a whole number from 0, found -4",
            ),
            (
                r#""process":1"#,
                r#""process":"n1""#,
                "field \"process\": expected a whole number from 0, found \"n1\"",
            ),
            (
                r#""ok""#,
                r#""ook""#,
                "field \"type\": expected \"invoke\", \"ok\", \"fail\" or \"info\", found \"ook\"",
            ),
            (
                r#","f":"read""#,
                "",
                "no field \"f\": expected the name of an operation",
            ),
            (
                r#""value":2"#,
                r#""error":"lost""#,
                "field \"error\": expected an object of \"code\" and \"message\", found \"lost\"",
            ),
            (r#""value":2"#, r#""time":5"#, "duplicate field `time`"),
            (
                r#""value":2"#,
                r#""value":2]"#,
                "no JSON: expected `,` or `}`, at column 65",
            ),
        ] {
            assert!(good.contains(part));
            assert_eq!(said(&good.replace(part, instead)), words);
        }
        assert_eq!(said("3"), "expected an event as an object, found 3");
    }

    #[test]
    fn a_long_value_is_told_by_its_beginning() {
        let line = format!(r#"{{"index":"{}"}}"#, "é".repeat(100));
        let words = said(&line);
        assert!(words.ends_with("é…") && words.len() < 200, "{words}");
    }
}
