//! What a node does with a write when another one leads.

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::process::{Cluster, eventually, exchange};

#[test]
fn a_node_that_does_not_forward_names_the_leader_and_where_it_is() {
    let cluster = Cluster::start(3, &["--client-routing", "reject"]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let refused = eventually("the follower knows where the leader's clients go", || {
        let refused = cluster.node(follower).put("x", &json!(1));
        refused.body["error"]["leader"]["url"]
            .is_string()
            .then_some(refused)
    });
    assert_eq!(refused.error(), (421, "NOT_LEADER", true));
    let hint = &refused.body["error"]["leader"];
    let url = format!("http://{}", cluster.node(leader).client);
    assert_eq!((&hint["id"], &hint["url"]), (&json!(leader), &json!(url)));
    assert_eq!(refused.body["error"]["stage"], "pre_append");
    assert_eq!(refused.header("location"), None);
    assert_eq!(cluster.node(follower).get("x").ok()["found"], false);
}

#[test]
fn a_node_that_redirects_sends_the_client_to_the_leader_and_appends_nothing_itself() {
    let cluster = Cluster::start(3, &["--client-routing", "redirect"]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let path = "/v1/kv/append";
    let append = json!({"key": "l", "element": "once"});
    let redirected = eventually("the follower knows where to", || {
        let redirected = cluster.node(follower).post(path, &append);
        (redirected.status == 307).then_some(redirected)
    });
    assert_eq!(redirected.error(), (307, "NOT_LEADER", true));
    let location = redirected.header("location").unwrap();
    let address = cluster.node(leader).client;
    assert_eq!(location, format!("http://{address}{path}"));

    let body = append.to_string();
    let patience = super::process::PATIENCE;
    let followed = exchange(address, "POST", path, body.as_bytes(), patience);
    assert_eq!(followed.unwrap().ok()["length"], 1);
    assert_eq!(
        cluster.node(follower).get("l").ok()["value"],
        json!(["once"])
    );
    let status = cluster.node(follower).status().unwrap();
    assert_eq!(status["modes"]["client_routing"], "redirect");
}

#[test]
fn clients_are_told_the_address_that_a_node_advertises() {
    let advertised = [
        "--client-routing",
        "reject",
        "--advertise-client",
        "db.example:80",
    ];
    let cluster = Cluster::start(3, &advertised);
    let follower = cluster.follower();
    eventually("the follower tells the name", || {
        let refused = cluster.node(follower).put("x", &json!(1));
        (refused.body["error"]["leader"]["url"] == "http://db.example:80").then_some(())
    });
}

/// The new leader is kept from hearing that it should lead, until writes have come to all three
/// nodes: then they are made, wherever they waited.
#[test]
fn writes_wait_while_the_leadership_is_handed_over() {
    let cluster = Cluster::start(3, &[]);
    let first = cluster.leader();
    let (second, third) = (first % 3 + 1, (first + 1) % 3 + 1);
    cluster.node(third).put("x", &json!(0)).ok();
    let held = json!({"action": "drop", "to": [second], "types": ["timeout_now"]});
    let node = cluster.node(first);
    node.order("/v1/admin/net-rules", &held).ok();
    node.order("/v1/cluster/transfer", &json!({"to": second}))
        .ok();
    let term = node.status().unwrap()["term"].as_u64().unwrap();
    thread::scope(|scope| {
        let writes = [first, second, third].map(|id| {
            let node = cluster.node(id);
            scope.spawn(move || node.put(&format!("from {id}"), &json!(id)))
        });
        // They have come by then: a node that does not hold them has refused them.
        thread::sleep(Duration::from_millis(50));
        // Nothing but this brings the transfer to its end before it is given up.
        node.admin("DELETE", "/v1/admin/net-rules", &Value::Null)
            .ok();
        for write in writes {
            write.join().unwrap().ok();
        }
    });
    eventually("a later term is known", || {
        (node.status()?["term"].as_u64()? > term).then_some(())
    });
    for id in 1..=3 {
        assert_eq!(node.get(&format!("from {id}")).ok()["value"], id);
    }
}

/// A transfer to one that is not there is given up, and what waited for it goes on.
#[test]
fn writes_go_on_where_a_transfer_comes_to_nothing() {
    let mut cluster = Cluster::start(3, &[]);
    let first = cluster.leader();
    let (second, third) = (first % 3 + 1, (first + 1) % 3 + 1);
    cluster.node(third).put("x", &json!(0)).ok();
    cluster.kill(second);
    let node = cluster.node(first);
    let term = node.status().unwrap()["term"].clone();
    node.order("/v1/cluster/transfer", &json!({"to": second}))
        .ok();
    cluster.node(third).put("x", &json!(1)).ok();
    node.put("x", &json!(2)).ok();
    let status = node.status().unwrap();
    assert_eq!(
        (&status["role"], &status["term"]),
        (&json!("leader"), &term)
    );
}

/// What does not fit between two nodes is told, and breaks nothing: the leader itself can answer.
#[test]
fn an_answer_that_is_too_long_for_a_link_is_an_error_and_the_link_stays() {
    let cluster = Cluster::start(3, &[]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let (leader, follower) = (cluster.node(leader), cluster.node(follower));
    let append = json!({"key": "l", "element": "x".repeat(1_000_000)});
    for _ in 0..12 {
        leader.post("/v1/kv/append", &append).ok();
    }
    let thrice = json!({"then": [["r", "l", null], ["r", "l", null], ["r", "l", null]]});
    let failed = follower.post("/v1/txn", &thrice);
    assert_eq!(
        failed.error(),
        (502, "FORWARD_FAILED", false),
        "{}",
        failed.body
    );
    let message = failed.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("ask the leader itself"), "{message}");
    assert_eq!(leader.post("/v1/txn", &thrice).ok()["succeeded"], true);
    follower.put("x", &json!(1)).ok();
}

/// The same answer, whether the write was lost with the leader or made by it: nobody at the
/// follower can know, and so the answer says that it is not known.
#[test]
fn a_forwarded_write_whose_leader_crashes_is_indefinite_whatever_became_of_it() {
    for (site, is_made) in [("before_persist", false), ("after_apply", true)] {
        let mut cluster = Cluster::start(3, &[]);
        let leader = cluster.leader();
        let follower = cluster.node(leader % 3 + 1);
        follower.put("before", &json!(1)).ok();
        let crash = json!({"site": site, "action": "crash"});
        let leads = cluster.node(leader);
        leads.order("/v1/admin/failpoints", &crash).ok();
        let answer = follower.put("x", &json!("forwarded"));
        assert_eq!(answer.error(), (502, "FORWARD_FAILED", false), "{site}");
        assert_eq!(answer.body["error"]["stage"], "unknown");
        assert_eq!(cluster.wait(leader).signal(), Some(9));
        let next = cluster.leader();
        let read = cluster.node(next).get("x").ok();
        assert_eq!(read["found"], is_made, "{site}");
        cluster.restart(leader);
        cluster.leader();
        let read = cluster.node(leader).get("x").ok();
        assert_eq!(
            read["found"], is_made,
            "{site}: also at the node that crashed"
        );
    }
}
