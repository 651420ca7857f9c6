//! The programs that this backend needs, and what they are asked: in a node's namespace, with a
//! batch on stdin.

use std::{env, fmt, path::PathBuf, process::Command};

use super::{removal, run};
use crate::network::{Namespace, NetworkError};

/// Which kernel interface `iptables` talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Variant {
    /// Whichever the machine's `iptables` is.
    #[default]
    Installed,
    /// nf_tables.
    Nft,
    /// The older one.
    Legacy,
}

impl Variant {
    /// Every variant.
    pub const ALL: [Variant; 3] = [Self::Installed, Self::Nft, Self::Legacy];

    fn program(self, verb: &str) -> String {
        match self {
            Self::Installed => format!("iptables-{verb}"),
            Self::Nft => format!("iptables-nft-{verb}"),
            Self::Legacy => format!("iptables-legacy-{verb}"),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installed => "iptables",
            Self::Nft => "iptables-nft",
            Self::Legacy => "iptables-legacy",
        })
    }
}

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Tools {
    restore: PathBuf,
    save: PathBuf,
    tc: PathBuf,
}

impl Tools {
    pub(super) fn find(variant: Variant) -> Result<Self, NetworkError> {
        let iptables = |verb| find(&variant.program(verb), "iptables");
        Ok(Self {
            restore: iptables("restore")?,
            save: iptables("save")?,
            tc: find("tc", "iproute2")?,
        })
    }

    /// Runs a batch of rules as one transaction, beside the rules that there are.
    pub(super) fn restore(&self, inside: &Namespace, rules: &str) -> Result<(), NetworkError> {
        run(self.restoring(), inside, rules, never).map(drop)
    }

    /// Runs the batch of a [`removal::Removal`]. Returns what it has told.
    pub(super) fn remove(&self, inside: &Namespace, batch: &str) -> Result<String, NetworkError> {
        run(self.restoring(), inside, batch, removal::is_told)
    }

    fn restoring(&self) -> Command {
        let mut command = Command::new(&self.restore);
        command.args(["--noflush", "--wait", "5"]);
        command
    }

    /// An answer of `iptables-restore` that cannot be read.
    pub(super) fn unreadable(&self, answer: &str) -> NetworkError {
        NetworkError::Tool {
            program: self.restore.display().to_string(),
            said: format!(
                "it does not tell which rules there are: `{}`",
                answer.trim().replace('\n', "; ")
            ),
        }
    }

    /// The rules that there are, with their counters.
    pub(super) fn save(&self, inside: &Namespace) -> Result<String, NetworkError> {
        let mut command = Command::new(&self.save);
        command.args(["-c", "-t", "filter"]);
        run(command, inside, "", never)
    }

    /// Runs a batch of `tc` commands, up to the first that fails. Returns what it has asked for.
    pub(super) fn tc(&self, inside: &Namespace, commands: &str) -> Result<String, NetworkError> {
        if commands.is_empty() {
            return Ok(String::new());
        }
        let mut command = Command::new(&self.tc);
        command.args(["-batch", "-"]);
        run(command, inside, commands, never)
    }

    /// Runs all of a batch, whichever of its commands fail, and then what asks how things are.
    /// Returns the answer to that.
    pub(super) fn tc_all(
        &self,
        inside: &Namespace,
        commands: &str,
        look: &str,
    ) -> Result<String, NetworkError> {
        let mut command = Command::new(&self.tc);
        command.args(["-force", "-batch", "-"]);
        // Which of them failed is not asked: the look says what came of them.
        let _ = run(command, inside, commands, never);
        self.tc(inside, look)
    }
}

/// A plain user's PATH often lacks the folders that administrators' programs are in.
const MORE_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

fn find(program: &str, package: &'static str) -> Result<PathBuf, NetworkError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = MORE_FOLDERS.iter().map(PathBuf::from);
    let mut candidates = env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(program));
    candidates
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| NetworkError::Missing {
            program: program.to_owned(),
            package,
        })
}

fn run(
    mut command: Command,
    inside: &Namespace,
    input: &str,
    is_told: impl Fn(&str) -> bool,
) -> Result<String, NetworkError> {
    // The lock guards one namespace's rules: as a file of its own in each it needs no right to
    // write to /run, and namespaces do not wait for each other.
    command.env("XTABLES_LOCKFILE", "/proc/self/ns/net");
    inside.contain(&mut command);
    run::run(command, input, is_told)
}

/// For whatever ends by itself.
fn never(_: &str) -> bool {
    false
}
