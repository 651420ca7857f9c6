//! The end of a process that nobody had told to end, and what can be said of its reason.

use serde::{Deserialize, Serialize};

use super::words;
use crate::node::Node;

/// A process that ended without being told to: a finding about the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Whose.
    pub node: Node,
    /// The process it was.
    pub pid: u32,
    /// How: `exit status: 101`, `signal: 6 (SIGABRT)`.
    pub status: String,
    /// The text of its panic, or of whatever else it says that ended it, if its log has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic: Option<String>,
    /// The last lines that this process wrote to its log.
    pub log_tail: Vec<String>,
}

impl Death {
    /// The text of its panic; without one the last line of its log that says something: not an
    /// empty one, nor where to find help about flags.
    pub fn last_words(&self) -> Option<&str> {
        let says_nothing = |line: &&str| {
            let line = line.trim().to_ascii_lowercase();
            line.is_empty() || line.contains("--help")
        };
        let lines = || self.log_tail.iter().rev().map(String::as_str);
        let last = lines().find(|line| !says_nothing(line)).or(lines().next());
        self.panic.as_deref().or(last)
    }

    /// Whether the process ended itself, by its status: it exited, or raised a signal as programs
    /// do that give up. Others come from outside, or from a defect.
    pub fn is_by_itself(&self) -> bool {
        const GIVES_UP: [i32; 4] = [libc::SIGABRT, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP];
        match self.status.strip_prefix("signal: ") {
            None => true,
            Some(signal) => {
                let number = signal
                    .split(' ')
                    .next()
                    .and_then(|number| number.parse().ok());
                number.is_some_and(|number| GIVES_UP.contains(&number))
            }
        }
    }

    /// Whether its last words are about memory that it did not get.
    pub fn tells_of_memory(&self) -> bool {
        let lines = self.log_tail.iter().map(String::as_str);
        let mut lines = self.panic.as_deref().into_iter().chain(lines);
        lines.any(words::tell_of_memory)
    }
}
