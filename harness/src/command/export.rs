//! `ordeal export`: a history as Jepsen's EDN, for the tools that read that.
//!
//! Event by event, so that a file of any size goes through a pipe.

use crate::args::ExportArgs;
use crate::verdict::Exit;
use ordeal_checker::format::{FormatError, Reading, write_edn};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Why a file is not exported.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{0}: cannot tell the format; say --format jsonl, edn, json or console")]
    UnknownFormat(PathBuf),
    #[error("{path}: {source}", path = path.display())]
    Format { path: PathBuf, source: FormatError },
    #[error("{0}: there is no operation of a client in it: nothing to export")]
    Empty(PathBuf),
    #[error("cannot write the export: {0}")]
    Unwritten(#[source] io::Error),
}

/// Writes it to stdout; what has to be said goes to stderr.
pub(crate) fn export(args: &ExportArgs) -> Exit {
    let path = super::check::history_in(&args.file);
    let mut output = BufWriter::new(io::stdout().lock());
    let end =
        write(&path, args, &mut output).and_then(|()| output.flush().map_err(Failure::Unwritten));
    match end {
        Ok(()) => Exit::Valid,
        // A reader that has seen enough, like `head`, is no failure.
        Err(Failure::Unwritten(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Valid,
        Err(failure) => {
            crate::console::say(format_args!("ordeal: {failure}"));
            match failure {
                Failure::Unwritten(_) => Exit::Harness,
                _ => Exit::Usage,
            }
        }
    }
}

fn write(path: &Path, args: &ExportArgs, output: &mut impl Write) -> Result<(), Failure> {
    let path = || path.to_owned();
    let io = |source| Failure::Io {
        path: path(),
        source,
    };
    let input = BufReader::with_capacity(1 << 16, File::open(path()).map_err(io)?);
    let reading = Reading::open(input, args.format).map_err(io)?;
    let mut reading = reading.ok_or_else(|| Failure::UnknownFormat(path()))?;
    let mut is_empty = true;
    for event in reading.by_ref() {
        let (_, event) = event.map_err(|source| Failure::Format {
            path: path(),
            source,
        })?;
        is_empty = false;
        write_edn([&event], &mut *output).map_err(Failure::Unwritten)?;
    }
    if let Some(line) = reading.torn() {
        let (path, words) = (path(), super::check::torn(line));
        crate::console::say(format_args!("ordeal: {}: {words}", path.display()));
    }
    match is_empty {
        true => Err(Failure::Empty(path())),
        false => Ok(()),
    }
}
