//! What the program can do: run a node, or look at the data of one that is stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::NodeArgs;
use crate::node::{self, NodeError};
use crate::storage::{Condition, inspect};

/// The flags of a node, or a command about one.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct NodeCommand {
    #[command(subcommand)]
    offline: Option<Offline>,
    #[command(flatten)]
    run: Option<NodeArgs>,
}

/// What can be done without running a node.
#[derive(Clone, Debug, clap::Subcommand)]
enum Offline {
    /// Tell as JSON what is in a data directory, and what is wrong with it; changes nothing
    ///
    /// Exits with 0 where the next start would succeed, with 65 where it would be refused, with
    /// 66 where the directory was never a node's, with 70 where it cannot be read.
    Inspect {
        /// The data directory
        dir: PathBuf,
        /// Also tell every entry of the log
        #[arg(long)]
        entries: bool,
    },
}

/// Does what was asked for, until it is done or cannot go on: see [`node::run`] for the exit
/// codes of a node.
#[must_use]
pub fn run(command: NodeCommand) -> ExitCode {
    match (command.offline, command.run) {
        (Some(Offline::Inspect { dir, entries }), _) => tell(&dir, entries),
        (None, Some(args)) => node::run(args),
        (None, None) => {
            eprintln!("target-node: neither the flags of a node nor a command; see --help");
            ExitCode::from(64)
        }
    }
}

fn tell(dir: &std::path::Path, entries: bool) -> ExitCode {
    match inspect(dir, entries) {
        Ok(report) => {
            let json = serde_json::to_string_pretty(&report).expect("a report is plain data");
            println!("{json}");
            ExitCode::from(match report.condition() {
                Condition::Sound | Condition::TornTail | Condition::SnapshotUnreadable => 0,
                Condition::Corrupt => 65,
            })
        }
        Err(error) => {
            eprintln!("target-node: {error}");
            ExitCode::from(NodeError::from(error).exit_code())
        }
    }
}
