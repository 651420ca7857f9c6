//! A process that runs a share of the time: stopped and continued, over and over.
//!
//! A quota of a control group would do it too, where we may make one. But a control group is a
//! directory, with a name outside our namespaces: it outlives whoever made it, and when the process
//! that the user started and the first one of the sandbox are killed together, nobody is left to
//! remove it. It also does nothing to a node that is idle, which signals slow down as well. So it
//! is done with signals everywhere, with root and without.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

use super::{
    ProcessError,
    slot::{Life, Slot, micros, number},
};
use crate::proof::Slowed;

/// From one stop to the next: short enough for heartbeats to come late rather than not at all,
/// long enough for the scheduler to do something in between.
const PERIOD: Duration = Duration::from_millis(50);

/// The thread that slows one process down.
pub(super) struct Duty {
    pid: Pid,
    over: Arc<(Mutex<bool>, Condvar)>,
    tally: Arc<Mutex<Tally>>,
    thread: JoinHandle<()>,
    began: Instant,
    cpu_before: Duration,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    stops: u64,
    stopped: Duration,
    /// The processor time up to the last look.
    cpu: Duration,
}

impl Slot {
    pub(super) fn slow(self: &Arc<Self>, percent: u8) -> Result<u32, ProcessError> {
        let mut duty = self.duty();
        let mut life = self.lock();
        let alive = self.alive("slow down", &mut life)?;
        if duty.is_some() || alive.slowed {
            return Err(self.wrong_state("slow down", "is slowed down already".to_owned()));
        }
        if alive.paused {
            return Err(self.wrong_state("slow down", "is paused".to_owned()));
        }
        let pid = alive.pid;
        let cpu_before = self.look(pid)?.cpu_time();
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (slot, ends, counts) = (Arc::clone(self), Arc::clone(&over), Arc::clone(&tally));
        let thread = thread::Builder::new()
            .name(format!("slow {}", self.node))
            .spawn(move || slot.stop_and_go(pid, percent, &ends, &counts))
            .map_err(|source| self.call("start a thread", source))?;
        alive.slowed = true;
        *duty = Some(Duty {
            pid,
            over,
            tally,
            thread,
            began: Instant::now(),
            cpu_before,
        });
        Ok(number(pid))
    }

    /// What has come of it so far.
    pub(super) fn slowed(&self) -> Option<Slowed> {
        self.duty().as_ref().map(|duty| self.tell(duty))
    }

    pub(super) fn hasten(&self) -> Result<Slowed, ProcessError> {
        let Some(duty) = self.duty().take() else {
            return Err(self.wrong_state("hasten", "is not slowed down".to_owned()));
        };
        *lock(&duty.over.0) = true;
        duty.over.1.notify_all();
        let told = {
            let last = self.tell(&duty);
            let (pid, tally) = (duty.pid, Arc::clone(&duty.tally));
            // A panic of the thread has left it stopped at worst: what follows continues it.
            let _ = duty.thread.join();
            let tally = *lock(&tally);
            (
                pid,
                Slowed {
                    stops: tally.stops,
                    stopped_us: micros(tally.stopped),
                    ..last
                },
            )
        };
        let (pid, slowed) = told;
        {
            let mut life = self.lock();
            match &mut *life {
                Life::Alive(alive) if alive.pid == pid => {
                    alive.slowed = false;
                    self.signal(alive, Signal::CONT)?;
                }
                // It ended meanwhile: there is nothing to continue.
                _ => return Ok(slowed),
            }
        }
        match self.go_on(pid) {
            // It ended just now.
            Err(ProcessError::Call { .. }) => Ok(slowed),
            gone_on => gone_on.map(|()| slowed),
        }
    }

    fn tell(&self, duty: &Duty) -> Slowed {
        let tally = *lock(&duty.tally);
        let cpu = match self.look(duty.pid) {
            Ok(look) => look.cpu_time().max(tally.cpu),
            Err(_) => tally.cpu,
        };
        Slowed {
            node: self.node,
            pid: number(duty.pid),
            stops: tally.stops,
            stopped_us: micros(tally.stopped),
            lasted_us: micros(duty.began.elapsed()),
            cpu_us: micros(cpu.saturating_sub(duty.cpu_before)),
        }
    }

    fn stop_and_go(
        &self,
        pid: Pid,
        percent: u8,
        over: &(Mutex<bool>, Condvar),
        tally: &Mutex<Tally>,
    ) {
        let runs = PERIOD * percent.into() / 100;
        loop {
            if is_over_within(over, runs) || !self.signal_if_alive(pid, Signal::STOP) {
                break;
            }
            if let Ok(look) = self.look(pid) {
                look.signal_others(pid, Signal::STOP, |state| state != 'T');
            }
            let stopped = Instant::now();
            let is_over = is_over_within(over, PERIOD - runs);
            let look = self.look(pid).unwrap_or_default();
            if look.stands_still() {
                let mut tally = lock(tally);
                tally.stops += 1;
                tally.stopped += stopped.elapsed();
                tally.cpu = look.cpu_time();
            }
            let goes_on = self.signal_if_alive(pid, Signal::CONT);
            look.signal_others(pid, Signal::CONT, |state| state == 'T');
            if !goes_on || is_over {
                break;
            }
        }
    }

    /// Returns whether it was still there.
    fn signal_if_alive(&self, pid: Pid, signal: Signal) -> bool {
        match &*self.lock() {
            Life::Alive(alive) if alive.pid == pid => self.signal(alive, signal).is_ok(),
            _ => false,
        }
    }
}

/// Waits so long for it to be over; returns whether it is.
fn is_over_within((over, changed): &(Mutex<bool>, Condvar), wait: Duration) -> bool {
    let waited = changed.wait_timeout_while(lock(over), wait, |over| !*over);
    *waited.unwrap_or_else(PoisonError::into_inner).0
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Plain numbers: nobody leaves them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
