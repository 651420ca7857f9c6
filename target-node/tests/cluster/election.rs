//! Elections of real processes with the switches on.

use serde_json::json;

use super::process::{Cluster, eventually};

#[test]
fn a_leader_alone_steps_down_and_asks_in_its_old_term_with_both_switches_on() {
    let switches = ["--pre-vote", "on", "--check-quorum", "on"];
    let mut cluster = Cluster::start(3, &switches);
    let leader = cluster.leader();
    let before = cluster.node(leader).status().unwrap();
    assert_eq!(before["modes"]["check_quorum"], json!(true));
    cluster.node(leader).put("x", &json!(0)).ok();
    let others: Vec<usize> = (1..=3).filter(|&id| id != leader).collect();
    others.iter().for_each(|&id| cluster.kill(id));
    let asks = eventually("the lonely leader asks for an election", || {
        let status = cluster.node(leader).status()?;
        (status["role"] == "pre_candidate").then_some(status)
    });
    assert_eq!(asks["term"], before["term"]);
    let refusal = cluster.node(leader).put("x", &json!(1));
    assert_eq!(refusal.error(), (503, "NO_LEADER", true));
    cluster.restart(others[0]);
    cluster.leader();
    assert_eq!(cluster.node(leader).get("x").ok()["value"], json!(0));
}
