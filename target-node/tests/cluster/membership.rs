//! The members of a running cluster are changed: by each algorithm, with each way to take effect.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use target_node::trace::Record;
use target_node::trace::audit::audit;

use super::process::{Cluster, Node, eventually, node_command};

const ALGORITHMS: [&str; 3] = ["joint", "single", "direct-unsafe"];
const EFFECTS: [&str; 2] = ["append", "apply"];

/// Nodes 1 to 3 vote, the others wait to be taken in.
fn start(size: usize, algorithm: &'static str, effect: &'static str) -> Cluster {
    Cluster::start_each(size, |id| {
        let part: &[&str] = match id {
            1..=3 => &["--initial-voters", "1,2,3"],
            _ => &["--join"],
        };
        let ways = ["--conf-change", algorithm, "--conf-effective", effect];
        [&ways[..], part].concat()
    })
}

/// Orders a change until it is taken: until then it is refused for what has yet to happen, and
/// that it was refused is certain.
fn change(node: &Node, path: &str, body: &Value) {
    eventually("the change is taken", || {
        let answer = node.order(path, body);
        if answer.status == 200 {
            return Some(());
        }
        let (status, code, definite) = answer.error();
        assert!((status, definite) == (409, true), "{path}: {}", answer.body);
        assert!(code.starts_with("CONFCHANGE_"), "{path}: {code}");
        None
    });
}

/// Waits until these nodes have this configuration, and no change is under way.
fn wait_for(cluster: &Cluster, ids: &[usize], voters: &[usize], learners: &[usize]) {
    for &id in ids {
        eventually("the configuration is there", || {
            let status = cluster.node(id).status()?;
            let learns = status.get("learners").cloned().unwrap_or(json!([]));
            let is_there = status["voters"] == json!(voters) && learns == json!(learners);
            (is_there && status.get("outgoing").is_none()).then_some(())
        });
    }
}

fn term(node: &Node) -> u64 {
    node.status().unwrap()["term"].as_u64().unwrap()
}

/// A node that is not in the cluster any more serves nobody, and cannot make the others follow it.
fn check_outside(cluster: &Cluster, outsider: usize, members: &[usize]) {
    let node = cluster.node(outsider);
    eventually("it knows that it is out", || {
        let refused = node.put("x", &json!("outside"));
        (refused.status != 200 && refused.error() == (421, "NOT_MEMBER", true)).then_some(())
    });
    assert_eq!(node.get("x").error(), (421, "NOT_MEMBER", true));
    let local = json!({"key": "x", "consistency": "local"});
    let read = node.post("/v1/kv/get", &local);
    assert_eq!(read.error(), (421, "NOT_MEMBER", true));

    let leader = cluster.leader_of(members);
    let before = term(cluster.node(leader));
    // Many election time-outs of its own pass for it, and an administrator drives it besides.
    node.order("/v1/admin/clock", &json!({"rate": 50.0})).ok();
    for number in 0..20 {
        let _ = node.order("/v1/admin/campaign", &json!({"pre": false}));
        let put = cluster.node(leader).put("y", &json!(number));
        assert_eq!(
            put.status,
            200,
            "{}\n{}\n{}",
            put.body,
            cluster.log(leader),
            cluster.log(outsider)
        );
    }
    node.order("/v1/admin/clock", &json!({"rate": 1.0})).ok();
    assert_eq!(cluster.leader_of(members), leader);
    assert_eq!(term(cluster.node(leader)), before);
}

/// Who has no vote cannot lead, whoever wants it.
fn check_learner(cluster: &Cluster, leader: usize, learner: usize) {
    let handed = json!({"to": learner});
    let asked = [
        cluster.node(leader).order("/v1/cluster/transfer", &handed),
        cluster
            .node(learner)
            .order("/v1/admin/campaign", &Value::Null),
    ];
    for refused in asked {
        assert_eq!(refused.error(), (409, "LEARNER", true), "{}", refused.body);
    }
}

