//! The node as a program of its own. The control binary runs the same code as `ordeal node`, and a
//! first argument `node` is taken here too, so that `ordeal run --node-binary` can start this one.

use std::ffi::OsString;
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

/// The command line, without the subcommand that the control binary has for it.
fn words(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|word| word == "node") {
        words.remove(1);
    }
    words
}

fn main() -> ExitCode {
    match Cli::try_parse_from(words(std::env::args_os().collect())) {
        Ok(cli) => target_node::run(cli.node),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 64 } else { 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_started_as_the_control_binary_starts_its_own_node() {
        let flags = [
            "--id=1",
            "--cluster=c",
            "--listen-client=127.0.0.1:0",
            "--data-dir=/tmp/n1",
            "--peer=1=127.0.0.1:1",
        ];
        for first in [&["target-node"][..], &["target-node", "node"]] {
            let line = first.iter().chain(&flags).map(OsString::from).collect();
            let parsed = Cli::try_parse_from(words(line));
            assert!(parsed.is_ok(), "{:?}", parsed.err());
        }
    }
}
