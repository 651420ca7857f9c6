//! Telling a process to end, and seeing how it does.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

use super::{
    ProcessError,
    slot::{Life, SIGNAL_DEADLINE, Slot, Told, micros, number},
};
use crate::proof::Stopped;

impl Slot {
    pub(super) fn stop(&self, deadline: Duration) -> Result<ExitStatus, ProcessError> {
        let (_, ended) = self.tell_to_end(deadline)?;
        ended.ok_or_else(|| self.wrong_state("stop", "died by itself instead".to_owned()))
    }

    pub(super) fn terminate(&self, deadline: Duration) -> Result<Stopped, ProcessError> {
        let sent = Instant::now();
        let (pid, ended) = self.tell_to_end(deadline)?;
        let gone_after = sent.elapsed();
        let killed = ended.is_some_and(|status| status.signal() == Some(libc::SIGKILL));
        let status = match (&*self.lock(), ended) {
            (_, Some(status)) => status.to_string(),
            (Life::Died(death), None) => death.status.clone(),
            _ => "unknown".to_owned(),
        };
        Ok(Stopped {
            node: self.node,
            pid: number(pid),
            status,
            in_order: ended.is_some() && !killed,
            gone_after_us: micros(gone_after),
            successor: None,
        })
    }

    /// SIGTERM, and SIGKILL after the deadline. `None`: it ended as nobody does who was told to.
    fn tell_to_end(&self, deadline: Duration) -> Result<(Pid, Option<ExitStatus>), ProcessError> {
        let mut life = self.lock();
        let alive = self.alive("stop", &mut life)?;
        let pid = alive.pid;
        alive.told = Some(Told::Stop);
        self.signal(alive, Signal::TERM)?;
        // A stopped process would keep the signal pending.
        self.signal(alive, Signal::CONT)?;
        alive.paused = false;
        let ended = match self.ended(life, pid, "end", deadline) {
            Err(ProcessError::Deadline { .. }) => {
                let mut life = self.lock();
                // It may have ended just after the deadline; then there is nobody to kill.
                if let Ok(alive) = self.alive("kill", &mut life) {
                    self.signal(alive, Signal::KILL)?;
                }
                self.ended(life, pid, "end", SIGNAL_DEADLINE)?
            }
            ended => ended?,
        };
        Ok((pid, ended))
    }
}
