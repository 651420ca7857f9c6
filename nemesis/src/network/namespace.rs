//! An unnamed network namespace, and how threads and commands get into it.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Command,
    sync::{Arc, mpsc},
    thread::{Builder, JoinHandle},
};

use nix::sched::{CloneFlags, setns, unshare};

use crate::sys;

/// A network namespace without a name: it lives as long as this handle, or a process or a thread
/// in it.
#[derive(Debug, Clone)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// Makes a namespace and runs `configure` on a thread that lives in it from the start.
    pub(crate) fn create<T, F>(
        name: &str,
        configure: F,
    ) -> io::Result<JoinHandle<io::Result<(Self, T)>>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Builder::new().name(name.to_owned()).spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok((Self::of_this_thread()?, configure()))
        })
    }

    /// Its descriptor, by which the kernel knows it.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The namespace that the calling thread is in.
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        let file = File::open("/proc/thread-self/ns/net")?;
        Ok(Self {
            fd: Arc::new(file.into()),
        })
    }

    /// Runs `work` on a new thread inside the namespace. Sockets opened there stay there for ever,
    /// whichever thread uses them later.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started or may not enter.
    pub fn spawn<T, F>(&self, name: &str, work: F) -> io::Result<JoinHandle<T>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let fd = Arc::clone(&self.fd);
        let (entered, result) = mpsc::sync_channel(1);
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            let inside = setns(fd.as_ref(), CloneFlags::CLONE_NEWNET);
            let refused = inside.is_err();
            // The receiver waits below; it cannot be gone.
            let _ = entered.send(inside);
            if refused {
                // There is no `T` to return, and nobody joins: ends the thread without a message.
                std::panic::resume_unwind(Box::new("not inside"));
            }
            work()
        })?;
        match result.recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(errno)) => Err(errno.into()),
            Err(_) => Err(io::Error::other("the thread ended before it entered")),
        }
    }

    /// Makes `command` start inside the namespace, with every signal unblocked and at its default.
    pub fn contain(&self, command: &mut Command) {
        sys::enter_before_exec(command, Arc::clone(&self.fd));
    }
}
