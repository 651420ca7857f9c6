//! The node as a program of its own. The control binary runs the same code as `ordeal node`.

use std::process::ExitCode;

use clap::Parser;
use target_node::NodeCommand;

/// A Raft node to put on trial
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    node: NodeCommand,
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => target_node::run(cli.node),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 64 } else { 0 })
        }
    }
}
