//! The node processes: started in their namespaces, held by pidfd, watched until they end.

mod death;
mod family;
mod listen;
mod log;
mod memory;
mod pause;
mod slot;
mod slow;
mod stop;
mod words;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::PathBuf,
    process::{Command, ExitStatus},
    sync::Arc,
    time::Duration,
};

pub use self::death::Death;
use self::slot::Slot;
use crate::{
    clock::{ClockError, VdsoClocks},
    network::Network,
    node::Node,
    proof::{Killed, Paused, Slowed, Starved, Stopped},
};

/// How to start one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCommand {
    /// What to execute.
    pub program: PathBuf,
    /// With which arguments.
    pub args: Vec<OsString>,
    /// Variables set in addition to the harness's own.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory, which must exist.
    pub cwd: PathBuf,
    /// Where stdout and stderr are appended to.
    pub log: PathBuf,
}

/// Where a node's process is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Never started.
    Absent,
    /// Started and not known to have ended.
    Running {
        /// The process.
        pid: u32,
    },
    /// Stopped by [`Lifecycle::pause`].
    Paused {
        /// The process.
        pid: u32,
    },
    /// Ended because we said so.
    Ended {
        /// The process it was.
        pid: u32,
    },
    /// Ended by itself.
    Died(Death),
}

/// What a lever can do to node processes.
pub trait Lifecycle: Send + Sync {
    /// Starts a node that does not run.
    ///
    /// # Errors
    ///
    /// When it runs already, or cannot be executed.
    fn start(&self, node: Node) -> Result<u32, ProcessError>;

    /// SIGKILL, to the process and its group; returns once it is reaped.
    ///
    /// # Errors
    ///
    /// When it does not run, or is not gone by the deadline.
    fn kill(&self, node: Node) -> Result<Killed, ProcessError>;

    /// SIGSTOP, to the process and whoever came of it; returns once the kernel has reported the
    /// stop and all threads of all of them are in state `T`.
    ///
    /// # Errors
    ///
    /// When it does not run, is paused already, or does not stop by the deadline.
    fn pause(&self, node: Node) -> Result<Paused, ProcessError>;

    /// SIGCONT, to all of them; returns once no thread is in state `T`.
    ///
    /// # Errors
    ///
    /// When it is not paused, or does not continue by the deadline.
    fn resume(&self, node: Node) -> Result<u32, ProcessError>;

    /// SIGTERM, and SIGKILL where that ends it not by the deadline; returns how it ended once it is
    /// reaped.
    ///
    /// # Errors
    ///
    /// When it does not run, or is not even gone after SIGKILL.
    fn terminate(&self, node: Node, deadline: Duration) -> Result<Stopped, ProcessError>;

    /// Whether anybody listens on TCP in its network namespace: who does not cannot serve.
    ///
    /// # Errors
    ///
    /// When it does not run, or cannot be looked at.
    fn listens(&self, node: Node) -> Result<bool, ProcessError>;

    /// Lets it run a share of the time only, from now on.
    ///
    /// # Errors
    ///
    /// When it does not run, or is paused or slowed down already.
    fn slow(&self, node: Node, percent: u8) -> Result<u32, ProcessError>;

    /// What has come of [`Lifecycle::slow`] so far.
    fn slowed(&self, node: Node) -> Option<Slowed>;

    /// Undoes [`Lifecycle::slow`]; returns once no thread is in state `T`, or it has ended.
    ///
    /// # Errors
    ///
    /// When it was not slowed down, or does not continue by the deadline.
    fn hasten(&self, node: Node) -> Result<Slowed, ProcessError>;

    /// Lets it have so many bytes more of data than it has, and no more.
    ///
    /// # Errors
    ///
    /// When it does not run, is limited already, or cannot be.
    fn limit_memory(&self, node: Node, room: u64) -> Result<Starved, ProcessError>;

    /// How many bytes of data it has now.
    ///
    /// # Errors
    ///
    /// When it does not run.
    fn memory(&self, node: Node) -> Result<u64, ProcessError>;

    /// Undoes [`Lifecycle::limit_memory`], and sees that it is undone.
    ///
    /// # Errors
    ///
    /// When it does not run, was not limited, or still is.
    fn allow_memory(&self, node: Node) -> Result<(), ProcessError>;

    /// Where the node's process is in its life.
    fn state(&self, node: Node) -> State;
}

/// A process that cannot be started or did not do as told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is no such node.
    #[error("there is no {0} in this cluster")]
    NoSuchNode(Node),
    /// It cannot be executed, or its log cannot be opened.
    #[error("cannot start {node}: {what}: {source}")]
    Start {
        /// Which node.
        node: Node,
        /// The file concerned.
        what: String,
        /// How it failed.
        source: io::Error,
    },
    /// It is not in the state that this needs.
    #[error("cannot {verb} {node}: it {is}")]
    State {
        /// What was asked.
        verb: &'static str,
        /// Of which node.
        node: Node,
        /// The state it is in, as a predicate.
        is: String,
    },
    /// It did not do so in time.
    #[error("{node} (pid {pid}) did not {verb} within {} ms", .deadline.as_millis())]
    Deadline {
        /// What was asked.
        verb: &'static str,
        /// Of which node.
        node: Node,
        /// The process.
        pid: u32,
        /// How long it was given.
        deadline: Duration,
    },
    /// It cannot be given a clock that can be made wrong.
    #[error("cannot start {node}: {source}")]
    Clock {
        /// Which node.
        node: Node,
        /// Why not.
        source: ClockError,
    },
    /// A system call failed that should not have.
    #[error("{node}: {call}: {source}")]
    Call {
        /// Which node.
        node: Node,
        /// Which call.
        call: &'static str,
        /// How it failed.
        source: io::Error,
    },
}

