//! From a history file to a verdict: format and model are guessed where they are unambiguous.
//!
//! A file is read once, event by event, and of each operation a few packed bytes are kept, key by
//! key; only the keys that are being judged are unpacked, and of a verdict only what is told of it
//! stays. So a large file needs a fraction of its size as memory (`benches/README.md` has measured
//! it), as long as it is not all about one key.
//!
//! ```
//! use std::path::Path;
//!
//! use ordeal_checker::judge::{Options, Subject, check_file};
//! use ordeal_checker::verdict::Validity;
//!
//! let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/histories/stale-read.edn");
//! let report = check_file(Path::new(file), &Options::default())?;
//! assert_eq!(report.model, Subject::Register); // told from its operations
//! assert_eq!(report.finding.validity, Validity::Invalid);
//! assert_eq!(report.finding.anomalies[0].lines, [5, 3, 1]); // the read, and whom it contradicts
//! # Ok::<(), ordeal_checker::judge::JudgeError>(())
//! ```
//!
//! *Before: [`format`](mod@crate::format) · [contents](crate) · next: while a run goes on,
//! [`Monitor`](crate::linearizability::Monitor).*

mod lines;
mod object;
mod packed;
mod reading;
mod source;
mod subject;
mod transactions;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::budget::Budget;
use crate::format::{Format, FormatError, Line, Reading};
use crate::history::{Event, MalformedHistory};
use crate::verdict::Finding;

pub use subject::Subject;

/// What to judge by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How the file is written; guessed if not given.
    pub format: Option<Format>,
    /// What the history is of; guessed if not given.
    pub model: Option<Subject>,
    /// How much the search may spend on each key.
    pub budget: Budget,
}

/// What became of one file.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which file.
    pub path: PathBuf,
    /// How it was read.
    pub format: Format,
    /// What it was judged as.
    pub model: Subject,
    /// How many events it has.
    pub events: usize,
    /// The last line, where it is cut off and left out ([`Reading`]).
    pub torn: Option<usize>,
    /// The verdict.
    pub finding: Finding,
    /// The verdict with its evidence drawn for a terminal, where there is something to explain.
    pub explanation: Option<String>,
}

/// A file that could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// It could not be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {source}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Where and how.
        source: FormatError,
    },
    /// Its events are no history.
    #[error("{path}: line {line}: {source}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// How.
        source: MalformedHistory,
    },
    /// It has no operation of a client.
    #[error("{0}: there is no operation of a client in it, read as {1}: nothing to judge")]
    Empty(PathBuf, Format),
    /// Its format cannot be told.
    #[error(
        "{0}: cannot tell the format, for it is empty or begins like none of them; say --format \
         jsonl, edn, json or console"
    )]
    UnknownFormat(PathBuf),
    /// Its model cannot be told.
    #[error(
        "{path}: cannot tell the model from the operations ({operations}): {why}; say --model with \
         one of {models}",
        models = Subject::ALL.map(|(name, _)| name).join(", ")
    )]
    UnknownModel {
        /// Which file.
        path: PathBuf,
        /// What operations there are.
        operations: String,
        /// None fits, or more than one.
        why: String,
    },
}

/// An event that cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Unjudgeable {
    /// It is no operation of that object.
    #[error(transparent)]
    Foreign(#[from] FormatError),
    /// No client can have seen that.
    #[error("line {line}: {source}")]
    Malformed {
        /// Where.
        line: usize,
        /// How.
        source: MalformedHistory,
    },
}

/// A judged history.
#[derive(Clone, Debug)]
pub struct Judged {
    /// How many events it has.
    pub events: usize,
    /// The verdict.
    pub finding: Finding,
    /// The verdict with its evidence drawn for a terminal, where there is something to explain.
    pub explanation: Option<String>,
}

/// A history that is shown event by event, and judged when there are no more. Of each operation a
/// few packed bytes are kept.
///
/// ```
/// use ordeal_checker::budget::Budget;
/// use ordeal_checker::format::{Format, events};
/// use ordeal_checker::judge::{Judge, Subject};
///
/// let file = "{:process 0, :type :invoke, :f :add, :value 3}\n{:process 0, :type :ok, :f :add}";
/// let mut judge = Judge::of(Subject::Set);
/// for line in events(file.as_bytes(), Format::Edn) {
///     let (line, event) = line?;
///     judge.see(line, &event)?;
/// }
/// let judged = judge.finish(&Budget::default());
/// assert_eq!(judged.finding.summary, "1 operation is linearizable");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Judge(Box<dyn Sees>);