/// Two clusters of one name keep apart, and one that is started again with other flags stays what
/// it was.
#[test]
fn nodes_that_were_founded_by_others_are_refused_and_later_flags_change_nothing() {
    let mut cluster = Cluster::start_each(3, |id| match id {
        1 | 2 => vec!["--initial-voters", "1,2"],
        _ => vec!["--initial-voters", "1,2,3"],
    });
    let leader = cluster.leader_of(&[1, 2]);
    cluster.node(leader).put("x", &json!(1)).ok();
    for (id, told) in [
        (1, "{1, 2, 3}, and this node by {1, 2}"),
        (3, "{1, 2}, and"),
    ] {
        eventually("the others are refused", || {
            cluster.log(id).contains(told).then_some(())
        });
    }
    assert!(cluster.node(3).status().unwrap().get("leader").is_none());

    cluster.stop(1);
    cluster.restart_with(1, &["--initial-voters", "3"]);
    eventually("it says what it keeps to", || {
        let told = "keeps to the voters of its first start, {1, 2}";
        cluster.log(1).contains(told).then_some(())
    });
    let leader = cluster.leader_of(&[1, 2]);
    assert_eq!(
        cluster.node(leader).status().unwrap()["voters"],
        json!([1, 2])
    );
    assert_eq!(cluster.node(1).get("x").ok()["value"], 1);
}

#[test]
fn a_node_joins_learns_votes_and_another_leaves_and_disturbs_nobody() {
    for algorithm in ALGORITHMS {
        for effect in EFFECTS {
            let cluster = start(4, algorithm, effect);
            let leader = cluster.leader_of(&[1, 2, 3]);
            let node = cluster.node(leader);
            node.put("x", &json!("kept")).ok();
            assert!(cluster.node(4).status().unwrap().get("leader").is_none());

            change(node, "/v1/cluster/add-learner", &json!({"id": 4}));
            wait_for(&cluster, &[1, 2, 3, 4], &[1, 2, 3], &[4]);
            let local = json!({"key": "x", "consistency": "local"});
            eventually("the learner has the log", || {
                let read = cluster.node(4).post("/v1/kv/get", &local);
                (read.status == 200 && read.body["value"] == "kept").then_some(())
            });
            check_learner(&cluster, leader, 4);
            change(node, "/v1/cluster/promote", &json!({"id": 4}));
            wait_for(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4], &[]);

            let out = leader % 3 + 1;
            let left: Vec<usize> = (1..=4).filter(|&id| id != out).collect();
            change(node, "/v1/cluster/remove", &json!({"id": out}));
            wait_for(&cluster, &left, &left, &[]);
            check_outside(&cluster, out, &left);

            // It is taken in again, with what it had.
            change(node, "/v1/cluster/add-learner", &json!({"id": out}));
            change(node, "/v1/cluster/promote", &json!({"id": out}));
            wait_for(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4], &[]);
            eventually("it serves again", || {
                let read = cluster.node(out).get("y");
                (read.status == 200 && read.body["value"] == 19).then_some(())
            });
        }
    }
}

/// Who is taken out is still sent the log for two election time-outs; who comes back in that time
/// has to show anew what it has.
#[test]
fn a_node_that_comes_back_with_an_empty_disk_is_taken_for_a_new_one() {
    let mut cluster = start(4, "joint", "append");
    let leader = cluster.leader_of(&[1, 2, 3]);
    change(
        cluster.node(leader),
        "/v1/cluster/add-voter",
        &json!({"id": 4}),
    );
    wait_for(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4], &[]);
    cluster.node(leader).put("x", &json!("kept")).ok();
    cluster.kill(4);
    let data = cluster.data(4);
    fs::remove_dir_all(&data).unwrap();
    change(
        cluster.node(leader),
        "/v1/cluster/remove",
        &json!({"id": 4}),
    );
    change(
        cluster.node(leader),
        "/v1/cluster/add-voter",
        &json!({"id": 4}),
    );
    cluster.restart(4);
    wait_for(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4], &[]);
    eventually("it has everything again", || {
        let local = json!({"key": "x", "consistency": "local"});
        let read = cluster.node(4).post("/v1/kv/get", &local);
        (read.status == 200 && read.body["value"] == "kept").then_some(())
    });
}

#[test]
fn a_leader_that_is_removed_goes_on_until_that_is_settled_and_then_steps_down() {
    for algorithm in ALGORITHMS {
        for effect in EFFECTS {
            let cluster = start(3, algorithm, effect);
            let first = cluster.leader();
            cluster.node(first).put("x", &json!(1)).ok();
            let left: Vec<usize> = (1..=3).filter(|&id| id != first).collect();
            change(
                cluster.node(first),
                "/v1/cluster/remove",
                &json!({"id": first}),
            );
            wait_for(&cluster, &left, &left, &[]);
            let second = cluster.leader_of(&left);
            assert_ne!(second, first);
            assert_eq!(cluster.node(second).get("x").ok()["value"], 1);
            cluster.node(second).put("x", &json!(2)).ok();
            check_outside(&cluster, first, &left);
        }
    }
}

