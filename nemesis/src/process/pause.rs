//! Pausing and resuming a node, each proven by the states of all threads of all its processes.

use std::{
    os::fd::AsFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::{
    ProcessError,
    family::Look,
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
        let look = self.stand_still(pid)?;
        let count = |number: usize| u32::try_from(number).expect("threads are fewer than pids");
        Ok(Paused {
            node: self.node,
            pid: number(pid),
            processes: count(look.members.len()),
            threads: count(look.members.values().map(Vec::len).sum()),
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
        self.go_on(pid)?;
        Ok(number(pid))
    }

    /// Stops whoever came of the first process, which was sent its signal, until nobody runs. Two
    /// looks in a row have to see the same: between the list of processes and their states one
    /// that still ran may have started another.
    fn stand_still(&self, pid: Pid) -> Result<Look, ProcessError> {
        let mut last = Look::default();
        self.until("stop", pid, || {
            let look = self.look(pid)?;
            look.signal_others(pid, Signal::STOP, |state| state != 'T');
            let is_still = look.stands_still() && look == last;
            last = look;
            Ok(is_still)
        })?;
        Ok(last)
    }

    /// Continues whoever came of the first process, which was sent its signal, until none of them
    /// is stopped.
    pub(super) fn go_on(&self, pid: Pid) -> Result<(), ProcessError> {
        self.until("continue", pid, || {
            let look = self.look(pid)?;
            look.signal_others(pid, Signal::CONT, |state| state == 'T');
            Ok(look.goes_on())
        })
    }

    pub(super) fn look(&self, pid: Pid) -> Result<Look, ProcessError> {
        Look::at(pid, &self.namespace).map_err(|source| self.call("read /proc", source))
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
