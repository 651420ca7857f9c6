//! EDN, as far as histories need it: one form after the other, from a vector, a list or bare.
//!
//! Keywords and symbols become strings, vectors, lists and sets arrays, maps objects (their keys as
//! text), a tagged literal what it tags. Nesting is bounded, so that no file overflows the stack.

mod text;
mod word;
mod writer;

use std::io::BufRead;

use serde_json::{Map, Value};

use super::FormatError;
use super::jepsen::{Field, Fields, Maps};
use word::{ENDS_WORD, IS_SPACE, meaning};

pub use writer::write_edn;

const DEPTH_MAX: usize = 64;
const TOKEN_MAX: usize = 16 << 20;

/// The outermost maps of a file.
pub(super) struct Forms<R> {
    input: R,
    line: usize,
    /// What closes the vector or list that holds everything, within it.
    wrapped: Option<u8>,
    /// The line on which the outermost form begins that is being read.
    began: usize,
    /// The line on which the last one ended.
    ended: usize,
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
            wrapped: None,
            began: 1,
            ended: 0,
        }
    }

    fn error<T>(&self, what: impl Into<String>) -> Result<T, FormatError> {
        Err(FormatError::new(self.line, what))
    }

    /// The file ends where it cannot. One event a line, the last of which does not end: its writer
    /// was stopped, and what stands before it is whole.
    fn ends<T>(&self, within: &str) -> Result<T, FormatError> {
        let is_line = self.wrapped.is_none() && self.began == self.line && self.ended < self.line;
        let error = FormatError::new(self.line, format!("the file ends {within}"));
        Err(error.torn_if(is_line))
    }

    /// What has been read ahead; empty at the end of the file.
    #[inline]
    fn ahead(&mut self) -> Result<&[u8], FormatError> {
        let line = self.line;
        let ahead = self.input.fill_buf();
        ahead.map_err(|error| FormatError::new(line, error.to_string()))
    }

    fn peek(&mut self) -> Result<Option<u8>, FormatError> {
        Ok(self.ahead()?.first().copied())
    }

    /// Past the byte that `peek` gave.
    fn bump(&mut self) {
        if let Ok(Some(byte)) = self.peek() {
            self.line += usize::from(byte == b'\n');
            self.input.consume(1);
        }
    }

    /// The next byte that is neither space, comma nor comment.
    fn significant(&mut self) -> Result<Option<u8>, FormatError> {
        let means = |byte: u8| !IS_SPACE[usize::from(byte)] && byte != b';';
        // Most often there is none before it, or one space, or a comma and one.
        let (spaces, byte) = match *self.ahead()? {
            [byte, ..] if means(byte) => return Ok(Some(byte)),
            [b' ', byte, ..] => (1, byte),
            [b',', b' ', byte, ..] => (2, byte),
            _ => (0, b' '),
        };
        if means(byte) {
            self.input.consume(spaces);
            return Ok(Some(byte));
        }
        let mut is_comment = false;
        loop {
            let (mut spaces, mut lines) = (0, 0);
            let ahead = self.ahead()?;
            let mut next = None;
            for byte in ahead {
                match *byte {
                    b'\n' => (is_comment, lines) = (false, lines + 1),
                    _ if is_comment => {}
                    b';' => is_comment = true,
                    byte if IS_SPACE[usize::from(byte)] => {}
                    byte => {
                        next = Some(byte);
                        break;
                    }
                }
                spaces += 1;
            }
            self.line += lines;
            self.input.consume(spaces);
            if next.is_some() || spaces == 0 {
                return Ok(next);
            }
        }
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
            b'\\' => self.character().map(Some),
            b'#' => self.dispatch(depth),
            b'^' => {
                self.bump();
                self.tagged(depth)?;
                self.tagged(depth)
            }
            _ => self.atom().map(Some),
        }
    }

    /// The form that has to come after a tag.
    fn tagged(&mut self, depth: usize) -> Result<Option<Value>, FormatError> {
        if let Some(value) = self.value(depth + 1)? {
            return Ok(Some(value));
        }
        match self.peek()? {
            Some(_) => self.error("a tag with nothing after it"),
            None => self.ends("after a tag"),
        }
    }

    fn list(&mut self, close: u8, depth: usize) -> Result<Vec<Value>, FormatError> {
        self.bump();
        let mut items = Vec::new();
        while let Some(item) = self.value(depth + 1)? {
            items.push(item);
        }
        self.close(close)?;
        Ok(items)
    }

    /// Past the bracket that has to come now.
    fn close(&mut self, bracket: u8) -> Result<(), FormatError> {
        let bracket_text = char::from(bracket);
        match self.peek()? {
            Some(byte) if byte == bracket => self.bump(),
            Some(other) => {
                let other = char::from(other);
                return self.error(format!("expected {bracket_text:?}, found {other:?}"));
            }
            None => return self.ends(&format!("before a {bracket_text:?}")),
        }
        Ok(())
    }

    fn map(&mut self, depth: usize) -> Result<Value, FormatError> {
        self.bump();
        let mut map = Map::new();
        while let Some(key) = self.value(depth + 1)? {
            let key = match key {
                Value::String(key) => key,
                other => other.to_string(),
            };
            map.insert(key, self.under_key(depth)?);
        }
        self.close(b'}')?;
        Ok(Value::Object(map))
    }

    /// What stands under the key that was read last.
    fn under_key(&mut self, depth: usize) -> Result<Value, FormatError> {
        if let Some(value) = self.value(depth + 1)? {
            return Ok(value);
        }
        match self.peek()? {
            Some(_) => self.error("a map with a key and no value"),
            None => self.ends("within a map"),
        }
    }

    /// An operation map, of which nothing is kept but what means something.
    fn fields(&mut self, fields: &mut Fields) -> Result<(), FormatError> {
        self.bump();
        loop {
            let field = if self.significant()? == Some(b':') {
                self.word(|word| Field::of(&word[1..]))?
            } else {
                match self.value(1)? {
                    Some(Value::String(key)) => Field::of(key.as_bytes()),
                    Some(_) => None,
                    None => return self.close(b'}'),
                }
            };
            self.under_field(field, fields)?;
        }
    }

    fn under_field(
        &mut self,
        field: Option<Field>,
        fields: &mut Fields,
    ) -> Result<(), FormatError> {
        let is_word = |byte: u8| byte == b':' || byte.is_ascii_digit();
        let value = match field {
            Some(field) if self.significant()?.is_some_and(is_word) => {
                let read = |word: &[u8]| (!fields.put_word(field, word)).then(|| meaning(word));
                match self.word(read)? {
                    None => return Ok(()),
                    Some(Some(value)) => value,
                    Some(None) => return self.error("expected a word"),
                }
            }
            _ => self.under_key(0)?,
        };
        if let Some(field) = field {
            fields.put(field, value);
        }
        Ok(())
    }

    /// `#{set}`, `#_ ignored`, `##NaN`, `#tag form`.
    fn dispatch(&mut self, depth: usize) -> Result<Option<Value>, FormatError> {
        self.bump();
        match self.peek()? {
            Some(b'{') => self.list(b'}', depth).map(Value::Array).map(Some),
            Some(b'_') => {
                self.bump();
                self.tagged(depth)?;
                self.value(depth + 1)
            }
            Some(b'#') => {
                self.bump();
                self.atom().map(Some)
            }
            _ => {
                self.word(|_| ())?;
                self.tagged(depth)
            }
        }
    }

    /// What the next word is read as.
    fn word<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Result<T, FormatError> {
        let ahead = self.ahead()?;
        let ends = |byte: &u8| ENDS_WORD[usize::from(*byte)];
        if let Some(end) = ahead.iter().position(ends).filter(|end| *end > 0) {
            let meaning = read(&ahead[..end]);
            self.input.consume(end);
            return Ok(meaning);
        }
        // It ends beyond what has been read ahead.
        let mut word = Vec::new();
        loop {
            let ahead = self.ahead()?;
            let end = ahead.iter().position(ends);
            let part = &ahead[..end.unwrap_or(ahead.len())];
            word.extend_from_slice(part);
            let (bytes, is_empty) = (part.len(), ahead.is_empty());
            self.input.consume(bytes);
            if word.len() > TOKEN_MAX {
                return self.error("a word of more than 16 MiB");
            }
            if end.is_some() || is_empty {
                break;
            }
        }
        match (word.is_empty(), self.peek()?) {
            (true, None) => self.ends("before a word"),
            (true, Some(_)) => self.error("expected a word"),
            // A sign of several bytes of which some are missing.
            (false, None) if str::from_utf8(&word).is_err() => self.ends("within a word"),
            (false, _) => Ok(read(&word)),
        }
    }

    fn atom(&mut self) -> Result<Value, FormatError> {
        match self.word(meaning)? {
            Some(value) => Ok(value),
            None => self.error("expected a word"),
        }
    }

    /// What the next form begins with, within or without the vector that holds all.
    fn form(&mut self) -> Result<Option<u8>, FormatError> {
        loop {
            match self.significant()? {
                Some(open @ (b'[' | b'(')) if self.wrapped.is_none() => {
                    self.wrapped = Some(if open == b'[' { b']' } else { b')' });
                    self.bump();
                }
                Some(b')' | b']' | b'}') => match self.wrapped.take() {
                    Some(close) => self.close(close)?,
                    None => return self.error("a bracket that opens nowhere"),
                },
                None if self.wrapped.is_some() => return self.error("the file ends within a list"),
                byte => {
                    self.began = self.line;
                    return Ok(byte);
                }
            }
        }
    }
}

impl<R: BufRead> Maps for Forms<R> {
    /// What is no map is an error.
    fn next(&mut self, fields: &mut Fields) -> Result<Option<usize>, FormatError> {
        loop {
            match self.form()? {
                None => return Ok(None),
                Some(b'{') => self.fields(fields)?,
                Some(_) => match self.value(0)? {
                    Some(Value::Object(map)) => fields.put_all(map),
                    Some(_) => return self.error("expected a map"),
                    // What was there is ignored.
                    None => continue,
                },
            }
            self.ended = self.line;
            return Ok(Some(self.line));
        }
    }
}
