//! Words for a person on the terminal. A terminal that is gone must not end a run.

use std::io::Write;

/// Writes a line to stderr; where nobody reads it any more, nothing happens.
pub(crate) fn say(line: impl std::fmt::Display) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
