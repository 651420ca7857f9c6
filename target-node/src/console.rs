//! Log lines for people, on standard error.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "lines tell their time"
)]

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::raft::NodeId;

/// Writes lines, each with the time since the process started and the node's number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    start: Instant,
    node: NodeId,
}

impl Console {
    pub(crate) fn new(node: NodeId) -> Self {
        Self {
            start: Instant::now(),
            node,
        }
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// Writes one line. Where nobody reads, it is lost: a node does not stop for that.
    pub(crate) fn say(&self, line: fmt::Arguments<'_>) {
        let uptime = self.uptime().as_secs_f64();
        let _ = writeln!(io::stderr(), "[{uptime:9.3}] n{} {line}", self.node);
    }
}
