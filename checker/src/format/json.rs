//! JSON: our own lines, and Jepsen's objects in an array or one after the other.

mod refusal;

use std::io::BufRead;

use serde_json::{Map, Value};

use super::jepsen::{Fields, Maps, Reader};
use super::line::Lines;
use super::{FormatError, Line};
use crate::history::Event;
use refusal::refusal;

/// Longer objects than that are no events.
const OBJECT_MAX: usize = 64 << 20;

/// One event a line: ours, or, where nobody said so, Jepsen's from the first line that only Jepsen
/// writes.
///
/// ```text
///   {"index":0,"process":0,"type":"invoke",…     both write that, and mean the same by it
///   {"index":1,"process":"nemesis",…             only Jepsen: from here on read as Jepsen's
/// ```
///
/// What both write before that line is the same event either way, so nothing has to be read again.
pub(super) struct Events<R> {
    lines: Lines<R>,
    /// Where it may be Jepsen's: what is known of it then.
    jepsen: Option<Reader>,
    is_jepsen: bool,
}

impl<R: BufRead> Events<R> {
    /// Ours.
    pub(super) fn new(input: R) -> Self {
        Events {
            lines: Lines::new(input),
            jepsen: None,
            is_jepsen: false,
        }
    }

    /// Ours as far as can be told.
    pub(super) fn guessed(input: R) -> Self {
        Events {
            jepsen: Some(Reader::default()),
            ..Events::new(input)
        }
    }

    /// True where it turned out to be Jepsen's.
    pub(super) fn is_jepsen(&self) -> bool {
        self.is_jepsen
    }

    /// The next line's event: nothing where no client did it.
    fn event(&mut self) -> Result<Option<(usize, Option<Event>)>, FormatError> {
        let Some(line) = self.lines.next()? else {
            return Ok(None);
        };
        let number = line.number;
        if line.text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Some((number, None)));
        }
        let ours = serde_json::from_slice::<Event>(line.text);
        let wrong = match (ours, &mut self.jepsen) {
            (Ok(event), None) => return Ok(Some((number, Some(event)))),
            (Ok(mut event), Some(reader)) if !self.is_jepsen => {
                let process = reader.follow(&event);
                // It goes on after an unknown outcome, as no process of ours does.
                self.is_jepsen = process != event.process;
                event.process = process;
                return Ok(Some((number, Some(event))));
            }
            (ours, Some(reader)) => match serde_json::from_slice(line.text) {
                Ok(map) if self.is_jepsen || is_jepsens(&map) => {
                    self.is_jepsen = true;
                    reader.fields.put_all(map);
                    let event = reader.event();
                    let event = event.map_err(|what| FormatError::new(number, what))?;
                    return Ok(Some((number, event)));
                }
                _ => ours.err(),
            },
            (Err(error), None) => Some(error),
        };
        let Some(error) = wrong else {
            return Err(FormatError::new(number, "expected an object"));
        };
        let is_torn = error.is_eof() && !line.is_ended;
        let what = match is_torn {
            true => "the file ends within this line".to_owned(),
            false => refusal(line.text, &error),
        };
        Err(FormatError::new(number, what).torn_if(is_torn))
    }
}

/// A nemesis by its name, or an error that is none of ours: only Jepsen writes those.
fn is_jepsens(map: &Map<String, Value>) -> bool {
    let is_word = |name| map.get(name).is_some_and(Value::is_string);
    is_word("process") || is_word("error") || map.get("error").is_some_and(Value::is_array)
}

impl<R: BufRead> Iterator for Events<R> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        loop {
            match self.event() {
                Ok(None) => return None,
                Ok(Some((_, None))) => {}
                Ok(Some((number, Some(event)))) => return Some(Ok((number, event))),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The outermost objects of a JSON text, whatever array or commas are around them.
pub(super) struct Objects<R> {
    input: R,
    line: usize,
    /// So many arrays are open around it.
    arrays: usize,
    /// The line on which the object begins that is being read.
    began: usize,
    /// The line on which the last one ended.
    ended: usize,
}

impl<R: BufRead> Objects<R> {
    pub(super) fn new(input: R) -> Self {
        Objects {
            input,
            line: 1,
            arrays: 0,
            began: 1,
            ended: 0,
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
                // One object a line, the last of which does not end.
                let is_line = depth > 0 && self.arrays == 0;
                let is_last = self.began == self.line && self.ended < self.line;
                let error = FormatError::new(self.line, what);
                return Err(error.torn_if(is_line && is_last));
            };
            if depth == 0 && byte != b'{' {
                self.between(byte)?;
                continue;
            }
            if depth == 0 {
                self.began = self.line;
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
                    self.ended = self.line;
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
