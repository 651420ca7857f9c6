//! Scripted runs: those that come along, one in a file, and those that cannot be.

use crate::{Results, one_cluster_at_a_time, ordeal, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::process::Output;

fn play(results: &Results, name: &str, more: &[&str]) -> Output {
    let mut command = ordeal(&["scenario", name, "--results"]);
    command.arg(results.path()).args(more);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}\n{}", stderr(output), stdout(output))
}

/// The names, with the exit codes that they announce.
fn listed() -> Vec<(String, i32)> {
    let list = stdout(&ordeal(&["list"]).output().unwrap());
    let scenarios = list.split("scenarios\n").nth(1).unwrap();
    let lines = scenarios.lines().take_while(|line| !line.is_empty());
    let scenario = |line: &str| {
        let name = line.split_whitespace().next().unwrap().to_owned();
        let (_, exit) = line.rsplit_once("(exit ").unwrap();
        (name, exit.trim_end_matches(')').parse().unwrap())
    };
    lines.map(scenario).collect()
}

/// Two of them always; all with `ORDEAL_SCENARIOS=all`.
#[test]
fn a_scenario_ends_with_the_exit_code_that_it_announces() {
    let _guard = one_cluster_at_a_time();
    let all = std::env::var("ORDEAL_SCENARIOS").is_ok_and(|which| which == "all");
    let few = ["s02-leader-crash", "s11-stale-read"];
    let scenarios = listed();
    assert!(scenarios.len() >= 10, "{scenarios:?}");
    for (name, exit) in scenarios {
        if !all && !few.contains(&name.as_str()) {
            continue;
        }
        let results = Results::new();
        let output = play(&results, &name, &["--seed", "1"]);
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{name}: {}",
            said(&output)
        );
        assert!(
            !said(&output).contains("MISSED"),
            "{name}: {}",
            said(&output)
        );
    }
}

const FAILOVER: &str = r#"
nodes = 3
warm_up = "200ms"

[scenario]
name = "failover"
summary = "a leader crashes, and stays the leader"
exit = 3

[[scenario.step]]
let = "old"
is = "$leader"

[[scenario.step]]
inject = "kill $old"
as = "crash"

[[scenario.step]]
expect = "leader is $old"
within = "2s"

[[scenario.step]]
wait = "ok 30"

[[scenario.step]]
heal = "crash"
"#;

#[test]
fn a_failed_expectation_is_a_finding_and_the_stored_plan_plays_it_again() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let file = results.path().join("failover.toml");
    fs::write(&file, FAILOVER).unwrap();
    let output = play(&results, file.to_str().unwrap(), &["--seed", "5"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let verdict = fs::read_to_string(results.latest("verdict.json")).unwrap();
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    let summary = verdict["progress"]["summary"].as_str().unwrap();
    assert!(
        summary.contains("failed: step 3 (expect leader is $old"),
        "{summary}"
    );
    assert_eq!(verdict["coverage"]["validity"], "valid", "{verdict:#}");
    assert_eq!(verdict["nemesis"], "failover");

    let lines = fs::read_to_string(results.latest("faults.jsonl")).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_steps = lines.iter().filter(|line| line["step"].is_u64());
    let ends: Vec<&str> = of_steps.filter_map(|line| line["what"].as_str()).collect();
    let expected = [
        "begun", "met", "begun", "met", "begun", "failed", "begun", "met", "begun", "met",
    ];
    assert_eq!(ends, expected, "{lines:#?}");
    assert!(
        lines.iter().any(|line| line["what"] == "healed"),
        "{lines:#?}"
    );
    let page = fs::read_to_string(results.latest("report.html")).unwrap();
    assert!(page.contains("kill $old"), "the steps are in the report");

    let plan = results.latest("plan.toml");
    let again = results.run(&[plan.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
}

#[test]
fn a_dry_run_prints_the_whole_scenario_and_starts_nothing() {
    let results = Results::new();
    let output = play(&results, "s02-leader-crash", &["--dry-run", "--seed", "7"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = stdout(&output);
    assert!(
        text.contains("inject = \"kill $old\"") && text.contains("seed = 7"),
        "{text}"
    );
    assert!(!results.path().join("runs").exists());
}

#[test]
fn a_scenario_that_cannot_be_is_refused_with_line_key_and_reason() {
    let results = Results::new();
    let file = results.path().join("bad.toml");
    let refused = |name: &str, words: &str| {
        let output = play(&results, name, &[]);
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    };
    for (right, wrong, words) in [
        (
            "heal = \"crash\"",
            "heal = \"crush\"",
            "line 25: step 5, `heal`: no fault was injected as `crush`",
        ),
        (
            "as = \"crash\"",
            "as = \"\"",
            "line 14: step 2: as = \"\" is no name",
        ),
        (
            "within = \"2s\"",
            "within = \"2x\"",
            "line 18: step 3: within = \"2x\" is not a length of time",
        ),
        (
            "inject = \"kill $old\"",
            "inject = \"damage all: wipe\"",
            "line 14: step 2: ",
        ),
    ] {
        fs::write(&file, FAILOVER.replace(right, wrong)).unwrap();
        refused(file.to_str().unwrap(), words);
    }
    refused("s99-nothing", "there is no scenario \"s99-nothing\"");
    let plan = results.path().join("plan.toml");
    fs::write(&plan, "nodes = 3\n").unwrap();
    let output = play(&results, plan.to_str().unwrap(), &[]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    let output = play(&results, "s02-leader-crash", &["--nemesis", "kill"]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(!results.path().join("runs").exists(), "nothing was started");
}
