//! Words for a person on the terminal. A terminal that is gone must not end a run.

use crate::verdict::Exit;
use std::io::{self, ErrorKind, Write};

/// Writes a line to stderr; where nobody reads it any more, nothing happens.
pub(crate) fn say(line: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Writes what was asked for to stdout, all of it.
///
/// # Errors
/// If it cannot be written. A reader that has seen enough, like `head`, is no failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// How a command ends that prints what it found: as it found, if that was printed. A violation
/// outranks everything.
pub(crate) fn end(printed: io::Result<()>, exit: Exit) -> Exit {
    match printed {
        Ok(()) => exit,
        Err(error) => {
            say(format_args!("ordeal: cannot write to stdout: {error}"));
            match exit {
                Exit::Violated => exit,
                _ => Exit::Harness,
            }
        }
    }
}
