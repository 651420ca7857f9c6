//! The sandbox seen from outside: what it isolates, passes on, and leaves behind (nothing).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::ExitCode;

use ordeal_nemesis::sandbox::Sandbox;

fn main() -> ExitCode {
    support::main(&cases![Inside the_harness_is_pid_2])
}

fn the_harness_is_pid_2(_: &Sandbox) {
    assert_eq!(std::process::id(), 2);
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry
            .unwrap()
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
    });
    assert_eq!(
        pids.collect::<std::collections::BTreeSet<_>>(),
        [1, 2].into()
    );
}
