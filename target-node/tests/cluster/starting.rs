//! A node that still reads back its disk: it answers, definitely, and takes no part.

use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use super::process::{Cluster, Node, eventually};

const STANDS_STILL: &str = r#"{"site": "before_recover", "action": {"sleep": {"ms": 600000}}}"#;

fn requests() -> Vec<(&'static str, Value)> {
    vec![
        ("/v1/kv/put", json!({"key": "x", "value": 2})),
        ("/v1/kv/get", json!({"key": "x"})),
        ("/v1/kv/get", json!({"key": "x", "consistency": "local"})),
        ("/v1/txn", json!({"then": [["w", "x", 2]]})),
        ("/v1/session/open", json!({})),
        ("/v1/dump", json!({})),
    ]
}

fn check_that_it_starts(node: &Node) {
    let first = eventually("the node answers", || node.fetch("/v1/status"));
    assert_eq!(first.error(), (503, "STARTING", true));
    for (path, body) in requests() {
        let answer = node.post(path, &body);
        assert_eq!(answer.error(), (503, "STARTING", true), "{path}");
        assert_eq!(answer.body["error"]["stage"], "pre_append");
    }
    let order = node.order("/v1/admin/snapshot", &Value::Null);
    assert_eq!(order.error(), (503, "STARTING", true));
    let health = node.admin("GET", "/v1/health", &Value::Null);
    assert_eq!(health.error(), (503, "STARTING", true));
    let points = node.admin("GET", "/v1/admin/failpoints", &Value::Null).ok();
    assert_eq!(points["set"][0]["site"], "before_recover");
}

#[test]
fn a_node_that_reads_back_its_disk_refuses_definitely_and_then_serves() {
    for flags in [
        &[][..],
        &["--replication", "async"],
        &["--replication", "quorum"],
    ] {
        let mut cluster = Cluster::start(1, flags);
        eventually("the node serves", || cluster.node(1).status());
        eventually("a write", || {
            (cluster.node(1).put("x", &json!(1)).status == 200).then_some(())
        });
        cluster.kill(1);
        cluster.restart_with(1, &["--failpoint", STANDS_STILL]);
        check_that_it_starts(cluster.node(1));
        assert_eq!(cluster.stop(1).code(), Some(0), "{}", cluster.log(1));
        cluster.restart(1);
        eventually("the node serves", || cluster.node(1).status());
        eventually("what was written is read back, and nothing else", || {
            let read = cluster.node(1).get("x");
            (read.status == 200).then(|| assert_eq!(read.body["value"], 1))
        });
    }
}

#[test]
fn a_start_that_crashes_at_any_place_is_made_good_by_the_next() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.leader();
    cluster.node(1).put("x", &json!(1)).ok();
    cluster.kill(1);
    for site in [
        "before_recover",
        "after_recover",
        "before_persist",
        "before_write",
    ] {
        let crash = json!({"site": site, "action": "crash"}).to_string();
        cluster.restart_with(1, &["--failpoint", &crash]);
        assert_eq!(cluster.wait(1).signal(), Some(9), "{site}");
    }
    cluster.restart(1);
    cluster.leader();
    assert_eq!(cluster.node(1).get("x").ok()["value"], 1);
}
