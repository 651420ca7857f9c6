//! What a node does, line by line, for whoever judges it from inside.
//!
//! A trace is NDJSON: one [`Record`] a line, in the order in which things happened on the node.
//! Its lines come from the driver, which looks at the core from outside after every input, and
//! from the thread that writes the log; never from the rules that could be wrong. Each line is one
//! write to a file that is opened for appending, so a killed process leaves whole lines.
//!
//! Without a trace, each place where a line could be written costs one load of a flag.

#![allow(clippy::disallowed_types, reason = "a trace is a file")]

pub mod audit;
mod event;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::time::{ClockId, clock_gettime};

pub use event::{Event, HardStateView, Record, SnapshotSource, TracedEntry};

use crate::raft::NodeId;

/// How many lines are kept in memory.
const RECENT_MAX: usize = 10_000;

/// Writes a node's trace; whoever has a clone writes to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Tracer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node: NodeId,
    boot: u64,
    is_on: AtomicBool,
    sink: Mutex<Sink>,
}

#[derive(Debug, Default)]
struct Sink {
    seq: u64,
    file: Option<File>,
    recent: VecDeque<(u64, String)>,
}

impl Tracer {
    /// A trace of this life of a node, which is off.
    pub(crate) fn new(node: NodeId, boot: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                node,
                boot,
                is_on: AtomicBool::new(false),
                sink: Mutex::default(),
            }),
        }
    }

    /// Begins to write: to memory, and at the end of a file if one is named.
    pub(crate) fn start(&self, path: Option<&Path>) -> io::Result<()> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let file = path.map(open).transpose()?;
        self.sink().file = file;
        self.shared.is_on.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes no more.
    pub(crate) fn stop(&self) {
        self.shared.is_on.store(false, Ordering::Release);
        self.sink().file = None;
    }

    pub(crate) fn is_on(&self) -> bool {
        self.shared.is_on.load(Ordering::Relaxed)
    }

    /// Writes a line, if there is a trace.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if self.is_on() {
            self.write(event());
        }
    }

    fn write(&self, event: Event) {
        let mut sink = self.sink();
        sink.seq += 1;
        let record = Record {
            seq: sink.seq,
            // Read under the lock: the order of the lines is that of their times.
            time_ns: monotonic_ns(),
            node: self.shared.node,
            boot: self.shared.boot,
            event,
        };
        let mut line = serde_json::to_string(&record).expect("records can be written as JSON");
        line.push('\n');
        if let Some(file) = &mut sink.file
            && let Err(error) = file.write_all(line.as_bytes())
        {
            // A trace with a hole proves nothing; the node goes on without one.
            let _ = writeln!(io::stderr(), "the trace ends here: {error}");
            self.shared.is_on.store(false, Ordering::Release);
        }
        if sink.recent.len() == RECENT_MAX {
            sink.recent.pop_front();
        }
        sink.recent.push_back((record.seq, line));
    }

    /// The lines after number `since` that are still in memory, as NDJSON.
    pub(crate) fn since(&self, since: u64) -> String {
        let sink = self.sink();
        let lines = sink.recent.iter().filter(|(seq, _)| *seq > since);
        lines.map(|(_, line)| line.as_str()).collect()
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.shared
            .sink
            .lock()
            .expect("no holder of this lock panics")
    }
}

/// Nanoseconds on the clock that all processes of a machine share.
fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0)
}
