//! What is refused: requests that make no sense, starts that must not be, peers from elsewhere.

use std::fs;
use std::os::unix::fs::FileExt;

use serde_json::json;

use super::process::{Cluster, Node, PATIENCE, eventually, exchange, free_addresses, node_command};

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
    (
        "POST",
        "/v1/kv/cas",
        r#"{"key":"x","expect":1,"expect_version":1,"value":2}"#,
        (400, "INVALID"),
    ),
    (
        "POST",
        "/v1/kv/add",
        r#"{"key":"text","delta":1}"#,
        (400, "INVALID"),
    ),
    (
        "POST",
        "/v1/txn",
        r#"{"then":[["w","x",1],["append","text",1]]}"#,
        (400, "INVALID"),
    ),
    (
        "POST",
        "/v1/txn",
        r#"{"then":[["swap","x",1]]}"#,
        (400, "INVALID"),
    ),
    ("GET", "/v1/hash?index=many", "", (400, "INVALID")),
    ("GET", "/v1/hash?index=1000000", "", (400, "INVALID")),
    ("GET", "/v1/log?since=1", "", (400, "INVALID")),
    ("POST", "/v1/kv/drop", "{}", (404, "INVALID")),
    ("GET", "/v1/kv/put", "", (405, "INVALID")),
    ("POST", "/v1/status", "{}", (405, "INVALID")),
];

fn check_refusal(node: &Node, bad: BadRequest<'_>) {
    let (method, path, body, expected) = bad;
    let shown: String = body.chars().take(60).collect();
    let answer = exchange(node.client, method, path, body.as_bytes(), PATIENCE);
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
    assert_eq!(code, 69, "{message}");
    let (code, message) = start(&client, "test", data);
    assert!(
        code == 69 && message.contains("another process"),
        "{code} {message}"
    );

    assert_eq!(cluster.stop(1).code(), Some(0));
    let (code, message) = start(&client, "other", data);
    assert!(
        code == 66 && message.contains("belongs to node 1"),
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
