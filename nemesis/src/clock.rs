//! Wall clocks that are wrong: per node, from outside, for any program.
//!
//! A process whose clock can be made wrong is held at its start, before its first instruction,
//! until the code of `sys/skew.rs` is in its vdso; from then on two small writes into its memory
//! change its clock at once. Every start of the node does the same again, with the clock as it is
//! then.
//!
//! What it does not reach: programs that ask the kernel past the vdso, what sleeps until a time of
//! the wall clock, and a program that the process executes in its own place later (a shell script
//! that ends in `exec`). Monotonic clocks are right on purpose: no kernel lets them be wrong.

#[cfg(target_arch = "x86_64")]
mod patch;
pub(crate) mod telling;
#[cfg(target_arch = "x86_64")]
mod vdso;

#[cfg(not(target_arch = "x86_64"))]
#[path = "clock/unsupported.rs"]
mod patch;

use std::{
    collections::BTreeMap,
    io,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::patch::Patched;
use crate::{fault::Skew, node::Node};

/// What a lever can do to clocks.
pub trait Clocks: Send + Sync {
    /// Makes a node's clock wrong, or right again, from now on and in every process of the node to
    /// come. What its process's clock is then; `None` where no process of it runs now.
    ///
    /// # Errors
    ///
    /// When the memory of the process cannot be written.
    fn set(&self, node: Node, skew: Option<Skew>) -> Result<Option<Reading>, ClockError>;

    /// How wrong the clock of the node's process is now, read from the process.
    ///
    /// # Errors
    ///
    /// When the memory of the process cannot be read.
    fn read(&self, node: Node) -> Result<Option<Reading>, ClockError>;

    /// The nodes whose clocks were made wrong and not right again.
    fn wrong(&self) -> Vec<Node>;
}

/// How wrong a process's clock was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The process.
    pub pid: u32,
    /// How far its wall clock is ahead, in nanoseconds; negative where it is behind.
    pub ahead_ns: i64,
}

/// A clock that cannot be made wrong, or not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// There is no such node.
    #[error("there is no {0} whose clock could be changed")]
    NoSuchNode(Node),
    /// The process cannot be given a clock of ours.
    #[error("{node} (pid {pid}) cannot get a clock of ours: {why}")]
    Patch {
        /// Whose.
        node: Node,
        /// The process.
        pid: u32,
        /// Why not, and what to do.
        why: String,
    },
    /// Its memory cannot be used.
    #[error("the clock of {node} (pid {pid}) cannot be {verb}: {source}")]
    Memory {
        /// Whose.
        node: Node,
        /// The process.
        pid: u32,
        /// `changed` or `read`.
        verb: &'static str,
        /// How it failed.
        source: io::Error,
    },
}

/// How wrong, in the numbers that stand in a process's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Setting {
    offset_ns: i64,
    base_ns: i64,
    /// What each true nanosecond since the base adds, in units of 2^-32.
    rate: i64,
    /// So long wrong, so long right, since the base; 0: always wrong.
    period_ns: i64,
}

impl Setting {
    fn of(skew: Skew, now_ns: i64) -> Self {
        let base_ns = now_ns;
        match skew {
            Skew::Offset { ns } => Self {
                offset_ns: ns,
                base_ns,
                ..Self::default()
            },
            Skew::Rate { millionths } => Self {
                base_ns,
                rate: ((i64::from(millionths) - 1_000_000) << 32) / 1_000_000,
                ..Self::default()
            },
            Skew::Strobe { ns, period_ns } => Self {
                offset_ns: ns,
                base_ns,
                period_ns,
                ..Self::default()
            },
        }
    }

    /// How far ahead a clock with this setting is: what the code in the process calculates.
    fn ahead_ns(&self, now_ns: i64) -> i64 {
        let since = now_ns.wrapping_sub(self.base_ns);
        if self.period_ns != 0 && (since.cast_unsigned() / self.period_ns.cast_unsigned()) & 1 == 1
        {
            return 0;
        }
        let drifted = (i128::from(since) * i128::from(self.rate)) >> 32;
        self.offset_ns
            .saturating_add(i64::try_from(drifted).unwrap_or(i64::MAX))
    }
}

/// The time of this machine, in nanoseconds since 1970.
#[allow(
    clippy::disallowed_types,
    reason = "what is made wrong is the wall clock"
)]
pub(crate) fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = since.map_or(0, |since| since.as_nanos());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// Clocks by way of the vdso.
#[derive(Debug)]
pub struct VdsoClocks {
    nodes: BTreeMap<Node, Arc<NodeClock>>,
}

impl VdsoClocks {
    /// Clocks for these nodes, right at first.
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Self {
        let clock = |node| (node, Arc::new(NodeClock::new(node)));
        Self {
            nodes: nodes.into_iter().map(clock).collect(),
        }
    }

