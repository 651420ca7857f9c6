//! What is refused: requests that make no sense, starts that must not be, peers from elsewhere.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use serde_json::json;

use super::process::{Cluster, Node, PATIENCE, eventually, exchange, free_addresses, node_command};

/// Method, path, body; status and code of the answer.
type BadRequest<'a> = (&'a str, &'a str, &'a str, (u16, &'a str));

const BAD_REQUESTS: &[BadRequest<'_>] = &[
    ("POST", "/v1/kv/put", "not json", (400, "INVALID")),
    ("POST", "/v1/kv/put", "", (400, "INVALID")),
    ("POST", "/v1/kv/put", r#"["x", 1]"#, (400, "INVALID")),
    (
        "POST",
        "/v1/kv/put",
        r#"{"key":"x","value":[18446744073709551616]}"#,
        (400, "INVALID"),
    ),
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
    let url = &answer.body["error"]["leader"]["url"];
    assert_eq!(url, &json!(format!("http://{}", node.client)));
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
    for megabytes in [2, 100] {
        let huge = "x".repeat(megabytes * 1024 * 1024);
        let huge = format!(r#"{{"key":"x","value":"{huge}"}}"#);
        check_refusal(node, ("POST", "/v1/kv/put", &huge, (413, "TOO_LARGE")));
    }
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
fn a_node_of_another_cluster_and_an_unknown_one_are_refused() {
    for (name, told) in [
        ("elsewhere", "elsewhere"),
        ("test", "node 2 is not a member"),
    ] {
        let refused = refused_as(name);
        assert!(refused.contains(told), "{refused}");
    }
}

/// What a node that is alone says of one that takes part in a cluster of this name.
fn refused_as(name: &str) -> String {
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
            name,
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
    refused
}

#[test]
fn a_node_whose_directory_was_emptied_ends_with_65_and_says_so() {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    cluster.node(leader).put("x", &json!(1)).ok();
    let follower = leader % 3 + 1;
    eventually("the follower has all", || {
        let commit = |id| cluster.node(id).status().unwrap()["commit"].as_u64();
        (commit(follower) == commit(leader)).then_some(())
    });
    cluster.kill(follower);
    let dir = cluster.data(follower);
    fs::remove_dir_all(&dir).unwrap();
    cluster.restart(follower);
    assert_eq!(cluster.wait(follower).code(), Some(65));
    let log = cluster.log(follower);
    assert!(log.contains("directory was emptied"), "{log}");
}

#[test]
fn flags_that_make_no_sense_leave_no_data_directory_behind() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let [peer, client] = free_addresses(2)[..] else {
        unreachable!()
    };
    let peer = format!("--peer=1={peer}");
    let listen = format!("--listen-client={client}");
    let data_dir = format!("--data-dir={}", data.display());
    let good = ["--id=1", "--cluster=c", &peer, &listen, &data_dir];
    let wrong: &[&[&str]] = &[
        &["--replication=semisync"],
        &["--replication=quorum", "--w=0"],
        &["--listen-client=nowhere"],
        &["--listen-admin=127.0.0.1:99999"],
        &["--cluster=c (quorum)"],
    ];
    for extra in wrong {
        let kept = |flag: &&&str| {
            let name = flag.split('=').next();
            !extra.iter().any(|other| other.split('=').next() == name)
        };
        let flags = good.iter().filter(kept).chain(*extra);
        let output = node_command().args(flags).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{extra:?}: {message}");
        assert!(!data.exists(), "{extra:?}: {message}");
    }
}

#[test]
fn flags_that_make_no_sense_end_with_64_and_say_which() {
    let good = ["--id=1", "--cluster=c", "--peer=1=127.0.0.1:1"];
    let rest = ["--listen-client=127.0.0.1:0", "--data-dir=/nonexistent"];
    let wrong: &[(&[&str], &str)] = &[
        (&["--peer=1=127.0.0.1:2"], "twice"),
        (&["--peer=2=nowhere"], "ID=HOST:PORT"),
        (&["--client-routing=guess"], "redirect"),
        (&["--snapshot-entries=0"], "--snapshot-entries"),
        (&["--defect=gremlins"], "gremlins"),
        (&["--seed=x"], "--seed"),
        (&["--failpoint=crash"], "--failpoint"),
        (
            &[r#"--failpoint={"site":"nowhere","action":"crash"}"#],
            "before_recover",
        ),
        (&["--turbo"], "--turbo"),
    ];
    for (extra, told) in wrong {
        let flags = good.iter().chain(&rest).chain(*extra);
        let output = node_command().args(flags).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{extra:?}: {message}");
        assert!(message.contains(told), "{extra:?}: {message}");
    }
    let nothing = node_command().output().unwrap();
    assert_eq!(nothing.status.code(), Some(64));
}

#[test]
fn a_full_disk_ends_the_node_with_73_and_what_was_acknowledged_is_there() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.leader();
    cluster.node(1).put("x", &json!("kept")).ok();
    let full = json!({"site": "before_write", "action": {"error": "ENOSPC"}});
    cluster.node(1).order("/v1/admin/failpoints", &full).ok();
    let body = json!({"key": "y", "value": 1}).to_string();
    let address = cluster.node(1).client;
    let answer = exchange(address, "POST", "/v1/kv/put", body.as_bytes(), PATIENCE);
    assert!(answer.map_or(true, |answer| answer.status != 200));
    assert_eq!(cluster.wait(1).code(), Some(73));
    assert!(
        cluster.log(1).contains("the disk is full"),
        "{}",
        cluster.log(1)
    );
    cluster.restart(1);
    cluster.leader();
    assert_eq!(cluster.node(1).get("x").ok()["value"], "kept");
    assert_eq!(cluster.node(1).get("y").ok()["found"], false);
}

/// A request, whole, with some of its bytes changed, or none at all.
fn mangled() -> impl Strategy<Value = Vec<u8>> {
    let head = "POST /v1/txn HTTP/1.1\r\nhost: t\r\ncontent-length: 40\r\n\r\n";
    let body = r#"{"then":[["add","n",1],["r","n",null]]}  "#;
    let request = [head.as_bytes(), body.as_bytes()].concat();
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    let changed = (Just(request), changes).prop_map(|(mut request, changes)| {
        for (place, byte) in changes {
            let place = place.index(request.len());
            request[place] = byte;
        }
        request
    });
    prop_oneof![
        changed,
        proptest::collection::vec(any::<u8>(), 0..300),
        proptest::collection::vec(any::<u8>(), 0..60).prop_map(move |body| {
            let length = body.len();
            let head =
                format!("POST /v1/kv/cas HTTP/1.1\r\nhost: t\r\ncontent-length: {length}\r\n\r\n");
            [head.as_bytes(), &body].concat()
        }),
    ]
}

/// A request that is taken, for each kind of body.
const BODIES: &[(&str, &str)] = &[
    ("/v1/kv/get", r#"{"key":"k","consistency":"lease"}"#),
    (
        "/v1/kv/put",
        r#"{"key":"k","value":{"a":[1,2.5,"x"]},"prev":true}"#,
    ),
    ("/v1/kv/delete", r#"{"key":"k","prev":true}"#),
    (
        "/v1/kv/cas",
        r#"{"key":"k","expect_version":1,"value":[true]}"#,
    ),
    ("/v1/kv/append", r#"{"key":"l","element":1,"list":true}"#),
    ("/v1/kv/add", r#"{"key":"n","delta":-3}"#),
    (
        "/v1/txn",
        r#"{"guards":[{"key":"a","value":1},{"key":"b","version":0}],
            "then":[["add","n",1]],"else":[["r","k",null]]}"#,
    ),
    ("/v1/dump", r#"{"prefix":"k"}"#),
    ("/v1/session/open", r#"{"ttl_ms":1000}"#),
    ("/v1/session/keepalive", r#"{"session":3}"#),
    ("/v1/session/close", r#"{"session":3}"#),
    (
        "/v1/kv/put",
        r#"{"key":"k","value":1,"session":{"id":3,"seq":2,"acked_below":1,"retry":true}}"#,
    ),
];

/// The same for orders, none of which ends a node whatever is changed in it.
const ORDERS: &[(&str, &str)] = &[
    ("/v1/cluster/transfer", r#"{"to":2}"#),
    ("/v1/cluster/add-learner", r#"{"id":2}"#),
    ("/v1/cluster/promote", r#"{"id":2}"#),
    ("/v1/cluster/change", r#"{"voters":[1],"learners":[]}"#),
    ("/v1/admin/campaign", r#"{"pre":true}"#),
    ("/v1/admin/compact", r#"{"keep":5}"#),
    ("/v1/admin/clock", r#"{"rate":1.5}"#),
    (
        "/v1/admin/net-rules",
        r#"{"action":"drop","on":"receive","from":[2],"types":["vote"],"term_min":1,"limit":2}"#,
    ),
    (
        "/v1/admin/failpoints",
        r#"{"site":"before_apply","action":{"sleep":{"ms":0}},"skip":1,"limit":1}"#,
    ),
    ("/v1/admin/promote-primary", r#"{"epoch":2}"#),
];

/// Where it goes, and a body with some of its bytes changed, cut, or put in twice.
fn mutated(templates: &'static [(&str, &str)]) -> impl Strategy<Value = (String, Vec<u8>)> {
    let place = any::<prop::sample::Index>;
    let edits = proptest::collection::vec((place(), any::<u8>(), 0..3_u8), 0..5);
    (0..templates.len(), edits).prop_map(|(template, edits)| {
        let (path, body) = templates[template];
        let mut body = body.as_bytes().to_vec();
        for (place, byte, kind) in edits {
            let place = place.index(body.len().max(1));
            match kind {
                0 if place < body.len() => body[place] = byte,
                1 => body.truncate(place.max(1)),
                _ => body.insert(place.min(body.len()), byte),
            }
        }
        (path.to_owned(), body)
    })
}

#[test]
fn no_body_makes_a_port_panic_or_answer_without_a_code() {
    let cluster = Cluster::start(1, &[]);
    cluster.leader();
    let node = cluster.node(1);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(300)
    };
    proptest!(config, |((path, body) in mutated(BODIES), (order, bytes) in mutated(ORDERS))| {
        let answer = exchange(node.client, "POST", &path, &body, PATIENCE).unwrap();
        let is_told = answer.status == 200 || answer.body["error"]["code"].is_string();
        prop_assert!(is_told, "{path}: {} {}", answer.status, answer.text);
        let answer = node.admin_bytes("POST", &order, &bytes);
        let is_told = answer.status == 200 || answer.body["error"]["code"].is_string();
        prop_assert!(is_told, "{order}: {} {}", answer.status, answer.text);
    });
    let rules = node.admin("DELETE", "/v1/admin/net-rules", &serde_json::Value::Null);
    assert_eq!(rules.ok(), json!([]));
    cluster.leader();
    node.put("after", &json!(1)).ok();
    assert!(!cluster.log(1).contains("panicked"), "{}", cluster.log(1));
}

/// What comes to the port for peers and is no word of a peer ends its connection, and nothing else;
/// who says nothing at all is not waited for by anybody.
#[test]
fn garbage_and_silence_on_the_port_for_peers_disturb_nobody() {
    let cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let peer = cluster.node(leader).peer;
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(100)
    };
    let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(peer).unwrap()).collect();
    proptest!(config, |(bytes in proptest::collection::vec(any::<u8>(), 1..200))| {
        let mut stream = TcpStream::connect(peer).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        prop_assert!(answer.is_empty(), "a listener never speaks");
    });
    cluster.node(leader).put("x", &json!(1)).ok();
    drop(silent);
    assert!(!cluster.log(leader).contains("panicked"));
}

#[test]
fn no_bytes_make_the_server_panic_or_stop_answering() {
    let cluster = Cluster::start(1, &[]);
    cluster.leader();
    let node = cluster.node(1);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(300)
    };
    proptest!(config, |(bytes in mangled())| {
        let mut stream = TcpStream::connect(node.client).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        prop_assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "));
    });
    assert!(node.status().is_some());
    assert!(!cluster.log(1).contains("panicked"), "{}", cluster.log(1));
}
