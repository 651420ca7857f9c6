//! A file of events whose format may have to be told from its beginning.

use std::io::{self, BufRead};

use super::{Format, FormatError, Line, events, json};

/// So many bytes are looked at to guess the format, and all of the first line.
const BEGINNING: usize = 4096;

/// The events of a file, one after the other.
///
/// A last line that its writer did not finish is left out, and [told](Reading::torn): what stands
/// before it is whole. An operation whose completion is lost so is open, as one of unknown outcome.
///
/// ```
/// use ordeal_checker::format::{Format, Reading};
///
/// let killed = "{:process 0, :type :invoke, :f :write, :value 3}\n{:process 0, :type :o";
/// let mut reading = Reading::open(killed.as_bytes(), None)?.expect("only EDN begins like that");
/// assert_eq!(reading.by_ref().filter_map(Result::ok).count(), 1);
/// assert_eq!((reading.format(), reading.torn()), (Format::Edn, Some(2)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Reading {
    events: Events,
    torn: Option<FormatError>,
}

enum Events {
    Known(Format, Box<dyn Iterator<Item = Line>>),
    /// One JSON event a line, ours as far as can be told.
    Lines(Box<json::Events<Box<dyn BufRead>>>),
}

impl Reading {
    /// Of that format, or of the one that it begins like; nothing where that cannot be told.
    ///
    /// # Errors
    /// If nothing can be read of it.
    pub fn open<R: BufRead + 'static>(
        mut input: R,
        format: Option<Format>,
    ) -> io::Result<Option<Reading>> {
        // A mark of the byte order says nothing.
        if input.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
            input.consume(3);
        }
        let guess = match format {
            Some(_) => format,
            None => guess(input.fill_buf()?),
        };
        let events = match (guess, format) {
            (None, _) => return Ok(None),
            // Jepsen's may begin like ours.
            (Some(Format::Jsonl), None) => {
                let input: Box<dyn BufRead> = Box::new(input);
                Events::Lines(Box::new(json::Events::guessed(input)))
            }
            (Some(format), _) => Events::Known(format, events(input, format)),
        };
        Ok(Some(Reading { events, torn: None }))
    }

    /// How it is read: where that was guessed, as far as it has been read.
    pub fn format(&self) -> Format {
        match &self.events {
            Events::Known(format, _) => *format,
            Events::Lines(events) if events.is_jepsen() => Format::Json,
            Events::Lines(_) => Format::Jsonl,
        }
    }

    /// The last line, once it was met, if it is cut off and left out.
    pub fn torn(&self) -> Option<usize> {
        self.torn.as_ref().map(|error| error.line)
    }

    /// What is wrong with that line.
    pub fn into_torn(self) -> Option<FormatError> {
        self.torn
    }
}

impl Iterator for Reading {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let next = match &mut self.events {
            Events::Known(_, events) => events.next(),
            Events::Lines(events) => events.next(),
        };
        match next? {
            Err(error) if error.is_torn => {
                self.torn = Some(error);
                None
            }
            line => Some(line),
        }
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Reading");
        debug.field("format", &self.format());
        debug.finish_non_exhaustive()
    }
}

fn guess(ahead: &[u8]) -> Option<Format> {
    let blank = ahead.iter().take_while(|byte| byte.is_ascii_whitespace());
    let blank = blank.count();
    let mut line = ahead[blank..].iter();
    let end = line.position(|byte| *byte == b'\n').map(|at| blank + at);
    let enough = end.unwrap_or(ahead.len()).max(BEGINNING.min(ahead.len()));
    Format::guess(&String::from_utf8_lossy(&ahead[..enough]))
}
