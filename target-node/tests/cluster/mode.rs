//! The modes beside Raft, as real processes.

use serde_json::{Value, json};

use super::process::{Cluster, Node, eventually};

fn promote(node: &Node) -> Value {
    node.post("/v1/admin/promote-primary", &json!({})).ok()
}

#[test]
fn async_loses_what_only_the_dead_primary_had_and_the_old_primary_drops_it() {
    let mut cluster = Cluster::start(3, &["--replication", "async"]);
    assert_eq!(cluster.leader(), 1);
    cluster.node(1).put("x", &json!("old")).ok();
    eventually("the backups have it", || {
        let has = |id| Some(cluster.node(id).status()?["applied"].as_u64()? >= 1);
        (has(2)? && has(3)?).then_some(())
    });
    cluster.kill(2);
    cluster.kill(3);
    let acknowledged = cluster.node(1).put("x", &json!("new")).ok();
    assert_eq!(acknowledged["meta"]["term"], 1);
    cluster.kill(1);
    cluster.restart(2);
    cluster.restart(3);
    eventually("node 2 serves", || cluster.node(2).status());
    assert_eq!(promote(cluster.node(2))["epoch"], 2);
    assert_eq!(cluster.leader(), 2);
    assert_eq!(cluster.node(3).get("x").ok()["value"], "old");

    cluster.restart(1);
    assert_eq!(cluster.leader(), 2);
    assert_eq!(cluster.node(1).get("x").ok()["value"], "old");
    assert!(
        cluster.log(1).contains("drops its entries"),
        "{}",
        cluster.log(1)
    );
}

#[test]
fn sync_waits_for_a_backup_that_is_away_and_semisync_does_not() {
    let mut cluster = Cluster::start(3, &["--replication", "sync"]);
    cluster.leader();
    cluster.node(2).put("x", &json!(1)).ok();
    cluster.kill(3);
    let late = cluster.node(1).put("x", &json!(2));
    assert_eq!(late.error(), (504, "TIMEOUT", false));
    cluster.restart(3);
    eventually("what was waited for is everywhere", || {
        let status = cluster.node(3).status()?;
        (status["applied"] == 2).then_some(())
    });
    assert_eq!(cluster.node(3).get("x").ok()["value"], 2);

    let flags = ["--replication", "semisync", "--semisync-timeout-ms", "100"];
    let mut cluster = Cluster::start(3, &flags);
    cluster.leader();
    cluster.kill(3);
    cluster.node(1).put("x", &json!(1)).ok();
    assert_eq!(cluster.node(1).status().unwrap()["is_alone"], false);
    cluster.kill(2);
    cluster.node(1).put("x", &json!(2)).ok();
    assert_eq!(cluster.node(1).status().unwrap()["is_alone"], true);
    cluster.restart(2);
    eventually("the primary waits for its backups again", || {
        (cluster.node(1).status()?["is_alone"] == false).then_some(())
    });
}

#[test]
fn a_quorum_serves_through_any_majority_and_refuses_definitely_without_one() {
    let flags = ["--replication", "quorum", "--read-repair", "abd"];
    let mut cluster = Cluster::start(3, &flags);
    eventually("all serve", || {
        (1..=3)
            .all(|id| cluster.node(id).status().is_some())
            .then_some(())
    });
    let node = cluster.node(1);
    eventually("the first write", || {
        (node.put("x", &json!(1)).status == 200).then_some(())
    });
    assert_eq!(node.status().unwrap()["role"], "replica");
    let cas = node.post("/v1/kv/cas", &json!({"key": "x", "expect": 1, "value": 2}));
    assert_eq!(cas.error(), (501, "UNSUPPORTED", true));
    let promoted = node.post("/v1/admin/promote-primary", &json!({}));
    assert_eq!(promoted.error(), (501, "UNSUPPORTED", true));
    cluster.kill(3);
    cluster.node(2).put("x", &json!(2)).ok();
    cluster.kill(1);
    let refused = cluster.node(2).put("x", &json!(3));
    assert_eq!(refused.error(), (503, "NO_QUORUM", true));
    cluster.restart(3);
    eventually("node 3 serves", || cluster.node(3).status());
    eventually("a majority again", || {
        let read = cluster.node(3).get("x");
        (read.status == 200 && read.body["value"] == 2).then_some(())
    });
}

#[test]
fn conditional_operations_on_a_quorum_are_done_where_that_is_asked_for() {
    let flags = ["--replication", "quorum", "--conditional", "unsafe"];
    let cluster = Cluster::start(1, &flags);
    let node = cluster.node(1);
    eventually("the node serves", || node.status());
    eventually("the first write", || {
        let append = json!({"key": "l", "element": 1});
        (node.post("/v1/kv/append", &append).status == 200).then_some(())
    });
    let append = node.post("/v1/kv/append", &json!({"key": "l", "element": 2}));
    assert_eq!(append.ok()["length"], 2);
    let cas = json!({"key": "x", "value": 1});
    assert_eq!(node.post("/v1/kv/cas", &cas).ok()["succeeded"], true);
    assert_eq!(node.post("/v1/kv/cas", &cas).ok()["succeeded"], false);
    assert_eq!(node.get("x").ok()["value"], 1);
}

#[test]
fn a_directory_belongs_to_a_family_of_modes() {
    let mut cluster = Cluster::start(1, &["--replication", "async"]);
    cluster.leader();
    cluster.stop(1);
    for (mode, code) in [("raft", 66), ("quorum", 66)] {
        assert_eq!(cluster.start_as(1, mode), Some(code), "{mode}");
        let log = cluster.log(1);
        assert!(log.contains("(primary-backup)"), "{log}");
    }
}
