//! An unnamed network namespace, and how threads and commands get into it.

use std::{io, os::fd::OwnedFd, process::Command, sync::Arc, thread::JoinHandle};

/// A network namespace without a name: it lives as long as this handle, a process or a thread in it.
#[derive(Debug, Clone)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// Runs `work` on a new thread inside the namespace. Sockets opened there stay there for ever.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started or may not enter.
    pub fn spawn<T, F>(&self, name: &str, work: F) -> io::Result<JoinHandle<T>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let _ = (&self.fd, name, work);
        unimplemented!()
    }

    /// Makes `command` start inside the namespace, with every signal unblocked and at its default.
    pub fn contain(&self, command: &mut Command) {
        let _ = command;
        unimplemented!()
    }
}
