//! An unnamed network namespace, and how threads and commands get into it.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    process::Command,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{Builder, JoinHandle},
};

use nix::sched::{CloneFlags, setns, unshare};

use crate::sys;

/// A network namespace without a name: it lives as long as this handle, or a process or a thread
/// in it. Clones are the same place: where one is renewed, all are.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<Mutex<Place>>);

#[derive(Debug, Clone)]
struct Place {
    fd: Arc<OwnedFd>,
    /// How often it was renewed.
    renewals: u64,
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
    pub(crate) fn fd(&self) -> Arc<OwnedFd> {
        self.place().fd
    }

    /// The namespace that the calling thread is in.
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        let file = File::open("/proc/thread-self/ns/net")?;
        let (fd, renewals) = (Arc::new(file.into()), 0);
        Ok(Self(Arc::new(Mutex::new(Place { fd, renewals }))))
    }

    /// Puts another namespace in its place, for everybody who enters from now on.
    pub(crate) fn renew(&self, with: &Self) {
        let fd = with.place().fd;
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.fd = fd;
        place.renewals += 1;
    }

    fn place(&self) -> Place {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.clone()
    }

    /// How often it was renewed so far: a thread that sees this change has to enter again.
    pub fn renewals(&self) -> u64 {
        self.place().renewals
    }

    /// Moves the calling thread into the namespace; sockets that it has stay where they were made.
    ///
    /// # Errors
    ///
    /// When the thread may not enter.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(self.place().fd, CloneFlags::CLONE_NEWNET)?)
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
        let fd = self.place().fd;
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
        sys::enter_before_exec(command, self.place().fd);
    }
}
