//! What a fault did, with its evidence: a fault counts only when it is proven.

mod clock;
mod disk;
mod members;
mod process;
mod restarted;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

pub use self::clock::ClockSeen;
pub use self::disk::{Damaged, DamagedNode, DiskMet, Lost, PowerLost};
pub use self::members::{LogKept, Members};
pub use self::process::{CrashLooped, Slowed, StartKilled, Starved, Stopped};
use crate::{
    fault::PacketEffect,
    node::{Edge, Node},
};

/// How a fault ended. Only [`Effect::Installed`] counts towards coverage.
#[must_use = "a fault without proof must not be counted as done"]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", content = "detail", rename_all = "kebab-case")]
pub enum Effect {
    /// It happened; here is the evidence.
    Installed(Proof),
    /// It was not tried: nobody to do it to, no lever for it, or the run ended first.
    Skipped(String),
    /// The lever was pulled and undone, and nothing changed in between.
    NoEffect(String),
    /// The lever failed, or its evidence did not arrive: it may or may not have happened.
    Indeterminate(String),
}

impl Effect {
    /// Whether the fault is proven to have happened.
    pub fn is_installed(&self) -> bool {
        matches!(self, Self::Installed(_))
    }

    /// The word that events and reports use: `installed`, `skipped`, …
    pub fn status(&self) -> &'static str {
        match self {
            Self::Installed(_) => "installed",
            Self::Skipped(_) => "skipped",
            Self::NoEffect(_) => "no effect",
            Self::Indeterminate(_) => "indeterminate",
        }
    }
}

/// Evidence that a fault happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Proof {
    /// The old process was reaped after SIGKILL; once healed, another one serves in its place.
    Killed {
        /// What was killed, in order.
        processes: Vec<Killed>,
    },
    /// Every thread of the process was seen in state `T`.
    Paused {
        /// What was paused, in order.
        processes: Vec<Paused>,
    },
    /// The old process was reaped after SIGTERM; once healed, another one serves in its place.
    Stopped {
        /// What was stopped, in order.
        processes: Vec<Stopped>,
    },
    /// Several processes in turn were reaped after SIGKILL, each seen to serve before.
    CrashLooped {
        /// Whose, in order.
        nodes: Vec<CrashLooped>,
    },
    /// A process was reaped that had started and was not up yet.
    StartKilled {
        /// What was killed, in order.
        processes: Vec<StartKilled>,
    },
    /// The process was seen to be stopped and continued, over and over.
    Slowed {
        /// What was slowed, in order.
        processes: Vec<Slowed>,
    },
    /// The process met with a limit to its memory.
    Starved {
        /// What was limited, in order.
        processes: Vec<Starved>,
    },
    /// Packets met the cut and went no further.
    Cut(Dropped),
    /// Packets met with what was to be done to them; each effect planned happened at least once.
    Shaped(Shaped),
    /// The process was reaped, its disk holds only what survived; once healed, another one serves.
    PowerLost {
        /// Who lost power, in order.
        nodes: Vec<PowerLost>,
    },
    /// Requests to disks met with what ails them.
    DiskMet {
        /// Whose disks, in order.
        nodes: Vec<DiskMet>,
    },
    /// Bytes of disks are not what they were.
    Damaged {
        /// Whose disks, in order.
        nodes: Vec<DamagedNode>,
    },
    /// Wall clocks were read, and were wrong.
    Clocks {
        /// Whose, in order.
        nodes: Vec<ClockSeen>,
    },
    /// A leader has committed other members; once healed, the first ones again.
    Members {
        /// Before.
        before: Members,
        /// While it lasted.
        during: Members,
        /// After the heal; absent until healed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Members>,
    },
    /// A leader that no other node heard took the order.
    AskedAlone {
        /// Who was asked.
        node: Node,
        /// The order that it took.
        order: String,
        /// Packets that met the cut.
        dropped: Dropped,
        /// Who the members were after the heal; absent until healed, and where members are no
        /// concern of the order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Members>,
    },
    /// Another term, as ordered.
    Led {
        /// Who led before, and in which term.
        before: (Node, u64),
        /// Who led afterwards, and in which term.
        after: (Node, u64),
    },
    /// Logs that begin later, or have a newer snapshot.
    Logs {
        /// Whose, in order.
        nodes: Vec<LogKept>,
    },
}

/// One process killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    /// Whose.
    pub node: Node,
    /// The process that was reaped, with SIGKILL as its end.
    pub pid: u32,
    /// From the signal to the reaped process, in microseconds.
    pub gone_after_us: u64,
    /// Who serves in its place; absent until healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Successor>,
}

