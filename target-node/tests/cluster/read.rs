//! The ways of making a read, on real processes.

use serde_json::json;

use super::process::Cluster;

#[test]
fn every_node_answers_every_kind_of_read_with_what_was_written() {
    let cluster = Cluster::start(3, &["--read-mode", "lease"]);
    let leader = cluster.leader();
    let status = cluster.node(leader).status().unwrap();
    assert_eq!(status["modes"]["read_mode"], json!("lease"));
    for (round, consistency) in ["linearizable", "lease", "log"].iter().enumerate() {
        cluster.node(leader).put("x", &json!(round)).ok();
        for id in 1..=3 {
            let read = json!({"key": "x", "consistency": consistency});
            let answer = cluster.node(id).post("/v1/kv/get", &read).ok();
            assert_eq!(answer["value"], json!(round), "{consistency} at node {id}");
            assert_eq!(cluster.node(id).get("x").ok()["value"], json!(round));
        }
    }
}
