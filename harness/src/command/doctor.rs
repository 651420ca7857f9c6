//! `ordeal doctor`: which faults can be injected on this machine, each really tried.

use crate::console::say;
use crate::verdict::Exit;
use ordeal_nemesis::FaultClass;
use ordeal_nemesis::doctor::{Row, examine};
use ordeal_nemesis::sandbox;
use std::fmt;
use std::io::{self, Write};

/// Prints the table; undecided where a fault is missing.
pub(crate) fn doctor() -> Exit {
    let sandbox = match sandbox::enter() {
        Ok(sandbox) => sandbox,
        Err(error) => {
            say(format_args!("ordeal: {error}"));
            say("ordeal: without a sandbox no fault can be injected here");
            return Exit::Harness;
        }
    };
    let rows = examine(&sandbox, &FaultClass::ALL.into());
    let who = if sandbox.is_rootless() {
        "without root, in a user namespace"
    } else {
        "as root"
    };
    // A reader that has seen enough, like `head`, is no failure.
    drop(print(&rows, who));
    if rows.iter().all(Row::is_available) {
        Exit::Valid
    } else {
        Exit::Undecided
    }
}

fn print(rows: &[Row], who: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "sandbox    yes  {who}")?;
    rows.iter()
        .try_for_each(|row| writeln!(out, "{}", Told(row)))
}

/// A row as it stands in the table, and in the refusal of a plan that needs it.
pub(super) struct Told<'a>(pub(super) &'a Row);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row {
            fault,
            mechanism,
            probe,
            result,
        } = self.0;
        let (answer, seen) = match result {
            Ok(seen) => ("yes", seen),
            Err(why) => ("NO", why),
        };
        let fault = fault.to_string();
        write!(
            f,
            "{fault:<10} {answer:<3}  {mechanism}\n{:16}tried: {probe}\n{:16}{seen}",
            "", ""
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_how_and_what_was_seen_or_what_helps() {
        let row = Row {
            fault: FaultClass::Kill,
            mechanism: "SIGKILL",
            probe: "kill a process",
            result: Err("no TUN; `sudo modprobe tun`".into()),
        };
        let told = Told(&row).to_string();
        let lines: Vec<&str> = told.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "kill       NO   SIGKILL",
                "tried: kill a process",
                "no TUN; `sudo modprobe tun`"
            ]
        );
    }
}
