//! The processes that make up one node: the first one, and whoever came of it.
//!
//! A node may be started through a script or a wrapper, which waits for it, in a group or session
//! of its own. What belongs to it is told by descent, as the kernel has it; and where a parent has
//! ended meanwhile, by the network namespace, which no other node has. Commands that the harness
//! itself runs in that namespace are its own children, and none of the node's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{time::clock_getcpuclockid, unistd};
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::network::Namespace;

/// Who adopts whatever has lost its parent.
const INIT: i32 = 1;

/// What is seen of a node's processes at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Each process that has not ended, with the state letters of its threads.
    pub(super) members: BTreeMap<i32, Vec<char>>,
}

impl Look {
    /// Looks at all processes that came of this one, itself included, in this namespace or out of
    /// it.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub(super) fn at(first: Pid, home: &Namespace) -> io::Result<Self> {
        let fd = home.fd();
        let home = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        let parents = parents()?;
        let members = members(raw(first), raw(getpid()), &parents, |pid| is_in(pid, &home));
        let mut look = Self::default();
        for pid in members {
            match thread_states(pid) {
                // One that has ended, and that its parent has not reaped yet, runs no more.
                Ok(states) if states.iter().all(|state| matches!(state, 'Z' | 'X')) => {}
                Ok(states) => drop(look.members.insert(pid, states)),
                // The first one is ours to reap: that it is gone has to be told.
                Err(error) if pid == raw(first) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(look)
    }

    /// Whether there is one, and no thread of any of them runs.
    pub(super) fn stands_still(&self) -> bool {
        !self.members.is_empty() && self.states().all(|state| state == 'T')
    }

    /// Whether none of their threads is stopped.
    pub(super) fn goes_on(&self) -> bool {
        self.states().all(|state| state != 'T')
    }

    /// Sends to those that are as `wanted`, except to the first one.
    pub(super) fn signal_others(&self, first: Pid, signal: Signal, wanted: impl Fn(char) -> bool) {
        for (pid, states) in &self.members {
            let other = *pid != raw(first) && states.iter().copied().any(&wanted);
            if let Some(pid) = Pid::from_raw(*pid).filter(|_| other) {
                // One that has ended meanwhile is past it.
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// The processor time that all of them have had.
    pub(super) fn cpu_time(&self) -> Duration {
        let times = self.members.keys().filter_map(|pid| {
            let clock = clock_getcpuclockid(unistd::Pid::from_raw(*pid)).ok()?;
            clock.now().map(Duration::from).ok()
        });
        times.sum()
    }

    fn states(&self) -> impl Iterator<Item = char> {
        self.members.values().flatten().copied()
    }
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

/// Every process that can be seen, and its parent.
fn parents() -> io::Result<BTreeMap<i32, i32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // One that has ended since the listing has no parent any more.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let mut after_name = after_name(&stat).unwrap_or_default().split_whitespace();
        if let Some(parent) = after_name.nth(1).and_then(|parent| parent.parse().ok()) {
            parents.insert(pid, parent);
        }
    }
    Ok(parents)
}

/// Those of which the first one is an ancestor, and those that init has adopted and that are at
/// home where the first one is.
fn members(
    first: i32,
    harness: i32,
    parents: &BTreeMap<i32, i32>,
    is_at_home: impl Fn(i32) -> bool,
) -> BTreeSet<i32> {
    let is_member = |pid: &i32| {
        let mut ancestor = *pid;
        // As many steps as there are processes: what is read one after another may have loops.
        for _ in 0..=parents.len() {
            match ancestor {
                _ if ancestor == first => return true,
                _ if ancestor == harness => return false,
                INIT | 0 => return *pid != INIT && is_at_home(*pid),
                _ => ancestor = parents.get(&ancestor).copied().unwrap_or(INIT),
            }
        }
        false
    };
    let mut members: BTreeSet<i32> = parents
        .keys()
        .copied()
        .filter(|pid| is_member(pid))
        .collect();
    members.insert(first);
    members
}

fn is_in(pid: i32, home: &Path) -> bool {
    let its: io::Result<PathBuf> = fs::read_link(format!("/proc/{pid}/ns/net"));
    its.is_ok_and(|its| its == home)
}

/// The state letter of every thread of a process, from `/proc/PID/task/TID/stat`.
fn thread_states(pid: i32) -> io::Result<Vec<char>> {
    let mut states = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ended since the listing has no state.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else {
            continue;
        };
        states.extend(after_name(&stat).and_then(|rest| rest.chars().next()));
    }
    Ok(states)
}

/// `TID (name) S …`, where the name may itself hold parentheses and spaces.
fn after_name(stat: &str) -> Option<&str> {
    stat.rsplit_once(") ").map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_told_by_descent_and_adopted_members_by_where_they_are() {
        // 2 is the harness, 10 the node's first process, 20 another node's; 30 is a command of the
        // harness in the node's namespace, 40 and 50 are orphans, of which 40 is there.
        let parents = [
            (1, 0),
            (2, 1),
            (10, 2),
            (11, 10),
            (12, 11),
            (20, 2),
            (21, 20),
            (30, 2),
            (31, 30),
            (40, 1),
            (41, 40),
            (50, 1),
        ];
        let parents: BTreeMap<i32, i32> = parents.into();
        let there = [10, 11, 12, 30, 31, 40, 41];
        let family = members(10, 2, &parents, |pid| there.contains(&pid));
        assert_eq!(family, [10, 11, 12, 40, 41].into());
    }

    #[test]
    fn a_name_of_a_process_may_look_like_anything() {
        assert_eq!(after_name("7 (a) (b)) S 1 2"), Some("S 1 2"));
        assert_eq!(after_name("7"), None);
    }
}
