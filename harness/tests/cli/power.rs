//! Runs whose nodes lose power, on disks that are honest and on disks that are not.

use crate::{Results, one_cluster_at_a_time, stderr, stdout};
use serde_json::Value;
use std::fs;

fn verdict(results: &Results) -> Value {
    serde_json::from_str(&fs::read_to_string(results.latest("verdict.json")).unwrap()).unwrap()
}

#[test]
fn a_sound_cluster_keeps_what_it_acknowledged_through_power_losses() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let nemesis = ["--nemesis", "power-loss", "--workload", "set"];
    let output = results.run(&[&nemesis[..], &["--time", "15s", "--seed", "7"]].concat());
    let said = format!("{}\n{}", stderr(&output), stdout(&output));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let verdict = verdict(&results);
    assert_eq!(verdict["durability"]["validity"], "valid", "{said}");
    assert!(said.contains("unsynced bytes in"), "{said}");
    let page = fs::read_to_string(results.latest("report.html")).unwrap();
    assert!(
        page.contains("tint power-loss"),
        "it tints the timeline in a colour of its own"
    );
}

#[test]
fn a_disk_that_lies_costs_acknowledged_writes_which_are_named() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let nemesis = ["--nemesis", "lying-fsync", "--workload", "set"];
    let flags = ["--unsurvivable", "--time", "15s", "--seed", "1"];
    let output = results.run(&[&nemesis[..], &flags].concat());
    let said = format!("{}\n{}", stderr(&output), stdout(&output));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(
        verdict(&results)["durability"]["validity"],
        "invalid",
        "{said}"
    );
    assert!(said.contains("was acknowledged to p"), "{said}");
    assert!(
        results.latest("nodes/n1/data").exists(),
        "what was on the disk is kept"
    );
}

#[test]
fn more_than_a_cluster_can_survive_has_to_be_asked_for() {
    let results = Results::new();
    let output = results.run(&["--nemesis", "lying-fsync", "--seed", "1"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(
        stderr(&output).contains("the faults may destroy 5 of 5 disks"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("add --unsurvivable"));
}

#[test]
fn ill_disks_need_no_fuse_and_what_does_is_refused_without_it() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let nemesis = [
        "--nemesis",
        "disk",
        "--disk",
        "seccomp",
        "--workload",
        "set",
    ];
    let output = results.run(&[&nemesis[..], &["--time", "15s", "--seed", "3"]].concat());
    let said = format!("{}\n{}", stderr(&output), stdout(&output));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("seccomp: as asked for"), "{said}");
    assert!(said.contains("requests met it"), "{said}");
    assert_eq!(
        verdict(&results)["durability"]["validity"],
        "valid",
        "{said}"
    );

    let output = results.run(&["--nemesis", "power-loss", "--disk", "seccomp"]);
    assert_eq!(output.status.code(), Some(64));
    let said = stderr(&output);
    assert!(
        said.contains("power-loss NO   calls that wait for an answer"),
        "{said}"
    );
    assert!(said.contains("it takes FUSE"), "{said}");
}
