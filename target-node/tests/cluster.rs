//! Nodes as real processes with real sockets and files, killed for real.

#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "these tests look at processes from outside, and ask again until they answer"
)]

#[path = "cluster/election.rs"]
mod election;
#[path = "cluster/mode.rs"]
mod mode;
#[path = "cluster/process.rs"]
mod process;
#[path = "cluster/read.rs"]
mod read;
#[path = "cluster/snapshot.rs"]
mod snapshot;

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use process::{Cluster, Node, eventually, exchange, free_addresses, node_command};
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
fn a_node_that_does_not_forward_names_the_leader() {
    let cluster = Cluster::start(3, &["--client-routing", "reject"]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let refused = cluster.node(follower).put("x", &json!(1));
    assert_eq!(refused.error(), (421, "NOT_LEADER", true));
    assert_eq!(refused.body["error"]["leader"], leader);
    assert!(cluster.node(follower).get("x").ok().get("value").is_none());
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

/// Method, path, body; status and code of the answer.
type BadRequest<'a> = (&'a str, &'a str, &'a str, (u16, &'a str));

const BAD_REQUESTS: &[BadRequest<'_>] = &[
    ("POST", "/v1/kv/put", "not json", (400, "INVALID")),
    ("POST", "/v1/kv/put", "", (400, "INVALID")),
    ("POST", "/v1/kv/put", r#"{"key":"x"}"#, (400, "INVALID")),
    (
        "POST",
        "/v1/kv/put",
        r#"{"key":7,"value":1}"#,
        (400, "INVALID"),
    ),
    (
        "POST",
        "/v1/kv/put",
        r#"{"key":"x","value":1,"ttl":9}"#,
        (400, "INVALID"),
    ),
    (
        "POST",
        "/v1/kv/put",
        r#"{"key":"x","value":null}"#,
        (400, "INVALID"),
    ),
    (
        "POST",
        "/v1/kv/cas",
        r#"{"key":"x","expect":1,"value":null}"#,
        (400, "INVALID"),
    ),
    (
        "POST",
        "/v1/kv/append",
        r#"{"key":"x","element":null}"#,
        (400, "INVALID"),
    ),
    (
        "POST",
        "/v1/kv/append",
        r#"{"key":"text","element":1}"#,
        (400, "INVALID"),
    ),
    (
        "POST",
        "/v1/kv/get",
        r#"{"key":"x","consistency":"vague"}"#,
        (400, "INVALID"),
    ),
    ("POST", "/v1/kv/get", "\u{0}\u{1}", (400, "INVALID")),
    ("POST", "/v1/kv/drop", "{}", (404, "INVALID")),
    ("GET", "/v1/kv/put", "", (405, "INVALID")),
    ("POST", "/v1/status", "{}", (405, "INVALID")),
];

fn check_refusal(node: &Node, bad: BadRequest<'_>) {
    let (method, path, body, expected) = bad;
    let shown: String = body.chars().take(60).collect();
    let answer = exchange(
        node.client,
        method,
        path,
        body.as_bytes(),
        process::PATIENCE,
    );
    let answer = answer.unwrap_or_else(|error| panic!("{method} {path} {shown}: {error}"));
    let (status, code, definite) = answer.error();
    assert_eq!(
        ((status, code), definite),
        (expected, true),
        "{method} {path} {shown}"
    );
    let message = answer.body["error"]["message"].as_str();
    assert!(
        message.is_some_and(|text| !text.is_empty()),
        "{}",
        answer.body
    );
}

#[test]
fn bad_requests_are_refused_for_what_is_wrong_with_them() {
    let cluster = Cluster::start(1, &[]);
    cluster.leader();
    let node = cluster.node(1);
    node.put("text", &json!("no list")).ok();
    for &bad in BAD_REQUESTS {
        check_refusal(node, bad);
    }
    let long = format!(r#"{{"key":"{}","value":1}}"#, "k".repeat(5000));
    check_refusal(node, ("POST", "/v1/kv/put", &long, (400, "INVALID")));
    let deep = format!(r#"{{"key":"x","value":{}}}"#, "[".repeat(100_000));
    check_refusal(node, ("POST", "/v1/kv/put", &deep, (400, "INVALID")));
    let huge = format!(r#"{{"key":"x","value":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
    check_refusal(node, ("POST", "/v1/kv/put", &huge, (413, "TOO_LARGE")));
    assert!(
        node.get("x").ok().get("value").is_none(),
        "nothing of that was applied"
    );
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

#[test]
fn each_way_to_end_has_its_exit_code() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.leader();
    cluster.node(1).put("x", &json!(1)).ok();
    let data = cluster.data(1);
    let data = data.to_str().unwrap();
    let run = |flags: &[&str]| {
        let output = node_command().args(flags).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), message)
    };
    let [peer, client] = free_addresses(2)[..] else {
        unreachable!()
    };
    let (peer, client) = (format!("1={peer}"), client.to_string());
    let taken = cluster.node(1).client.to_string();
    let start = |listen: &str, cluster: &str, dir: &str| {
        let flags = ["--id", "1", "--cluster", cluster, "--peer", &peer];
        run(&[&flags[..], &["--listen-client", listen, "--data-dir", dir]].concat())
    };

    assert_eq!(run(&["--help"]).0, 0);
    assert_eq!(run(&["--id", "one"]).0, 64);
    let (code, message) = start(&taken, "test", data);
    assert_eq!(code, 70, "{message}");
    let (code, message) = start(&client, "test", data);
    assert!(
        code == 70 && message.contains("another process"),
        "{code} {message}"
    );

    assert_eq!(cluster.stop(1).code(), Some(0));
    let (code, message) = start(&client, "other", data);
    assert!(
        code == 65 && message.contains("belongs to node 1"),
        "{code} {message}"
    );
    let wal = cluster.data(1).join("wal/0000000000000001.wal");
    fs::OpenOptions::new()
        .write(true)
        .open(wal)
        .unwrap()
        .write_all_at(b"?", 80)
        .unwrap();
    let (code, message) = start(&client, "test", data);
    assert!(
        code == 65 && message.contains("corrupt at byte"),
        "{code} {message}"
    );
    let (code, message) = start(&client, "test", "/proc/no/such/place");
    assert!(
        code == 70 && message.contains("/proc/no"),
        "{code} {message}"
    );
}

#[test]
fn a_stranger_and_a_node_of_another_cluster_are_refused() {
    let cluster = Cluster::start(1, &[]);
    cluster.leader();
    let log = cluster.log(1);
    let ours = log
        .split("peers {1: \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let dir = tempfile::tempdir().unwrap();
    let [peer, client] = free_addresses(2)[..] else {
        unreachable!()
    };
    let mut foreigner = node_command()
        .args([
            "--id",
            "2",
            "--cluster",
            "elsewhere",
            "--peer",
            &format!("1={ours}"),
        ])
        .args([
            "--peer",
            &format!("2={peer}"),
            "--listen-client",
            &client.to_string(),
        ])
        .args(["--data-dir", dir.path().to_str().unwrap()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let refused = eventually("the foreigner is refused", || {
        cluster
            .log(1)
            .lines()
            .find(|line| line.contains("refused"))
            .map(str::to_owned)
    });
    foreigner.kill().unwrap();
    foreigner.wait().unwrap();
    assert!(refused.contains("elsewhere"), "{refused}");
}
