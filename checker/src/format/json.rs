//! JSON: our own lines, and Jepsen's objects in an array or one after the other.

use std::io::BufRead;

use serde_json::{Map, Value};

use super::jepsen::{Fields, Maps};
use super::{FormatError, Line};
use crate::history::Event;

/// Longer objects than that are no events.
const OBJECT_MAX: usize = 64 << 20;

pub(super) fn lines<R: BufRead>(input: R) -> impl Iterator<Item = Line> {
    let numbered = (1..).zip(input.split(b'\n'));
    let mut ahead = numbered.peekable();
    std::iter::from_fn(move || {
        loop {
            let (number, line) = ahead.next()?;
            let line = match line {
                Ok(line) => line,
                Err(error) => return Some(Err(FormatError::new(number, error.to_string()))),
            };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let event = serde_json::from_slice::<Event>(&line);
            return Some(event.map(|event| (number, event)).map_err(|error| {
                let is_torn = error.is_eof() && ahead.peek().is_none();
                let hint = match is_torn {
                    true => {
                        "; the file ends within this line, as one does whose writer was killed: \
                         judge it without that line"
                    }
                    false => "",
                };
                FormatError::new(number, format!("{error}{hint}"))
            }));
        }
    })
}

/// The outermost objects of a JSON text, whatever array or commas are around them.
pub(super) struct Objects<R> {
    input: R,
    line: usize,
    /// So many arrays are open around it.
    arrays: usize,
}

impl<R: BufRead> Objects<R> {
    pub(super) fn new(input: R) -> Self {
        Objects {
            input,
            line: 1,
            arrays: 0,
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, FormatError> {
        let error = |line, error: std::io::Error| FormatError::new(line, error.to_string());
        let byte = self
            .input
            .fill_buf()
            .map_err(|e| error(self.line, e))?
            .first()
            .copied();
        if byte.is_some() {
            self.input.consume(1);
        }
        self.line += usize::from(byte == Some(b'\n'));
        Ok(byte)
    }

    /// Past what is around objects.
    fn between(&mut self, byte: u8) -> Result<(), FormatError> {
        match byte {
            b'[' => self.arrays += 1,
            b']' if self.arrays > 0 => self.arrays -= 1,
            b',' => {}
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                let what = format!("expected an object, found {:?}", char::from(byte));
                return Err(FormatError::new(self.line, what));
            }
        }
        Ok(())
    }

    fn object(&mut self) -> Result<Option<Map<String, Value>>, FormatError> {
        let (mut text, mut depth) = (Vec::new(), 0_usize);
        let (mut is_string, mut is_escaped) = (false, false);
        loop {
            let Some(byte) = self.byte()? else {
                let what = match (depth, self.arrays) {
                    (0, 0) => return Ok(None),
                    (0, _) => "the file ends within an array",
                    _ => "the file ends within an object",
                };
                return Err(FormatError::new(self.line, what));
            };
            if depth == 0 && byte != b'{' {
                self.between(byte)?;
                continue;
            }
            text.push(byte);
            if text.len() > OBJECT_MAX {
                return Err(FormatError::new(self.line, "an object of more than 64 MiB"));
            }
            if is_escaped {
                is_escaped = false;
            } else if is_string {
                is_escaped = byte == b'\\';
                is_string = byte != b'"';
            } else {
                match byte {
                    b'"' => is_string = true,
                    b'{' => depth += 1,
                    b'}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    let object = serde_json::from_slice(&text);
                    let at =
                        |error: serde_json::Error| FormatError::new(self.line, error.to_string());
                    return object.map(Some).map_err(at);
                }
            }
        }
    }
}

impl<R: BufRead> Maps for Objects<R> {
    fn next(&mut self, fields: &mut Fields) -> Result<Option<usize>, FormatError> {
        Ok(self.object()?.map(|object| {
            fields.put_all(object);
            self.line
        }))
    }
}
