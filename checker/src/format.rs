//! History files: other tools' and our own, read event by event, so that a file need not fit in
//! memory.
//!
//! | format | looks like |
//! |---|---|
//! | [`Format::Jsonl`] | `{"index":0,"process":1,"type":"invoke","f":"read","time":12}` |
//! | [`Format::Edn`] | `{:process 1, :type :invoke, :f :write, :value 3}`, in lines or one vector |
//! | [`Format::Json`] | `[{"process":1,"type":"invoke","value":[["append",1,2]]}, …` |
//! | [`Format::Console`] | `INFO  jepsen.util - 1 :invoke :write 3` |
//!
//! Porcupine's kv text is EDN too. Events of a nemesis are skipped. A process that goes on after an
//! unknown outcome, which some tools allow, goes on under a new number.
//!
//! JSON lines are taken for ours until one that only Jepsen writes ([`Reading`]). Where there is
//! one event a line and the file ends within the last, as of a run that was killed, that line is
//! left out and told, and an operation that it may have completed is open. All else that is wrong
//! is an error with its line. A console log does not tell whether `12` was to be `123`: there a
//! last line without its end is always left out. Nil can be written to registers, and put, as the
//! empty string, under a key.
//!
//! Keys are told apart by what they are: `1` and `"1"` are two, of which the second is told in
//! quotes. A keyword is the word that it is: `:a` and `"a"` are one, as in the JSON that Jepsen
//! writes of both. An answer that repeats its question has to repeat it as it was asked; only what
//! was read may be new in it.
//!
//! ```
//! use ordeal_checker::format::{Format, events};
//! use ordeal_checker::history::EventKind;
//!
//! let file = "{:process 0, :type :invoke, :f :write, :value 3}\n{:process 0, :type :ook}";
//! let format = Format::guess(file).expect("only EDN begins like that");
//! let mut events = events(file.as_bytes(), format);
//!
//! let (line, event) = events.next().expect("there is an event")?;
//! assert_eq!((line, event.kind, event.f.as_str()), (1, EventKind::Invoke, "write"));
//! let wrong = events.next().expect("there is another").expect_err("no such type");
//! assert_eq!(wrong.line, 2);
//! # Ok::<(), ordeal_checker::format::FormatError>(())
//! ```
//!
//! [`write_edn`] goes the other way. [`judge`](crate::judge) does all of it for a file.
//!
//! *Before: [`transaction`](crate::transaction) · [contents](crate) · next: from a file to a
//! verdict, [`judge`](crate::judge).*

mod console;
mod edn;
mod jepsen;
mod json;
mod line;
mod reading;

use std::fmt;
use std::io::BufRead;

use serde_json::Value;

use crate::history::Event;

pub use edn::write_edn;
pub use reading::Reading;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own: one JSON event a line.
    Jsonl,
    /// Jepsen's EDN, as a vector, a list or lines.
    Edn,
    /// Jepsen's events as JSON, in an array or one after the other.
    Json,
    /// Jepsen's console log.
    Console,
}

impl Format {
    /// All, with the names that a command line takes.
    pub const ALL: [(&'static str, Format); 4] = [
        ("jsonl", Format::Jsonl),
        ("edn", Format::Edn),
        ("json", Format::Json),
        ("console", Format::Console),
    ];

    /// What it is, in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Format::Jsonl => "ordeal's own: one JSON event a line",
            Format::Edn => "Jepsen's and porcupine's EDN: a vector, a list or lines",
            Format::Json => "Jepsen's events as JSON: an array, or one after the other",
            Format::Console => "Jepsen's console log",
        }
    }

    /// What a file with that beginning is, if it can be told. Jepsen's JSON, one event a line, may
    /// begin like ours: [`Reading`] sees where it goes on otherwise.
    pub fn guess(beginning: &str) -> Option<Format> {
        let text = beginning.trim_start();
        let inner =
            text.trim_start_matches(|sign: char| "[(".contains(sign) || sign.is_whitespace());
        if text.starts_with("INFO") {
            Some(Format::Console)
        } else if has_json_key(inner) {
            Some(if is_ours(text) {
                Format::Jsonl
            } else {
                Format::Json
            })
        } else if inner.starts_with(['{', ';', '#', '^']) {
            Some(Format::Edn)
        } else {
            None
        }
    }
}

/// `{"process": …`, which in EDN would have no colon.
fn has_json_key(text: &str) -> bool {
    let key = text.strip_prefix('{').map(str::trim_start);
    let key = key.and_then(|key| key.strip_prefix('"'));
    let end = key.and_then(|key| key.split_once('"'));
    end.is_some_and(|(_, after)| after.trim_start().starts_with(':'))
}

/// True where each of these lines is an event of ours; the last may be cut off.
fn is_ours(text: &str) -> bool {
    let ours = |line: &str| serde_json::from_str::<Event>(line).is_ok();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let is_first_ours = lines.next().is_some_and(ours);
    // A whole object that is none of ours, as a nemesis is with Jepsen.
    let is_foreign = |line: &str| serde_json::from_str::<Value>(line).is_ok() && !ours(line);
    is_first_ours && !lines.any(is_foreign)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Format::ALL.iter().find(|(_, format)| format == self);
        f.pad(name.map_or("?", |(name, _)| name))
    }
}

/// A file that cannot be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct FormatError {
    /// Counted from one.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
    /// The file has one event a line, and ends within this one, the last: its writer was stopped,
    /// and what stands before it is whole.
    pub is_torn: bool,
}

impl FormatError {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> Self {
        FormatError {
            line,
            what: what.into(),
            is_torn: false,
        }
    }

    /// The same, of a last line that is cut off if that is true.
    fn torn_if(mut self, is_torn: bool) -> Self {
        if is_torn {
            self.is_torn = true;
            self.what += ", as one does whose writer was killed";
        }
        self
    }
}

/// An event, and the line that it ends on.
pub type Line = Result<(usize, Event), FormatError>;

/// The events of a file, one after the other.
pub fn events<R: BufRead + 'static>(input: R, format: Format) -> Box<dyn Iterator<Item = Line>> {
    match format {
        Format::Jsonl => Box::new(json::Events::new(input)),
        Format::Edn => Box::new(jepsen::Events::new(edn::Forms::new(input))),
        Format::Json => Box::new(jepsen::Events::new(json::Objects::new(input))),
        Format::Console => Box::new(console::lines(input)),
    }
}
