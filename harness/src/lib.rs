//! Puts replicated systems through a trial, and gives a verdict.
//!
//! ```text
//!   flags, plan.toml ─▶ plan ─▶ sandbox ─▶ run ─▶ evidence ─▶ verdict ─▶ report
//! ```
//!
//! [`main_with`] is the whole program; a binary of your own adds targets to it.

mod args;
mod clock;
mod command;
mod console;
mod plan;
mod report;
mod run;
mod span;
mod store;
pub mod target;
mod verdict;

use args::{Cli, Command};
use clap::Parser;
use clap::error::ErrorKind;
use std::process::ExitCode;
use target::Targets;
use verdict::Exit;

/// The program, with these targets: reads the command line, does what it says, and returns the
/// exit code.
///
/// Call it first thing in `main`: the sandbox has to be entered before any thread is started.
pub fn main_with(targets: &Targets) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // Where even that cannot be printed there is nobody to tell.
            drop(error.print());
            return if asked {
                ExitCode::SUCCESS
            } else {
                Exit::Usage.code().into()
            };
        }
    };
    match cli.command {
        Command::Run(args) => command::run(&args, targets).code().into(),
        Command::Scenario(args) => command::scenario(&args, targets).code().into(),
        Command::Doctor => command::doctor().code().into(),
        Command::Check(args) => command::check(&args).code().into(),
        Command::Export(args) => command::export(&args).code().into(),
        Command::Clean(args) => command::clean(&args.results).code().into(),
        Command::List => command::list(targets).code().into(),
        Command::Node(args) => target_node::run(args),
    }
}
