//! Nodes as real processes with real sockets and files, killed for real.

#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "these tests look at processes from outside, and ask again until they answer"
)]

#[path = "cluster/admin.rs"]
mod admin;
#[path = "cluster/election.rs"]
mod election;
#[path = "cluster/machine.rs"]
mod machine;
#[path = "cluster/membership.rs"]
mod membership;
#[path = "cluster/mode.rs"]
mod mode;
#[path = "cluster/process.rs"]
mod process;
#[path = "cluster/read.rs"]
mod read;
#[path = "cluster/refusal.rs"]
mod refusal;
#[path = "cluster/routing.rs"]
mod routing;
#[path = "cluster/session.rs"]
mod session;
#[path = "cluster/snapshot.rs"]
mod snapshot;
#[path = "cluster/starting.rs"]
mod starting;
#[path = "cluster/trace.rs"]
mod trace;

use std::time::Duration;

use process::{Cluster, eventually, exchange};
use serde_json::{Value, json};

#[test]
fn an_acknowledged_write_survives_its_leader_and_the_leader_catches_up() {
    let mut cluster = Cluster::start(3, &[]);
    let first = cluster.leader();
    let written = cluster.node(first).put("x", &json!("kept")).ok();
    assert_eq!(written["meta"]["leader"], first);

    cluster.kill(first);
    let second = cluster.leader();
    assert_ne!(second, first);
    let read = cluster.node(second).get("x").ok();
    assert_eq!(
        (&read["value"], &read["mod_index"]),
        (&json!("kept"), &written["meta"]["index"])
    );
    let while_away = cluster.node(second).put("y", &json!("missed")).ok();

    cluster.restart(first);
    let index = while_away["meta"]["index"].as_u64();
    eventually("the old leader has what it missed", || {
        (cluster.node(first).status()?["applied"].as_u64() >= index).then_some(())
    });
    let local = json!({"key": "y", "consistency": "local"});
    let read = cluster.node(first).post("/v1/kv/get", &local).ok();
    assert_eq!(read["value"], "missed");
}

#[test]
fn everything_acknowledged_is_there_after_all_nodes_were_killed_at_once() {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    for number in 0..50 {
        let append = json!({"key": "list", "element": number});
        let appended = cluster.node(leader).post("/v1/kv/append", &append).ok();
        assert_eq!(appended["length"], number + 1);
    }
    let before = cluster.node(leader).status().unwrap();
    for id in 1..=3 {
        cluster.kill(id);
    }
    for id in 1..=3 {
        cluster.restart(id);
    }
    let leader = cluster.leader();
    let read = cluster.node(leader).get("list").ok();
    assert_eq!(read["value"], Value::from((0..50).collect::<Vec<_>>()));
    let after = cluster.node(leader).status().unwrap();
    assert!(
        after["term"].as_u64() > before["term"].as_u64(),
        "{before} {after}"
    );
    assert_ne!(after["boot"], before["boot"]);
}

#[test]
fn every_node_takes_writes_and_serves_fresh_reads() {
    let cluster = Cluster::start(3, &[]);
    cluster.leader();
    for turn in 0..30 {
        let (writer, reader) = (turn % 3 + 1, (turn + 1) % 3 + 1);
        cluster.node(writer).put("x", &json!(turn)).ok();
        let read = cluster.node(reader).get("x").ok();
        assert_eq!(
            (&read["value"], &read["meta"]["node"]),
            (&json!(turn), &json!(reader))
        );
    }
    let cas = |node: usize, expect: Value, value: i32| {
        let cas = json!({"key": "x", "expect": expect, "value": value});
        cluster.node(node).post("/v1/kv/cas", &cas).ok()
    };
    let won = cas(1, json!(29), 100);
    assert_eq!(
        (&won["succeeded"], &won["current"]),
        (&json!(true), &json!(29))
    );
    let lost = cas(2, json!(29), 101);
    assert_eq!(
        (&lost["succeeded"], &lost["current"]),
        (&json!(false), &json!(100))
    );
    let absent = cas(3, Value::Null, 102);
    assert_eq!(absent["succeeded"], false);
}

#[test]
fn without_a_majority_there_is_no_leader_and_nothing_is_acknowledged() {
    let mut cluster = Cluster::start(3, &[]);
    let survivor = cluster.follower();
    for id in (1..=3).filter(|&id| id != survivor) {
        cluster.kill(id);
    }
    let node = cluster.node(survivor);
    eventually("the survivor forgets its leader", || {
        node.status()?.get("leader").is_none().then_some(())
    });
    assert_eq!(node.put("x", &json!(1)).error(), (503, "NO_LEADER", true));
    assert_eq!(node.get("x").error(), (503, "NO_LEADER", true));
}

/// A leader that has lost both its followers but does not know, because it never checks: does it
/// acknowledge a write, and answer a read, within a second?
fn lonely_leader_answers(extra: &[&str]) -> (bool, bool) {
    let flags = [&["--check-quorum", "off"], extra].concat();
    let mut cluster = Cluster::start(3, &flags);
    let leader = cluster.leader();
    cluster.node(leader).put("x", &json!(0)).ok();
    for id in (1..=3).filter(|&id| id != leader) {
        cluster.kill(id);
    }
    let address = cluster.node(leader).client;
    let patience = Duration::from_secs(1);
    let ask = |path: &str, body: Value| {
        let answer = exchange(address, "POST", path, body.to_string().as_bytes(), patience);
        answer.is_ok_and(|answer| answer.status == 200)
    };
    let write = ask("/v1/kv/put", json!({"key": "x", "value": 1}));
    (write, ask("/v1/kv/get", json!({"key": "x"})))
}

#[test]
fn a_leader_alone_acknowledges_nothing_unless_a_defect_makes_it() {
    assert_eq!(lonely_leader_answers(&[]), (false, false));
    if target_node::defect::Defects::COMPILED_IN {
        assert_eq!(
            lonely_leader_answers(&["--defect", "ack_on_append"]),
            (true, false)
        );
        assert_eq!(
            lonely_leader_answers(&["--defect", "read_leader_local"]),
            (false, true)
        );
    }
}

#[test]
fn the_status_tells_who_the_node_is_and_what_is_wrong_with_it() {
    let defect = ["--defect", "read_leader_local"];
    let has_defects = target_node::defect::Defects::COMPILED_IN;
    let cluster = Cluster::start(1, if has_defects { &defect } else { &[] });
    cluster.leader();
    let status = cluster.node(1).status().unwrap();
    assert_eq!(
        (&status["id"], &status["cluster"]),
        (&json!(1), &json!("test"))
    );
    assert_eq!(
        (&status["role"], &status["voters"]),
        (&json!("leader"), &json!([1]))
    );
    if has_defects {
        assert_eq!(status["defects"], json!(["read_leader_local"]));
        assert!(cluster.log(1).contains("defects: read_leader_local"));
    }
}
