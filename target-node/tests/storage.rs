//! Data directories as a person finds them: inspected, damaged, foreign, on a full disk.

#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "these tests look at processes and files from outside"
)]
#![allow(
    dead_code,
    reason = "the other tests of whole nodes need more of this file"
)]

#[path = "cluster/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use process::{Cluster, eventually, exchange, free_addresses, node_command};
use serde_json::{Value, json};

/// Exit code, and what `inspect` says on standard output.
fn inspect(dir: &Path, extra: &[&str]) -> (i32, Value) {
    let mut command = node_command();
    command.stdout(std::process::Stdio::piped());
    let output = command
        .arg("inspect")
        .arg(dir)
        .args(extra)
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    (
        code,
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
    )
}

/// Every file of a directory with its bytes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => contents(&path),
            false => BTreeMap::from([(path.clone(), fs::read(&path).unwrap())]),
        })
        .collect()
}

/// A stopped node that has written so much.
fn stopped(writes: usize, flags: &[&str]) -> (Cluster, PathBuf) {
    let mut cluster = Cluster::start(1, flags);
    cluster.leader();
    for number in 0..writes {
        cluster
            .node(1)
            .put(&format!("key-{}", number % 7), &json!(number))
            .ok();
    }
    cluster.kill(1);
    let data = cluster.data(1);
    (cluster, data)
}

/// Starts the node again and waits for its end: exit code and message.
fn refusal(cluster: &mut Cluster) -> (i32, String) {
    let before = cluster.log(1).len();
    cluster.restart(1);
    let status = cluster.wait(1);
    (status.code().unwrap(), cluster.log(1)[before..].to_owned())
}

