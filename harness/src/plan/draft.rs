//! What the user said, from flags and from a plan file, and what it takes to make a plan of it.

#[cfg(test)]
mod tests;

use super::drawing::{self, LeftOut};
use super::scenario::{ScenarioDraft, ScenarioError};
use super::{FORMAT, Plan, attack};
use crate::span::Span;
use crate::target::{Target, Targets};
use ordeal_nemesis::disk::{Directories, DiskNameError, DiskWanted};
use ordeal_nemesis::lever::OrderKind;
use ordeal_nemesis::network::{NetworkNameError, TcpBackoff, Wanted};
use ordeal_nemesis::planner::atlas::CATCH_UP_MS;
use ordeal_nemesis::planner::{self, Nemesis, NemesisNameError};
use ordeal_nemesis::schedule::ScheduleError;
use ordeal_nemesis::{PlannedFault, Schedule};
use ordeal_workloads::set::WORKERS_MAX;
use ordeal_workloads::{Name as WorkloadName, UnknownWorkload};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// A day of faults, one a second, stays below this.
const PLAN_BYTES_MAX: u64 = 16 << 20;
/// Longer runs are several runs.
const TIME: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(24 * 3600);
const WARM_UP: RangeInclusive<Span> = Span::from_millis(0)..=Span::from_secs(300);
const OP_TIMEOUT: RangeInclusive<Span> = Span::from_millis(10)..=Span::from_secs(60);
const RECOVERY: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(600);
const PROMOTE_AFTER: RangeInclusive<Span> = Span::from_millis(50)..=Span::from_secs(600);
const NODES: RangeInclusive<u32> = 1..=ordeal_nemesis::network::NODES_MAX as u32;
const RATE: RangeInclusive<u32> = 1..=100_000;
const CONCURRENCY: RangeInclusive<u32> = 1..=WORKERS_MAX;

/// A plan with holes. A stored plan is one without.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    /// Version of the file's format.
    pub(crate) format: Option<u32>,
    /// See [`Plan`], as all that follow.
    pub(crate) target: Option<String>,
    pub(crate) workload: Option<String>,
    pub(crate) nemesis: Option<String>,
    pub(crate) nodes: Option<u32>,
    pub(crate) network: Option<String>,
    /// What an earlier run of the plan used: this machine may have something else.
    #[serde(rename = "network_used")]
    pub(crate) _network_used: Option<String>,
    pub(crate) disk: Option<String>,
    #[serde(rename = "disk_used")]
    pub(crate) _disk_used: Option<String>,
    /// What was not drawn.
    pub(crate) left_out: Option<LeftOut>,
    pub(crate) time: Option<Span>,
    pub(crate) warm_up: Option<Span>,
    pub(crate) rate: Option<u32>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) op_timeout: Option<Span>,
    pub(crate) recovery_bound: Option<Span>,
    pub(crate) seed: Option<u64>,
    pub(crate) stop_on_violation: Option<bool>,
    pub(crate) defects: Option<Vec<String>>,
    pub(crate) directories: Option<Directories>,
    pub(crate) tcp_backoff: Option<TcpBackoff>,
    pub(crate) unsurvivable: Option<bool>,
    pub(crate) node_binary: Option<PathBuf>,
    pub(crate) node_flags: Option<Vec<String>>,
    pub(crate) promote_after: Option<Span>,
    /// The schedule, where it is not to be drawn.
    pub(crate) fault: Option<Vec<PlannedFault>>,
    /// Steps, in the place of a schedule.
    pub(crate) scenario: Option<ScenarioDraft>,
}

