//! The command line.

use crate::plan::Draft;
use crate::span::Span;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use ordeal_checker::budget::Budget;
use ordeal_checker::format::Format;
use ordeal_checker::judge::{Options, Subject};
use ordeal_nemesis::disk::Directories;
use ordeal_nemesis::network::TcpBackoff;
use ordeal_workloads::Name as WorkloadName;
use std::path::PathBuf;
use std::str::FromStr;

/// Where runs are kept unless told otherwise.
pub(crate) const RESULTS: &str = "results";

/// Puts replicated systems through a trial: breaks them knowingly, records what clients saw, and
/// gives a verdict.
#[derive(Debug, Parser)]
#[command(name = "ordeal", version, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 all four axes valid · 1 consistency or durability violated · 3 progress violated ·
2 undecided · 64 bad usage or plan · 70 the harness failed")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One run: start a cluster, let clients work, inject faults, judge
    Run(Box<RunArgs>),
    /// A scripted run: one of `ordeal list`, or a file with a table `scenario`
    Scenario(Box<ScenarioArgs>),
    /// Judge history files: an earlier run's, Jepsen's, porcupine's, Elle's
    Check(CheckArgs),
    /// Write a history as Jepsen's EDN, for the tools that read it
    Export(ExportArgs),
    /// What there is: targets, workloads, nemeses, defects, models, formats
    List,
    /// What this machine can inject: each class of faults is really tried, in a scratch network
    Doctor,
    /// Removes what killed runs have left: processes, and their nodes' data
    Clean(CleanArgs),
    /// The bundled Raft node (the harness starts this very binary again, once for each node)
    #[command(hide = true)]
    Node(target_node::NodeCommand),
}

/// Flags of `ordeal run`. Whatever is left out is chosen; the plan that is printed says how.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// A plan file, like the plan.toml of an earlier run; flags win over it
    #[arg(value_name = "PLAN")]
    pub(crate) plan: Option<PathBuf>,
    /// What to put on trial
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// What clients do: see `ordeal list` [default: register]
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: Option<String>,
    /// What to do to the target: see `ordeal list` [default: mixed]
    #[arg(long, value_name = "NAME")]
    pub(crate) nemesis: Option<String>,
    /// How many nodes [default: 5]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) nodes: Option<u32>,
    /// What carries their packets: auto, iptables (with tc) or switch [default: auto, which is
    /// iptables where it can do all that is planned]
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// What makes disks ill where faults do that: auto, fuse or seccomp, which needs no device but
    /// can neither lose power nor damage [default: auto, which is fuse where it works]
    #[arg(long, value_name = "NAME")]
    pub(crate) disk: Option<String>,
    /// How long faults come and go [default: 30s]
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) time: Option<Span>,
    /// How long clients work before the first fault may come [default: 1s]
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) warm_up: Option<Span>,
    /// Operations a second, over all workers [default: 200]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) rate: Option<u32>,
    /// How many workers [default: 10]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) concurrency: Option<u32>,
    /// How long a worker waits for an answer [default: 1s]
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) op_timeout: Option<Span>,
    /// How soon after the last heal every node must serve [default: 15s]
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) recovery_bound: Option<Span>,
    /// Everything random is derived from it [default: a fresh one]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// End the faults and the clients as soon as a violation is certain; the rest goes on as if the
    /// time were up
    #[arg(long)]
    pub(crate) stop_on_violation: bool,
    /// Switch a defect on in the target; repeatable. Without --workload and --nemesis it also
    /// chooses those that bring it to light
    #[arg(long = "defect", value_name = "NAME")]
    pub(crate) defects: Vec<String>,
    /// When a name in a directory is durable, on disks that lose power: with any fsync, or strictly
    /// with one of that directory [default: journalled]
    #[arg(long, value_parser = ["journalled", "strict"])]
    pub(crate) directories: Option<String>,
    /// How long TCP waits before it sends again what was lost: a second at most, where the kernel
    /// can bound it, or as the kernel has it, and what outlasts a cut is measured
    /// [default: bounded]
    #[arg(long, value_parser = ["bounded", "kernel"])]
    pub(crate) tcp_backoff: Option<String>,
    /// Allow faults that destroy more disks than the cluster can be expected to survive, or that
    /// make a node forget while others may not have what it had
    #[arg(long)]
    pub(crate) unsurvivable: bool,
    /// Run this program as the node instead of the bundled one. It is started as the bundled one
    /// is, with `node` as its first argument and then the flags of `ordeal node` (see its --help),
    /// and serves the same HTTP API
    #[arg(long, value_name = "PATH")]
    pub(crate) node_binary: Option<PathBuf>,
    /// Start every node with this flag too; repeatable. Replaces those that --defect chooses
    #[arg(long = "node-flag", value_name = "FLAG", allow_hyphen_values = true)]
    pub(crate) node_flags: Vec<String>,
    /// Promote the most advanced node once a majority have not heard their primary for so long:
    /// for targets that elect none [default: never]
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) promote_after: Option<Span>,
    /// Where runs are kept
    #[arg(long, value_name = "DIR", default_value = RESULTS)]
    pub(crate) results: PathBuf,
    /// Keep the nodes' data directories of a valid run too; those of any other are always kept
    #[arg(long)]
    pub(crate) keep_data: bool,
    /// Print the plan as it would be stored where nothing is missing, and the first operations of
    /// each worker; start and try nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: how many operations of each worker to print
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        requires = "dry_run",
        value_parser = clap::value_parser!(u32).range(..=100_000)
    )]
    pub(crate) operations: u32,
}

