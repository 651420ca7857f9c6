//! One node's place: its command, the process that fills it now, and the thread that watches it.
//!
//! ```text
//!  Absent ──start──▶ Alive ──kill, stop──▶ Ended ──start──▶ Alive …
//!                      └──by itself──▶ Died ──start──▶ Alive …
//! ```
//!
//! Only the watching thread reaps, and it reaps under the lock. So while somebody else holds the
//! lock and sees `Alive`, the pid and its group belong to that process and to nobody else.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{
        Pid, PidfdFlags, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
        pidfd_send_signal, waitid,
    },
};

use super::{Death, NodeCommand, Prepare, ProcessError, State, log, slow::Duty};
use crate::{clock::NodeClock, network::Namespace, node::Node, proof::Killed};

/// How long the kernel is given to carry a signal out. It takes microseconds; only a process stuck
/// in the kernel takes longer.
pub(super) const SIGNAL_DEADLINE: Duration = Duration::from_secs(5);

/// So often whoever is left of an ended process is looked for: what was killed goes within
/// microseconds, unless it is stuck in the kernel.
const LEFT_LOOKS_MAX: u32 = 100;

pub(super) struct Slot {
    pub(super) node: Node,
    command: NodeCommand,
    pub(super) namespace: Namespace,
    on_death: Arc<dyn Fn(Death) + Send + Sync>,
    pub(super) clock: Option<Arc<NodeClock>>,
    pub(super) prepare: Option<Prepare>,
    life: Mutex<Life>,
    /// Notified when `life` changes.
    changed: Condvar,
    /// Who slows it down. Taken before `life` where both are.
    duty: Mutex<Option<Duty>>,
}

pub(super) enum Life {
    Absent,
    Alive(Alive),
    Ended(u32, ExitStatus),
    Died(Death),
}

pub(super) struct Alive {
    pub(super) pid: Pid,
    pub(super) pidfd: Arc<OwnedFd>,
    pub(super) paused: bool,
    /// Whether a [`Duty`] stops and continues it.
    pub(super) slowed: bool,
    /// The limit to its data that it had before it got a smaller one.
    pub(super) data_limit: Option<Rlimit>,
    /// What it was told, if anything: how it may end without that being a finding.
    pub(super) told: Option<Told>,
    /// Where its part of the log begins.
    log_from: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Kill,
    Stop,
}

impl Slot {
    pub(super) fn new(
        node: Node,
        command: NodeCommand,
        namespace: Namespace,
        on_death: Arc<dyn Fn(Death) + Send + Sync>,
    ) -> Self {
        let (life, changed) = (Mutex::new(Life::Absent), Condvar::new());
        let duty = Mutex::new(None);
        Self {
            node,
            command,
            namespace,
            on_death,
            clock: None,
            prepare: None,
            life,
            changed,
            duty,
        }
    }

    pub(super) fn state(&self) -> State {
        match &*self.lock() {
            Life::Absent => State::Absent,
            Life::Alive(alive) if alive.paused => State::Paused {
                pid: number(alive.pid),
            },
            Life::Alive(alive) => State::Running {
                pid: number(alive.pid),
            },
            Life::Ended(pid, _) => State::Ended { pid: *pid },
            Life::Died(death) => State::Died(death.clone()),
        }
    }

    pub(super) fn start(self: &Arc<Self>) -> Result<u32, ProcessError> {
        let mut life = self.lock();
        if let Life::Alive(alive) = &*life {
            return Err(self.wrong_state("start", format!("runs already (pid {})", alive.pid)));
        }
        let (pid, log_from) = self.spawn()?;
        let pidfd = self.watch_from_now_on(pid).inspect_err(|_| {
            // Nobody would ever reap it: it must not stay.
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
        })?;
        *life = Life::Alive(Alive {
            pid,
            pidfd,
            paused: false,
            slowed: false,
            data_limit: None,
            told: None,
            log_from,
        });
        Ok(number(pid))
    }

