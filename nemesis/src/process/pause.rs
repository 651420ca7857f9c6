//! Pausing and resuming a process, each proven by the states of its threads.

use std::{
    fs, io,
    os::fd::AsFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::{
    ProcessError,
    slot::{SIGNAL_DEADLINE, Slot, micros, number},
};
use crate::proof::Paused;

/// Between two looks at a condition that the kernel offers no way to wait for with a deadline.
const LOOK_INTERVAL: Duration = Duration::from_micros(200);

impl Slot {
    pub(super) fn pause(&self) -> Result<Paused, ProcessError> {
        let (pid, pidfd, sent) = {
            let mut life = self.lock();
            let alive = self.alive("pause", &mut life)?;
            if alive.paused {
                return Err(self.wrong_state("pause", "is paused already".to_owned()));
            }
            if alive.slowed {
                return Err(self.wrong_state("pause", "is slowed down".to_owned()));
            }
            alive.paused = true;
            let sent = Instant::now();
            self.signal(alive, Signal::STOP)?;
            (alive.pid, Arc::clone(&alive.pidfd), sent)
        };
        // The lock is free while we wait, so that a death or a kill is not held up.
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let reported = || {
            let status = waitid(WaitId::PidFd(pidfd.as_fd()), stopped)
                .map_err(|errno| self.call("waitid", errno))?;
            Ok(status.is_some_and(|status| status.stopped()))
        };
        self.until("stop", pid, reported)?;
        let stopped_after_us = micros(sent.elapsed());
        let mut threads = 0;
        self.until("stop", pid, || {
            let states = thread_states(pid).map_err(|e| self.call("read /proc", e))?;
            threads = u32::try_from(states.len()).expect("threads are fewer than pids");
            Ok(states.iter().all(|state| *state == 'T'))
        })?;
        Ok(Paused {
            node: self.node,
            pid: number(pid),
            threads,
            stopped_after_us,
        })
    }

    pub(super) fn resume(&self) -> Result<u32, ProcessError> {
        let pid = {
            let mut life = self.lock();
            let alive = self.alive("resume", &mut life)?;
            if !alive.paused {
                return Err(self.wrong_state("resume", "is not paused".to_owned()));
            }
            self.signal(alive, Signal::CONT)?;
            alive.paused = false;
            alive.pid
        };
        self.until("continue", pid, || {
            let states = thread_states(pid).map_err(|e| self.call("read /proc", e))?;
            Ok(states.iter().all(|state| *state != 'T'))
        })?;
        Ok(number(pid))
    }

    /// Looks at `condition` until it holds or the deadline passes.
    pub(super) fn until(
        &self,
        verb: &'static str,
        pid: Pid,
        mut condition: impl FnMut() -> Result<bool, ProcessError>,
    ) -> Result<(), ProcessError> {
        let began = Instant::now();
        while !condition()? {
            if began.elapsed() > SIGNAL_DEADLINE {
                let (node, pid, deadline) = (self.node, number(pid), SIGNAL_DEADLINE);
                return Err(ProcessError::Deadline {
                    verb,
                    node,
                    pid,
                    deadline,
                });
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }
}

/// The state letter of every thread of a process, from `/proc/PID/task/TID/stat`.
pub(super) fn thread_states(pid: Pid) -> io::Result<Vec<char>> {
    let mut states = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ended since the listing has no state.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else {
            continue;
        };
        // `TID (name) S …`, where the name may itself hold parentheses and spaces.
        let after_name = stat.rsplit_once(") ").map(|(_, rest)| rest);
        states.extend(after_name.and_then(|rest| rest.chars().next()));
    }
    Ok(states)
}
