//! The command line.

use crate::plan::Draft;
use crate::span::Span;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

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
    /// What there is: targets, workloads, nemeses, defects
    List,
    /// What this machine can inject: each class of faults is really tried, in a scratch network
    Doctor,
    /// The bundled Raft node (the harness starts this very binary again, once for each node)
    #[command(hide = true)]
    Node(target_node::NodeArgs),
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
    /// Switch a defect on in the target; repeatable. Without --workload and --nemesis it also
    /// chooses those that bring it to light
    #[arg(long = "defect", value_name = "NAME")]
    pub(crate) defects: Vec<String>,
    /// Run this program as the node instead of the bundled one
    #[arg(long, value_name = "PATH")]
    pub(crate) node_binary: Option<PathBuf>,
    /// Where runs are kept
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) results: PathBuf,
    /// Keep the nodes' data directories even where nothing is violated
    #[arg(long)]
    pub(crate) keep_data: bool,
    /// Print the plan as it would be stored, and the first operations of each worker; start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: how many operations of each worker to print
    #[arg(long, value_name = "N", default_value_t = 0, requires = "dry_run")]
    pub(crate) operations: usize,
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
            time: self.time,
            warm_up: self.warm_up,
            rate: self.rate,
            concurrency: self.concurrency,
            op_timeout: self.op_timeout,
            recovery_bound: self.recovery_bound,
            seed: self.seed,
            defects: (!self.defects.is_empty()).then(|| self.defects.clone()),
            node_binary: self.node_binary.clone(),
            fault: None,
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
    fn a_negative_time_is_refused_in_words() {
        let error = Cli::try_parse_from(["ordeal", "run", "--time", "-5s"]).unwrap_err();
        assert!(
            error.to_string().contains("is not a length of time"),
            "{error}"
        );
    }
}