/// The process that took over after a kill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// Its process id, in the sandbox.
    pub pid: u32,
    /// From its start until it was seen to serve, in milliseconds.
    pub serving_after_ms: u64,
}

/// One process paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Whose.
    pub node: Node,
    /// The process.
    pub pid: u32,
    /// How many processes it was with whoever came of it.
    #[serde(default = "one")]
    pub processes: u32,
    /// How many threads they had, all of them in state `T`.
    pub threads: u32,
    /// From the signal until the kernel reported the stop, in microseconds.
    pub stopped_after_us: u64,
}

/// What was told of a pause before the processes were counted.
fn one() -> u32 {
    1
}

/// Packets dropped by one cut, per directed edge. Edges that dropped none are listed with 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Edge → packets.
    pub packets: BTreeMap<Edge, u64>,
    /// How long after the heal the last connection over these edges sends again what it lost: TCP's
    /// own back-off, by the kernel's timers, where it does not bound it and a connection waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_after_ms: Option<u64>,
}

impl Dropped {
    /// Over all edges.
    pub fn total(&self) -> u64 {
        self.packets.values().sum()
    }
}

/// What one shaping did to packets, per directed edge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shaped {
    /// Edge → what came of its packets.
    pub edges: BTreeMap<Edge, Fates>,
}

/// What came of the packets of one edge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fates {
    /// All that were sent over it.
    pub packets: u64,
    /// How many of them met with each effect planned; those that none met are listed with 0.
    pub effects: BTreeMap<PacketEffect, u64>,
}

impl Shaped {
    /// Over all edges.
    pub fn total(&self) -> Fates {
        let mut total = Fates::default();
        for fates in self.edges.values() {
            total.packets += fates.packets;
            for (effect, packets) in &fates.effects {
                *total.effects.entry(*effect).or_default() += packets;
            }
        }
        total
    }

    /// The effects planned that no packet met with.
    pub fn missing(&self) -> Vec<PacketEffect> {
        let effects = self.total().effects.into_iter();
        let unmet = effects.filter(|(_, packets)| *packets == 0);
        unmet.map(|(effect, _)| effect).collect()
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed(proof) => write!(f, "installed: {proof}"),
            Self::Skipped(why) | Self::NoEffect(why) | Self::Indeterminate(why) => {
                write!(f, "{}: {why}", self.status())
            }
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed { processes } => each(f, processes),
            Self::Paused { processes } => each(f, processes),
            Self::Stopped { processes } => each(f, processes),
            Self::CrashLooped { nodes } => each(f, nodes),
            Self::StartKilled { processes } => each(f, processes),
            Self::Slowed { processes } => each(f, processes),
            Self::Starved { processes } => each(f, processes),
            Self::Cut(dropped) => dropped.fmt(f),
            Self::Shaped(shaped) => shaped.fmt(f),
            Self::PowerLost { nodes } => each(f, nodes),
            Self::DiskMet { nodes } => each(f, nodes),
            Self::Damaged { nodes } => each(f, nodes),
            Self::Clocks { nodes } => each(f, nodes),
            Self::Members {
                before,
                during,
                after,
            } => members::changed(f, before, during, after.as_ref()),
            Self::AskedAlone {
                node,
                order,
                dropped,
                after,
            } => members::asked_alone(f, *node, order, dropped, after.as_ref()),
            Self::Led { before, after } => members::led(f, *before, *after),
            Self::Logs { nodes } => each(f, nodes),
        }
    }
}

fn each<T: fmt::Display>(f: &mut fmt::Formatter<'_>, all: &[T]) -> fmt::Result {
    for (index, one) in all.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{one}")?;
    }
    Ok(())
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pid {} gone", self.node, self.pid)?;
        match &self.successor {
            Some(successor) => write!(f, ", pid {} serving", successor.pid),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node, pid, threads, ..
        } = self;
        match self.processes {
            1 => write!(f, "{node} pid {pid} in state T ({threads} threads)"),
            processes => write!(
                f,
                "{node} pid {pid} in state T ({threads} threads of {processes} processes)"
            ),
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hit = self
            .packets
            .values()
            .filter(|packets| **packets > 0)
            .count();
        let edges = self.packets.len();
        write!(
            f,
            "{} packets dropped on {hit} of {edges} edges",
            self.total()
        )?;
        match self.resumed_after_ms {
            Some(ms) => write!(f, ", TCP's back-off lasts {ms} ms more"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Shaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fates { packets, effects } = self.total();
        write!(f, "of {packets} packets on {} edges:", self.edges.len())?;
        for (index, (effect, packets)) in effects.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {effect} {packets}")?;
        }
        Ok(())
    }
}
