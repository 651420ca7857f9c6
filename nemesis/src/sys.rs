//! The system calls that no safe wrapper covers: the only unsafe code of this crate.
//!
//! Each function here is safe to call from anywhere; what makes it so is said at its `unsafe`.
#![allow(unsafe_code)]

mod packet;
mod priority;
mod seccomp;
#[cfg(target_arch = "x86_64")]
pub(crate) mod skew;
mod tun;

use std::{io, os::fd::OwnedFd, os::unix::process::CommandExt, process::Command, sync::Arc};

use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{SigHandler, Signal, signal},
    unistd::{ForkResult, Pid, fork},
};

pub(crate) use packet::{open_packet_socket, overrun};
pub(crate) use priority::run_at_once;
pub(crate) use seccomp::{
    Answer, Call, answer_call, can_filter_calls, filter_before_exec, receive_call, receive_listener,
};
pub(crate) use tun::{
    assign, configure_interface, open_tun, raise_loopback, set_mtu, switch_offloads_off,
};

/// Which side of a fork this is.
pub(crate) enum Fork {
    /// The process that forked, and its child.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Forks a process that has one thread only.
///
/// # Panics
///
/// When there are more: the child would inherit locks that nobody releases.
pub(crate) fn fork_single_threaded() -> io::Result<Fork> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    assert_eq!(threads, 1, "forking with other threads alive");
    // SAFETY: fork is unsound only in a process with several threads, whose locks and invariants
    // the child would inherit in any state; checked just above, and nobody but this thread could
    // have started another since.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Fork::Parent(child)),
        ForkResult::Child => Ok(Fork::Child),
    }
}

/// Ends this process at once, without destructors or buffers: they belong to its parent's copy.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

/// Gives one signal its default action, whatever the process inherited.
pub(crate) fn reset_signal(which: Signal) -> io::Result<()> {
    // SAFETY: the default action runs no code of ours, so no handler can be unsound.
    unsafe { signal(which, SigHandler::SigDfl) }?;
    Ok(())
}

/// Makes `command` enter a network namespace before it executes, and start with every signal
/// unblocked and at its default action.
pub(crate) fn enter_before_exec(command: &mut Command, namespace: Arc<OwnedFd>) {
    let prepare = move || {
        setns(namespace.as_ref(), CloneFlags::CLONE_NEWNET)?;
        for number in 1..=libc::SIGRTMAX() {
            // SAFETY: signal is async-signal-safe and sets the default action, so it installs no
            // code; it fails for SIGKILL, SIGSTOP and the C library's own signals, which have
            // their default action already.
            unsafe { libc::signal(number, libc::SIG_DFL) };
        }
        // SAFETY: an all-zero sigset_t is a valid value, which sigemptyset then initialises;
        // both calls are async-signal-safe and get pointers to a live local.
        unsafe {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure calls setns, signal, sigemptyset and
    // pthread_sigmask only: no allocation, no lock, no access to what other threads share.
    unsafe { command.pre_exec(prepare) };
}
