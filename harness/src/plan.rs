//! The plan: one value that says everything about a run before it starts.
//!
//! ```text
//!   flags ──▶ Draft ──or──▶ Draft ──validate──▶ Plan ──▶ plan.toml ──▶ Draft …
//!                plan.toml ──▶ ┘        │
//!                                       └ planner: the fault schedule, drawn from the seed
//! ```
//!
//! The schedule stands in the plan fault by fault, so that running a stored plan injects the same
//! faults even where a later planner would draw others.

mod attack;
mod draft;
mod drawing;
mod library;
mod scenario;

pub(crate) use attack::attack;
pub(crate) use draft::{Draft, PlanError, read};
pub(crate) use library::{scenario, summaries};
pub(crate) use scenario::Scenario;

use self::drawing::LeftOut;
use crate::span::Span;
use ordeal_nemesis::disk::{Directories, DiskWanted};
use ordeal_nemesis::network::{TcpBackoff, Wanted};
use ordeal_nemesis::planner::Nemesis;
use ordeal_nemesis::{FaultClass, PlannedFault, Schedule};
use ordeal_workloads::Name as WorkloadName;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Version of the plan's format.
pub(crate) const FORMAT: u32 = 1;

/// Everything about a run, checked: only [`Draft::validate`] makes one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub(crate) struct Plan {
    /// Version of this format.
    pub(crate) format: u32,
    /// What is put on trial.
    pub(crate) target: String,
    /// What clients do.
    pub(crate) workload: WorkloadName,
    /// What is done to it.
    pub(crate) nemesis: Nemesis,
    /// How many nodes.
    pub(crate) nodes: u16,
    /// Which network is to carry their packets.
    pub(crate) network: Wanted,
    /// Which one did, and why: known once it was tried what this machine can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network_used: Option<String>,
    /// What is to make their disks ill, where faults do that.
    #[serde(skip_serializing_if = "is_auto")]
    pub(crate) disk: DiskWanted,
    /// What did, and why: known once it was tried what this machine can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk_used: Option<String>,
    /// How long the main phase lasts, in which faults come and go.
    pub(crate) time: Span,
    /// How long clients work before the first fault may come.
    pub(crate) warm_up: Span,
    /// Operations a second, over all workers.
    pub(crate) rate: u32,
    /// How many workers.
    pub(crate) concurrency: u32,
    /// After this long a worker gives up on an answer.
    pub(crate) op_timeout: Span,
    /// Within this time after the last heal every node must serve.
    pub(crate) recovery_bound: Span,
    /// Everything random is derived from it.
    pub(crate) seed: u64,
    /// The main phase ends as soon as a violation is certain.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stop_on_violation: bool,
    /// Defects switched on in the target.
    pub(crate) defects: Vec<String>,
    /// When names in the nodes' directories are durable, where faults need disks of ours.
    #[serde(skip_serializing_if = "is_journalled")]
    pub(crate) directories: Directories,
    /// How long TCP waits before it sends again.
    #[serde(skip_serializing_if = "is_bounded")]
    pub(crate) tcp_backoff: TcpBackoff,
    /// Whether faults may destroy more disks than a cluster of this size is to survive.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unsurvivable: bool,
    /// The program to run as a node instead of the bundled one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_binary: Option<PathBuf>,
    /// Further flags for every node, as the target's own command line spells them.
    pub(crate) node_flags: Vec<String>,
    /// For targets that elect no leader: after so long without its primary, a majority gets
    /// another, promoted from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promote_after: Option<Span>,
    /// Classes that a choice of many was drawn without, each with the reason.
    #[serde(skip_serializing_if = "LeftOut::is_empty")]
    pub(crate) left_out: LeftOut,
    /// The faults, in the order of their injection; times count from the start of the main phase.
    #[serde(rename = "fault")]
    pub(crate) schedule: Schedule,
    /// Steps, in the place of a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scenario: Option<Scenario>,
}

fn is_auto(wanted: &DiskWanted) -> bool {
    *wanted == DiskWanted::Auto
}

