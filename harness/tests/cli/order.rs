//! Orders of an administrator to the real node: what came of each, by what the nodes themselves say
//! to who asks them over HTTP, from inside their namespaces and past every cut.

use crate::trace::processes_with;
use crate::{Results, one_cluster_at_a_time, stderr, stdout};
use nix::unistd::geteuid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FAULTS: &str = r#"
seed = 1
nodes = 3
time = "8s"

[[fault]]
id = 1
at_ms = 300
for_ms = 300
fault = "transfer any"

[[fault]]
id = 2
at_ms = 900
for_ms = 800
fault = "grow n4"

[[fault]]
id = 3
at_ms = 2300
for_ms = 800
fault = "shrink n2"

[[fault]]
id = 4
at_ms = 3700
for_ms = 800
fault = "replace n3 -> n4"

[[fault]]
id = 5
at_ms = 5100
for_ms = 300
fault = "snapshot n1"

[[fault]]
id = 6
at_ms = 5500
for_ms = 200
fault = "compact all"

[[fault]]
id = 7
at_ms = 5900
for_ms = 1200
fault = "shrink n2 n3: isolated"
"#;

/// Asks a node for its status over and over, from when it listens until it is gone: a line with the
/// time, then headers and the status.
const ASK: &str = r#"
    until (exec 3<>/dev/tcp/10.77.0.$1/8000) 2>/dev/null; do sleep 0.02; kill -0 $2 || exit; done
    while exec 3<>/dev/tcp/10.77.0.$1/8000; do
        echo "at $EPOCHREALTIME"
        printf 'GET /v1/status HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n' >&3
        cat <&3; echo; exec 3>&-; sleep 0.03
    done 2>/dev/null"#;

/// Somebody who asks each of four nodes.
struct Asking(Vec<Child>);

impl Asking {
    /// From when all run.
    fn start(results: &Results) -> Self {
        let begun = Instant::now();
        let ask = |id: u16| {
            let pid = loop {
                let mut pids = processes_with(results.path()).into_iter();
                if let Some(pid) = pids.find(|pid| is_node(*pid, id)) {
                    break pid;
                }
                assert!(
                    begun.elapsed() < Duration::from_secs(30),
                    "there is no n{id}"
                );
                std::thread::sleep(Duration::from_millis(5));
            };
            let mut command = Command::new("nsenter");
            command.args(["--target", &pid.to_string(), "--net"]);
            if !geteuid().is_root() {
                command.args(["--user", "--preserve-credentials"]);
            }
            command.args(["bash", "-c", ASK, "ask", &id.to_string(), &pid.to_string()]);
            let told = File::create(results.path().join(format!("n{id}.told"))).unwrap();
            command.stdin(Stdio::null()).stdout(told).spawn().unwrap()
        };
        Self((1..=4).map(ask).collect())
    }

    /// All that was told, in the order of the times at which it was asked for.
    fn end(mut self, results: &Results) -> Vec<(u16, Value)> {
        for child in &mut self.0 {
            child.wait().unwrap();
        }
        let mut all = Vec::new();
        for id in 1..=4 {
            let text = fs::read_to_string(results.path().join(format!("n{id}.told"))).unwrap();
            let mut at = "";
            for line in text.lines() {
                match line.strip_prefix("at ") {
                    Some(time) => at = time,
                    None if line.starts_with("{\"id\"") => {
                        let status: Value = serde_json::from_str(line).unwrap();
                        all.push((at.to_owned(), id, status));
                    }
                    None => {}
                }
            }
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all.into_iter()
            .map(|(_, id, status)| (id, status))
            .collect()
    }
}

/// Whether this is the node's own process: its program and these words, not whoever starts it.
fn is_node(pid: u32, id: u16) -> bool {
    let read = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"));
    let line = String::from_utf8(read.unwrap_or_default()).unwrap_or_default();
    line.contains("\0node\0") && line.contains(&format!("--id={id}\0"))
}

fn number(status: &Value, key: &str) -> u64 {
    status[key].as_u64().unwrap_or(0)
}

fn is_leader(status: &Value) -> bool {
    status["role"] == "leader"
}

fn voters(status: &Value) -> String {
    let voters = status["voters"].as_array().unwrap().iter();
    voters.map(ToString::to_string).collect::<Vec<_>>().concat()
}

/// Whether its configuration is the only one, and committed.
fn is_settled(status: &Value) -> bool {
    let outgoing = status["outgoing"]
        .as_array()
        .is_some_and(|nodes| !nodes.is_empty());
    !outgoing && number(status, "members_index") <= number(status, "commit")
}

/// What comes one after the other, without repetitions.
fn sequence<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.dedup();
    all
}

