//! The textbook case against quorums that only overlap, on real cores, as a history for the
//! checker: x is 1 on three replicas; a write of 2 reaches one of them; a client reads through
//! that one and sees 2; it dies; another client reads through the other two.

use std::collections::{BTreeMap, BTreeSet};

use ordeal_checker::history::{HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::model::{Keyed, RegisterOp, RegisterRet};
use target_node::quorum::{Answer, Body, Config, Message, Quorum, Repair};
use target_node::raft::{NodeId, Opaque, Recovered};

use super::world::Seen;

const KEY: &str = "x";

struct Trio {
    nodes: BTreeMap<NodeId, Quorum>,
    /// What replicas are told to store is lost on the way.
    loses_stores: bool,
    history: HistoryBuilder<Keyed<u8, RegisterOp>, RegisterRet>,
    now: u64,
}

impl Trio {
    fn new(repair: Repair) -> Self {
        let members: BTreeSet<NodeId> = (1..=3).collect();
        let node = |id| {
            let config = Config {
                repair,
                ..Config::new(id, members.clone())
            };
            (
                id,
                Quorum::new(config, &Recovered::default()).expect("a sound configuration"),
            )
        };
        Self {
            nodes: (1..=3).map(node).collect(),
            loses_stores: false,
            history: HistoryBuilder::new(),
            now: 0,
        }
    }

    fn time(&mut self) -> Time {
        self.now += 1;
        Time(self.now)
    }

    /// Delivers what the nodes that are up have to say until an operation has its answer, or all
    /// is said; disks are quick here.
    fn answer(&mut self, up: &[NodeId], value: Option<i64>) -> Option<Answer> {
        let mut answer = None;
        let mut flight: Vec<Message> = Vec::new();
        loop {
            for id in up {
                let node = self.nodes.get_mut(id).expect("one of three");
                let output = node.take_output();
                if let Some(batch) = output.batch {
                    node.persisted(batch.id);
                }
                flight.extend(output.send_now);
                flight.extend(output.send_durable);
                for decision in output.decisions {
                    let text = value.expect("a write").to_string();
                    let change = Some(Some(Opaque::from(text.as_bytes())));
                    node.decide(decision.operation, change);
                    flight.extend(node.take_output().send_now);
                }
                answer = output
                    .answers
                    .into_iter()
                    .next()
                    .map(|(_, found)| found)
                    .or(answer);
            }
            if flight.is_empty() {
                return answer;
            }
            for message in std::mem::take(&mut flight) {
                let is_lost = self.loses_stores && matches!(message.body, Body::Store { .. });
                if up.contains(&message.to) && !is_lost {
                    let to = self.nodes.get_mut(&message.to).expect("one of three");
                    to.step(message);
                }
            }
        }
    }

    fn write(&mut self, process: u64, at: NodeId, up: &[NodeId], value: i64) {
        let (process, begun) = (Process(process), self.time());
        let op = Keyed::new(0, RegisterOp::Write(value));
        self.history.invoke(process, begun, op).expect("in order");
        self.nodes.get_mut(&at).expect("one of three").write(KEY);
        let answer = self.answer(up, Some(value));
        let outcome = match answer {
            Some(Answer::Written(_)) => Outcome::Ok(RegisterRet::Written),
            _ => Outcome::Info(Reason("too few replicas stored it".to_owned())),
        };
        let ended = self.time();
        self.history
            .complete(process, ended, outcome)
            .expect("in order");
    }

    fn read(&mut self, process: u64, at: NodeId, up: &[NodeId]) -> Option<i64> {
        let (process, begun) = (Process(process), self.time());
        let op = Keyed::new(0, RegisterOp::Read);
        self.history.invoke(process, begun, op).expect("in order");
        self.nodes.get_mut(&at).expect("one of three").read(KEY);
        let Some(Answer::Read(Some(register))) = self.answer(up, None) else {
            panic!("two replicas of three are up");
        };
        let value = register.value.expect("x was never deleted");
        let value = std::str::from_utf8(value.as_bytes()).expect("a number");
        let value = value.parse().ok();
        let ended = self.time();
        let outcome = Outcome::Ok(RegisterRet::Value(value));
        self.history
            .complete(process, ended, outcome)
            .expect("in order");
        value
    }
}

/// Plays it; what the readers saw, and the whole history.
pub(crate) fn play(repair: Repair) -> ([Option<i64>; 3], Seen) {
    let mut trio = Trio::new(repair);
    trio.write(1, 1, &[1, 2, 3], 1);
    trio.loses_stores = true;
    trio.write(2, 1, &[1, 2, 3], 2);
    trio.loses_stores = false;
    let first = trio.read(3, 2, &[1, 2]);
    let second = trio.read(4, 3, &[2, 3]);
    let third = trio.read(5, 2, &[1, 2]);
    ([first, second, third], trio.history.finish())
}
