//! Lines, and whether the last one ends.

use std::io::BufRead;

use super::FormatError;

/// One line after the other.
pub(super) struct Lines<R> {
    input: R,
    number: usize,
    text: Vec<u8>,
}

/// One of them.
pub(super) struct Line<'t> {
    /// Counted from one.
    pub(super) number: usize,
    /// Without its end.
    pub(super) text: &'t [u8],
    /// False where the file ends before the line does.
    pub(super) is_ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Lines {
            input,
            number: 0,
            text: Vec::new(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, FormatError> {
        self.number += 1;
        self.text.clear();
        let bytes = self.input.read_until(b'\n', &mut self.text);
        let bytes = bytes.map_err(|error| FormatError::new(self.number, error.to_string()))?;
        if bytes == 0 {
            return Ok(None);
        }
        let text = self.text.strip_suffix(b"\n");
        Ok(Some(Line {
            number: self.number,
            is_ended: text.is_some(),
            text: text.unwrap_or(&self.text),
        }))
    }
}
