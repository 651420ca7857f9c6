//! The planner: nemesis × nodes × time × seed → schedule. Pure: same input, same bytes.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;

/// A named way to break the cluster, as `--nemesis` takes it and `ordeal list` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Nemesis {
    /// No fault at all.
    None,
    /// Kill up to a minority, start again.
    Kill,
    /// Kill whoever leads.
    KillLeader,
    /// Kill every node at once.
    KillAll,
    /// Pause up to a minority.
    Pause,
    /// Pause whoever leads.
    PauseLeader,
    /// Pause every node at once.
    PauseAll,
    /// Partitions of every shape.
    Partition,
    /// Random halves only.
    Halves,
    /// One random node cut off.
    Isolate,
    /// Whoever leads cut off from the other nodes.
    IsolateLeader,
    /// Majorities ring only.
    Ring,
    /// One direction only.
    OneWay,
    /// Clients cut off from some nodes.
    ClientCut,
    /// Kills, pauses and partitions of every shape, overlapping.
    Mixed,
}

/// What to plan for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSpec {
    /// The size of the cluster.
    pub nodes: u16,
    /// What kinds of faults.
    pub nemesis: Nemesis,
    /// The length of the main phase, in milliseconds. Everything heals before it ends.
    pub time_ms: u64,
    /// From one injection to the next, in milliseconds; default 1000 to 5000.
    pub interval_ms: RangeInclusive<u64>,
    /// How long a fault lasts, in milliseconds; default 1000 to 5000.
    pub duration_ms: RangeInclusive<u64>,
    /// Where every random choice comes from.
    pub seed: u64,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The cluster is too small for this nemesis to change anything, or larger than can be run.
    #[error("nemesis `{nemesis}` needs {least} to {most} nodes, not {nodes}")]
    Nodes {
        /// What was asked for.
        nemesis: Nemesis,
        /// The smallest cluster in which it changes something.
        least: u16,
        /// The largest cluster there is room for.
        most: u16,
        /// The size given.
        nodes: u16,
    },
    /// No fault fits into the time.
    #[error("nemesis `{nemesis}` needs at least {least_ms} ms, not {time_ms} ms")]
    Time {
        /// What was asked for.
        nemesis: Nemesis,
        /// The shortest main phase into which one fault fits.
        least_ms: u64,
        /// The time given.
        time_ms: u64,
    },
    /// A range of times is empty or starts at 0.
    #[error("{name} must be a range from at least 1 ms upwards, not {from} to {to}")]
    Range {
        /// `interval_ms` or `duration_ms`.
        name: &'static str,
        /// Its start.
        from: u64,
        /// Its end.
        to: u64,
    },
}

/// A name that is no nemesis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no nemesis: use one of {list}", list = Nemesis::ALL.map(|n| n.name()).join(", "))]
pub struct NemesisNameError(String);

impl PlanSpec {
    /// The usual intervals and durations.
    pub fn new(nemesis: Nemesis, nodes: u16, time_ms: u64, seed: u64) -> Self {
        Self {
            nodes,
            nemesis,
            time_ms,
            interval_ms: 1000..=5000,
            duration_ms: 1000..=5000,
            seed,
        }
    }
}

/// The schedule for `spec`.
///
/// # Errors
///
/// A cluster in which the nemesis could change nothing, or a time into which no fault fits.
pub fn plan(spec: &PlanSpec) -> Result<Schedule, PlanError> {
    let _ = spec;
    unimplemented!()
}

impl Nemesis {
    /// Every nemesis, in the order in which they are listed.
    pub const ALL: [Nemesis; 15] = [
        Self::None,
        Self::Kill,
        Self::KillLeader,
        Self::KillAll,
        Self::Pause,
        Self::PauseLeader,
        Self::PauseAll,
        Self::Partition,
        Self::Halves,
        Self::Isolate,
        Self::IsolateLeader,
        Self::Ring,
        Self::OneWay,
        Self::ClientCut,
        Self::Mixed,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kill => "kill",
            Self::KillLeader => "kill-leader",
            Self::KillAll => "kill-all",
            Self::Pause => "pause",
            Self::PauseLeader => "pause-leader",
            Self::PauseAll => "pause-all",
            Self::Partition => "partition",
            Self::Halves => "halves",
            Self::Isolate => "isolate",
            Self::IsolateLeader => "isolate-leader",
            Self::Ring => "ring",
            Self::OneWay => "one-way",
            Self::ClientCut => "client-cut",
            Self::Mixed => "mixed",
        }
    }

    /// What it does, in one line.
    pub fn description(self) -> &'static str {
        match self {
            Self::None => "no fault at all",
            Self::Kill => "SIGKILL for up to a minority of the nodes, then start them again",
            Self::KillLeader => "SIGKILL for whoever leads at that moment, then start it again",
            Self::KillAll => "SIGKILL for every node at once, then start them all again",
            Self::Pause => "SIGSTOP for up to a minority of the nodes, then SIGCONT",
            Self::PauseLeader => "SIGSTOP for whoever leads at that moment, then SIGCONT",
            Self::PauseAll => "SIGSTOP for every node at once, then SIGCONT",
            Self::Partition => "cuts of every shape below, in turn",
            Self::Halves => "the cluster in two random sides",
            Self::Isolate => "one random node cut off from all others",
            Self::IsolateLeader => {
                "whoever leads cut off from all other nodes; clients still reach it"
            }
            Self::Ring => "majorities ring: each node sees a majority, no two see the same one",
            Self::OneWay => "some nodes are not heard by some others; the way back is open",
            Self::ClientCut => "clients cut off from some of the nodes, which hear each other",
            Self::Mixed => "kills, pauses and cuts of every shape, overlapping",
        }
    }
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Nemesis {
    type Err = NemesisNameError;

    fn from_str(text: &str) -> Result<Self, NemesisNameError> {
        let found = Self::ALL.into_iter().find(|nemesis| nemesis.name() == text);
        found.ok_or_else(|| NemesisNameError(text.to_owned()))
    }
}

impl From<Nemesis> for String {
    fn from(nemesis: Nemesis) -> String {
        nemesis.name().to_owned()
    }
}

impl TryFrom<String> for Nemesis {
    type Error = NemesisNameError;

    fn try_from(text: String) -> Result<Self, NemesisNameError> {
        text.parse()
    }
}
