//! Pid 1 of the sandbox: sets it up, starts the harness, reaps, and goes when either side goes.

use std::{
    io::Write,
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl::set_pdeathsig,
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, setsid},
};

use super::{
    namespaces::MOUNT_PROC,
    outer::{exit_code, report_text},
};
use crate::sys;

/// Returns in the harness; in init it never does.
pub(super) fn run(outer: &OwnedFd, watched: &SigSet, report: OwnedFd) {
    let failed = match set_up(outer, watched) {
        Ok(Role::Harness) => return,
        Ok(Role::Init { harness, signals }) => {
            drop(report);
            attend(outer, &signals, harness)
        }
        Err(failed) => failed,
    };
    let text = report_text(failed.0, failed.1);
    // If outer is gone there is nobody to tell.
    let _ = std::fs::File::from(report).write_all(text.as_bytes());
    sys::exit_now(70)
}

enum Role {
    Init { harness: Pid, signals: SignalFd },
    Harness,
}

type Failed = (&'static str, Errno);

fn set_up(outer: &OwnedFd, watched: &SigSet) -> Result<Role, Failed> {
    set_pdeathsig(Signal::SIGKILL).map_err(|e| ("prctl PR_SET_PDEATHSIG", e))?;
    // Outer may have died before that request. Its pid tells nothing here (the parent of pid 1 is
    // always 0), its pidfd does; `attend` goes on watching it.
    if has_ended(outer) {
        sys::exit_now(128 + Signal::SIGKILL as i32);
    }
    setsid().map_err(|e| ("setsid", e))?;
    // Without this, what is mounted here would show up outside.
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(|e| ("mount private /", e))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).map_err(|e| (MOUNT_PROC, e))?;
    let signals = SignalFd::with_flags(watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|e| ("signalfd", e))?;
    match sys::fork_single_threaded() {
        Ok(sys::Fork::Parent(harness)) => Ok(Role::Init { harness, signals }),
        Ok(sys::Fork::Child) => {
            setsid().map_err(|e| ("setsid", e))?;
            Ok(Role::Harness)
        }
        Err(error) => Err((
            "fork",
            Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
        )),
    }
}

/// Waits for signals and for the end of outer or harness, whichever comes first.
fn attend(outer: &OwnedFd, signals: &SignalFd, harness: Pid) -> ! {
    loop {
        let mut fds = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(outer.as_fd(), PollFlags::POLLIN),
        ];
        // An interrupted poll is polled again.
        let _ = poll(&mut fds, PollTimeout::NONE);
        if has_ended(outer) {
            sys::exit_now(128 + Signal::SIGKILL as i32);
        }
        while let Ok(Some(info)) = signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo)
                .ok()
                .and_then(|n| Signal::try_from(n).ok());
            match signal {
                Some(Signal::SIGCHLD) => reap(harness),
                // The harness may be gone already; then SIGCHLD is next.
                Some(signal) => drop(kill(harness, signal)),
                None => {}
            }
        }
    }
}

/// Reaps whoever ended, orphans included; exits with the harness, which ends everything else.
fn reap(harness: Pid) {
    loop {
        let status = waitpid(None, Some(WaitPidFlag::WNOHANG));
        match status {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if pid == harness => {
                sys::exit_now(exit_code(status).unwrap_or(70));
            }
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => {}
            _ => return,
        }
    }
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
}
