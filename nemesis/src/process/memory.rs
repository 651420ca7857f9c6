//! A process that gets no more memory: by a limit to its data, as the kernel keeps one for each.
//!
//! It bounds private memory that can be written: heap, stacks of threads, anonymous mappings. What
//! asks for more is refused, at which most programs end themselves. A control group would kill
//! instead, but leaves a directory behind: see [`super::slow`].

use std::{fs, io};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{
    ProcessError,
    slot::{Slot, number},
};
use crate::proof::Starved;

impl Slot {
    pub(super) fn limit_memory(&self, room: u64) -> Result<Starved, ProcessError> {
        let mut life = self.lock();
        let alive = self.alive("limit the memory of", &mut life)?;
        if alive.data_limit.is_some() {
            return Err(self.wrong_state("limit the memory of", "is limited already".to_owned()));
        }
        let pid = alive.pid;
        let had = data_bytes(pid).map_err(|source| self.call("read /proc", source))?;
        let before = limits(pid).map_err(|source| self.call("read /proc", source))?;
        let wanted = had.saturating_add(room);
        let after = Rlimit {
            current: Some(wanted),
            maximum: before.maximum,
        };
        prlimit(Some(pid), Resource::Data, after).map_err(|errno| self.call("prlimit", errno))?;
        alive.data_limit = Some(before);
        let now = limits(pid).map_err(|source| self.call("read /proc", source))?;
        let limit = now.current.unwrap_or(u64::MAX);
        if limit > wanted {
            let unchanged = io::Error::other("the limit is not there after it was set");
            return Err(self.call("prlimit", unchanged));
        }
        Ok(Starved {
            node: self.node,
            pid: number(pid),
            limit,
            had,
            most: had,
            ended: None,
            successor: None,
        })
    }

    /// How many bytes of data it has now.
    pub(super) fn memory(&self) -> Result<u64, ProcessError> {
        let mut life = self.lock();
        let pid = self.alive("look at", &mut life)?.pid;
        data_bytes(pid).map_err(|source| self.call("read /proc", source))
    }

    pub(super) fn allow_memory(&self) -> Result<(), ProcessError> {
        let mut life = self.lock();
        let alive = self.alive("allow memory to", &mut life)?;
        let Some(before) = alive.data_limit else {
            return Err(self.wrong_state("allow memory to", "is not limited".to_owned()));
        };
        let pid = alive.pid;
        let current = before.current;
        prlimit(Some(pid), Resource::Data, before).map_err(|errno| self.call("prlimit", errno))?;
        let now = limits(pid).map_err(|source| self.call("read /proc", source))?;
        if now.current == current {
            alive.data_limit = None;
            return Ok(());
        }
        let still = io::Error::other("the limit is still there after it was lifted");
        Err(self.call("prlimit", still))
    }
}

/// `VmData:     1234 kB` in `/proc/PID/status`: what `RLIMIT_DATA` bounds.
fn data_bytes(pid: Pid) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    // A process that has ended and is not reaped yet has no memory.
    let gone = || io::Error::new(io::ErrorKind::NotFound, "it has no memory: it is ending");
    kib.map(|kib| kib << 10).ok_or_else(gone)
}

/// `Max data size   SOFT   HARD   bytes` in `/proc/PID/limits`.
fn limits(pid: Pid) -> io::Result<Rlimit> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let odd = || io::Error::other("no line `Max data size` in /proc/PID/limits");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max data size"));
    let mut values = line.ok_or_else(odd)?.split_whitespace();
    let mut next = || match values.next() {
        Some("unlimited") => Ok(None),
        Some(bytes) => bytes.parse().map(Some).map_err(|_| odd()),
        None => Err(odd()),
    };
    Ok(Rlimit {
        current: next()?,
        maximum: next()?,
    })
}