    /// The clock of one node, for whoever starts its processes.
    pub(crate) fn of(&self, node: Node) -> Option<Arc<NodeClock>> {
        self.nodes.get(&node).cloned()
    }

    fn node(&self, node: Node) -> Result<&NodeClock, ClockError> {
        let found = self.nodes.get(&node);
        found
            .map(|clock| &**clock)
            .ok_or(ClockError::NoSuchNode(node))
    }
}

impl Clocks for VdsoClocks {
    fn set(&self, node: Node, skew: Option<Skew>) -> Result<Option<Reading>, ClockError> {
        self.node(node)?.set(skew)
    }

    fn read(&self, node: Node) -> Result<Option<Reading>, ClockError> {
        self.node(node)?.read()
    }

    fn wrong(&self) -> Vec<Node> {
        let wrong = self.nodes.iter().filter(|(_, clock)| clock.is_wrong());
        wrong.map(|(node, _)| *node).collect()
    }
}

/// One node's clock, over the life of all its processes.
#[derive(Debug)]
pub(crate) struct NodeClock {
    node: Node,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    setting: Setting,
    process: Option<(u32, Patched)>,
}

impl NodeClock {
    fn new(node: Node) -> Self {
        Self {
            node,
            state: Mutex::default(),
        }
    }

    /// Before a process is spawned: it is to wait for [`NodeClock::adopt`], on the same thread.
    pub(crate) fn hold(command: &mut Command) {
        patch::hold(command);
    }

    /// Gives a process that has just been spawned this node's clock, and lets it run.
    pub(crate) fn adopt(&self, pid: u32) -> Result<(), ClockError> {
        let mut state = self.lock();
        state.process = None;
        let patched = Patched::adopt(pid, &state.setting).map_err(|why| ClockError::Patch {
            node: self.node,
            pid,
            why,
        })?;
        state.process = Some((pid, patched));
        Ok(())
    }

    fn set(&self, skew: Option<Skew>) -> Result<Option<Reading>, ClockError> {
        let mut state = self.lock();
        state.setting = skew.map_or_else(Setting::default, |skew| Setting::of(skew, now_ns()));
        let setting = state.setting;
        if let Some((pid, patched)) = &mut state.process {
            let pid = *pid;
            match patched.write(&setting) {
                Ok(()) => {}
                // It is gone; its successor starts with the new setting.
                Err(error) if is_gone(&error) => return Ok(None),
                Err(source) => return Err(self.memory(pid, "changed", source)),
            }
        }
        self.reading(&state)
    }

    fn read(&self) -> Result<Option<Reading>, ClockError> {
        self.reading(&self.lock())
    }

    fn is_wrong(&self) -> bool {
        self.lock().setting != Setting::default()
    }

    fn reading(&self, state: &State) -> Result<Option<Reading>, ClockError> {
        let Some((pid, patched)) = &state.process else {
            return Ok(None);
        };
        match patched.read() {
            Ok(setting) => Ok(Some(Reading {
                pid: *pid,
                ahead_ns: setting.ahead_ns(now_ns()),
            })),
            Err(error) if is_gone(&error) => Ok(None),
            Err(source) => Err(self.memory(*pid, "read", source)),
        }
    }

    fn memory(&self, pid: u32, verb: &'static str, source: io::Error) -> ClockError {
        ClockError::Memory {
            node: self.node,
            pid,
            verb,
            source,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Both fields are set by one assignment each.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that was opened is nobody's any more: the process has ended, or executes another
/// program.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
        || error.kind() == io::ErrorKind::WriteZero
        || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_says_what_the_code_in_the_process_calculates() {
        const S: i64 = 1_000_000_000;
        let offset = Setting::of(Skew::Offset { ns: -11 }, 5 * S);
        assert_eq!((offset.ahead_ns(5 * S), offset.ahead_ns(9 * S)), (-11, -11));
        let fast = Setting::of(
            Skew::Rate {
                millionths: 1_100_000,
            },
            5 * S,
        );
        assert_eq!(fast.ahead_ns(5 * S), 0);
        let ahead = fast.ahead_ns(15 * S);
        assert!((ahead - S).abs() < 10, "{ahead}");
        let slow = Setting::of(
            Skew::Rate {
                millionths: 500_000,
            },
            0,
        );
        assert_eq!(slow.ahead_ns(10 * S), -5 * S);
        let strobe = Skew::Strobe {
            ns: 7,
            period_ns: 10,
        };
        let strobe = Setting::of(strobe, 100);
        let seen = [100, 109, 110, 119, 120].map(|now| strobe.ahead_ns(now));
        assert_eq!(seen, [7, 7, 0, 0, 7]);
        assert_eq!(Setting::default().ahead_ns(1_700_000_000 * S), 0);
    }
}
