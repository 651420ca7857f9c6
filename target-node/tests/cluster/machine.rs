//! The state machine behind real nodes: what each request does, and that all nodes agree.

use serde_json::{Value, json};

use super::process::{Cluster, Node, eventually};

fn ask(node: &Node, path: &str, body: &Value) -> Value {
    node.post(path, body).ok()
}

#[test]
fn keys_are_set_changed_and_removed_and_every_answer_tells_what_it_found() {
    let cluster = Cluster::start(1, &[]);
    cluster.leader();
    let node = cluster.node(1);
    let first = ask(
        node,
        "/v1/kv/put",
        &json!({"key": "x", "value": 1, "prev": true}),
    );
    assert_eq!((&first["version"], first.get("prev")), (&json!(1), None));
    let second = ask(
        node,
        "/v1/kv/put",
        &json!({"key": "x", "value": 2, "prev": true}),
    );
    assert_eq!(
        (&second["version"], &second["prev"]),
        (&json!(2), &json!(1))
    );
    let read = node.get("x").ok();
    assert_eq!(
        (&read["found"], &read["version"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(read["create_index"], first["meta"]["index"]);
    assert_eq!(read["mod_index"], second["meta"]["index"]);

    let cas = json!({"key": "x", "expect_version": 2, "value": 3});
    assert_eq!(ask(node, "/v1/kv/cas", &cas)["succeeded"], true);
    let late = ask(node, "/v1/kv/cas", &cas);
    assert_eq!(
        (&late["succeeded"], &late["current"]),
        (&json!(false), &json!(3))
    );
    let added = ask(node, "/v1/kv/add", &json!({"key": "x", "delta": -5}));
    assert_eq!(added["value"], -2);

    let deleted = ask(node, "/v1/kv/delete", &json!({"key": "x", "prev": true}));
    assert_eq!(
        (&deleted["deleted"], &deleted["prev"]),
        (&json!(true), &json!(-2))
    );
    assert_eq!(node.get("x").ok()["found"], false);
    let again = ask(node, "/v1/kv/delete", &json!({"key": "x"}));
    assert_eq!(again["deleted"], false);

    let list = json!({"key": "l", "element": "a", "list": true});
    assert_eq!(ask(node, "/v1/kv/append", &list)["list"], json!(["a"]));
    let dump = ask(node, "/v1/dump", &json!({"prefix": "l"}));
    assert_eq!(dump["keys"][0]["value"], json!(["a"]));
}

#[test]
fn a_transaction_is_done_whole_or_not_at_all_also_when_forwarded() {
    let cluster = Cluster::start(3, &[]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let transfer = json!({
        "guards": [{"key": "a", "value": 10}],
        "then": [["add", "a", -3], ["add", "b", 3], ["r", "a", null], ["r", "b", null]],
        "else": [["r", "a", null]]
    });
    cluster.node(leader).put("a", &json!(10)).ok();
    let done = ask(cluster.node(follower), "/v1/txn", &transfer);
    assert_eq!(done["succeeded"], true);
    assert_eq!(
        done["ops"],
        json!([
            ["add", "a", -3],
            ["add", "b", 3],
            ["r", "a", 7],
            ["r", "b", 3]
        ])
    );
    let not_done = ask(cluster.node(leader), "/v1/txn", &transfer);
    assert_eq!(
        (&not_done["succeeded"], &not_done["ops"]),
        (&json!(false), &json!([["r", "a", 7]]))
    );
    let broken = json!({"ops": [["w", "a", 0], ["append", "b", 1]]});
    let refused = cluster.node(follower).post("/v1/txn", &broken);
    assert_eq!(refused.error(), (400, "INVALID", true));
    assert_eq!(refused.body["error"]["stage"], "applied");
    assert_eq!(cluster.node(follower).get("a").ok()["value"], 7);
}

/// The hashes of a node after an entry; none where it has not applied it, or does not run.
fn hash(node: &Node, index: u64) -> Option<Value> {
    let answer = node.fetch(&format!("/v1/hash?index={index}"))?;
    (answer.status == 200).then_some(answer.body)
}

#[test]
fn all_nodes_have_the_same_hashes_after_every_entry_also_after_a_restart() {
    let mut cluster = Cluster::start(3, &["--snapshot-entries", "20", "--snapshot-trailing", "5"]);
    let leader = cluster.leader();
    let mut last = 0;
    for number in 0..30 {
        let path = ["/v1/kv/put", "/v1/kv/append", "/v1/kv/delete"][number % 3];
        let body = match number % 3 {
            0 => json!({"key": "x", "value": number}),
            1 => json!({"key": "l", "element": number}),
            _ => json!({"key": "x"}),
        };
        let answer = ask(cluster.node(leader), path, &body);
        last = answer["meta"]["index"].as_u64().unwrap();
    }
    let expected: Vec<_> = (1..=last)
        .map(|index| hash(cluster.node(leader), index).unwrap())
        .collect();
    for id in 1..=3 {
        for (index, expected) in (1..).zip(&expected) {
            let found = eventually("the node applies it", || hash(cluster.node(id), index));
            assert_eq!(&found, expected, "node {id}");
        }
    }
    let logged = cluster
        .node(leader)
        .fetch(&format!("/v1/log?from={last}"))
        .unwrap()
        .ok();
    assert_eq!(
        logged["entries"][0]["command"],
        json!({"command": {"delete": {"key": "x"}}})
    );

    cluster.kill(leader);
    cluster.restart(leader);
    let restored = eventually("the node has its state again", || {
        hash(cluster.node(leader), last)
    });
    assert_eq!(Some(&restored), expected.last());
}
