//! The binary from the outside: what a person or a script gets to see.
//!
//! Every test runs the real program; those that start a cluster do so one at a time, because two
//! clusters on two cores test the scheduler.

#![allow(clippy::unwrap_used, reason = "a test says where it failed")]

mod bad_input;
mod check;
mod clean;
mod ending;
mod lever;
mod mode;
mod order;
mod power;
mod process;
mod rootless;
mod scenario;
mod trace;
mod whole_run;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// Held by a test while its cluster runs.
static CLUSTER: Mutex<()> = Mutex::new(());

fn one_cluster_at_a_time() -> MutexGuard<'static, ()> {
    // A test that failed with the guard in hand has left nothing that matters to the next one.
    CLUSTER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A results folder of its own, whose path also marks every process of the run.
struct Results(TempDir);

impl Results {
    fn new() -> Self {
        Results(TempDir::with_prefix("ordeal-test-").unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn latest(&self, file: &str) -> PathBuf {
        self.path().join("runs/latest").join(file)
    }

    /// `ordeal run` with these flags and this results folder.
    fn command(&self, flags: &[&str]) -> Command {
        let mut command = ordeal(&["run", "--results"]);
        command.arg(self.path()).args(flags);
        command
    }

    fn run(&self, flags: &[&str]) -> Output {
        self.command(flags).output().unwrap()
    }
}

/// Says that this test could not look at what it is about, since the machine lacks what goes by
/// this word; the test has to return then. What `ORDEAL_REQUIRE` names must be there.
///
/// libtest knows no test that is ignored while it runs, and counts it as passed. So it is told past
/// libtest, in its own words, as tests with a runner of ours tell it.
fn lacks(word: &str, what: &str) {
    let required = std::env::var("ORDEAL_REQUIRE").unwrap_or_default();
    let mut required = required.split_whitespace();
    let is_required = required.any(|one| one == word || one == "all");
    assert!(!is_required, "{word} is required here: {what}");
    let current = std::thread::current();
    let name = current.name().unwrap_or("a test");
    let line = format!("\ntest {name} ... ignored, {word}: {what}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

fn ordeal(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ordeal"));
    command.args(args).env("NO_COLOR", "1");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
