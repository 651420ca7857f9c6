//! The process outside: a shell around the harness that forwards signals and its exit code.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::SandboxError;
use crate::sys;

/// Stays until init ends, then exits as the harness did. Returns only when init could not set the
/// sandbox up, with the reason that it reported through `failure`.
pub(super) fn attend(init: Pid, watched: &SigSet, failure: OwnedFd) -> SandboxError {
    let mut report = String::new();
    // Ends once init and the harness have closed their end: the sandbox stands, or it never will.
    let read = File::from(failure).read_to_string(&mut report);
    if let Some(error) = parse_report(&report) {
        // Best effort: init is on its way out by itself.
        let _ = waitpid(init, None);
        return error;
    }
    if let Err(source) = read {
        return SandboxError::call("read init's report", source);
    }
    loop {
        match watched.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = exit_code(waitpid(init, Some(WaitPidFlag::WNOHANG))) {
                    sys::exit_now(code);
                }
            }
            // Init may be gone already; then SIGCHLD is next.
            Ok(signal) => drop(kill(init, signal)),
            Err(_) => {}
        }
    }
}

/// The exit code that stands for how a child ended; `None` while it has not.
pub(super) fn exit_code(status: nix::Result<WaitStatus>) -> Option<i32> {
    match status {
        Ok(WaitStatus::Exited(_, code)) => Some(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + signal as i32),
        // Nobody left to wait for: somebody else reaped it, so its code is lost.
        Err(Errno::ECHILD) => Some(70),
        _ => None,
    }
}

/// What init writes when it fails: `errno call`.
pub(super) fn report_text(call: &str, errno: Errno) -> String {
    format!("{} {call}", errno as i32)
}

fn parse_report(report: &str) -> Option<SandboxError> {
    let (errno, call) = report.split_once(' ')?;
    let source = io::Error::from_raw_os_error(errno.parse().ok()?);
    Some(super::namespaces::explain(call, source))
}