/// What is done to a node's command besides, each time before it is executed.
pub type Prepare = Arc<dyn Fn(Node, &mut Command) -> io::Result<()> + Send + Sync>;

/// What each process is given besides its command.
#[derive(Clone, Default)]
pub struct Fittings {
    /// Done to its command before it is executed.
    pub prepare: Option<Prepare>,
    /// Clocks that can be made wrong; the same ones that the injector has as its lever.
    pub clocks: Option<Arc<VdsoClocks>>,
}

/// The processes of one cluster. Dropping it kills them all.
#[derive(Debug)]
pub struct Processes {
    slots: BTreeMap<Node, Arc<Slot>>,
}

impl Processes {
    /// Starts nothing yet. `on_death` is called, from a thread of its own, as soon as a process
    /// ends that nobody had told to; it must not ask these processes for anything.
    ///
    /// # Panics
    ///
    /// When there is a command for a node that the network has not.
    pub fn new(
        network: &dyn Network,
        commands: BTreeMap<Node, NodeCommand>,
        on_death: impl Fn(Death) + Send + Sync + 'static,
    ) -> Self {
        Self::prepared(network, commands, on_death, None)
    }

    /// As [`Processes::new`], with something done to each command besides.
    ///
    /// # Panics
    ///
    /// When there is a command for a node that the network has not.
    pub fn prepared(
        network: &dyn Network,
        commands: BTreeMap<Node, NodeCommand>,
        on_death: impl Fn(Death) + Send + Sync + 'static,
        prepare: Option<Prepare>,
    ) -> Self {
        let fittings = Fittings {
            prepare,
            clocks: None,
        };
        Self::fitted(network, commands, on_death, &fittings)
    }

    /// As [`Processes::new`], with what the levers of disks and clocks need of each process.
    ///
    /// # Panics
    ///
    /// When there is a command for a node that the network has not.
    pub fn fitted(
        network: &dyn Network,
        commands: BTreeMap<Node, NodeCommand>,
        on_death: impl Fn(Death) + Send + Sync + 'static,
        fittings: &Fittings,
    ) -> Self {
        let on_death: Arc<dyn Fn(Death) + Send + Sync> = Arc::new(on_death);
        let slots = commands.into_iter().map(|(node, command)| {
            let namespace = network.namespace(node).clone();
            let mut slot = Slot::new(node, command, namespace, Arc::clone(&on_death));
            slot.prepare.clone_from(&fittings.prepare);
            slot.clock = fittings.clocks.as_ref().and_then(|clocks| clocks.of(node));
            (node, Arc::new(slot))
        });
        Self {
            slots: slots.collect(),
        }
    }

    /// SIGTERM, then SIGKILL if it has not ended by the deadline. A paused process is continued.
    /// Returns how it ended.
    ///
    /// # Errors
    ///
    /// When it does not run, or is not even gone after SIGKILL.
    pub fn stop(&self, node: Node, deadline: Duration) -> Result<ExitStatus, ProcessError> {
        self.slot(node)?.stop(deadline)
    }

    fn slot(&self, node: Node) -> Result<&Arc<Slot>, ProcessError> {
        self.slots.get(&node).ok_or(ProcessError::NoSuchNode(node))
    }
}

impl Lifecycle for Processes {
    fn start(&self, node: Node) -> Result<u32, ProcessError> {
        self.slot(node)?.start()
    }

    fn kill(&self, node: Node) -> Result<Killed, ProcessError> {
        self.slot(node)?.kill()
    }

    fn pause(&self, node: Node) -> Result<Paused, ProcessError> {
        self.slot(node)?.pause()
    }

    fn resume(&self, node: Node) -> Result<u32, ProcessError> {
        self.slot(node)?.resume()
    }

    fn terminate(&self, node: Node, deadline: Duration) -> Result<Stopped, ProcessError> {
        self.slot(node)?.terminate(deadline)
    }

    fn listens(&self, node: Node) -> Result<bool, ProcessError> {
        self.slot(node)?.listens()
    }

    fn slow(&self, node: Node, percent: u8) -> Result<u32, ProcessError> {
        self.slot(node)?.slow(percent)
    }

    fn slowed(&self, node: Node) -> Option<Slowed> {
        self.slots.get(&node)?.slowed()
    }

    fn hasten(&self, node: Node) -> Result<Slowed, ProcessError> {
        self.slot(node)?.hasten()
    }

    fn limit_memory(&self, node: Node, room: u64) -> Result<Starved, ProcessError> {
        self.slot(node)?.limit_memory(room)
    }

    fn memory(&self, node: Node) -> Result<u64, ProcessError> {
        self.slot(node)?.memory()
    }

    fn allow_memory(&self, node: Node) -> Result<(), ProcessError> {
        self.slot(node)?.allow_memory()
    }

    fn state(&self, node: Node) -> State {
        self.slots
            .get(&node)
            .map_or(State::Absent, |slot| slot.state())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for slot in self.slots.values() {
            // One that does not run is what we want.
            let _ = slot.kill();
        }
    }
}
