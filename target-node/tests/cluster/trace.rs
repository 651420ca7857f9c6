//! The traces of real nodes, judged afterwards: what must never be was not.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use target_node::trace::audit::audit;
use target_node::trace::{Event, Record};

use super::process::{Cluster, eventually};

fn read(path: &Path) -> Vec<Record> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "a killed node leaves whole lines");
    let record =
        |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(record).collect()
}

#[test]
fn the_traces_of_a_cluster_in_trouble_keep_every_rule() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("n{id}.ndjson");
    let often = ["--snapshot-entries", "20", "--snapshot-trailing", "5"];
    let traced = [&often[..], &["--trace", file.to_str().unwrap()]].concat();
    let mut cluster = Cluster::start(3, &traced);
    for round in 0..3 {
        let leader = cluster.leader();
        let away = leader % 3 + 1;
        if round == 2 {
            cluster.kill(away);
        }
        for number in 0..30 {
            let append = json!({"key": "l", "element": [round, number]});
            cluster.node(leader).post("/v1/kv/append", &append).ok();
        }
        if round == 2 {
            cluster.restart(away);
        }
        cluster.kill(leader);
        cluster.leader();
        cluster.restart(leader);
    }
    let leader = cluster.leader();
    let other = leader % 3 + 1;
    cluster
        .node(leader)
        .order("/v1/cluster/transfer", &json!({"to": other}))
        .ok();
    eventually("all have all", || {
        let applied = |id: usize| {
            cluster
                .node(id)
                .status()
                .map(|status| status["hash"].clone())
        };
        let first = applied(1)?;
        (Some(&first) == applied(2).as_ref() && Some(&first) == applied(3).as_ref()).then_some(())
    });
    (1..=3).for_each(|id| cluster.kill(id));

    let path = |id: usize| dir.path().join(format!("n{id}.ndjson"));
    let records: Vec<Record> = (1..=3).flat_map(|id| read(&path(id))).collect();
    let truth = audit(records.clone());
    let findings: Vec<String> = truth.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings, [""; 0], "{truth:?}");
    assert!(truth.lives == 7 && truth.leaders >= 4, "{truth:?}");
    assert!(
        truth.applied > 200 && truth.promises > 50 && truth.commits > 10,
        "{truth:?}"
    );
    let kinds =
        |wanted: fn(&Event) -> bool| records.iter().filter(|one| wanted(&one.event)).count();
    assert!(kinds(|event| matches!(event, Event::Snapshot { .. })) > 3);

    assert!(audit(forge(records)).findings.len() >= 2);
}

/// The same traces with one vote changed, and the state after one entry: an early one, that all
/// have applied; the last one perhaps a single node wrote down before it was killed.
fn forge(mut forged: Vec<Record>) -> Vec<Record> {
    let vote = forged
        .iter_mut()
        .find_map(|record| match &mut record.event {
            Event::Promise { to, kind, .. } if kind == "vote_response" => Some(to),
            _ => None,
        });
    *vote.unwrap() = 9;
    let applied = forged
        .iter_mut()
        .find_map(|record| match &mut record.event {
            Event::Apply { state, .. } => Some(state),
            _ => None,
        });
    applied.unwrap().state.0 ^= 1;
    forged
}

#[test]
fn a_trace_can_be_begun_asked_for_and_ended() {
    let cluster = Cluster::start(1, &[]);
    cluster.leader();
    let node = cluster.node(1);
    let path = "/v1/admin/trace";
    let lines = |since: u64| {
        let answer = node.admin("GET", &format!("{path}?since={since}"), &Value::Null);
        assert_eq!(answer.status, 200);
        answer.text
    };
    assert_eq!(lines(0), "");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace.ndjson");
    node.order(path, &json!({"on": true, "file": file})).ok();
    node.put("x", &json!(1)).ok();
    let text = lines(0);
    let first: Record = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert!(matches!(first.event, Event::Start { .. }), "{first:?}");
    assert!(
        text.lines().any(|line| line.contains(r#""event":"apply""#)),
        "{text}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    node.order(path, &json!({"on": false})).ok();
    node.put("x", &json!(2)).ok();
    assert_eq!(lines(text.lines().count() as u64), "");
    let nowhere = json!({"on": true, "file": "/no/such/place"});
    assert_eq!(node.order(path, &nowhere).error(), (400, "INVALID", true));
}