#[test]
fn a_directory_is_told_without_being_changed_and_the_node_starts_as_told() {
    let (mut cluster, data) = stopped(30, &["--snapshot-entries", "10"]);
    let before = contents(&data);
    let (code, report) = inspect(&data, &["--entries"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(contents(&data), before);
    assert_eq!(
        (&report["cluster"], &report["node"]),
        (&json!("test"), &json!(1))
    );
    assert_eq!(
        (&report["condition"], &report["damage"]),
        (&json!("sound"), &json!([]))
    );
    assert_eq!(
        (&report["is_in_use"], &report["founders"]),
        (&json!(false), &json!([1]))
    );
    assert_eq!(report["hard_state"]["vote"], 1);
    let last = report["last"]["index"].as_u64().unwrap();
    assert!(last > 30, "{report}");
    let entries = report["entries"].as_array().unwrap();
    assert_eq!(entries.last().unwrap()["index"], last);
    assert!(
        entries.last().unwrap()["command"]
            .as_str()
            .unwrap()
            .contains("29")
    );
    assert_eq!(
        report["snapshots"].as_array().unwrap().len(),
        2,
        "the newest and one before it"
    );

    cluster.restart(1);
    cluster.leader();
    assert_eq!(inspect(&data, &[]).1["is_in_use"], true);
    assert_eq!(cluster.node(1).get("key-1").ok()["value"], 29);
}

#[test]
fn a_changed_byte_is_found_where_it_is_and_the_node_refuses_with_its_own_code() {
    let (mut cluster, data) = stopped(20, &[]);
    let wal = data.join("wal/0000000000000001.wal");
    let good = fs::read(&wal).unwrap();
    let place = 64 + 8 * 40;
    let file = fs::OpenOptions::new().write(true).open(&wal).unwrap();
    file.write_all_at(&[good[place] ^ 0x20], place as u64)
        .unwrap();
    let (code, report) = inspect(&data, &[]);
    assert_eq!((code, &report["condition"]), (65, &json!("corrupt")));
    let damage = &report["damage"][0];
    assert_eq!(damage["file"], "wal/0000000000000001.wal");
    let offset = damage["offset"].as_u64().unwrap();
    assert!((place as u64).abs_diff(offset) < 200, "{damage}");
    let (code, message) = refusal(&mut cluster);
    assert!(
        code == 65 && message.contains(&format!("corrupt at byte {offset}")),
        "{message}"
    );

    file.write_all_at(&good[place..=place], place as u64)
        .unwrap();
    file.set_len(good.len() as u64 - 4096).unwrap();
    let (code, message) = refusal(&mut cluster);
    assert!(
        code == 65 && message.contains("has not the size"),
        "{code} {message}"
    );

    fs::write(data.join("identity"), "who knows").unwrap();
    let (code, report) = inspect(&data, &[]);
    assert_eq!(
        (code, &report["damage"][0]["file"]),
        (65, &json!("identity"))
    );
    let (code, message) = refusal(&mut cluster);
    assert!(
        code == 65 && message.contains("identity"),
        "{code} {message}"
    );
}

#[test]
fn a_log_whose_end_is_gone_is_refused_where_a_snapshot_shows_that_it_was_there() {
    let (mut cluster, data) = stopped(35, &["--snapshot-entries", "10"]);
    let wal = data.join("wal/0000000000000001.wal");
    let mut bytes = fs::read(&wal).unwrap();
    bytes[1000..].fill(0);
    fs::write(&wal, bytes).unwrap();
    let (code, report) = inspect(&data, &[]);
    assert_eq!((code, &report["condition"]), (65, &json!("corrupt")));
    let reason = report["damage"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("durable up to entry"), "{reason}");
    let (code, message) = refusal(&mut cluster);
    assert!(code == 65 && message.contains(reason), "{code} {message}");
}

/// A parser of JSON gives up at some depth: what a client may write must stay far from it, also
/// within a list, a snapshot, and another node's question.
#[test]
fn what_is_nested_as_deep_as_it_may_be_survives_a_snapshot_and_a_restart() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.leader();
    let nested = |levels| (0..levels).fold(json!("x"), |inner, _| json!([inner]));
    let node = cluster.node(1);
    let append = |levels| json!({"key": "deep", "element": nested(levels)});
    node.post("/v1/kv/append", &append(63)).ok();
    let refused = node.post("/v1/kv/append", &append(64));
    assert_eq!(refused.error(), (400, "INVALID", true));
    node.order("/v1/admin/snapshot", &Value::Null).ok();
    cluster.stop(1);
    cluster.restart(1);
    cluster.leader();
    let read = cluster.node(1).get("deep").ok();
    assert_eq!(read["value"], json!([nested(63)]));
}

#[test]
fn a_log_without_an_identity_is_refused_and_told_so() {
    let (mut cluster, data) = stopped(5, &[]);
    fs::remove_file(data.join("identity")).unwrap();
    let (code, report) = inspect(&data, &[]);
    assert_eq!((code, &report["condition"]), (65, &json!("corrupt")));
    assert_eq!(report["damage"][0]["file"], "identity");
    let (code, message) = refusal(&mut cluster);
    assert!(
        code == 65 && message.contains("nothing tells whose it is"),
        "{code} {message}"
    );
}

#[test]
fn a_damaged_snapshot_costs_nothing_while_the_one_before_it_can_be_read() {
    let (mut cluster, data) = stopped(35, &["--snapshot-entries", "10"]);
    let (_, report) = inspect(&data, &[]);
    let files: Vec<PathBuf> = report["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|snapshot| data.join(snapshot["file"].as_str().unwrap()))
        .collect();
    let damage = |path: &Path| {
        let length = fs::metadata(path).unwrap().len();
        fs::OpenOptions::new()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(length - 1)
            .unwrap();
    };
    damage(&files[1]);
    let (code, report) = inspect(&data, &[]);
    assert_eq!(
        (code, &report["condition"]),
        (0, &json!("snapshot_unreadable"))
    );
    assert_eq!(report["damage"].as_array().unwrap().len(), 1);
    cluster.restart(1);
    cluster.leader();
    for key in 0..7 {
        let last = (0..35).filter(|number| number % 7 == key).max();
        assert_eq!(
            cluster.node(1).get(&format!("key-{key}")).ok()["value"],
            json!(last)
        );
    }
    assert!(cluster.log(1).contains("set it aside"));
    cluster.kill(1);

    let (_, report) = inspect(&data, &[]);
    for snapshot in report["snapshots"].as_array().unwrap() {
        let path = data.join(snapshot["file"].as_str().unwrap());
        if path.exists() {
            damage(&path);
        }
    }
    let (code, message) = refusal(&mut cluster);
    assert!(
        code == 65 && message.contains(".snap is corrupt at byte"),
        "{code} {message}"
    );
}

#[test]
fn what_was_never_a_data_directory_is_told_apart_from_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(inspect(dir.path(), &[]).0, 66);
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let [peer, client] = free_addresses(2)[..] else {
        unreachable!()
    };
    let output = node_command()
        .args([
            "--id",
            "1",
            "--cluster",
            "test",
            "--peer",
            &format!("1={peer}"),
        ])
        .args(["--listen-client", &client.to_string(), "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(66), "{message}");
    assert!(message.contains("thesis.tex"), "{message}");
    assert_eq!(inspect(Path::new("/no/such/place"), &[]).0, 66);
    let usage: Output = node_command().arg("inspect").output().unwrap();
    assert_eq!(usage.status.code(), Some(64));
    assert_eq!(node_command().output().unwrap().status.code(), Some(64));
}

/// Writes a value that begins with a number and is long; true where that is acknowledged.
fn put_large(client: SocketAddr, number: u64) -> bool {
    let value = format!("{number} {}", "x".repeat(200_000));
    let body = json!({"key": "k", "value": value}).to_string();
    let answer = exchange(
        client,
        "POST",
        "/v1/kv/put",
        body.as_bytes(),
        process::PATIENCE,
    );
    answer.is_ok_and(|answer| answer.status == 200)
}

/// A small file system in a mount namespace of its own: the node fills it, is told so, and goes on
/// with more room. Nothing of it is seen outside, and nothing stays.
#[test]
fn a_full_disk_ends_the_node_with_its_own_code_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [peer, client] = free_addresses(2)[..] else {
        unreachable!()
    };
    let node = format!(
        "{} --id 1 --cluster test --peer 1={peer} --listen-client {client} --data-dir data",
        env!("CARGO_BIN_EXE_target-node")
    );
    // One file of the log fits, a second does not.
    let script = format!(
        "mkdir small && mount -t tmpfs -o size=20m tmpfs small && cd small || exit 1\n\
         {node}; echo $? > ../code\n\
         mount -o remount,size=80m ../small && exec {node}"
    );
    let mut shell = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--",
            "sh",
            "-c",
            &script,
        ])
        .current_dir(dir.path())
        .stderr(fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let is_ok = |number| put_large(client, number);
    eventually("the node takes writes", || is_ok(0).then_some(()));
    let acknowledged = (1..1000)
        .take_while(|&number| is_ok(number))
        .last()
        .unwrap();
    assert!(acknowledged > 20, "{acknowledged}");
    let code = dir.path().join("code");
    let code = eventually("the node ends", || {
        fs::read_to_string(&code).ok().filter(|c| !c.is_empty())
    });
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(code.trim(), "73", "{log}");
    assert!(log.contains("the disk is full"), "{log}");
    let value = eventually("the node is back", || {
        let get = exchange(
            client,
            "POST",
            "/v1/kv/get",
            br#"{"key":"k"}"#,
            process::PATIENCE,
        );
        let answer = get.ok().filter(|answer| answer.status == 200)?;
        answer.body["value"]
            .as_str()
            .map(|value| value.split(' ').next().unwrap().to_owned())
    });
    let value: u64 = value.parse().unwrap();
    assert!(
        (acknowledged..=acknowledged + 1).contains(&value),
        "{value}, not {acknowledged}"
    );
    shell.kill().unwrap();
    shell.wait().unwrap();
}