/// A plan that cannot be run. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The file cannot be read.
    #[error("cannot read the plan {path}: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a plan: the message shows the line and the key.
    #[error("{path} is not a plan: {source}", path = path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// The file is of another version.
    #[error("the plan has format {0}, but this ordeal reads format {FORMAT}")]
    Format(u32),
    /// There is no such target.
    #[error("there is no target {name:?}; there are: {known}")]
    Target {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// There is no such workload.
    #[error(transparent)]
    Workload(#[from] UnknownWorkload),
    /// The target cannot serve the workload.
    #[error("target {target} cannot serve workload {workload}")]
    Unserved {
        /// Which target.
        target: String,
        /// Which workload.
        workload: WorkloadName,
    },
    /// Nothing tells a violation of the workload before the end.
    #[error(
        "workload {0} is judged only at the end, so a run with it cannot stop on a violation; \
         leave out stop_on_violation"
    )]
    Unwatched(WorkloadName),
    /// There is no such nemesis.
    #[error(transparent)]
    Nemesis(#[from] NemesisNameError),
    /// There is no such network.
    #[error(transparent)]
    Network(#[from] NetworkNameError),
    /// There is nothing of that name that makes disks ill.
    #[error(transparent)]
    Disk(#[from] DiskNameError),
    /// The target has no such defect.
    #[error("target {target} has no defect {name:?}; it has: {known}")]
    Defect {
        /// Which target.
        target: String,
        /// What was asked for.
        name: String,
        /// What it has.
        known: String,
    },
    /// A number is out of its bounds.
    #[error("{key} = {value} is out of bounds: it must be from {least} to {most}")]
    Bounds {
        /// Which setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// The smallest it may be.
        least: String,
        /// The largest it may be.
        most: String,
    },
    /// No schedule can be drawn.
    #[error(transparent)]
    Drawing(#[from] planner::PlanError),
    /// The schedule in the file cannot be run.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The faults would destroy more disks than a cluster can be expected to survive.
    #[error(
        "the faults may destroy {destroyed} of {nodes} disks, and a cluster of this size can be \
         expected to survive the loss of {most}; add --unsurvivable (in a plan: `unsurvivable = \
         true`) to do it all the same"
    )]
    Unsurvivable {
        /// How many.
        destroyed: usize,
        /// Of how many.
        nodes: u16,
        /// How many it may be.
        most: usize,
    },
    /// A node would forget what others may never have had.
    #[error(
        "fault {forgets} makes a node forget what it acknowledged, and fault {other} may keep \
         others from having it: nothing that stops, slows or separates nodes may be in force from \
         {} s before until {} s after; move them apart, or add --unsurvivable (in a plan: \
         `unsurvivable = true`)",
        CATCH_UP_MS / 1000,
        CATCH_UP_MS / 1000
    )]
    TooClose {
        /// Which.
        forgets: String,
        /// The other one.
        other: String,
    },
    /// The target does not take an order that a fault gives.
    #[error(
        "target {target} takes no orders of the kind `{kind}` with the flags of this plan; leave \
         out the faults that need it, or change node_flags"
    )]
    Disobeyed {
        /// Which target.
        target: String,
        /// Which kind.
        kind: OrderKind,
    },
    /// A step of a scenario cannot be done.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// There is no such scenario.
    #[error("there is no scenario {name:?}, nor such a file; there are: {known}")]
    NoScenario {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The file is a plan without a scenario.
    #[error("{path} has no [scenario] in it; `ordeal run` runs plans", path = .0.display())]
    NoSteps(PathBuf),
    /// Faults are planned in two ways.
    #[error("a scenario has its own faults: leave out {0}")]
    TwoNemeses(&'static str),
    /// The program is not one that can be run.
    #[error("cannot run {path} as a node: {why}", path = path.display())]
    Binary {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// Reads a plan file.
///
/// # Errors
/// If it cannot be read, or is not a plan.
pub(crate) fn read(path: &Path) -> Result<Draft, PlanError> {
    let unreadable = |source| PlanError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(PLAN_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    parse(&text, path)
}

/// Reads the text of a plan, which stands in that file.
///
/// # Errors
/// If it is not a plan.
pub(super) fn parse(text: &str, path: &Path) -> Result<Draft, PlanError> {
    let draft: Result<Draft, _> = toml::from_str(text);
    let mut draft = draft.map_err(|source| PlanError::Malformed {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    if let Some(scenario) = &mut draft.scenario {
        scenario.locate(&path.display().to_string(), text);
    }
    Ok(draft)
}

impl Draft {
    /// This draft, with its holes filled from `other`.
    ///
    /// A schedule that was drawn for other nodes, another time, nemesis or seed than those of this
    /// draft does not fit any more, and is left out.
    #[must_use]
    pub(crate) fn or(self, other: Draft) -> Draft {
        let redraw = self.nodes.is_some()
            || self.time.is_some()
            || self.nemesis.is_some()
            || self.seed.is_some();
        let fault = if redraw {
            self.fault
        } else {
            self.fault.or(other.fault)
        };
        Draft {
            format: self.format.or(other.format),
            target: self.target.or(other.target),
            workload: self.workload.or(other.workload),
            nemesis: self.nemesis.or(other.nemesis),
            nodes: self.nodes.or(other.nodes),
            network: self.network.or(other.network),
            _network_used: None,
            disk: self.disk.or(other.disk),
            _disk_used: None,
            time: self.time.or(other.time),
            warm_up: self.warm_up.or(other.warm_up),
            rate: self.rate.or(other.rate),
            concurrency: self.concurrency.or(other.concurrency),
            op_timeout: self.op_timeout.or(other.op_timeout),
            recovery_bound: self.recovery_bound.or(other.recovery_bound),
            seed: self.seed.or(other.seed),
            stop_on_violation: self.stop_on_violation.or(other.stop_on_violation),
            defects: self.defects.or(other.defects),
            directories: self.directories.or(other.directories),
            tcp_backoff: self.tcp_backoff.or(other.tcp_backoff),
            unsurvivable: self.unsurvivable.or(other.unsurvivable),
            node_binary: self.node_binary.or(other.node_binary),
            node_flags: self.node_flags.or(other.node_flags),
            promote_after: self.promote_after.or(other.promote_after),
            left_out: self.left_out.or(other.left_out),
            fault,
            scenario: self.scenario.or(other.scenario),
        }
    }

    /// The plan, with what was left open filled in and the schedule drawn.
    ///
    /// `fresh_seed` is asked only where no seed was given.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub(crate) fn validate(
        self,
        targets: &Targets,
        fresh_seed: impl FnOnce() -> u64,
    ) -> Result<Plan, PlanError> {
        self.check_format()?;
        let target = find_target(targets, self.target.as_deref().unwrap_or("raft"))?;
        let defects = known_defects(target, self.defects.unwrap_or_default())?;
        let recipe = defects.first().and_then(|defect| attack(defect));
        let usual = recipe.map_or(WorkloadName::Register, |recipe| recipe.workload);
        let workload = served(target, self.workload.as_deref(), usual)?;
        let nemesis = match &self.nemesis {
            Some(name) => name.parse()?,
            None if self.scenario.is_some() => Nemesis::None,
            None => recipe.map_or(Nemesis::Mixed, |recipe| recipe.nemesis),
        };
        let network = self.network.as_deref().map(str::parse::<Wanted>);
        let disk = self.disk.as_deref().map(str::parse::<DiskWanted>);
        let node_binary = self.node_binary.as_deref().map(runnable).transpose()?;
        let node_flags = self.node_flags.unwrap_or_else(|| {
            let flags = recipe.map_or(&[][..], |recipe| recipe.node_flags);
            flags.iter().map(|&flag| flag.to_owned()).collect()
        });
        let nodes = within("nodes", self.nodes.unwrap_or(5), NODES)?;
        let usual_time = match &self.scenario {
            Some(scenario) => Span(scenario.longest().min(TIME.end().0)),
            None => secs(30),
        };
        let mut plan = Plan {
            format: FORMAT,
            target: target.name().to_owned(),
            workload,
            nemesis,
            nodes: u16::try_from(nodes).expect("within its bounds"),
            network: network.transpose()?.unwrap_or_default(),
            network_used: None,
            disk: disk.transpose()?.unwrap_or_default(),
            disk_used: None,
            time: within("time", self.time.unwrap_or(usual_time), TIME)?,
            warm_up: within("warm_up", self.warm_up.unwrap_or(secs(1)), WARM_UP)?,
            rate: within("rate", self.rate.unwrap_or(200), RATE)?,
            concurrency: within("concurrency", self.concurrency.unwrap_or(10), CONCURRENCY)?,
            op_timeout: within("op_timeout", self.op_timeout.unwrap_or(secs(1)), OP_TIMEOUT)?,
            recovery_bound: within(
                "recovery_bound",
                self.recovery_bound.unwrap_or(secs(15)),
                RECOVERY,
            )?,
            seed: self.seed.unwrap_or_else(fresh_seed),
            stop_on_violation: watched(self.stop_on_violation.unwrap_or(false), workload)?,
            defects,
            directories: self.directories.unwrap_or_default(),
            tcp_backoff: self.tcp_backoff.unwrap_or_default(),
            unsurvivable: self.unsurvivable.unwrap_or(false),
            node_binary,
            node_flags,
            promote_after: promotion(self.promote_after)?,
            left_out: LeftOut::new(),
            schedule: Schedule::default(),
            scenario: None,
        };
        if let Some(scenario) = self.scenario {
            plan.scenario = Some(scenario.check(&plan, self.fault.as_deref())?);
        } else {
            let given = self.fault.map(|faults| (faults, self.left_out));
            (plan.schedule, plan.left_out) = drawing::schedule(&plan, target, given)?;
        }
        obeyed(plan, target)
    }

    fn check_format(&self) -> Result<(), PlanError> {
        match self.format.filter(|format| *format != FORMAT) {
            Some(format) => Err(PlanError::Format(format)),
            None => Ok(()),
        }
    }
}

/// The plan, if its target takes all orders that its faults give.
fn obeyed(plan: Plan, target: &dyn Target) -> Result<Plan, PlanError> {
    let taken = target.orders(&plan.node_flags);
    let needed = plan.faults().orders().into_iter();
    match needed.filter(|kind| !taken.contains(kind)).min() {
        None => Ok(plan),
        Some(kind) => Err(PlanError::Disobeyed {
            target: plan.target,
            kind,
        }),
    }
}

fn promotion(after: Option<Span>) -> Result<Option<Span>, PlanError> {
    after
        .map(|after| within("promote_after", after, PROMOTE_AFTER))
        .transpose()
}

const fn secs(count: u64) -> Span {
    Span::from_secs(count)
}

/// The workload asked for, or the usual one, if the target serves it.
fn served(
    target: &dyn Target,
    asked: Option<&str>,
    usual: WorkloadName,
) -> Result<WorkloadName, PlanError> {
    let workload = asked.map_or(Ok(usual), str::parse)?;
    if target.workloads().contains(&workload) {
        return Ok(workload);
    }
    Err(PlanError::Unserved {
        target: target.name().to_owned(),
        workload,
    })
}

/// What is asked, if the workload can be judged while it goes on.
fn watched(is_asked: bool, workload: WorkloadName) -> Result<bool, PlanError> {
    match ordeal_workloads::workload(workload, 1).watch() {
        None if is_asked => Err(PlanError::Unwatched(workload)),
        _ => Ok(is_asked),
    }
}

fn find_target<'a>(targets: &'a Targets, name: &str) -> Result<&'a dyn Target, PlanError> {
    targets
        .get(name)
        .map(AsRef::as_ref)
        .ok_or_else(|| PlanError::Target {
            name: name.to_owned(),
            known: targets
                .iter()
                .map(|target| target.name())
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// Each defect once, if the target has them all.
fn known_defects(target: &dyn Target, mut defects: Vec<String>) -> Result<Vec<String>, PlanError> {
    let mut first = BTreeSet::new();
    defects.retain(|defect| first.insert(defect.clone()));
    let known: Vec<&str> = target.defects().iter().map(|(name, _)| *name).collect();
    match defects
        .iter()
        .find(|defect| !known.contains(&defect.as_str()))
    {
        None => Ok(defects),
        Some(unknown) => Err(PlanError::Defect {
            target: target.name().to_owned(),
            name: unknown.clone(),
            known: known.join(", "),
        }),
    }
}

fn within<T: PartialOrd + Display + Copy>(
    key: &'static str,
    value: T,
    bounds: RangeInclusive<T>,
) -> Result<T, PlanError> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    Err(PlanError::Bounds {
        key,
        value: value.to_string(),
        least: bounds.start().to_string(),
        most: bounds.end().to_string(),
    })
}

/// The program with its whole path: nodes are started elsewhere.
fn runnable(path: &Path) -> Result<PathBuf, PlanError> {
    use std::os::unix::fs::PermissionsExt;
    let binary = |why: String| PlanError::Binary {
        path: path.to_owned(),
        why,
    };
    let metadata = path.metadata().map_err(|error| binary(error.to_string()))?;
    if !metadata.is_file() {
        return Err(binary("it is not a file".into()));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(binary("it is not executable".into()));
    }
    path.canonicalize()
        .map_err(|error| binary(error.to_string()))
}
