//! However a run ends, it leaves nothing behind.

use crate::trace::{Machine, processes_of};
use crate::{Results, one_cluster_at_a_time, stderr};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Starts a run and waits until a fault is installed: everything there can be is there.
fn run_with_a_fault_installed(results: &Results) -> Child {
    let mut child = results
        .command(&["--time", "60s", "--seed", "4"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    loop {
        let faults = fs::read_to_string(results.latest("faults.jsonl")).unwrap_or_default();
        if faults.contains("\"installed\"") {
            return child;
        }
        let ended = child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "the run ended before a fault came: {ended:?}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "no fault was installed in 30 s"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// The processes below one, as the kernel has them.
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect()
}

#[test]
fn sigkill_of_the_harness_in_mid_run_leaves_nothing_within_a_second() {
    let _guard = one_cluster_at_a_time();
    // The process that the user started, the sandbox's init, and the harness itself.
    for generation in 0..3 {
        let (results, before) = (Results::new(), Machine::look());
        let mut child = run_with_a_fault_installed(&results);
        let processes = processes_of(results.path());
        assert!(
            processes.len() >= 8,
            "three of ours and five nodes: {processes:?}"
        );
        let mut victim = child.id();
        for _ in 0..generation {
            victim = *children(victim)
                .first()
                .expect("outer, init and harness are a chain");
        }
        signal(victim, Signal::SIGKILL);
        let killed = Instant::now();
        let status = child.wait().unwrap();
        assert!(
            !status.success(),
            "a killed run must not look like a good one"
        );
        let patience = Duration::from_secs(1).saturating_sub(killed.elapsed());
        before.is_clean(results.path(), &processes, patience);
        assert!(results.latest("plan.toml").exists() && results.latest("history.jsonl").exists());
    }
}

#[test]
fn ctrl_c_ends_a_run_in_order() {
    let _guard = one_cluster_at_a_time();
    let (results, before) = (Results::new(), Machine::look());
    let mut child = run_with_a_fault_installed(&results);
    let processes = processes_of(results.path());
    signal(child.id(), Signal::SIGINT);
    let begun = Instant::now();
    let status = child.wait().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "it took {:?} to end",
        begun.elapsed()
    );
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    // Valid, or undecided where a planned class of faults had not come yet; never a violation.
    assert!(matches!(status.code(), Some(0 | 2)), "{status}: {said}");
    assert!(said.contains("interrupted"), "{said}");
    let verdict = fs::read_to_string(results.latest("verdict.json")).unwrap();
    assert!(verdict.contains("interrupted by a signal"), "{verdict}");
    assert!(results.latest("report.html").exists());
    before.is_clean(results.path(), &processes, Duration::from_secs(1));
}

/// A program that is no node: nothing ever serves.
fn sleeper(results: &Results) -> PathBuf {
    let program = results.path().join("sleeper");
    fs::write(&program, "#!/bin/sh\necho asleep\nexec sleep 120\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[test]
fn ctrl_c_before_the_cluster_serves_is_no_failure_of_the_harness() {
    let _guard = one_cluster_at_a_time();
    for kept in [false, true] {
        let (results, before) = (Results::new(), Machine::look());
        let program = sleeper(&results);
        let mut command = results.command(&["--nodes", "3"]);
        command.arg("--node-binary").arg(program);
        if kept {
            command.arg("--keep-data");
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = child.spawn().unwrap();
        let begun = Instant::now();
        let log = || fs::read_to_string(results.latest("nodes/n3/log.txt")).unwrap_or_default();
        while !log().contains("asleep") {
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "no node was started"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let processes = processes_of(results.path());
        signal(child.id(), Signal::SIGINT);
        let output = child.wait_with_output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("interrupted before the cluster served"),
            "{said}"
        );
        assert!(!said.contains("the harness failed"), "{said}");
        assert!(!results.latest("verdict.json").exists());
        before.is_clean(results.path(), &processes, Duration::from_secs(1));
        let data = results.latest("nodes/n1/data");
        assert_eq!(data.exists(), kept, "{said}");
    }
}
