//! What the program can do: run a node, or look at the data of one that is stopped.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

use crate::NodeArgs;
use crate::node::{self, NodeError};
use crate::storage::{Condition, inspect};

/// The flags of a node, or a command about one.
#[derive(Clone, Debug)]
pub struct NodeCommand(Wanted);

#[derive(Clone, Debug)]
enum Wanted {
    Run(Box<NodeArgs>),
    Offline(Offline),
}

// By hand: derived, flags that are optional as a whole may not have flags of their own flattened
// into them.
impl FromArgMatches for NodeCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(match matches.subcommand_name() {
            Some(_) => Wanted::Offline(Offline::from_arg_matches(matches)?),
            None => Wanted::Run(Box::new(NodeArgs::from_arg_matches(matches)?)),
        }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for NodeCommand {
    fn augment_args(command: Command) -> Command {
        Offline::augment_subcommands(NodeArgs::augment_args(command))
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
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
    match command.0 {
        Wanted::Offline(Offline::Inspect { dir, entries }) => tell(&dir, entries),
        Wanted::Run(args) => node::run(*args),
    }
}

fn tell(dir: &std::path::Path, entries: bool) -> ExitCode {
    match inspect(dir, entries) {
        Ok(report) => {
            let json = serde_json::to_string_pretty(&report).expect("a report is plain data");
            // Who reads it may have seen enough.
            let _ = writeln!(std::io::stdout(), "{json}");
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
