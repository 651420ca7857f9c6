//! Snapshots of real processes: who was away for long, and who starts again.

use serde_json::{Value, json};

use super::process::{Cluster, eventually};

const OFTEN: [&str; 4] = ["--snapshot-entries", "20", "--snapshot-trailing", "5"];

fn number(status: &Value, name: &str) -> u64 {
    status[name].as_u64().unwrap()
}

#[test]
fn a_node_that_was_away_for_long_gets_a_snapshot_and_everybody_restarts_from_one() {
    let mut cluster = Cluster::start(3, &OFTEN);
    let leader = cluster.leader();
    let away = leader % 3 + 1;
    cluster.node(leader).put("before", &json!(1)).ok();
    cluster.kill(away);
    for value in 0..120 {
        let key = format!("key {}", value % 7);
        cluster.node(leader).put(&key, &json!(value)).ok();
    }
    let status = cluster.node(leader).status().unwrap();
    assert!(number(&status, "snapshot") > 100, "{status}");
    assert!(
        number(&status, "first") + 5 > number(&status, "snapshot"),
        "{status}"
    );

    cluster.restart(away);
    eventually("the node catches up", || {
        let status = cluster.node(away).status()?;
        (number(&status, "applied") > 120).then_some(())
    });
    assert!(cluster.log(away).contains("takes the leader's snapshot"));
    assert_eq!(cluster.node(away).get("key 0").ok()["value"], json!(119));

    (1..=3).for_each(|id| cluster.kill(id));
    (1..=3).for_each(|id| cluster.restart(id));
    cluster.leader();
    for id in 1..=3 {
        assert_eq!(
            cluster.node(id).get("before").ok()["value"],
            json!(1),
            "node {id}"
        );
        let found = cluster.node(id).get("key 0").ok();
        assert_eq!(
            (&found["value"], &found["version"]),
            (&json!(119), &json!(18))
        );
    }
}
