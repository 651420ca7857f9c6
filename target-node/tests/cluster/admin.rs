//! What an administrator can make a node do.

use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use super::process::{Cluster, Node, eventually};

fn rules(node: &Node) -> Value {
    node.admin("GET", "/v1/admin/net-rules", &Value::Null).ok()
}

#[test]
fn a_leadership_is_handed_over_given_up_and_taken() {
    let cluster = Cluster::start(3, &[]);
    let first = cluster.leader();
    let second = first % 3 + 1;
    cluster.node(first).put("x", &json!(1)).ok();
    cluster
        .node(first)
        .order("/v1/cluster/transfer", &json!({"to": second}))
        .ok();
    eventually("the target leads", || {
        (cluster.node(second).status()?["role"] == "leader").then_some(())
    });
    let down = cluster
        .node(second)
        .order("/v1/admin/step-down", &Value::Null);
    assert_eq!(down.ok()["role"], "follower");
    let third = cluster.leader();
    let follower = third % 3 + 1;
    cluster
        .node(follower)
        .order("/v1/admin/campaign", &json!({"pre": false}))
        .ok();
    eventually("the candidate's term is everybody's", || {
        let before = cluster.node(third).status()?;
        let after = cluster.node(follower).status()?;
        (before["term"] == after["term"] && before["role"] != "candidate").then_some(())
    });
    cluster.leader();
    assert_eq!(cluster.node(first).get("x").ok()["value"], 1);
}

#[test]
fn orders_that_make_no_sense_are_refused_in_words() {
    let cluster = Cluster::start(3, &[]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let (leader, follower) = (cluster.node(leader), cluster.node(follower));
    let refused = |node: &Node, path: &str, body: Value| {
        let answer = node.order(path, &body);
        let (status, code, definite) = answer.error();
        assert!(definite, "{}", answer.body);
        (status, code.to_owned())
    };
    let invalid = (400, "INVALID".to_owned());
    let not_leader = (421, "NOT_LEADER".to_owned());
    let no_order = Value::Null;
    assert_eq!(
        refused(leader, "/v1/admin/campaign", no_order.clone()),
        invalid
    );
    assert_eq!(
        refused(follower, "/v1/admin/step-down", no_order.clone()),
        not_leader
    );
    let to = json!({"to": leader.id});
    assert_eq!(refused(follower, "/v1/cluster/transfer", to), not_leader);
    assert_eq!(
        refused(leader, "/v1/cluster/transfer", json!({"to": 9})),
        invalid
    );
    assert_eq!(
        refused(leader, "/v1/admin/clock", json!({"rate": 0.0})),
        invalid
    );
    assert_eq!(
        refused(leader, "/v1/admin/clock", json!({"rate": "fast"})),
        invalid
    );
    let unsupported = (501, "UNSUPPORTED".to_owned());
    assert_eq!(
        refused(leader, "/v1/admin/promote-primary", no_order),
        unsupported
    );
    let lost = (404, "INVALID".to_owned());
    assert_eq!(refused(leader, "/v1/admin/reboot", Value::Null), lost);
    let wrong = leader.admin("DELETE", "/v1/admin/net-rules/7", &Value::Null);
    assert_eq!(wrong.error(), (400, "INVALID", true));
}

#[test]
fn a_snapshot_is_taken_and_the_log_cut_when_told() {
    let cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let node = cluster.node(leader);
    for number in 0..20 {
        node.put("x", &json!(number)).ok();
    }
    let taken = node.order("/v1/admin/snapshot", &Value::Null).ok();
    assert_eq!(taken["snapshot"], taken["applied"]);
    assert_eq!(taken["first"], 1, "trailing entries stay");
    let cut = node.order("/v1/admin/compact", &json!({"keep": 3})).ok();
    assert_eq!(
        cut["first"].as_u64(),
        cut["snapshot"].as_u64().map(|last| last - 2)
    );
    node.put("x", &json!("after")).ok();
    assert_eq!(node.get("x").ok()["value"], "after");
}

#[test]
fn a_rule_loses_holds_and_doubles_just_what_it_names() {
    let cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let cut = leader % 3 + 1;
    let node = cluster.node(leader);
    node.put("x", &json!(0)).ok();
    let lost = json!({"action": "drop", "to": [cut], "types": ["append"]});
    node.order("/v1/admin/net-rules", &lost).ok();
    let kept = cluster.node(cut).status().unwrap()["last"].clone();
    node.put("x", &json!(1)).ok();
    eventually("the rule counts what it took", || {
        (rules(node)[0]["matched"].as_u64()? > 0).then_some(())
    });
    assert_eq!(cluster.node(cut).status().unwrap()["last"], kept);

    node.admin("DELETE", "/v1/admin/net-rules", &Value::Null)
        .ok();
    eventually("the follower catches up", || {
        (cluster.node(cut).status()?["applied"] == node.status()?["applied"]).then_some(())
    });

    let held = json!({"action": "hold", "on": "receive", "from": [leader], "types": ["append"]});
    cluster.node(cut).order("/v1/admin/net-rules", &held).ok();
    node.put("x", &json!(2)).ok();
    let state = eventually("an append is held", || {
        let state = rules(cluster.node(cut))[0].clone();
        (state["held"].as_u64()? > 0).then_some(state)
    });
    let path = format!("/v1/admin/net-rules/{}", state["id"]);
    cluster.node(cut).admin("DELETE", &path, &Value::Null).ok();
    let doubled = json!({"action": "duplicate", "types": ["append", "append_response"]});
    cluster
        .node(cut)
        .order("/v1/admin/net-rules", &doubled)
        .ok();
    let last = node.put("x", &json!(3)).ok()["meta"]["index"].clone();
    eventually("the follower has it all", || {
        let applied = cluster.node(cut).status()?["applied"].as_u64();
        (applied >= last.as_u64()).then_some(())
    });
    eventually("the rule doubled", || {
        (rules(cluster.node(cut))[0]["matched"].as_u64()? > 0).then_some(())
    });
    let hash = |id| cluster.node(id).fetch(&format!("/v1/hash?index={last}"));
    assert_eq!(hash(cut).unwrap().ok(), hash(leader).unwrap().ok());
}

#[test]
fn a_follower_whose_clock_runs_fast_campaigns_against_a_leader_that_lives() {
    let switches = ["--pre-vote", "off", "--check-quorum", "off"];
    let cluster = Cluster::start(3, &switches);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let before = cluster.node(leader).status().unwrap();
    let rate = json!({"rate": 50.0});
    let told = cluster.node(follower).order("/v1/admin/clock", &rate).ok();
    assert_eq!(told, rate);
    let term = eventually("the term rises", || {
        let status = cluster.node(follower).status()?;
        (status["term"].as_u64() > before["term"].as_u64()).then(|| status["term"].clone())
    });
    assert!(term.as_u64() > before["term"].as_u64());
    let right = json!({"rate": 1.0});
    cluster.node(follower).order("/v1/admin/clock", &right).ok();
    let rate = cluster
        .node(follower)
        .admin("GET", "/v1/admin/clock", &Value::Null);
    assert_eq!(rate.ok(), right);
    cluster.leader();
}

#[test]
fn a_node_crashes_where_it_is_told_to_and_loses_nothing() {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    cluster.node(leader).put("x", &json!(0)).ok();
    let crash = json!({"site": "after_apply", "action": "crash"});
    let set = cluster
        .node(leader)
        .order("/v1/admin/failpoints", &crash)
        .ok();
    assert_eq!(set["set"][0]["site"], "after_apply");
    let patience = std::time::Duration::from_secs(5);
    let put = json!({"key": "x", "value": 1}).to_string();
    let address = cluster.node(leader).client;
    let answer = super::process::exchange(address, "POST", "/v1/kv/put", put.as_bytes(), patience);
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(cluster.wait(leader).signal(), Some(9));
    let next = cluster.leader();
    assert_eq!(cluster.node(next).get("x").ok()["value"], 1);
    cluster.restart(leader);
    eventually("the leader is back", || {
        (cluster.node(leader).status()?["applied"].as_u64() > Some(1)).then_some(())
    });
}

#[test]
fn an_error_of_the_log_ends_the_node_and_it_acknowledges_nothing_more() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.leader();
    let before = cluster.node(1).put("x", &json!("before")).ok();
    assert!(before["meta"]["index"].is_u64());
    let error = json!({"site": "before_sync", "action": {"error": "EIO"}, "limit": 1});
    cluster.node(1).order("/v1/admin/failpoints", &error).ok();
    let body = json!({"key": "x", "value": "lost"}).to_string();
    let patience = std::time::Duration::from_secs(5);
    let address = cluster.node(1).client;
    let answer = super::process::exchange(address, "POST", "/v1/kv/put", body.as_bytes(), patience);
    assert!(answer.is_err() || answer.unwrap().status != 200);
    assert_eq!(cluster.wait(1).code(), Some(70));
    assert!(
        cluster.log(1).contains("the log failed"),
        "{}",
        cluster.log(1)
    );
    cluster.restart(1);
    cluster.leader();
    assert!(cluster.node(1).get("x").ok()["found"].as_bool().unwrap());
}