#[test]
fn whole_configurations_change_at_once_jointly_and_a_single_change_refuses_that() {
    for effect in EFFECTS {
        let cluster = start(5, "joint", effect);
        let leader = cluster.leader_of(&[1, 2, 3]);
        cluster.node(leader).put("x", &json!(1)).ok();
        let voters = [leader, 4, 5];
        let mut sorted = voters;
        sorted.sort_unstable();
        change(
            cluster.node(leader),
            "/v1/cluster/change",
            &json!({"voters": voters}),
        );
        wait_for(&cluster, &voters, &sorted, &[]);
        assert_eq!(cluster.node(4).get("x").ok()["value"], 1);
        let out = leader % 3 + 1;
        check_outside(&cluster, out, &voters);

        let cluster = start(5, "single", effect);
        let leader = cluster.leader_of(&[1, 2, 3]);
        let node = cluster.node(leader);
        node.put("x", &json!(1)).ok();
        let refused = node.order("/v1/cluster/change", &json!({"voters": [1, 4, 5]}));
        assert_eq!(refused.error(), (400, "INVALID", true));
        for (path, body) in [
            ("/v1/cluster/promote", json!({"id": 2})),
            ("/v1/cluster/remove", json!({"id": 4})),
            ("/v1/cluster/add-learner", json!({"id": 9})),
            ("/v1/cluster/change", json!({"voters": []})),
        ] {
            let refused = node.order(path, &body);
            assert_eq!(refused.error(), (400, "INVALID", true), "{path}");
        }
        let follower = cluster.node(leader % 3 + 1);
        let refused = follower.order("/v1/cluster/add-voter", &json!({"id": 4}));
        assert_eq!(refused.error(), (421, "NOT_LEADER", true));
    }
}

/// The index at which a log on a disk ends.
fn last_on_disk(data: &Path) -> Value {
    let mut command = node_command();
    let output = command
        .arg("inspect")
        .arg(data)
        .stdout(Stdio::piped())
        .output();
    let report: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    report["last"]["index"].clone()
}

/// A change that stands in the log of a leader alone keeps the next one from beginning, and is
/// gone with the leader: what was before it is in effect again.
#[test]
fn a_change_that_is_cut_off_again_was_never_made() {
    for algorithm in ALGORITHMS {
        for effect in EFFECTS {
            let mut cluster = start(4, algorithm, effect);
            let first = cluster.leader_of(&[1, 2, 3]);
            let node = cluster.node(first);
            node.put("x", &json!(1)).ok();
            let lost = json!({"action": "drop", "types": ["append"]});
            node.order("/v1/admin/net-rules", &lost).ok();
            let told = node.order("/v1/cluster/add-voter", &json!({"id": 4})).ok();
            let is_in_effect = told["voters"] == json!([1, 2, 3, 4]);
            assert_eq!(is_in_effect, effect == "append", "{told}");
            let second = node.order("/v1/cluster/remove", &json!({"id": 4}));
            assert_eq!(second.error(), (409, "CONFCHANGE_PENDING", true));

            // Else the crash takes it back, and nothing is there to be cut off.
            let last = node.status().unwrap()["last"].clone();
            let data = cluster.data(first);
            eventually("it is on its disk", || {
                (last_on_disk(&data) == last).then_some(())
            });
            cluster.kill(first);
            let others: Vec<usize> = (1..=3).filter(|&id| id != first).collect();
            let next = cluster.leader_of(&others);
            cluster.node(next).put("x", &json!(2)).ok();
            cluster.restart(first);
            wait_for(&cluster, &[1, 2, 3], &[1, 2, 3], &[]);
            eventually("its entry is gone", || {
                cluster
                    .log(first)
                    .contains("drops its entries")
                    .then_some(())
            });
            eventually("it has what was written instead", || {
                let read = cluster.node(first).get("x");
                (read.status == 200 && read.body["value"] == 2).then_some(())
            });
            // It may have heard that it was to take part, and got nothing.
            assert_eq!(cluster.node(4).status().unwrap()["last"], 0);
        }
    }
}