#[test]
fn what_an_administrator_orders_is_seen_at_the_nodes_themselves() {
    let _guard = one_cluster_at_a_time();
    let results = Results::new();
    let plan = results.path().join("plan.toml");
    fs::write(&plan, FAULTS).unwrap();
    let mut command = results.command(&[plan.to_str().unwrap()]);
    let run = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let run = run.unwrap();
    let asking = Asking::start(&results);
    let output = run.wait_with_output().unwrap();
    let told = asking.end(&results);
    let said = format!("{}\n{}", stderr(&output), stdout(&output));
    assert_eq!(output.status.code(), Some(0), "{said}");
    members_came_and_went(&told, &said);
    the_leader_handed_over(&told, &said);
    logs_were_cut(&told, &said);
    the_isolated_leader_took_the_order(&told, &said);
}

/// Those that a leader told as committed, one after the other.
fn members_came_and_went(told: &[(u16, Value)], said: &str) {
    let committed = told
        .iter()
        .filter(|(_, status)| is_leader(status) && is_settled(status));
    let seen = sequence(committed.map(|(_, status)| voters(status)));
    assert_eq!(
        seen,
        ["123", "1234", "123", "13", "123", "124", "123"],
        "{said}"
    );
}

/// Before members changed for the first time: another one leads, in a later term.
fn the_leader_handed_over(told: &[(u16, Value)], said: &str) {
    let grown = told.iter().position(|(_, status)| voters(status) == "1234");
    let before = told[..grown.unwrap()].iter();
    let leads = before.filter(|(_, status)| is_leader(status));
    let seen = sequence(leads.map(|(id, status)| (number(status, "term"), *id)));
    let [(term, leader), (later, heir)] = seen[..] else {
        panic!("{seen:?}\n{said}")
    };
    assert!(later > term && heir != leader, "{seen:?}\n{said}");
}

/// n1 took a snapshot, and kept some of the log that it stands for; then everybody dropped that.
fn logs_were_cut(told: &[(u16, Value)], said: &str) {
    let mut logs: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (id, status) in told.iter().filter(|(id, _)| *id != 4) {
        let (snapshot, first) = (number(status, "snapshot"), number(status, "first"));
        let log = match (snapshot, first) {
            (0, 1) => "whole",
            (1.., _) if first <= snapshot => "snapshot",
            (1.., _) if first == snapshot + 1 => "cut",
            other => panic!("{other:?}: {status}"),
        };
        logs.entry(*id).or_default().push(log);
    }
    for (id, seen) in logs {
        let mut seen = sequence(seen.into_iter());
        if id != 1 {
            // Between its two orders somebody may have looked.
            seen.retain(|log| *log != "snapshot");
        }
        let expected = match id {
            1 => &["whole", "snapshot", "cut"][..],
            _ => &["whole", "cut"],
        };
        assert_eq!(seen, expected, "n{id}\n{said}");
    }
}

/// It had other voters in its log than it could commit, and forgot them when it was heard again.
fn the_isolated_leader_took_the_order(told: &[(u16, Value)], said: &str) {
    let took = |(_, status): &&(u16, Value)| {
        is_leader(status) && !is_settled(status) && voters(status) != "123"
    };
    let cut = told
        .iter()
        .rposition(|(id, status)| took(&&(*id, status.clone())));
    let cut = cut.expect(said);
    let (leader, taken) = &told[cut];
    let compacted = told[..cut].iter().rfind(|(id, _)| id == leader).unwrap();
    assert!(
        number(&compacted.1, "first") > 1,
        "after the logs were cut: {taken}"
    );
    let mut after = told[cut..].iter().rev();
    let (_, last) = after.find(|(id, _)| id == leader).unwrap();
    assert_eq!(
        (voters(last), is_settled(last)),
        ("123".to_owned(), true),
        "{said}"
    );
    assert!(
        number(last, "term") > number(taken, "term"),
        "{last}\n{said}"
    );
}
