//! Replicas and coordinators on a stage.

use std::collections::BTreeSet;

use target_node::quorum::{Answer, Config, Decision, Message, Quorum, Register, Repair};
use target_node::raft::{BatchId, NodeId, Opaque};

use super::stage::{Core, Past, Stage, Taken};
use super::words::Words;

pub(crate) fn stage() -> impl FnMut(&str) -> String {
    let mut stage = Stage::<Node>::default();
    move |line: &str| stage.act(line)
}

/// A core, and what its writes under way are to set.
pub(crate) struct Node {
    core: Quorum,
    writes: Vec<(u64, Option<Opaque>)>,
}

#[derive(Clone)]
pub(crate) struct Choice(Config);

impl Default for Choice {
    fn default() -> Self {
        Self(Config::new(1, BTreeSet::from([1])))
    }
}

impl Core for Node {
    type Message = Message;
    type Choice = Choice;

    fn choose(words: &Words<'_>) -> Choice {
        let nodes = words.number("nodes", 3);
        let number = |key, default| usize::try_from(words.number(key, default)).unwrap();
        Choice(Config {
            replicas: number("n", nodes),
            writes: number("w", nodes / 2 + 1),
            reads: number("r", nodes / 2 + 1),
            repair: match words.options.get("repair").copied() {
                None | Some("none") => Repair::None,
                Some("async") => Repair::Async,
                Some("abd") => Repair::Abd,
                Some(other) => panic!("no repair is called {other:?}"),
            },
            resend_ticks: 3,
            patience_ticks: 9,
            snapshot_entries: words.number("snapshot", 1000),
            ..Config::new(1, (1..=nodes).collect())
        })
    }

    fn make(choice: &Choice, _: &BTreeSet<NodeId>, own: NodeId, past: Past) -> Self {
        let config = Config {
            id: own,
            life: past.life * 100,
            ..choice.0.clone()
        };
        Self {
            core: Quorum::new(config, &past.disk).unwrap(),
            writes: Vec::new(),
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

    fn input(&mut self, name: &str, words: &Words<'_>) -> Result<(), String> {
        let key = words.places[1];
        match name {
            "write" => {
                let value = Opaque::from(words.places[2].as_bytes());
                self.writes.push((self.core.write(key), Some(value)));
            }
            "unset" => self.writes.push((self.core.write(key), None)),
            "read" => {
                self.core.read(key);
            }
            _ => panic!("no command is called {name:?}"),
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<Taken<Message>> {
        let mut all = Vec::new();
        loop {
            let output = self.core.take_output();
            if output.is_empty() {
                return all;
            }
            let answers = output.answers.iter();
            let mut after: Vec<String> = answers.map(|(op, answer)| told(*op, answer)).collect();
            for Decision {
                operation,
                key,
                current,
            } in output.decisions
            {
                after.push(format!(
                    "op={operation}: {key} holds {}",
                    shown(current.as_ref())
                ));
                let (_, value) = self.writes.iter().find(|(op, _)| *op == operation).unwrap();
                self.core.decide(operation, Some(value.clone()));
            }
            all.push(Taken {
                told: Vec::new(),
                batch: output.batch,
                send_now: output.send_now,
                send_durable: output.send_durable,
                barrier: output.barrier,
                after,
            });
        }
    }

    fn status(&self) -> String {
        let held = ["x", "y"].map(|key| {
            let register = self.core.register(key);
            register
                .map(|register| format!(" {key}={register}"))
                .unwrap_or_default()
        });
        let (last, snapshot) = (self.core.last(), self.core.snapshot_index());
        format!("log={last} snapshot={snapshot}{}", held.concat())
    }
}

fn shown(register: Option<&Register>) -> String {
    register.map_or_else(|| "nothing".to_owned(), Register::to_string)
}

fn told(operation: u64, answer: &Answer) -> String {
    match answer {
        Answer::Read(register) => format!("op={operation}: read {}", shown(register.as_ref())),
        Answer::Written(stamp) => format!("op={operation}: written at {stamp}"),
        Answer::GivenUp(stage) => format!("op={operation}: given up in {stage:?}"),
    }
}