#[test]
fn a_failpoint_that_makes_no_sense_is_refused_and_one_can_be_cleared() {
    let cluster = Cluster::start(1, &[]);
    let node = cluster.node(1);
    eventually("it runs", || node.status());
    let path = "/v1/admin/failpoints";
    for wrong in [
        json!({"site": "nowhere", "action": "crash"}),
        json!({"site": "before_apply", "action": {"error": "EIO"}}),
        json!({"site": "before_sync", "action": {"error": "EPERM"}}),
        json!({"site": "before_sync", "action": "explode"}),
    ] {
        let answer = node.order(path, &wrong);
        assert_eq!(answer.error(), (400, "INVALID", true), "{wrong}");
    }
    let sleep = json!({"site": "before_apply", "action": {"sleep": {"ms": 1}}, "skip": 1});
    node.order(path, &sleep).ok();
    cluster.leader();
    node.put("x", &json!(1)).ok();
    node.put("x", &json!(2)).ok();
    let state = node.admin("GET", path, &Value::Null).ok()["set"][0].clone();
    assert!(state["hits"].as_u64() > state["fired"].as_u64(), "{state}");
    assert!(state["fired"].as_u64() > Some(0), "{state}");
    let cleared = node.admin("DELETE", &format!("{path}/before_apply"), &Value::Null);
    assert_eq!(cleared.ok()["set"], json!([]));
    let health = node.admin("GET", "/v1/health", &Value::Null).ok();
    assert_eq!(health["has_leader"], true);
}
