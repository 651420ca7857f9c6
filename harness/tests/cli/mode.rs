//! The bundled node's weaker modes of replication: what they do not promise is found.

use crate::{Results, one_cluster_at_a_time, stderr, stdout};
use serde_json::Value;
use std::fs;

/// Runs three nodes in a mode; the exit code, the verdict, and all that was said.
fn trial(results: &Results, node_flags: &[&str], more: &[&str]) -> (Option<i32>, Value, String) {
    let flags = node_flags.iter().map(|flag| format!("--node-flag={flag}"));
    let flags: Vec<String> = flags.collect();
    let mut all: Vec<&str> = flags.iter().map(String::as_str).collect();
    all.extend(["--nodes", "3", "--seed", "1"]);
    all.extend(more);
    let output = results.run(&all);
    let said = format!("{}\n{}", stderr(&output), stdout(&output));
    let verdict = fs::read_to_string(results.latest("verdict.json")).expect(&said);
    (
        output.status.code(),
        serde_json::from_str(&verdict).unwrap(),
        said,
    )
}

#[test]
fn asynchronous_copies_lose_acknowledged_writes_when_another_node_is_promoted() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let mode = ["--replication=async"];
    let more = [
        "--workload",
        "set",
        "--nemesis",
        "isolate-leader",
        "--time",
        "6s",
        "--promote-after",
        "300ms",
    ];
    let (code, verdict, said) = trial(&results, &mode, &more);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(verdict["durability"]["validity"], "invalid", "{said}");
    let seen = fs::read_to_string(results.latest("cluster.jsonl")).unwrap();
    assert!(seen.contains("promoted to epoch"), "{seen}");
}
