//! Orders to the bundled node, over its port for administrators.

use super::super::{Administrator, Boxed, Disobedience};
use super::innermost;
use ordeal_nemesis::Node;
use ordeal_nemesis::lever::{Order, OrderKind, Standing};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use target_node::protocol::{ErrorBody, NodeId, Role, Status};

/// All, where nodes agree by Raft; the other modes of replication take none of these.
pub(super) fn orders(flags: &[String]) -> BTreeSet<OrderKind> {
    let mode = |(place, flag)| match str::strip_prefix(flag, "--replication")? {
        "" => flags.get(place + 1).map(String::as_str),
        value => value.strip_prefix('='),
    };
    let words = flags.iter().map(String::as_str).enumerate();
    match words.filter_map(mode).next_back() {
        None | Some("raft") => OrderKind::ALL.into(),
        Some(_) => BTreeSet::new(),
    }
}

pub(super) struct RaftAdministrator {
    http: reqwest::Client,
    base: String,
    deadline: Duration,
}

impl RaftAdministrator {
    pub(super) fn new(http: reqwest::Client, base: String, deadline: Duration) -> Self {
        Self {
            http,
            base,
            deadline,
        }
    }
}

impl Administrator for RaftAdministrator {
    fn order<'a>(&'a mut self, order: &'a Order) -> Boxed<'a, Result<(), Disobedience>> {
        Box::pin(async move {
            let (path, body) = request(order);
            let url = format!("{}/{path}", self.base);
            let request = self.http.post(url).timeout(self.deadline).json(&body);
            let response = match request.send().await {
                Ok(response) => response,
                Err(error) if error.is_connect() => {
                    return Err(Disobedience::Refused(innermost(&error)));
                }
                Err(error) => return Err(Disobedience::Unclear(innermost(&error))),
            };
            if response.status() == StatusCode::OK {
                return Ok(());
            }
            match response.json::<ErrorBody>().await {
                Ok(body) if body.error.definite => Err(Disobedience::Refused(body.error.message)),
                Ok(body) => Err(Disobedience::Unclear(body.error.message)),
                Err(error) => Err(Disobedience::Unclear(innermost(&error))),
            }
        })
    }

    fn standing(&mut self) -> Boxed<'_, Result<Standing, String>> {
        Box::pin(async move {
            let request = self.http.get(format!("{}/status", self.base));
            let asked = request.timeout(self.deadline).send().await;
            let response = asked.map_err(|error| innermost(&error))?;
            // One that starts or ends says so in the place of its status.
            if response.status() != StatusCode::OK {
                let code = response.status();
                let body = response.json::<ErrorBody>().await;
                return Err(body.map_or_else(|_| code.to_string(), |body| body.error.message));
            }
            let status: Status = response.json().await.map_err(|error| innermost(&error))?;
            Ok(standing(&status))
        })
    }
}

/// Where an order goes, and what it says there.
fn request(order: &Order) -> (&'static str, Value) {
    match order {
        Order::AddLearner(node) => ("cluster/add-learner", json!({ "id": node.0 })),
        Order::Promote(node) => ("cluster/promote", json!({ "id": node.0 })),
        Order::Remove(node) => ("cluster/remove", json!({ "id": node.0 })),
        Order::Change(voters) => {
            let voters: Vec<u16> = voters.iter().map(|node| node.0).collect();
            ("cluster/change", json!({ "voters": voters }))
        }
        Order::Transfer(to) => ("cluster/transfer", json!({ "to": to.0 })),
        Order::Campaign => ("admin/campaign", json!({ "pre": false })),
        Order::StepDown => ("admin/step-down", json!({})),
        Order::Snapshot => ("admin/snapshot", json!({})),
        Order::Compact => ("admin/compact", json!({ "keep": 0 })),
    }
}

fn standing(status: &Status) -> Standing {
    Standing {
        leads: status.role == Role::Leader,
        term: status.term,
        voters: nodes(&status.voters),
        learners: nodes(&status.learners),
        is_settled: status.outgoing.is_empty() && status.members_index <= status.commit,
        members_index: status.members_index,
        last: status.last,
        first: status.first,
        snapshot: status.snapshot,
        applied: status.applied,
    }
}

/// Every id of ours is one of a node of ours.
fn nodes(ids: &[NodeId]) -> BTreeSet<Node> {
    let ids = ids.iter().filter_map(|id| u16::try_from(*id).ok());
    ids.map(Node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_raft_takes_orders_of_these_kinds() {
        let orders = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
            orders(&flags)
        };
        assert_eq!(orders(&[]), OrderKind::ALL.into());
        assert_eq!(orders(&["--replication", "raft"]), OrderKind::ALL.into());
        assert!(orders(&["--replication=quorum"]).is_empty());
        assert!(orders(&["--pre-vote", "off", "--replication", "sync"]).is_empty());
    }
}
