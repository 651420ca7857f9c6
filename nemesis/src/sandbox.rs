//! The sandbox: namespaces that die with the harness.
//!
//! ```text
//!  outer   the process that the user started: waits, forwards signals, passes the exit code on
//!    └─ init     pid 1 of a new pid namespace, in new mount, network, UTS and IPC namespaces
//!         └─ harness   pid 2: the only one in which `enter` returns
//!              └─ nodes   each in a network namespace of its own
//! ```

use std::io;

/// Proof of being inside: whoever needs namespaces of our own asks for a reference to this.
#[derive(Debug)]
pub struct Sandbox {
    rootless: bool,
}

impl Sandbox {
    /// Whether the sandbox is a user namespace of an unprivileged user.
    pub fn is_rootless(&self) -> bool {
        self.rootless
    }
}

/// Why there is no sandbox. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The calling process already has several threads.
    #[error("the sandbox must be entered before any thread is started, but there are {0} threads")]
    Threads(usize),
    /// The kernel or its settings forbid namespaces.
    #[error("cannot create namespaces: {0}")]
    Forbidden(String),
    /// A system call failed that should not have.
    #[error("cannot set the sandbox up: {call}: {source}")]
    Call {
        /// Which.
        call: &'static str,
        /// How.
        source: io::Error,
    },
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
/// When namespaces are not permitted here, with the setting and the command that help.
pub fn enter() -> Result<Sandbox, SandboxError> {
    unimplemented!()
}