fn is_journalled(directories: &Directories) -> bool {
    *directories == Directories::Journalled
}

fn is_bounded(backoff: &TcpBackoff) -> bool {
    *backoff == TcpBackoff::Bounded
}

impl Plan {
    /// The plan as it is stored.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("a plan is made of TOML's own types")
    }

    /// How many nodes run: those of the cluster, and the spares that join it in some fault.
    pub(crate) fn processes(&self) -> u16 {
        self.nodes + self.faults().spares(self.nodes)
    }

    /// The faults that are planned; of a scenario those that it may inject, where the nodes that
    /// are not known yet stand for themselves.
    pub(crate) fn faults(&self) -> Cow<'_, Schedule> {
        match &self.scenario {
            Some(scenario) => Cow::Owned(scenario.possible(self.nodes)),
            None => Cow::Borrowed(&self.schedule),
        }
    }

    /// How many faults of each class are planned.
    pub(crate) fn classes(&self) -> BTreeMap<FaultClass, usize> {
        let mut classes = BTreeMap::new();
        for PlannedFault { fault, .. } in &self.faults().faults {
            *classes.entry(fault.class()).or_default() += 1;
        }
        classes
    }

    /// The plan in words, one line a matter: what is printed first.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let Plan {
            target,
            nodes,
            workload,
            nemesis,
            concurrency,
            rate,
            ..
        } = self;
        let mut lines = vec![
            ("target", format!("{target}, {nodes} nodes")),
            ("workload", format!("{workload}: {}", workload.summary())),
            ("nemesis", format!("{nemesis}: {}", self.faults_in_words())),
            (
                "clients",
                format!(
                    "{concurrency} workers, {rate} operations/s together, each given up after {}",
                    self.op_timeout
                ),
            ),
            (
                "phases",
                format!(
                    "{} warm-up, {} of faults, heal, recovery within {}",
                    self.warm_up, self.time, self.recovery_bound
                ),
            ),
            (
                "network",
                self.network_used
                    .clone()
                    .unwrap_or_else(|| self.network.to_string()),
            ),
            ("seed", self.seed.to_string()),
        ];
        if !self.defects.is_empty() {
            let defects = format!("{} — a violation is expected", self.defects.join(", "));
            lines.insert(1, ("DEFECTS", defects));
        }
        let spares = self.spares_in_words().map(|spares| ("spares", spares));
        lines.splice(1..1, spares);
        if let Some(scenario) = &self.scenario {
            lines.insert(3, ("scenario", scenario.to_string()));
        }
        if !self.node_flags.is_empty() {
            lines.push(("flags", self.node_flags.join(" ")));
        }
        if let Some(after) = self.promote_after {
            let rule = format!("after {after} in which a majority do not hear their primary");
            lines.push(("promote", rule));
        }
        if self.stop_on_violation {
            let when = "as soon as a violation is certain".to_owned();
            lines.push(("stop", when));
        }
        if let Some(words) = self.left_out_in_words() {
            lines.push(("left out", words));
        }
        if let Some(disk) = &self.disk_used {
            lines.push(("disks", disk.clone()));
        }
        if let Some(binary) = &self.node_binary {
            lines.push(("binary", binary.display().to_string()));
        }
        lines
    }

    fn spares_in_words(&self) -> Option<String> {
        let spares = self.processes() - self.nodes;
        (spares > 0).then(|| format!("{spares} more nodes run, and wait to be taken in"))
    }

    fn faults_in_words(&self) -> String {
        let classes: Vec<String> = self
            .classes()
            .iter()
            .map(|(class, count)| format!("{count} {class}"))
            .collect();
        match self.faults().faults.len() {
            0 => "no faults".to_owned(),
            1 => format!("1 fault ({})", classes.join(", ")),
            faults => format!("{faults} faults ({})", classes.join(", ")),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, how) in self.lines() {
            writeln!(f, "  {what:<9} {how}")?;
        }
        Ok(())
    }
}
