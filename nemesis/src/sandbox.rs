//! The sandbox: namespaces that die with the harness.
//!
//! ```text
//!  outer   the process that the user started: waits, forwards signals, passes the exit code on
//!    └─ init     pid 1 of a new pid namespace, in new mount, network, UTS and IPC namespaces
//!         └─ harness   pid 2: the only one in which `enter` returns
//!              └─ nodes   each in a network namespace of its own
//! ```
//!
//! Why nothing stays behind, whichever of the three is killed with SIGKILL:
//!
//! - *harness*: init sees its end and exits, and the kernel kills whatever lives in a pid namespace
//!   whose pid 1 is gone, however it was daemonised.
//! - *init*: the same, at once.
//! - *outer*: init asked for SIGKILL at its parent's death, and also watches outer by pidfd.
//! - Namespaces, interfaces and mounts have no name outside: the kernel frees them with their last
//!   process.
//!
//! Signals: init and the harness each have a session of their own. So a terminal's Ctrl-C reaches
//! outer alone, which forwards it once; and the harness, having no controlling terminal, may write
//! to the terminal and read it without being stopped as a background job (`stty tostop` or not).

mod init;
mod namespaces;
mod outer;

use std::{fs, io};

use nix::{
    sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask},
    unistd::{Pid, getpid, pipe2},
};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::sys;

/// Proof of being inside: whoever needs namespaces of our own asks for a reference to this.
#[derive(Debug)]
pub struct Sandbox {
    rootless: bool,
}

impl Sandbox {
    /// Whether the sandbox is a user namespace: the caller lacked the right to do without.
    pub fn is_rootless(&self) -> bool {
        self.rootless
    }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The calling process already has several threads.
    #[error("the sandbox must be entered before any thread is started, but there are {0} threads")]
    Threads(usize),
    /// The kernel or its settings forbid namespaces; says what is missing and what helps.
    #[error("cannot create namespaces: {0}")]
    Forbidden(String),
    /// A system call failed that should not have.
    #[error("cannot set the sandbox up: {call}: {source}")]
    Call {
        /// Which.
        call: String,
        /// How.
        source: io::Error,
    },
}

impl SandboxError {
    fn call(call: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Call {
            call: call.into(),
            source: source.into(),
        }
    }
}

/// The signals that a user or a supervisor sends to end or reload a program.
const FORWARDED: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// Ends a whole sandbox from outside, by SIGKILL to its first process (its number here, outside):
/// the kernel ends all others with it.
///
/// # Errors
///
/// When it is gone already, or belongs to somebody else.
pub fn kill_init(init: u32) -> io::Result<()> {
    let pid = i32::try_from(init).map_err(io::Error::other)?;
    let no_such = || io::Error::from_raw_os_error(libc::ESRCH);
    let pid = rustix::process::Pid::from_raw(pid).ok_or_else(no_such)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL)?;
    let mut ended = [rustix::event::PollFd::new(
        &pidfd,
        rustix::event::PollFlags::IN,
    )];
    let patience = rustix::event::Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    match rustix::event::poll(&mut ended, Some(&patience))? {
        0 => Err(io::Error::from(io::ErrorKind::TimedOut)),
        _ => Ok(()),
    }
}

/// Moves into a sandbox: returns in the harness process only, as pid 2 of a new pid namespace.
///
/// Call it first thing in `main`, before any runtime or thread. The process that called it stays
/// outside as a shell around the harness: it forwards SIGINT, SIGTERM, SIGHUP and SIGQUIT once
/// each, waits, and exits with the harness's code (128 + signal when it was killed). SIGKILL of
/// any of the three processes ends all of them and everything started in the sandbox.
///
/// # Errors
///
/// When namespaces are not permitted here, with the setting and the command that help. The process
/// may be left in namespaces of its own by then: report the error and exit.
pub fn enter() -> Result<Sandbox, SandboxError> {
    let threads = fs::read_dir("/proc/self/task")
        .map_err(|source| SandboxError::call("read /proc/self/task", source))?
        .count();
    if threads != 1 {
        return Err(SandboxError::Threads(threads));
    }
    let outer = pidfd_open(rustix_pid(getpid()), PidfdFlags::empty())
        .map_err(|source| SandboxError::call("pidfd_open", source))?;
    let watched = watched_signals();
    let inherited = watched
        .thread_swap_mask(SigmaskHow::SIG_BLOCK)
        .map_err(|source| SandboxError::call("sigprocmask", source))?;
    let entered = enter_blocked(&outer, &watched);
    // Reached in the harness, and in outer when there is no harness.
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&inherited), None)
        .map_err(|source| SandboxError::call("sigprocmask", source))?;
    entered
}

/// [`enter`] with the watched signals blocked, so that none is lost between the forks.
fn enter_blocked(outer: &std::os::fd::OwnedFd, watched: &SigSet) -> Result<Sandbox, SandboxError> {
    // A parent that ignores SIGCHLD would have us inherit that, and wait for nobody.
    sys::reset_signal(Signal::SIGCHLD).map_err(|e| SandboxError::call("signal", e))?;
    let rootless = namespaces::unshare_all()?;
    let (failure, report) =
        pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|source| SandboxError::call("pipe", source))?;
    match sys::fork_single_threaded().map_err(|e| SandboxError::call("fork", e))? {
        sys::Fork::Parent(init) => {
            drop(report);
            Err(outer::attend(init, watched, failure))
        }
        sys::Fork::Child => {
            drop(failure);
            init::run(outer, watched, report);
            Ok(Sandbox { rootless })
        }
    }
}

fn watched_signals() -> SigSet {
    let mut set: SigSet = FORWARDED.into_iter().collect();
    set.add(Signal::SIGCHLD);
    set
}

fn rustix_pid(pid: Pid) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(pid.as_raw()).expect("a process id is positive")
}
