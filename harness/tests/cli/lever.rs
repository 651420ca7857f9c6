//! Levers that are not there, and levers that break in the middle of a run.

use crate::{Results, one_cluster_at_a_time, stderr, stdout};
use nix::unistd::geteuid;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A mount namespace whose /dev has neither `fuse` nor `net/tun`; what follows runs in it.
const WITHOUT_DEVICES: &str = "
    mount --make-rprivate / && mount -t tmpfs -o mode=0755 none \"$1\" &&
    cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom \"$1\" &&
    mount --move \"$1\" /dev && shift && exec \"$@\"";

fn without_devices(results: &Results, flags: &[&str]) -> Output {
    let empty = TempDir::with_prefix("ordeal-dev-").unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", WITHOUT_DEVICES, "sh"]);
    command.arg(empty.path()).arg(env!("CARGO_BIN_EXE_ordeal"));
    command.args(["run", "--results"]).arg(results.path());
    command.args(flags).env("NO_COLOR", "1").output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}\n{}", stderr(output), stdout(output))
}

fn verdict(results: &Results) -> Value {
    serde_json::from_str(&fs::read_to_string(results.latest("verdict.json")).unwrap()).unwrap()
}

#[test]
fn a_plan_that_needs_what_is_missing_is_refused_with_its_row_before_anything_starts() {
    if !geteuid().is_root() {
        return;
    }
    let results = Results::new();
    for (flags, row) in [
        (&["--nemesis", "power-loss"][..], "power-loss NO"),
        (&["--nemesis", "wipe"], "damage     NO"),
        (&["--nemesis", "mixed", "--disk", "fuse"], "power-loss NO"),
    ] {
        let output = without_devices(&results, flags);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("this plan cannot be run here"), "{said}");
        assert!(said.contains(row), "{said}");
        assert!(said.contains("/dev/fuse"), "{said}");
        assert!(!results.path().join("runs").exists(), "nothing was started");
    }
}

#[test]
fn a_choice_of_many_is_drawn_without_what_is_missing_and_says_so() {
    if !geteuid().is_root() {
        return;
    }
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let output = without_devices(&results, &["--time", "12s", "--seed", "3"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("left out  power-loss: "), "{said}");
    let plan = fs::read_to_string(results.latest("plan.toml")).unwrap();
    assert!(plan.contains("[left_out]\npower-loss = "), "{plan}");
    assert!(!plan.contains("\"power-loss"), "{plan}");
    assert!(plan.contains("disk_used = \"seccomp: "), "{plan}");
}

/// The programs of `iptables` and `iproute2` by names of our own, which can be taken away.
fn tools() -> Option<TempDir> {
    let folder = TempDir::with_prefix("ordeal-tools-").unwrap();
    for name in ["iptables-restore", "iptables-save", "tc"] {
        let places = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"].map(Path::new);
        let mut found = places.iter().map(|place| place.join(name));
        let program = found.find(|path| path.is_file())?;
        symlink(program, folder.path().join(name)).unwrap();
    }
    Some(folder)
}

/// The lines of `faults.jsonl` so far.
fn events(results: &Results) -> String {
    fs::read_to_string(results.latest("faults.jsonl")).unwrap_or_default()
}

/// Runs these faults over iptables, whose programs go when the first line has `word` in it.
fn losing_iptables_at(results: &Results, faults: &str, word: &str) -> Option<Output> {
    let tools = tools()?;
    let plan: PathBuf = results.path().join("plan.toml");
    let head = "seed = 1\nnodes = 3\ntime = \"7s\"\nnetwork = \"iptables\"\n";
    fs::write(&plan, format!("{head}{faults}")).unwrap();
    let path = format!(
        "{}:{}",
        tools.path().display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = results.command(&[plan.to_str().unwrap()]);
    command.env("PATH", path);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = run.spawn().unwrap();
    let begun = Instant::now();
    while !events(results).contains(word) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no {word}");
        std::thread::sleep(Duration::from_millis(5));
    }
    tools.close().unwrap();
    Some(run.wait_with_output().unwrap())
}

#[test]
fn a_lever_that_fails_in_mid_run_is_indeterminate_and_the_run_heals_and_ends() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let faults = "
        [[fault]]\nid = 1\nat_ms = 500\nfor_ms = 1000\nfault = \"kill n3\"
        [[fault]]\nid = 2\nat_ms = 3500\nfor_ms = 1500\nfault = \"isolate n2\"";
    let Some(output) = losing_iptables_at(&results, faults, "\"installed\"") else {
        println!("there is no iptables here");
        return;
    };
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let verdict = verdict(&results);
    for axis in ["consistency", "durability", "progress"] {
        assert_eq!(verdict[axis]["validity"], "valid", "{said}");
    }
    let coverage = &verdict["coverage"];
    assert_eq!(coverage["validity"], "invalid", "{said}");
    assert!(said.contains("no partition was proven"), "{said}");
    assert!(
        coverage.to_string().contains("fault_indeterminate"),
        "{coverage:#}"
    );
    assert!(
        said.contains("fault 2 (isolate n2): indeterminate: cutting failed"),
        "{said}"
    );
    assert!(events(&results).contains("\"what\":\"indeterminate\""));
}

#[test]
fn a_lever_that_cannot_heal_is_a_failure_of_the_harness() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let faults = "\n[[fault]]\nid = 1\nat_ms = 500\nfor_ms = 2000\nfault = \"isolate n2\"";
    let Some(output) = losing_iptables_at(&results, faults, "\"installed\"") else {
        println!("there is no iptables here");
        return;
    };
    let said = said(&output);
    assert_eq!(output.status.code(), Some(70), "{said}");
    assert!(
        said.contains("1 faults are still installed after everything was healed"),
        "{said}"
    );
    assert!(events(&results).contains("healing failed"), "{said}");
}

#[test]
fn two_invocations_with_one_seed_plan_the_same_bytes() {
    let plan = |nemesis: &str, seed: &str| {
        let results = Results::new();
        let flags = ["--dry-run", "--nemesis", nemesis, "--seed", seed];
        let output = results.run(&flags);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        output.stdout
    };
    for nemesis in [
        "mixed",
        "swarm",
        "flip-flop",
        "packet",
        "damage",
        "membership",
    ] {
        let first = plan(nemesis, "42");
        assert_eq!(first, plan(nemesis, "42"), "{nemesis}");
        assert_ne!(first, plan(nemesis, "43"), "{nemesis}");
        let text = String::from_utf8(first).unwrap();
        assert!(text.contains("[[fault]]"), "the schedule is in it: {text}");
    }
}

#[test]
fn two_runs_with_one_seed_store_the_same_plan_and_inject_the_same_schedule() {
    let _guard = one_cluster_at_a_time();
    let stored = || {
        let results = Results::new();
        let output = results.run(&["--nodes", "3", "--time", "6s", "--seed", "11"]);
        assert!(output.status.code() < Some(3), "{}", said(&output));
        let plan = fs::read(results.latest("plan.toml")).unwrap();
        let mut begun: Vec<String> = events(&results)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|event| event["what"] == "injecting")
            .map(|event| format!("{} {}", event["fault"], event["class"]))
            .collect();
        begun.sort();
        (plan, begun)
    };
    assert_eq!(stored(), stored());
}
