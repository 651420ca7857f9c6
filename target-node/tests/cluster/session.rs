//! Sessions of real nodes: what is sent again is applied once, whoever leads by then.

use serde_json::{Value, json};

use super::process::{Answer, Cluster, Node, eventually};

fn open(node: &Node, ttl_ms: u64) -> Value {
    let opened = node.post("/v1/session/open", &json!({"ttl_ms": ttl_ms}));
    opened.ok()["session"].clone()
}

fn append(node: &Node, session: &Value, seq: u64, retry: bool) -> Answer {
    let turn = json!({"id": session, "seq": seq, "retry": retry});
    let append = json!({"key": "list", "element": seq, "session": turn});
    node.post("/v1/kv/append", &append)
}

#[test]
fn a_write_sent_again_is_applied_once_also_by_the_next_leader_and_after_a_restart() {
    let often = ["--snapshot-entries", "5", "--snapshot-trailing", "1"];
    let mut cluster = Cluster::start(3, &often);
    let first = cluster.leader();
    let follower = cluster.follower();
    let session = open(cluster.node(follower), 60_000);
    let once = append(cluster.node(first), &session, 1, false).ok();
    assert_eq!(
        (&once["length"], once["meta"].get("session_dup")),
        (&json!(1), None)
    );
    for number in 0..10 {
        cluster.node(first).put("x", &json!(number)).ok();
    }
    cluster.kill(first);
    let second = cluster.leader();
    let again = append(cluster.node(second), &session, 1, true).ok();
    assert_eq!(again["meta"]["session_dup"], true);
    assert_eq!(
        (
            &again["length"],
            &again["meta"]["index"],
            &again["meta"]["term"]
        ),
        (
            &once["length"],
            &once["meta"]["index"],
            &once["meta"]["term"]
        )
    );
    cluster.restart(first);
    (1..=3).for_each(|id| cluster.kill(id));
    (1..=3).for_each(|id| cluster.restart(id));
    let third = cluster.leader();
    let again = append(cluster.node(third), &session, 1, true).ok();
    assert_eq!(again["meta"]["index"], once["meta"]["index"]);
    assert_eq!(cluster.node(third).get("list").ok()["value"], json!([1]));
}

#[test]
fn what_was_forgotten_is_refused_and_proves_something_for_a_first_attempt_only() {
    let cluster = Cluster::start(1, &[]);
    cluster.leader();
    let node = cluster.node(1);
    let session = open(node, 60_000);
    append(node, &session, 1, false).ok();
    // The number stands for that append, whatever else is asked with it.
    let turn = json!({"id": session, "seq": 1});
    let put = json!({"key": "list", "value": 7, "session": turn});
    let other = node.post("/v1/kv/put", &put);
    assert_eq!(other.error(), (400, "INVALID", true), "{}", other.body);
    let turn = json!({"id": session, "seq": 2, "acked_below": 2});
    let add = json!({"key": "n", "delta": 1, "session": turn});
    assert_eq!(node.post("/v1/kv/add", &add).ok()["value"], 1);
    assert_eq!(node.post("/v1/kv/add", &add).ok()["value"], 1);
    let old = append(node, &session, 1, false);
    assert_eq!(old.error(), (409, "SEQ_TOO_OLD", true));
    let old = append(node, &session, 1, true);
    assert_eq!(old.error(), (409, "SEQ_TOO_OLD", false));

    let named = json!({"session": session});
    node.post("/v1/session/keepalive", &named).ok();
    node.post("/v1/session/close", &named).ok();
    for path in ["/v1/session/close", "/v1/session/keepalive"] {
        let closed = node.post(path, &named);
        assert_eq!(closed.error(), (410, "SESSION_UNKNOWN", true));
    }
    let unknown = append(node, &session, 2, false);
    assert_eq!(unknown.error(), (410, "SESSION_UNKNOWN", true));
    let unknown = append(node, &session, 2, true);
    assert_eq!(unknown.error(), (410, "SESSION_UNKNOWN", false));

    let turn = json!({"id": session, "seq": 2, "acked_below": 3});
    let wrong = node.post("/v1/kv/delete", &json!({"key": "n", "session": turn}));
    assert_eq!(wrong.error(), (400, "INVALID", true));
    let wrong = node.post("/v1/session/open", &json!({"ttl_ms": 1}));
    assert_eq!(wrong.error(), (400, "INVALID", true));
}

#[test]
fn a_silent_session_ends_by_the_clock_of_the_log() {
    let cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let node = cluster.node(leader);
    let (silent, alive) = (open(node, 300), open(node, 60_000));
    eventually("an entry ends the session", || {
        let log = node.fetch("/v1/log")?.ok();
        let entries = log["entries"].as_array()?;
        let expiry = entries.iter().any(|entry| {
            entry["applied"] == true && entry["command"]["command"] == "expire_sessions"
        });
        expiry.then_some(())
    });
    let late = append(cluster.node(leader % 3 + 1), &silent, 1, false);
    assert_eq!(late.error(), (410, "SESSION_UNKNOWN", true));
    append(node, &alive, 1, false).ok();
}
