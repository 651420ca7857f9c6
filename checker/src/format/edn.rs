//! EDN, as far as histories need it: one form after the other, from a vector, a list or bare.
//!
//! Keywords and symbols become strings, vectors, lists and sets arrays, maps objects (their keys as
//! text), a tagged literal what it tags. Nesting is bounded, so that no file overflows the stack.

use std::io::{BufRead, Write};

use serde_json::{Map, Number, Value};

use super::FormatError;
use crate::history::{Event, EventKind};

const DEPTH_MAX: usize = 64;
const TOKEN_MAX: usize = 16 << 20;

/// The outermost maps of a file.
pub(super) struct Forms<R> {
    input: R,
    line: usize,
    /// Within the vector or list that holds everything.
    is_wrapped: bool,
    failed: bool,
}

/// One form.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut forms = Forms::new(text.as_bytes());
    let form = forms.value(0).map_err(|error| error.what)?;
    form.ok_or_else(|| "nothing there".to_owned())
}

impl<R: BufRead> Forms<R> {
    pub(super) fn new(input: R) -> Self {
        Forms {
            input,
            line: 1,
            is_wrapped: false,
            failed: false,
        }
    }

    fn error<T>(&self, what: impl Into<String>) -> Result<T, FormatError> {
        Err(FormatError::new(self.line, what))
    }

    fn peek(&mut self) -> Result<Option<u8>, FormatError> {
        let line = self.line;
        let buffer = self.input.fill_buf();
        let buffer = buffer.map_err(|error| FormatError::new(line, error.to_string()))?;
        Ok(buffer.first().copied())
    }

    fn bump(&mut self) {
        if let Ok(Some(byte)) = self.peek() {
            self.line += usize::from(byte == b'\n');
            self.input.consume(1);
        }
    }

    /// The next byte that is neither space, comma nor comment.
    fn significant(&mut self) -> Result<Option<u8>, FormatError> {
        while let Some(byte) = self.peek()? {
            if byte == b';' {
                while self.peek()?.is_some_and(|byte| byte != b'\n') {
                    self.bump();
                }
            } else if byte.is_ascii_whitespace() || byte == b',' {
                self.bump();
            } else {
                return Ok(Some(byte));
            }
        }
        Ok(None)
    }

    /// The next form, or `None` at the end or before a closing bracket.
    fn value(&mut self, depth: usize) -> Result<Option<Value>, FormatError> {
        if depth > DEPTH_MAX {
            return self.error(format!("nested deeper than {DEPTH_MAX}"));
        }
        let Some(byte) = self.significant()? else {
            return Ok(None);
        };
        match byte {
            b')' | b']' | b'}' => Ok(None),
            b'[' => self.list(b']', depth).map(Value::Array).map(Some),
            b'(' => self.list(b')', depth).map(Value::Array).map(Some),
            b'{' => self.map(depth).map(Some),
            b'"' => self.string().map(Some),
            b'#' => self.dispatch(depth),
            b'^' => {
                self.bump();
                self.value(depth + 1)?;
                self.value(depth + 1)
            }
            _ => self.atom().map(Some),
        }
    }

    fn list(&mut self, close: u8, depth: usize) -> Result<Vec<Value>, FormatError> {
        self.bump();
        let mut items = Vec::new();
        while let Some(item) = self.value(depth + 1)? {
            items.push(item);
        }
        if self.peek()? != Some(close) {
            return self.error(format!("expected {:?}", char::from(close)));
        }
        self.bump();
        Ok(items)
    }

    fn map(&mut self, depth: usize) -> Result<Value, FormatError> {
        let items = self.list(b'}', depth)?;
        if items.len() % 2 == 1 {
            return self.error("a map with a key and no value");
        }
        let mut map = Map::new();
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    /// `#{set}`, `#_ ignored`, `##NaN`, `#tag form`.
    fn dispatch(&mut self, depth: usize) -> Result<Option<Value>, FormatError> {
        self.bump();
        match self.peek()? {
            Some(b'{') => self.list(b'}', depth).map(Value::Array).map(Some),
            Some(b'_') => {
                self.bump();
                self.value(depth + 1)?;
                self.value(depth + 1)
            }
            Some(b'#') => {
                self.bump();
                self.atom().map(Some)
            }
            _ => {
                self.token()?;
                self.value(depth + 1)
            }
        }
    }

    fn string(&mut self) -> Result<Value, FormatError> {
        self.bump();
        let mut bytes = Vec::new();
        loop {
            let Some(byte) = self.peek()? else {
                return self.error("the file ends within a string");
            };
            self.bump();
            let byte = match byte {
                b'"' => break,
                b'\\' => {
                    let escaped = self.peek()?;
                    self.bump();
                    match escaped {
                        Some(b'n') => b'\n',
                        Some(b't') => b'\t',
                        Some(b'r') => b'\r',
                        Some(byte @ (b'"' | b'\\')) => byte,
                        _ => return self.error("an escape that is not known"),
                    }
                }
                byte => byte,
            };
            bytes.push(byte);
            if bytes.len() > TOKEN_MAX {
                return self.error("a string of more than 16 MiB");
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Value::String(text)),
            Err(_) => self.error("a string that is not UTF-8"),
        }
    }

    fn token(&mut self) -> Result<String, FormatError> {
        let mut bytes = Vec::new();
        while let Some(byte) = self.peek()? {
            if byte.is_ascii_whitespace() || b",;()[]{}\"".contains(&byte) {
                break;
            }
            bytes.push(byte);
            self.bump();
            if bytes.len() > TOKEN_MAX {
                return self.error("a word of more than 16 MiB");
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => self.error("expected a word"),
        }
    }

    fn atom(&mut self) -> Result<Value, FormatError> {
        let token = self.token()?;
        let number = token.trim_end_matches(['N', 'M']).trim_start_matches('+');
        Ok(match token.as_str() {
            "nil" | "NaN" | "Inf" | "-Inf" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => match (
                number.parse::<i64>(),
                number.parse::<f64>().map(Number::from_f64),
            ) {
                (Ok(integer), _) => Value::from(integer),
                (_, Ok(Some(float))) if number.contains(['.', 'e', 'E']) => Value::Number(float),
                _ => Value::String(token.trim_start_matches(':').to_owned()),
            },
        })
    }

    fn form(&mut self) -> Result<Option<Value>, FormatError> {
        loop {
            match self.significant()? {
                Some(b'[' | b'(') if !self.is_wrapped => {
                    self.is_wrapped = true;
                    self.bump();
                }
                Some(b']' | b')') if self.is_wrapped => {
                    self.is_wrapped = false;
                    self.bump();
                }
                Some(b')' | b']' | b'}') => return self.error("a bracket that opens nowhere"),
                None if self.is_wrapped => return self.error("the file ends within a list"),
                _ => return self.value(0),
            }
        }
    }
}

impl<R: BufRead> Iterator for Forms<R> {
    type Item = Result<(usize, Value), FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let form = self.form();
        self.failed = form.is_err();
        form.transpose()
            .map(|form| form.map(|form| (self.line, form)))
    }
}

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
