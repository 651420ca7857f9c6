//! A run from its flags to its verdict, on the real thing.

use crate::trace::Machine;
use crate::{Results, one_cluster_at_a_time, ordeal, stderr, stdout};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

fn verdict(results: &Results) -> Value {
    serde_json::from_str(&fs::read_to_string(results.latest("verdict.json")).unwrap()).unwrap()
}

#[test]
fn a_sound_cluster_under_mixed_faults_is_valid_on_four_axes() {
    let _guard = one_cluster_at_a_time();
    let (results, before) = (Results::new(), Machine::look());
    let output = results.run(&["--time", "12s", "--seed", "7"]);
    let said = format!("{}\n{}", stderr(&output), stdout(&output));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let verdict = verdict(&results);
    for axis in ["consistency", "durability", "progress", "coverage"] {
        assert_eq!(verdict[axis]["validity"], "valid", "{axis}: {said}");
    }
    assert!(
        verdict["operations"]["ok"].as_u64().unwrap() > 400,
        "{said}"
    );
    for file in [
        "plan.toml",
        "history.jsonl",
        "faults.jsonl",
        "report.html",
        "junit.xml",
    ] {
        assert!(results.latest(file).exists(), "{file} is missing");
    }
    assert!(
        !results.latest("nodes/n1/data").exists(),
        "the data of a valid run is not kept"
    );
    let last = stdout(&output)
        .trim_end()
        .lines()
        .last()
        .unwrap()
        .to_owned();
    assert!(
        last.contains("run") && last.contains("plan.toml"),
        "the last line: {last}"
    );
    before.is_clean(results.path(), &BTreeSet::new(), Duration::from_secs(1));
}

#[test]
fn a_defect_is_found_and_the_violating_operations_are_named() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let output = results.run(&[
        "--defect",
        "read_leader_local",
        "--time",
        "20s",
        "--seed",
        "1",
    ]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{}\n{said}", stderr(&output));
    let verdict = verdict(&results);
    assert_eq!(verdict["consistency"]["validity"], "invalid");
    assert_eq!(verdict["defects"][0], "read_leader_local");
    assert!(
        said.contains("read_leader_local") && said.contains("not linearizable"),
        "{said}"
    );
    assert!(
        results.latest("nodes/n1/data").exists(),
        "the data of a violation is kept"
    );
    let page = fs::read_to_string(results.latest("report.html")).unwrap();
    assert!(page.contains("read_leader_local"));
}

#[test]
fn acknowledged_writes_that_a_defect_loses_are_named() {
    let _guard = one_cluster_at_a_time();
    for defect in ["ack_on_append", "no_log_check_in_vote"] {
        let results = Results::new();
        let output = results.run(&["--defect", defect, "--time", "15s", "--seed", "1"]);
        let said = stdout(&output);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{defect}: {}\n{said}",
            stderr(&output)
        );
        assert_eq!(
            verdict(&results)["durability"]["validity"],
            "invalid",
            "{defect}: {said}"
        );
        assert!(
            said.contains("was acknowledged to p") && said.contains(" in term "),
            "{said}"
        );
    }
}

#[test]
fn a_terminal_that_is_gone_does_not_cost_the_verdict() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = results
        .command(&["--time", "4s", "--nemesis", "kill", "--seed", "3"])
        .stderr(full.try_clone().unwrap())
        .stdout(full)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(verdict(&results)["consistency"]["validity"], "valid");
}

#[test]
fn a_single_node_without_faults_works_too() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let output = results.run(&["--nodes", "1", "--nemesis", "none", "--time", "2s"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}\n{}",
        stderr(&output),
        stdout(&output)
    );
}

#[test]
fn the_same_seed_gives_the_same_plan_and_operations_byte_for_byte() {
    let dry = |seed: &str| {
        let flags = ["run", "--dry-run", "--operations", "200", "--seed", seed];
        let output = ordeal(&flags).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output.stdout
    };
    assert_eq!(dry("42"), dry("42"));
    assert_ne!(dry("42"), dry("43"));
    let text = String::from_utf8(dry("42")).unwrap();
    assert!(
        text.contains("[[fault]]") && text.contains("# worker 9: "),
        "{text}"
    );
}

#[test]
fn a_stored_plan_runs_again_with_the_same_faults() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.toml");
    let first = ordeal(&["run", "--dry-run", "--seed", "5"])
        .output()
        .unwrap();
    fs::write(&plan, &first.stdout).unwrap();
    let again = ordeal(&["run", "--dry-run", plan.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(stdout(&again), stdout(&first));
}

#[test]
fn a_run_stops_on_a_violation_if_asked_to_and_says_which() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let output = results.run(&[
        "--defect",
        "read_leader_local",
        "--time",
        "60s",
        "--seed",
        "1",
        "--stop-on-violation",
    ]);
    let (told, said) = (stderr(&output), stdout(&output));
    assert_eq!(output.status.code(), Some(1), "{told}\n{said}");
    assert!(told.contains("certainly violated: key k"), "{told}");
    let verdict = verdict(&results);
    assert_eq!(verdict["consistency"]["validity"], "invalid");
    let why = verdict["interrupted"].as_str().unwrap();
    assert!(why.starts_with("stopped on a violation: key k"), "{why}");
    let main = verdict["timing"]["main_ms"].as_u64().unwrap();
    assert!(main < 60_000, "it went on to the end: {main} ms");
    let plan = fs::read_to_string(results.latest("plan.toml")).unwrap();
    assert!(plan.contains("stop_on_violation = true"), "{plan}");
}
