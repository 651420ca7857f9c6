//! Replicas and coordinators in a world.

use std::collections::{BTreeMap, BTreeSet};

use ordeal_checker::model::RegisterOp;
use target_node::quorum::{
    Answer as Found, Body, Config, Message, Quorum, Register, Repair, Stage, Stamp,
};
use target_node::raft::{BatchId, NodeId, Opaque};

use super::world::{Answer, Node, Op, Out, Past};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) replicas: usize,
    pub(crate) writes: usize,
    pub(crate) reads: usize,
    pub(crate) repair: Repair,
}

pub(crate) struct Host {
    core: Quorum,
    /// By the core's number: the client's name for it, and what a write is to set.
    asked: BTreeMap<u64, (u64, Option<i64>)>,
}

/// What every stamp that was ever sent stands for.
#[derive(Default)]
pub(crate) struct Log(BTreeMap<(String, Stamp), Option<Opaque>>);

impl Log {
    fn note(&mut self, messages: &[Message]) {
        for message in messages {
            if let Body::Store { key, register } = &message.body {
                let Register { stamp, value } = register.clone();
                let first = self
                    .0
                    .entry((key.clone(), stamp))
                    .or_insert_with(|| value.clone());
                assert_eq!(*first, value, "two values of {key} have the stamp {stamp}");
            }
        }
    }
}

fn answer(found: Found) -> Answer {
    match found {
        Found::Read(register) => {
            let value = register.and_then(|register| register.value);
            Answer::Read(value.map(|value| {
                let text = std::str::from_utf8(value.as_bytes()).expect("a number");
                text.parse().expect("a number")
            }))
        }
        Found::Written(_) => Answer::Written,
        Found::GivenUp(Stage::Query) => Answer::Refused,
        Found::GivenUp(Stage::Store) => Answer::Lost,
    }
}

impl Node for Host {
    type Message = Message;
    type Setting = Setting;
    type Log = Log;

    fn start(setting: &Setting, members: &BTreeSet<NodeId>, own: NodeId, past: Past) -> Self {
        let config = Config {
            replicas: setting.replicas,
            writes: setting.writes,
            reads: setting.reads,
            repair: setting.repair,
            resend_ticks: 5,
            patience_ticks: 30,
            snapshot_entries: 5,
            life: past.life << 32,
            ..Config::new(own, members.clone())
        };
        Self {
            core: Quorum::new(config, &past.disk).expect("a sound configuration"),
            asked: BTreeMap::new(),
        }
    }

    fn way(message: &Message) -> (NodeId, NodeId) {
        (message.from, message.to)
    }

    fn tick(&mut self) {
        self.core.tick();
    }

    fn step(&mut self, message: Message) {
        self.core.step(message);
    }

    fn persisted(&mut self, batch: BatchId) {
        self.core.persisted(batch);
    }

    fn ask(&mut self, name: u64, op: &Op) {
        let key = op.key.to_string();
        match op.op {
            RegisterOp::Write(value) => {
                self.asked
                    .insert(self.core.write(&key), (name, Some(value)));
            }
            _ => {
                self.asked.insert(self.core.read(&key), (name, None));
            }
        }
    }

    fn out(&mut self, log: &mut Log) -> Vec<Out<Message>> {
        let mut all = Vec::new();
        loop {
            let output = self.core.take_output();
            if output.is_empty() {
                return all;
            }
            log.note(&output.send_now);
            for decision in output.decisions {
                let (_, value) = self.asked[&decision.operation];
                let value = value.expect("only writes are decided").to_string();
                let change = Some(Some(Opaque::from(value.as_bytes())));
                self.core.decide(decision.operation, change);
            }
            let answers = output.answers.into_iter();
            let answers = answers.map(|(operation, found)| {
                let (name, _) = self.asked[&operation];
                (name, answer(found))
            });
            all.push(Out {
                batch: output.batch,
                send_now: output.send_now,
                send_durable: output.send_durable,
                barrier: output.barrier,
                answers: answers.collect(),
            });
        }
    }
}
