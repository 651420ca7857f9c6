//! What became of processes besides a kill and a pause.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Successor;
use crate::node::Node;

/// One process told to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Whose.
    pub node: Node,
    /// The process that was reaped.
    pub pid: u32,
    /// How it ended: `exit status: 0`, `signal: 15 (SIGTERM)`.
    pub status: String,
    /// Whether it ended in order: in time, and with nothing amiss in its status.
    pub in_order: bool,
    /// From the signal to the reaped process, in microseconds.
    pub gone_after_us: u64,
    /// Who serves in its place; absent until healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Successor>,
}

/// One process killed as often as it came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashLooped {
    /// Whose.
    pub node: Node,
    /// The processes that were reaped after SIGKILL; each after the first had been seen to serve.
    pub pids: Vec<u32>,
    /// Who serves at last; absent until healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Successor>,
}

/// One process killed while it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartKilled {
    /// Whose.
    pub node: Node,
    /// The process that was reaped.
    pub pid: u32,
    /// From its start, when its program was executed, to SIGKILL, in microseconds.
    pub killed_after_us: u64,
    /// Whether it was up: a socket of its machine listened, or it was seen to serve. Looked at
    /// while all its threads stood still.
    pub was_up: bool,
    /// Who serves in its place; absent until healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Successor>,
}

/// One process that ran a share of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slowed {
    /// Whose.
    pub node: Node,
    /// The process.
    pub pid: u32,
    /// How often all its threads were seen in state `T`, and continued.
    pub stops: u64,
    /// How long it was stopped, in microseconds.
    pub stopped_us: u64,
    /// How long the fault was in force, in microseconds.
    pub lasted_us: u64,
    /// The processor time that it had meanwhile, in microseconds, as the kernel counts it.
    pub cpu_us: u64,
}

/// One process that got no more memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starved {
    /// Whose.
    pub node: Node,
    /// The process.
    pub pid: u32,
    /// How many bytes of data it may have had, as the kernel told it back.
    pub limit: u64,
    /// How many it had when the limit came.
    pub had: u64,
    /// The most it was seen to have since.
    pub most: u64,
    /// How it ended, where it did for want of memory, by its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Who serves in its place, where it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Successor>,
}

impl Starved {
    /// Whether it met its limit: it ended by it, or had all of it but what a thread's stack takes.
    pub fn met(&self) -> bool {
        const NEAR: u64 = 256 << 10;
        self.ended.is_some() || self.most.saturating_add(NEAR) >= self.limit
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node, pid, status, ..
        } = self;
        let order = if self.in_order { "" } else { " not in order:" };
        let after_ms = self.gone_after_us / 1000;
        write!(
            f,
            "{node} pid {pid} ended{order} after {after_ms} ms ({status})"
        )?;
        serving(f, self.successor.as_ref())
    }
}

impl fmt::Display for CrashLooped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} killed {} times", self.node, self.pids.len())?;
        serving(f, self.successor.as_ref())
    }
}

impl fmt::Display for StartKilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, pid, .. } = self;
        let up = if self.was_up {
            "up by then"
        } else {
            "not up yet"
        };
        let after_us = self.killed_after_us;
        write!(
            f,
            "{node} pid {pid} gone {after_us} µs after its start, {up}"
        )?;
        serving(f, self.successor.as_ref())
    }
}

impl fmt::Display for Slowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us / 1000;
        write!(
            f,
            "{} pid {} stopped {} times, {} of {} ms; {} ms of processor time",
            self.node,
            self.pid,
            self.stops,
            ms(self.stopped_us),
            ms(self.lasted_us),
            ms(self.cpu_us)
        )
    }
}

impl fmt::Display for Starved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: u64| bytes >> 10;
        write!(
            f,
            "{} pid {} had {} KiB of data, at most {} of {}",
            self.node,
            self.pid,
            kib(self.had),
            kib(self.most),
            kib(self.limit)
        )?;
        if let Some(status) = &self.ended {
            write!(f, ", ended by it ({status})")?;
        }
        serving(f, self.successor.as_ref())
    }
}

fn serving(f: &mut fmt::Formatter<'_>, successor: Option<&Successor>) -> fmt::Result {
    match successor {
        Some(successor) => write!(f, ", pid {} serving", successor.pid),
        None => Ok(()),
    }
}
