//! Strings and characters.

use std::io::BufRead;

use serde_json::Value;

use super::word::ENDS_WORD;
use super::{Forms, TOKEN_MAX};
use crate::format::FormatError;

impl<R: BufRead> Forms<R> {
    /// `\a`, `\(`, `\newline`: as the word after the backslash.
    pub(super) fn character(&mut self) -> Result<Value, FormatError> {
        self.bump();
        let Some(first) = self.peek()? else {
            return self.ends("within a character");
        };
        if !ENDS_WORD[usize::from(first)] {
            let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
            return Ok(Value::String(self.word(text)?));
        }
        self.bump();
        Ok(Value::String(char::from(first).to_string()))
    }

    pub(super) fn string(&mut self) -> Result<Value, FormatError> {
        self.bump();
        let mut bytes = Vec::new();
        loop {
            let Some(byte) = self.peek()? else {
                return self.ends("within a string");
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
                        Some(b'b') => 0x08,
                        Some(b'f') => 0x0C,
                        Some(b'u') => {
                            let sign = self.code_point()?;
                            bytes.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
                            continue;
                        }
                        Some(byte @ (b'"' | b'\\')) => byte,
                        None => return self.ends("within a string"),
                        Some(_) => return self.error("an escape that is not known"),
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

    /// The four digits of `\u00e9`; no half of a pair of surrogates.
    fn code_point(&mut self) -> Result<char, FormatError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek()? else {
                return self.ends("within a string");
            };
            let Some(digit) = char::from(digit).to_digit(16) else {
                return self.error("an escape that is not known");
            };
            code = code * 16 + digit;
            self.bump();
        }
        match char::from_u32(code) {
            Some(sign) => Ok(sign),
            None => self.error("an escape that is no character"),
        }
    }
}
