//! `ordeal doctor`: which faults can be injected on this machine, each really tried.

use crate::console::{end, print, say};
use crate::verdict::Exit;
use ordeal_nemesis::doctor::{Row, Setting, examine_all, settings};
use ordeal_nemesis::network::Backend;
use ordeal_nemesis::sandbox;
use std::fmt;

/// Prints the table; undecided where a fault is missing.
pub(crate) fn doctor() -> Exit {
    let settings = settings();
    let sandbox = match sandbox::enter() {
        Ok(sandbox) => sandbox,
        Err(error) => {
            let table = table("NO   no namespaces are to be had here", &settings, &[]);
            let exit = end(print(&table), Exit::Harness);
            say(format_args!("ordeal: {error}"));
            say("ordeal: without a sandbox no fault can be injected here");
            return exit;
        }
    };
    let rows = examine_all(&sandbox);
    // Whoever is root depends on none of them.
    let (who, settings) = if sandbox.is_rootless() {
        ("yes  without root, in a user namespace", settings)
    } else {
        ("yes  as root", Vec::new())
    };
    let printed = print(&table(who, &settings, &rows));
    // What the kernel's network lacks the switch has: it keeps nobody from anything.
    let is_there = |row: &Row| row.is_available() || row.is_spare();
    let exit = match rows.iter().all(is_there) {
        true => Exit::Valid,
        false => Exit::Undecided,
    };
    end(printed, exit)
}

fn table(sandbox: &str, settings: &[Setting], rows: &[Row]) -> String {
    let mut text = format!("sandbox    {sandbox}\n");
    for setting in settings {
        text.push_str(&match &setting.remedy {
            None => format!("setting    yes  {setting}\n"),
            Some(remedy) => format!("setting    NO   {setting}\n{:16}{remedy}\n", ""),
        });
    }
    for row in rows {
        text.push_str(&format!("{}\n", Told(row)));
    }
    text
}

/// A row as it stands in the table, and in the refusal of a plan that needs it.
pub(super) struct Told<'a>(pub(super) &'a Row);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row {
            mechanism,
            probe,
            result,
            backend,
            ..
        } = self.0;
        let (answer, seen) = match result {
            Ok(seen) => ("yes", seen),
            Err(why) => ("NO", why),
        };
        // The switch can do all of its class; iptables is told effect by effect.
        let (subject, of) = match backend {
            Some(Backend::Iptables) => ("iptables".to_owned(), self.0.subject() + ": "),
            _ => (self.0.subject(), String::new()),
        };
        write!(
            f,
            "{subject:<10} {answer:<3}  {of}{mechanism}\n{:16}tried: {probe}\n{:16}{seen}",
            "", ""
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordeal_nemesis::FaultClass;

    #[test]
    fn a_row_says_what_how_and_what_was_seen_or_what_helps() {
        let row = Row {
            fault: FaultClass::Kill,
            backend: None,
            effects: Vec::new(),
            mechanism: "SIGKILL",
            probe: "kill a process".into(),
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