/// Flags of `ordeal scenario`: those of a run, which win over what the scenario says.
#[derive(Args, Clone, Debug)]
#[command(mut_arg("plan", |plan| plan
    .value_name("NAME|FILE")
    .required(true)
    .help("A scenario by its name, or a plan file with a [scenario] in it")))]
pub(crate) struct ScenarioArgs {
    /// As for a run.
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Flags of `ordeal clean`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CleanArgs {
    /// Where runs are kept
    #[arg(long, value_name = "DIR", default_value = RESULTS)]
    pub(crate) results: PathBuf,
}

/// Flags of `ordeal check`. What is not said is guessed where it is unambiguous, and told.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Exit codes: 0 all valid · 1 one is invalid · 2 one is undecided, none invalid · 64 bad usage, or a \
file that is no history, and no other invalid")]
pub(crate) struct CheckArgs {
    /// Histories; of a folder its history.jsonl; - reads standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What the history is of: see `ordeal list` [default: told from its operations]
    #[arg(long, value_parser = named(&Subject::ALL), conflicts_with = "workload")]
    pub(crate) model: Option<Subject>,
    /// Judge as the history of a run with this workload [default: told from the history]
    #[arg(long, value_name = "NAME", conflicts_with = "format")]
    pub(crate) workload: Option<WorkloadName>,
    /// How the file is written: see `ordeal list` [default: told from its beginning]
    #[arg(long, value_parser = named(&Format::ALL))]
    pub(crate) format: Option<Format>,
    /// Configurations to visit before it stays undecided (100000) or a time (30s), each for every
    /// key; or memory for them (512MiB), beside the history's; repeatable
    #[arg(long = "budget", value_name = "LIMIT")]
    pub(crate) limits: Vec<Limit>,
    /// Print the verdicts as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the operations that contradict each other
    #[arg(long, conflicts_with = "json")]
    pub(crate) explain: bool,
}

/// Flags of `ordeal export`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The export goes to stdout: one map a line, keys as [key value], as Jepsen writes them. `ordeal \
check` reads it again; a run's own checks, as of durability, need its history.jsonl.
Exit codes: 0 all of it is written · 64 bad usage, or a file that is no history · 70 it cannot be \
written")]
pub(crate) struct ExportArgs {
    /// A history; of a folder its history.jsonl; - reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How the file is written: see `ordeal list` [default: told from its beginning]
    #[arg(long, value_parser = named(&Format::ALL))]
    pub(crate) format: Option<Format>,
}

/// Takes one of these names.
fn named<T: Copy + Send + Sync + 'static>(
    all: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    let names = PossibleValuesParser::new(all.iter().map(|(name, _)| *name));
    names.map(move |name| {
        let known = all.iter().find(|(known, _)| *known == name);
        known.expect("only these names are let through").1
    })
}

/// One limit of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Configurations.
    States(u64),
    /// Bytes of memory for them.
    Bytes(u64),
    /// Wall clock.
    Time(Span),
}

/// Not a limit.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a limit: write configurations (100000), a time (30s) or memory (512MiB)")]
pub(crate) struct NotALimit(String);

impl FromStr for Limit {
    type Err = NotALimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fails = || NotALimit(text.to_owned());
        let unit = |name: &str| text.strip_suffix(name);
        for (name, shift) in [("KiB", 10), ("MiB", 20), ("GiB", 30)] {
            if let Some(number) = unit(name) {
                let number: u64 = number.trim().parse().map_err(|_| fails())?;
                let bytes = number.checked_mul(1 << shift).ok_or_else(fails)?;
                return Ok(Limit::Bytes(bytes));
            }
        }
        match text.parse() {
            Ok(states) => Ok(Limit::States(states)),
            Err(_) => text.parse().map(Limit::Time).map_err(|_| fails()),
        }
    }
}

impl CheckArgs {
    /// The flags as what a history is judged by.
    pub(crate) fn options(&self) -> Options {
        let mut budget = Budget::default();
        for limit in &self.limits {
            match *limit {
                Limit::States(states) => budget.states_max = states,
                Limit::Bytes(bytes) => budget.bytes_max = bytes,
                Limit::Time(span) => budget.wall_max = Some(span.0),
            }
        }
        Options {
            format: self.format,
            model: self.model,
            budget,
        }
    }
}

impl RunArgs {
    /// The flags as a draft of a plan.
    pub(crate) fn draft(&self) -> Draft {
        Draft {
            format: None,
            target: self.target.clone(),
            workload: self.workload.clone(),
            nemesis: self.nemesis.clone(),
            nodes: self.nodes,
            network: self.network.clone(),
            _network_used: None,
            disk: self.disk.clone(),
            _disk_used: None,
            time: self.time,
            warm_up: self.warm_up,
            rate: self.rate,
            concurrency: self.concurrency,
            op_timeout: self.op_timeout,
            recovery_bound: self.recovery_bound,
            seed: self.seed,
            stop_on_violation: self.stop_on_violation.then_some(true),
            defects: (!self.defects.is_empty()).then(|| self.defects.clone()),
            directories: self.directories.as_deref().map(|name| match name {
                "strict" => Directories::Strict,
                _ => Directories::Journalled,
            }),
            tcp_backoff: self.tcp_backoff.as_deref().map(|name| match name {
                "kernel" => TcpBackoff::Kernel,
                _ => TcpBackoff::Bounded,
            }),
            unsurvivable: self.unsurvivable.then_some(true),
            node_binary: self.node_binary.clone(),
            node_flags: (!self.node_flags.is_empty()).then(|| self.node_flags.clone()),
            promote_after: self.promote_after,
            left_out: None,
            fault: None,
            scenario: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_limit_is_a_number_of_configurations_a_time_or_memory() {
        assert_eq!("5000".parse::<Limit>().unwrap(), Limit::States(5000));
        assert_eq!("2MiB".parse::<Limit>().unwrap(), Limit::Bytes(2 << 20));
        let time = Limit::Time(Span::from_millis(1500));
        assert_eq!("1500ms".parse::<Limit>().unwrap(), time);
        for wrong in ["", "-1", "lots", "99999999999GiB", "2MB", "1.5GiB"] {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_negative_time_is_refused_in_words() {
        let error = Cli::try_parse_from(["ordeal", "run", "--time", "-5s"]).unwrap_err();
        assert!(
            error.to_string().contains("is not a length of time"),
            "{error}"
        );
    }
}