/// What the leader 3 of 1, 2, 3 makes of a change to 3, 4, 5 that 1 and 2 hear nothing of, and
/// what they make of its silence: who acknowledged a write.
fn split(algorithm: &'static str) -> (bool, bool) {
    let cluster = start(5, algorithm, "append");
    let leader = cluster.leader_of(&[1, 2, 3]);
    let others: Vec<usize> = (1..=3).filter(|&id| id != leader).collect();
    cluster.node(leader).put("x", &json!(0)).ok();
    for &id in &others {
        // A cut both ways, but for nothing else.
        let deaf = json!({"action": "drop", "on": "receive", "from": [leader]});
        cluster.node(id).order("/v1/admin/net-rules", &deaf).ok();
        let mute = json!({"action": "drop", "on": "receive", "from": [id]});
        cluster
            .node(leader)
            .order("/v1/admin/net-rules", &mute)
            .ok();
        for new in [4, 5] {
            cluster.node(new).order("/v1/admin/net-rules", &mute).ok();
            let deaf = json!({"action": "drop", "on": "receive", "from": [new]});
            cluster.node(id).order("/v1/admin/net-rules", &deaf).ok();
        }
    }
    let voters = json!({"voters": [leader, 4, 5]});
    cluster
        .node(leader)
        .order("/v1/cluster/change", &voters)
        .ok();
    let old = cluster.leader_of(&others);
    let puts = |id: usize, value: &str| cluster.node(id).put("x", &json!(value)).status == 200;
    let acknowledged = (puts(old, "old"), puts(leader, "new"));
    heal_and_meet(&cluster);
    acknowledged
}

/// All hear each other again, and follow one leader: what one side acknowledged is gone, and no
/// process ends over it.
fn heal_and_meet(cluster: &Cluster) {
    for id in 1..=5 {
        let node = cluster.node(id);
        node.admin("DELETE", "/v1/admin/net-rules", &Value::Null)
            .ok();
    }
    eventually("one leader leads whoever takes part", || {
        let statuses = (1..=5).map(|id| cluster.node(id).status());
        let statuses: Vec<Value> = statuses.collect::<Option<_>>()?;
        let latest = statuses
            .iter()
            .max_by_key(|status| status["term"].as_u64())?;
        let voters = latest["voters"].as_array()?;
        let inside = statuses
            .iter()
            .filter(|status| voters.contains(&status["id"]));
        let view = |status: &Value| (status["term"].clone(), status["leader"].clone());
        let views: BTreeSet<String> = inside.map(|status| format!("{:?}", view(status))).collect();
        (views.len() == 1 && latest["leader"].is_u64()).then_some(())
    });
}

#[test]
fn a_direct_switch_splits_the_cluster_and_joint_consensus_does_not() {
    assert_eq!(split("direct-unsafe"), (true, true));
    assert_eq!(split("joint"), (true, false));
}

#[test]
fn traces_of_a_cluster_whose_members_change_keep_every_rule() {
    for effect in EFFECTS {
        let dir = tempfile::tempdir().unwrap();
        let file = |id: usize| dir.path().join(format!("n{id}.trace"));
        let cluster = start(5, "joint", effect);
        for id in 1..=5 {
            let trace = json!({"on": true, "file": file(id)});
            let node = cluster.node(id);
            eventually("the node serves", || node.status());
            node.order("/v1/admin/trace", &trace).ok();
        }
        let leader = cluster.leader_of(&[1, 2, 3]);
        let node = cluster.node(leader);
        node.put("x", &json!(1)).ok();
        let voters = [leader, 4, 5];
        change(node, "/v1/cluster/change", &json!({"voters": voters}));
        let mut sorted = voters;
        sorted.sort_unstable();
        wait_for(&cluster, &voters, &sorted, &[]);
        node.put("x", &json!(2)).ok();
        let read = |id| fs::read_to_string(file(id)).unwrap();
        let lines: Vec<String> = (1..=5).map(read).collect();
        let lines = lines.iter().flat_map(|text| text.lines());
        let records: Vec<Record> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let found = audit(records);
        assert!(found.findings.is_empty(), "{:?}", found.findings);
        assert!(found.commits > 3, "{found:?}");
    }
}
