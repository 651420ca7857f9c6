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
            let meta = &answer["meta"];
            let [vouched, applied] = ["read_index", "applied"].map(|name| meta[name].as_u64());
            assert!(vouched > Some(0) && vouched <= applied, "{meta}");
            assert_eq!(cluster.node(id).get("x").ok()["value"], json!(round));
        }
    }
    let local = json!({"key": "x", "consistency": "local"});
    let answer = cluster.node(leader).post("/v1/kv/get", &local).ok();
    assert_eq!(answer["meta"].get("read_index"), None, "nobody vouched");
    let holders = (1..=3).filter(|&id| {
        let status = cluster.node(id).status().unwrap();
        status["lease_ms"].as_u64().is_some()
    });
    assert!(holders.count() <= 1, "two leases at a time");
}
