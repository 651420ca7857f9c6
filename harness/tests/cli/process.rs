//! What is done to processes, and what they do to themselves.

use crate::{Results, one_cluster_at_a_time, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const FAULTS: &str = r#"
seed = 1
nodes = 5
time = "17s"

[[fault]]
id = 1
at_ms = 500
for_ms = 1500
fault = "stop leader"

[[fault]]
id = 2
at_ms = 3200
for_ms = 2500
fault = "crash-loop n1: 3"

[[fault]]
id = 3
at_ms = 3300
for_ms = 2500
fault = "slow-cpu n2: 20%"

[[fault]]
id = 4
at_ms = 7000
for_ms = 1000
fault = "kill-starting n3: 10ms"

[[fault]]
id = 5
at_ms = 7100
for_ms = 4000
fault = "memory n4: 0mb"

[[fault]]
id = 6
at_ms = 13000
for_ms = 1500
fault = "restart all"
"#;

#[test]
fn whatever_is_done_to_processes_is_proven_and_survived() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let plan = results.path().join("plan.toml");
    fs::write(&plan, FAULTS).unwrap();
    let output = results.run(&[plan.to_str().unwrap()]);
    let said = format!("{}\n{}", stderr(&output), stdout(&output));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let faults = fs::read_to_string(results.latest("faults.jsonl")).unwrap();
    for kind in [
        "stopped",
        "crash-looped",
        "start-killed",
        "slowed",
        "starved",
    ] {
        let proof = format!(r#""proof":{{"kind":"{kind}""#);
        assert!(faults.contains(&proof), "no {kind} in\n{faults}");
    }
    let page = fs::read_to_string(results.latest("report.html")).unwrap();
    for class in ["stop", "crash-loop", "kill-starting", "slow-cpu", "memory"] {
        assert!(page.contains(&format!("tint {class}")), "{class}");
    }
}

/// One fault whose heal is further from the end of the main phase than the recovery bound is long.
const EARLY: &str = r#"
seed = 1
nodes = 3
time = "3500ms"
recovery_bound = "2s"

[[fault]]
id = 1
at_ms = 100
for_ms = 300
fault = "packets n1: delay 1ms"
"#;

#[test]
fn nodes_that_served_the_clients_after_an_early_heal_have_recovered() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let plan = results.path().join("plan.toml");
    fs::write(&plan, EARLY).unwrap();
    let output = results.run(&[plan.to_str().unwrap()]);
    let said = format!("{}\n{}", stderr(&output), stdout(&output));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let verdict = fs::read_to_string(results.latest("verdict.json")).unwrap();
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    let recovery = &verdict["progress"]["findings"][0]["statistics"];
    let served = recovery["served_after_ms"].as_array().unwrap();
    assert_eq!(served.len(), 3);
    for served in served {
        assert!(served.as_u64().unwrap() < 2000, "{recovery}");
    }
}

/// The bundled node, but n2 panics after a while, as far as anybody can tell.
const PANICS: &str = r#"#!/bin/sh
case " $* " in
*" --id=2 "*) ;;
*) exec ORDEAL "$@" ;;
esac
ORDEAL "$@" &
sleep 3
echo "thread 'applier' (7) panicked at src/log.rs:3:5:" >&2
echo "entry 9 is not there" >&2
echo "stack backtrace:" >&2
seq 100 >&2
exit 101
"#;

/// A limit far above what a node uses: it ends nobody.
const UNTOUCHED: &str = r#"
seed = 1
nodes = 3
warm_up = "0s"
time = "5s"
recovery_bound = "2s"

[[fault]]
id = 1
at_ms = 0
for_ms = 4900
fault = "memory n2: 2000mb"
"#;

#[test]
fn a_node_that_panics_is_told_of_at_once_and_is_a_finding_with_the_text_of_its_panic() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let node = results.path().join("node");
    fs::write(
        &node,
        PANICS.replace("ORDEAL", env!("CARGO_BIN_EXE_ordeal")),
    )
    .unwrap();
    fs::set_permissions(&node, fs::Permissions::from_mode(0o755)).unwrap();
    let plan = results.path().join("plan.toml");
    fs::write(&plan, UNTOUCHED).unwrap();
    let binary = ["--node-binary", node.to_str().unwrap()];
    let output = results.run(&[&[plan.to_str().unwrap()], &binary[..]].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let words = "thread 'applier' (7) panicked at src/log.rs:3:5: entry 9 is not there";
    let told = format!("n2 ended on its own (exit status: 101): {words}");
    let line = said.find(&told).unwrap_or_else(|| panic!("{said}"));
    assert!(
        line < said.find("checking ").unwrap(),
        "told while it runs: {said}"
    );
    let verdict = fs::read_to_string(results.latest("verdict.json")).unwrap();
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(verdict["progress"]["validity"], "invalid");
    let findings = verdict["progress"]["findings"].to_string();
    assert!(findings.contains("unplanned_death"), "{findings}");
    assert!(
        findings.contains(&format!("it panicked: {words}")),
        "{findings}"
    );
}
