//! A node's log file: opened for appending, and its last lines read back after a death.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::words;

/// As much of the end of a log is searched for a panic: its backtrace may be long.
const PANIC_BYTES_MAX: u64 = 1 << 20;

/// As much of the end of a log as is worth showing.
const TAIL_BYTES_MAX: u64 = 4096;
const TAIL_LINES_MAX: usize = 20;

/// Opens a log for appending; returns it with its present length.
pub(super) fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// The last lines written at or after `from`. Empty when the log cannot be read.
pub(super) fn tail(path: &Path, from: u64) -> Vec<String> {
    let text = end(path, from, TAIL_BYTES_MAX);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(TAIL_LINES_MAX);
    lines[first..].iter().map(ToString::to_string).collect()
}

/// The text of the last panic written at or after `from`, if there is one.
pub(super) fn panic(path: &Path, from: u64) -> Option<String> {
    words::of_panic(&end(path, from, PANIC_BYTES_MAX))
}

/// What was written at or after `from`: at most so many bytes, the last ones.
fn end(path: &Path, from: u64, bytes_max: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes_max).max(from)))?;
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_tail_holds_the_last_lines_of_this_process_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut file, from) = open(&path).unwrap();
        assert_eq!(from, 0);
        writeln!(file, "earlier process").unwrap();
        let (mut file, from) = open(&path).unwrap();
        for line in 0..30 {
            writeln!(file, "line {line}").unwrap();
        }
        let tail = tail(&path, from);
        assert_eq!(tail.len(), TAIL_LINES_MAX);
        assert_eq!(tail.first().unwrap(), "line 10");
        assert_eq!(tail.last().unwrap(), "line 29");
    }

    #[test]
    fn a_missing_log_has_no_tail() {
        assert!(tail(Path::new("/nonexistent/log"), 0).is_empty());
    }
}
