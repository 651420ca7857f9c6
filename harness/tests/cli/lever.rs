//! Levers that are not there, and levers that break in the middle of a run.

use crate::trace::{Identity, Machine, processes_of};
use crate::{Results, lacks, one_cluster_at_a_time, stderr, stdout};
use nix::unistd::geteuid;
use serde_json::Value;
use std::collections::BTreeSet;
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
        return lacks("root", "only root can take the devices away for a run");
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
        return lacks("root", "only root can take the devices away for a run");
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

/// The programs of `iptables` and `iproute2` by names of our own, which can be taken away; without
/// those that there are not.
fn tools() -> TempDir {
    let folder = TempDir::with_prefix("ordeal-tools-").unwrap();
    for name in ["iptables-restore", "iptables-save", "tc"] {
        let places = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"].map(Path::new);
        let mut found = places.iter().map(|place| place.join(name));
        if let Some(program) = found.find(|path| path.is_file()) {
            symlink(program, folder.path().join(name)).unwrap();
        }
    }
    folder
}

/// The lines of `faults.jsonl` so far.
fn events(results: &Results) -> String {
    fs::read_to_string(results.latest("faults.jsonl")).unwrap_or_default()
}

/// Runs these faults over iptables, whose programs go when the first line has `word` in it; returns
/// the processes that it had then, too. Nothing where the run was refused for lack of iptables.
fn losing_iptables_at(
    results: &Results,
    faults: &str,
    word: &str,
) -> Option<(Output, BTreeSet<Identity>)> {
    let tools = tools();
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
    let mut run = run.spawn().unwrap();
    let begun = Instant::now();
    while !events(results).contains(word) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no {word}");
        if run.try_wait().unwrap().is_some() {
            let output = run.wait_with_output().unwrap();
            let said = said(&output);
            // What the plan needs was tried, and is refused with its row.
            let is_refused = said.contains("this plan cannot be run here");
            assert!(is_refused && output.status.code() == Some(64), "{said}");
            lacks("iptables", said.trim());
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    tools.close().unwrap();
    let processes = processes_of(results.path());
    Some((run.wait_with_output().unwrap(), processes))
}

#[test]
fn a_lever_that_fails_in_mid_run_is_indeterminate_and_the_run_heals_and_ends() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let faults = "
        [[fault]]\nid = 1\nat_ms = 500\nfor_ms = 1000\nfault = \"kill n3\"
        [[fault]]\nid = 2\nat_ms = 3500\nfor_ms = 1500\nfault = \"isolate n2\"";
    let Some((output, _)) = losing_iptables_at(&results, faults, "\"installed\"") else {
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
fn a_fault_that_cannot_be_healed_leaves_recovery_unknown_and_the_rest_is_judged() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let faults = "
        recovery_bound = \"2s\"
        [[fault]]\nid = 1\nat_ms = 500\nfor_ms = 2000\nfault = \"isolate n2\"
        [[fault]]\nid = 2\nat_ms = 3500\nfor_ms = 1000\nfault = \"kill n2\"";
    let before = Machine::look();
    let Some((output, processes)) = losing_iptables_at(&results, faults, "\"installed\"") else {
        return;
    };
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let verdict = verdict(&results);
    // Two of three nodes go on, and were asked at the end.
    for axis in ["consistency", "durability"] {
        assert_eq!(verdict[axis]["validity"], "valid", "{said}");
    }
    let why = "fault 1 (isolate n2) could not be healed (still in force: 1 cut)";
    assert_eq!(verdict["progress"]["validity"], "unknown", "{said}");
    let not_asked = format!("not asked, because {why}");
    assert_eq!(verdict["progress"]["summary"], not_asked, "{said}");
    assert_eq!(verdict["coverage"]["validity"], "invalid", "{said}");
    assert_eq!(verdict["coverage"]["summary"], why, "{said}");
    let not_healed = "fault 1 (isolate n2): indeterminate: healing failed";
    assert!(said.contains(not_healed), "{said}");
    let page = fs::read_to_string(results.latest("report.html")).unwrap();
    assert!(
        page.contains("never healed") && page.contains(why),
        "{page}"
    );
    let durability = verdict["durability"]["summary"].as_str().unwrap();
    assert!(durability.contains("with a fault in force"), "{durability}");
    let events = events(&results);
    assert!(events.contains("healing failed"), "{events}");
    assert!(
        events.contains("it may still be in force at the end of the run"),
        "{events}"
    );
    let history = fs::read_to_string(results.latest("history.jsonl")).unwrap();
    assert!(
        !history.contains("\"phase\":\"recovery\""),
        "nobody was asked"
    );
    before.is_clean(results.path(), &processes, Duration::from_secs(1));
}

#[test]
fn two_invocations_with_one_seed_plan_the_same_bytes() {
    let plan = |nemesis: &str, seed: &str| {
        let results = Results::new();
        let flags = ["--dry-run", "--nemesis", nemesis, "--seed", seed];
        let output = results.run(&flags);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let is_a_choice = ["mixed", "swarm", "flip-flop"].contains(&nemesis);
        let hint = "on a machine that lacks some of it a run draws again without";
        assert_eq!(said(&output).contains(hint), is_a_choice, "{nemesis}");
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