/// What becomes of the events of one kind of object.
trait Sees: Send {
    fn see(&mut self, line: usize, event: &Event) -> Result<(), Unjudgeable>;
    fn finish(self: Box<Self>, budget: &Budget) -> Judged;
}

impl Judge {
    /// Of that object, or of one under each key.
    pub fn of(subject: Subject) -> Self {
        Judge::with_keys(subject, |key| Some(key.to_owned()))
    }

    /// The same, where a key is told in those words.
    pub fn with_keys(subject: Subject, words: fn(&str) -> Option<String>) -> Self {
        Judge(subject.begin(words))
    }

    /// Takes note of an event, which ends on that line of its file. Those of one process come in
    /// their order.
    ///
    /// # Errors
    /// If it is no operation of that object, or its process cannot do that now.
    pub fn see(&mut self, line: usize, event: &Event) -> Result<(), Unjudgeable> {
        self.0.see(line, event)
    }

    /// The verdict on all that was seen, with so much spent on each key.
    pub fn finish(self, budget: &Budget) -> Judged {
        self.0.finish(budget)
    }
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}

/// Reads and judges one file.
///
/// # Errors
/// If it cannot be read, is not a history, or what it is cannot be told.
pub fn check_file(path: &Path, options: &Options) -> Result<Report, JudgeError> {
    let io = |source| JudgeError::Io {
        path: path.to_owned(),
        source,
    };
    let input = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
    let reading = Reading::open(input, options.format).map_err(io)?;
    let mut lines = reading.ok_or_else(|| JudgeError::UnknownFormat(path.to_owned()))?;
    let unread = |source| JudgeError::Format {
        path: path.to_owned(),
        source,
    };
    let nothing = |lines: Reading| match (lines.format(), lines.into_torn()) {
        (_, Some(torn)) => unread(torn),
        (format, None) => JudgeError::Empty(path.to_owned(), format),
    };
    let mut ahead = Vec::new();
    let model = match options.model {
        Some(model) => model,
        None => match guess_model(&mut lines, &mut ahead).map_err(unread)? {
            Some(model) => model,
            None if ahead.is_empty() => return Err(nothing(lines)),
            None => return Err(unknown_model(path, &ahead)),
        },
    };
    let mut judge = Judge::of(model);
    for line in ahead.into_iter().map(Ok).chain(lines.by_ref()) {
        let (line, event) = line.map_err(unread)?;
        let seen = judge.see(line, &event);
        seen.map_err(|error| match error {
            Unjudgeable::Foreign(source) => unread(source),
            Unjudgeable::Malformed { line, source } => JudgeError::Malformed {
                path: path.to_owned(),
                line,
                source,
            },
        })?;
    }
    let judged = judge.finish(&options.budget);
    if judged.events == 0 {
        return Err(nothing(lines));
    }
    Ok(Report {
        path: path.to_owned(),
        format: lines.format(),
        model,
        events: judged.events,
        torn: lines.torn(),
        finding: judged.finding,
        explanation: judged.explanation,
    })
}

/// So many events are looked at to guess the model, or more where those do not tell.
const LOOK_AHEAD: usize = 10_000;
const LOOK_AHEAD_MAX: usize = 128 * LOOK_AHEAD;

/// What the first events are of, which are in `ahead` then.
fn guess_model(
    lines: &mut dyn Iterator<Item = Line>,
    ahead: &mut Vec<(usize, Event)>,
) -> Result<Option<Subject>, FormatError> {
    let mut until = LOOK_AHEAD;
    loop {
        for line in lines.take(until - ahead.len()) {
            ahead.push(line?);
        }
        let model = Subject::guess(ahead.iter().map(|(_, event)| event));
        let is_all = ahead.len() < until;
        // What is read in the end may tell, as of a set or a counter.
        if model.is_some() || is_all || until >= LOOK_AHEAD_MAX {
            return Ok(model);
        }
        until *= 2;
    }
}

fn unknown_model(path: &Path, events: &[(usize, Event)]) -> JudgeError {
    JudgeError::UnknownModel {
        path: path.to_owned(),
        operations: names(events),
        why: Subject::no_guess(events.iter().map(|(_, event)| event)),
    }
}

fn names(events: &[(usize, Event)]) -> String {
    let names: BTreeSet<&str> = events.iter().map(|(_, event)| event.f.as_str()).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
