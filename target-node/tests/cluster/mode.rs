//! The modes beside Raft, as real processes.

use serde_json::{Value, json};

use super::process::{Cluster, Node, eventually};

fn promote(node: &Node) -> Value {
    node.order("/v1/admin/promote-primary", &json!({})).ok()
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
    let promoted = node.order("/v1/admin/promote-primary", &json!({}));
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

/// What an order comes to: its status and code; 200 and nothing where it is done.
fn outcome(node: &Node, path: &str, body: &Value) -> (u16, String) {
    let answer = node.order(path, body);
    let code = answer.body["error"]["code"].as_str().unwrap_or_default();
    (answer.status, code.to_owned())
}

#[test]
fn every_mode_takes_the_orders_that_make_sense_there_and_says_of_the_others_that_it_cannot() {
    let elections = [
        ("/v1/admin/campaign", json!({})),
        ("/v1/admin/step-down", Value::Null),
        ("/v1/cluster/transfer", json!({"to": 2})),
        ("/v1/cluster/add-learner", json!({"id": 2})),
        ("/v1/cluster/add-voter", json!({"id": 2})),
        ("/v1/cluster/promote", json!({"id": 2})),
        ("/v1/cluster/remove", json!({"id": 2})),
        ("/v1/cluster/change", json!({"voters": [1, 2]})),
    ];
    let done = (200, String::new());
    let unsupported = (501, "UNSUPPORTED".to_owned());
    for mode in ["sync", "semisync", "async", "quorum"] {
        let cluster = Cluster::start(3, &["--replication", mode]);
        let node = cluster.node(1);
        eventually("the node serves", || node.status());
        eventually("a write", || {
            (node.put("x", &json!(1)).status == 200).then_some(())
        });
        for (path, body) in &elections {
            assert_eq!(outcome(node, path, body), unsupported, "{mode} {path}");
        }
        let has_primary = mode != "quorum";
        let told = if has_primary { &done } else { &unsupported };
        assert_eq!(
            &outcome(node, "/v1/admin/compact", &json!({})),
            told,
            "{mode}"
        );
        assert_eq!(
            &outcome(node, "/v1/admin/promote-primary", &json!({})),
            told,
            "{mode}"
        );
        for path in ["/v1/hash", "/v1/log"] {
            let answer = node.fetch(path).unwrap();
            assert_eq!(answer.status, told.0, "{mode} {path}");
        }
        for (path, body) in [
            ("/v1/admin/clock", json!({"rate": 2.0})),
            ("/v1/admin/trace", json!({"on": true})),
            (
                "/v1/admin/net-rules",
                json!({"action": "drop", "types": ["vote"]}),
            ),
            (
                "/v1/admin/failpoints",
                json!({"site": "before_sync", "action": "crash", "skip": 9999}),
            ),
        ] {
            assert_eq!(outcome(node, path, &body), done, "{mode} {path}");
        }
        assert_eq!(node.status().unwrap()["clock_rate"], 2.0);
        let none = json!({"action": "drop", "types": ["gossip"]});
        assert_eq!(outcome(node, "/v1/admin/net-rules", &none).0, 400, "{mode}");
    }
}

#[test]
fn a_replica_takes_a_snapshot_when_told_and_begins_from_it() {
    let mut cluster = Cluster::start(1, &["--replication", "quorum"]);
    let node = cluster.node(1);
    eventually("the node serves", || node.status());
    for number in 0..20 {
        eventually("a write", || {
            (node.put("x", &json!(number)).status == 200).then_some(())
        });
    }
    let trace = json!({"on": true});
    node.order("/v1/admin/trace", &trace).ok();
    let taken = node.order("/v1/admin/snapshot", &Value::Null).ok();
    assert_eq!(taken["snapshot"], taken["last"], "{taken}");
    assert!(taken["snapshot"].as_u64() > Some(0), "{taken}");
    let again = node.order("/v1/admin/snapshot", &Value::Null).ok();
    assert_eq!(again["snapshot"], taken["snapshot"]);
    node.put("x", &json!("after")).ok();
    let lines = node.admin("GET", "/v1/admin/trace", &Value::Null).text;
    for event in ["start", "snapshot", "append", "persisted"] {
        assert!(
            lines.contains(&format!("\"event\":\"{event}\"")),
            "{event}: {lines}"
        );
    }
    cluster.kill(1);
    cluster.restart(1);
    eventually("the replica is back", || cluster.node(1).status());
    let read = cluster.node(1).get("x").ok();
    assert_eq!(read["value"], "after");
    let log = cluster.log(1);
    let told = format!("snapshot at 1@{}", taken["snapshot"]);
    let told_otherwise = format!("snapshot at {}@1", taken["snapshot"]);
    assert!(
        log.contains(&told) || log.contains(&told_otherwise),
        "{log}"
    );
}

/// The counterexample on real processes: a write that reached one replica is read, and then, that
/// replica gone, a later read gives the old value; with two-phase reads it does not.
fn later_read(repair: &str) -> Value {
    let flags = ["--replication", "quorum", "--read-repair", repair];
    let mut cluster = Cluster::start(3, &flags);
    for id in 1..=3 {
        eventually("the node serves", || cluster.node(id).status());
    }
    eventually("a write is on all disks", || {
        // Two are enough for an answer; the third is not told again, if its link was not up yet.
        let put = cluster.node(1).put("x", &json!("old"));
        if put.status != 200 {
            return None;
        }
        let local = json!({"key": "x", "consistency": "local"});
        let has = |id| cluster.node(id).post("/v1/kv/get", &local).body["value"] == "old";
        (1..=3).all(has).then_some(())
    });
    let lost = json!({"action": "drop", "to": [2, 3], "types": ["store"]});
    cluster.node(1).order("/v1/admin/net-rules", &lost).ok();
    let put = cluster.node(1).put("x", &json!("new"));
    assert_eq!(put.error(), (504, "TIMEOUT", false));
    // Only nodes 1 and 2 are asked, so that the newest is among what is found.
    let cut = json!({"action": "drop", "to": [3], "types": ["query"]});
    cluster.node(2).order("/v1/admin/net-rules", &cut).ok();
    let read = cluster.node(2).get("x").ok();
    assert_eq!(read["value"], "new");
    cluster.kill(1);
    cluster
        .node(2)
        .admin("DELETE", "/v1/admin/net-rules", &Value::Null)
        .ok();
    cluster.node(3).get("x").ok()["value"].clone()
}

#[test]
fn a_read_that_is_not_written_back_can_be_followed_by_an_older_one() {
    assert_eq!(later_read("none"), "old");
    assert_eq!(later_read("abd"), "new");
}