    /// Opens a pidfd of a new child and starts the thread that watches it.
    fn watch_from_now_on(self: &Arc<Self>, pid: Pid) -> Result<Arc<OwnedFd>, ProcessError> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map(Arc::new)
            .map_err(|errno| self.call("pidfd_open", errno))?;
        let (slot, watched) = (Arc::clone(self), Arc::clone(&pidfd));
        thread::Builder::new()
            .name(format!("watch {}", self.node))
            .spawn(move || slot.watch(&watched))
            .map_err(|source| self.call("start a thread", source))?;
        Ok(pidfd)
    }

    fn spawn(&self) -> Result<(Pid, u64), ProcessError> {
        let NodeCommand {
            program,
            args,
            env,
            cwd,
            log: path,
        } = &self.command;
        let failed = |what: String, source| ProcessError::Start {
            node: self.node,
            what,
            source,
        };
        let open = |source| failed(format!("log {}", path.display()), source);
        let (log, log_from) = log::open(path).map_err(open)?;
        let stdout = log.try_clone().map_err(open)?;
        let mut command = Command::new(program);
        command
            .args(args)
            .envs(env.iter().map(|(key, value)| (key, value)))
            .current_dir(cwd);
        command.stdin(Stdio::null()).stdout(stdout).stderr(log);
        // A group of its own, so that its children are killed and paused with it.
        command.process_group(0);
        self.namespace.contain(&mut command);
        if let Some(prepare) = &self.prepare {
            prepare(self.node, &mut command)
                .map_err(|source| failed("its preparation".to_owned(), source))?;
        }
        if self.clock.is_some() {
            NodeClock::hold(&mut command);
        }
        // What cannot be executed may be the program or the working directory; name both.
        let child = command.spawn().map_err(|source| {
            failed(
                format!("{} in {}", program.display(), cwd.display()),
                source,
            )
        })?;
        if let Some(clock) = &self.clock {
            let node = self.node;
            let adopted = clock.adopt(child.id());
            adopted.map_err(|source| ProcessError::Clock { node, source })?;
        }
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok((pid.expect("the kernel gives out positive pids"), log_from))
    }

    /// Waits until the process ends, reaps it and says how it ended.
    fn watch(&self, pidfd: &Arc<OwnedFd>) {
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        // Interrupted by a signal: wait again. Nothing else can go wrong with an open pidfd.
        while poll(&mut fds, None).is_err() {}
        let mut life = self.lock();
        let Life::Alive(Alive {
            pid,
            told,
            log_from,
            ..
        }) = &*life
        else {
            unreachable!("only the watching thread ends a life, and there is one for each")
        };
        // Whoever came of it and is left would hold its ports against its successor.
        let _ = kill_process_group(*pid, Signal::KILL);
        self.kill_left(*pid);
        let pid = number(*pid);
        let ended = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
        let raw = match ended.ok().flatten() {
            Some(status) => match status.terminating_signal() {
                Some(signal) => signal | if status.dumped() { 0x80 } else { 0 },
                None => status.exit_status().unwrap_or(0) << 8,
            },
            // Somebody reaped our child: we cannot know how it ended, so it counts as unplanned.
            None => 0,
        };
        let status = ExitStatus::from_raw(raw);
        let death = (!as_told(*told, status)).then(|| Death {
            node: self.node,
            pid,
            status: status.to_string(),
            panic: log::panic(&self.command.log, *log_from),
            log_tail: log::tail(&self.command.log, *log_from),
        });
        // First the finding, then the state: whoever sees the one can rely on the other.
        if let Some(death) = &death {
            (self.on_death)(death.clone());
        }
        *life = death.map_or(Life::Ended(pid, status), Life::Died);
        self.changed.notify_all();
    }

    /// Kills whoever came of a process that has ended, in whatever group or session.
    fn kill_left(&self, ended: Pid) {
        for _ in 0..LEFT_LOOKS_MAX {
            match self.look(ended) {
                Ok(look) if !look.members.is_empty() => {
                    look.signal_others(ended, Signal::KILL, |_| true);
                }
                _ => return,
            }
            thread::yield_now();
        }
    }

    pub(super) fn kill(&self) -> Result<Killed, ProcessError> {
        let mut life = self.lock();
        let alive = self.alive("kill", &mut life)?;
        let (pid, sent) = (alive.pid, Instant::now());
        alive.told = Some(Told::Kill);
        self.signal(alive, Signal::KILL)?;
        match self.ended(life, pid, "end", SIGNAL_DEADLINE)? {
            Some(_) => Ok(Killed {
                node: self.node,
                pid: number(pid),
                gone_after_us: micros(sent.elapsed()),
                successor: None,
            }),
            None => Err(self.wrong_state("kill", "died by itself at that moment".to_owned())),
        }
    }

    /// Waits until the process `pid` is reaped. `None`: it died in a way that nobody had asked for.
    pub(super) fn ended(
        &self,
        life: MutexGuard<'_, Life>,
        pid: Pid,
        verb: &'static str,
        deadline: Duration,
    ) -> Result<Option<ExitStatus>, ProcessError> {
        let still = |life: &mut Life| matches!(life, Life::Alive(alive) if alive.pid == pid);
        let (life, timeout) = self
            .changed
            .wait_timeout_while(life, deadline, still)
            .unwrap_or_else(PoisonError::into_inner);
        match &*life {
            _ if timeout.timed_out() => Err(ProcessError::Deadline {
                verb,
                node: self.node,
                pid: number(pid),
                deadline,
            }),
            Life::Ended(_, status) => Ok(Some(*status)),
            _ => Ok(None),
        }
    }

    /// The living process, under the lock that keeps its pid from being reused.
    pub(super) fn alive<'a>(
        &self,
        verb: &'static str,
        life: &'a mut MutexGuard<'_, Life>,
    ) -> Result<&'a mut Alive, ProcessError> {
        let is = match &mut **life {
            Life::Alive(alive) => return Ok(alive),
            Life::Absent => "was never started".to_owned(),
            Life::Ended(pid, _) => format!("does not run (pid {pid} was ended)"),
            Life::Died(death) => format!("died by itself ({})", death.status),
        };
        Err(self.wrong_state(verb, is))
    }

    /// Sends to the process by pidfd, and to the rest of its group. The caller holds the lock.
    pub(super) fn signal(&self, alive: &Alive, signal: Signal) -> Result<(), ProcessError> {
        pidfd_send_signal(&alive.pidfd, signal)
            .map_err(|errno| self.call("pidfd_send_signal", errno))?;
        // The group has the pid of its leader, which is not reaped yet: it is ours. Sending fails
        // only when nobody is left in it.
        let _ = kill_process_group(alive.pid, signal);
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Life> {
        // Every change of a life is one assignment: a panic cannot leave half of one.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn duty(&self) -> MutexGuard<'_, Option<Duty>> {
        // As with a life.
        self.duty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wrong_state(&self, verb: &'static str, is: String) -> ProcessError {
        ProcessError::State {
            verb,
            node: self.node,
            is,
        }
    }

    pub(super) fn call(&self, call: &'static str, source: impl Into<io::Error>) -> ProcessError {
        ProcessError::Call {
            node: self.node,
            call,
            source: source.into(),
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("node", &self.node)
            .field("state", &self.state())
            .finish()
    }
}

/// What a program that ends because of a signal returns: success, or 128 and SIGINT or SIGTERM.
const ORDERLY: [i32; 3] = [0, 130, 143];

/// Whether a process that ended so did what it was told.
fn as_told(told: Option<Told>, status: ExitStatus) -> bool {
    let by = |signal: Signal| status.signal() == Some(signal.as_raw());
    match told {
        None => false,
        Some(Told::Kill) => by(Signal::KILL),
        Some(Told::Stop) => {
            let in_order = status.code().is_some_and(|code| ORDERLY.contains(&code));
            in_order || by(Signal::TERM) || by(Signal::KILL)
        }
    }
}

pub(super) fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
