//! What a fault did, with its evidence: a fault counts only when it is proven.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};

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

/// One wall clock that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSeen {
    /// Whose.
    pub node: Node,
    /// The process it was read from.
    pub pid: u32,
    /// How far ahead it was when the fault began, in nanoseconds, read from the process.
    pub ahead_ns: i64,
    /// The same by the node's own words, some time later; absent where it does not tell the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_ns: Option<i64>,
    /// How far ahead it was at the end, before the heal; absent until then, and where the node had
    /// no process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ns: Option<i64>,
}

/// A configuration that a leader has committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Who votes.
    pub voters: BTreeSet<Node>,
    /// The leader that says so.
    pub leader: Node,
    /// Its term.
    pub term: u64,
    /// Where in the log the configuration stands.
    pub index: u64,
}

/// What one node keeps of its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogKept {
    /// Whose.
    pub node: Node,
    /// Lowest index in its log, before and after.
    pub first: (u64, u64),
    /// Last index in its newest snapshot, before and after.
    pub snapshot: (u64, u64),
}

/// One machine that lost power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerLost {
    /// Its process.
    #[serde(flatten)]
    pub killed: Killed,
    /// What was lost with it.
    pub lost: Lost,
}

/// What was not durable when the power went, and did not survive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Files that are not what they were.
    pub files: u64,
    /// Bytes that were written to them.
    pub bytes: u64,
    /// Names that were made, moved or removed.
    pub names: u64,
}

/// One disk that was ill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskMet {
    /// Whose.
    pub node: Node,
    /// How many requests met it.
    pub requests: u64,
    /// Who serves in the place of a process that ended because of it; absent where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Successor>,
}

/// One disk that was damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedNode {
    /// The process that was killed for it.
    #[serde(flatten)]
    pub killed: Killed,
    /// What was done.
    pub damaged: Damaged,
    /// Whether its successor refused the damaged disk, so that the damage was undone.
    #[serde(default)]
    pub refused: bool,
}

/// What is not as it was on a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// How many bytes differ, or are gone.
    pub bytes: u64,
    /// In which files.
    pub files: BTreeSet<String>,
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
    /// How many threads it had, all of them in state `T`.
    pub threads: u32,
    /// From the signal until the kernel reported the stop, in microseconds.
    pub stopped_after_us: u64,
}

/// Packets dropped by one cut, per directed edge. Edges that dropped none are listed with 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Edge → packets.
    pub packets: BTreeMap<Edge, u64>,
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
        let list: Vec<String> = match self {
            Self::Killed { processes } => processes.iter().map(ToString::to_string).collect(),
            Self::Paused { processes } => processes.iter().map(ToString::to_string).collect(),
            Self::Cut(dropped) => vec![dropped.to_string()],
            Self::Shaped(shaped) => vec![shaped.to_string()],
            Self::PowerLost { nodes } => nodes.iter().map(ToString::to_string).collect(),
            Self::DiskMet { nodes } => nodes.iter().map(ToString::to_string).collect(),
            Self::Damaged { nodes } => nodes.iter().map(ToString::to_string).collect(),
            Self::Clocks { nodes } => nodes.iter().map(ToString::to_string).collect(),
            Self::Members {
                before,
                during,
                after,
            } => {
                let all = [Some(before), Some(during), after.as_ref()];
                let all: Vec<String> = all.into_iter().flatten().map(Members::to_string).collect();
                vec![all.join(", then ")]
            }
            Self::AskedAlone {
                node,
                order,
                dropped,
                after,
            } => {
                let after = after.iter().map(|members| format!("afterwards {members}"));
                let told = [format!("{node} took `{order}` alone"), dropped.to_string()];
                told.into_iter().chain(after).collect()
            }
            Self::Led { before, after } => {
                let told = |(node, term): &(Node, u64)| format!("{node} led term {term}");
                vec![told(before), told(after)]
            }
            Self::Logs { nodes } => nodes.iter().map(ToString::to_string).collect(),
        };
        f.write_str(&list.join(", "))
    }
}

impl fmt::Display for ClockSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ns: i64| Duration::from_nanos(ns.unsigned_abs()).as_secs_f64();
        let told = |f: &mut fmt::Formatter<'_>, ns: i64| match ns < 0 {
            false => write!(f, "{:.3} s ahead", seconds(ns)),
            true => write!(f, "{:.3} s behind", seconds(ns)),
        };
        write!(f, "{} pid {} ", self.node, self.pid)?;
        told(f, self.ahead_ns)?;
        if let Some(ns) = self.told_ns {
            f.write_str(", by its own words ")?;
            told(f, ns)?;
        }
        if let Some(ns) = self.end_ns {
            f.write_str(", in the end ")?;
            told(f, ns)?;
        }
        Ok(())
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.voters.iter().map(ToString::to_string).collect();
        let Self {
            leader,
            term,
            index,
            ..
        } = self;
        let names = names.join(" ");
        write!(f, "{names} vote ({leader} in term {term}, entry {index})")
    }
}

impl fmt::Display for LogKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            first,
            snapshot,
        } = self;
        let moved = |(before, after): &(u64, u64)| match before == after {
            true => format!("at {after}"),
            false => format!("from {before} to {after}"),
        };
        write!(
            f,
            "{node} snapshot {}, log begins {}",
            moved(snapshot),
            moved(first)
        )
    }
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
        write!(
            f,
            "{} pid {} in state T ({} threads)",
            self.node, self.pid, self.threads
        )
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
        )
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

impl fmt::Display for PowerLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, lost {}", self.killed, self.lost)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            files,
            bytes,
            names,
        } = self;
        write!(
            f,
            "{bytes} unsynced bytes in {files} files and {names} names"
        )
    }
}

impl fmt::Display for DiskMet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} requests met it", self.node, self.requests)?;
        match &self.successor {
            Some(successor) => write!(f, ", ended by it, pid {} serving", successor.pid),
            None => Ok(()),
        }
    }
}

impl fmt::Display for DamagedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damaged { bytes, files } = &self.damaged;
        write!(f, "{}, {bytes} bytes damaged in ", self.killed)?;
        match files.iter().collect::<Vec<_>>().as_slice() {
            [one] => f.write_str(one)?,
            several => write!(f, "{} files", several.len())?,
        }
        if self.refused {
            f.write_str(", refused by the node and undone")?;
        }
        Ok(())
    }
}
