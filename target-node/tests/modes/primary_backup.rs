//! Primary and backups on a stage.

use std::collections::BTreeSet;

use target_node::primary_backup::{Acknowledge, Config, Message, PrimaryBackup};
use target_node::raft::{BatchId, Event, NodeId, Opaque, Role};

use super::stage::{Core, Past, Stage, Taken, list};
use super::words::Words;

pub(crate) fn stage() -> impl FnMut(&str) -> String {
    let mut stage = Stage::<PrimaryBackup>::default();
    move |line: &str| stage.act(line)
}

#[derive(Clone, Copy)]
pub(crate) struct Choice {
    acknowledge: Acknowledge,
    trailing: u64,
    chunk_bytes: usize,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            acknowledge: Acknowledge::All,
            trailing: 0,
            chunk_bytes: 4,
        }
    }
}

impl Core for PrimaryBackup {
    type Message = Message;
    type Choice = Choice;

    fn choose(words: &Words<'_>) -> Choice {
        let patience_ticks = u32::try_from(words.number("patience", 5)).unwrap();
        Choice {
            acknowledge: match words.options["mode"] {
                "sync" => Acknowledge::All,
                "semisync" => Acknowledge::One { patience_ticks },
                "async" => Acknowledge::Own,
                other => panic!("no mode is called {other:?}"),
            },
            trailing: words.number("trailing", 0),
            chunk_bytes: usize::try_from(words.number("chunk-bytes", 4)).unwrap(),
        }
    }

    fn make(choice: &Choice, ids: &BTreeSet<NodeId>, own: NodeId, past: Past) -> Self {
        let config = Config {
            heartbeat_ticks: 3,
            trailing_entries: choice.trailing,
            chunk_bytes_max: choice.chunk_bytes,
            first_read: past.life * 100,
            ..Config::new(own, ids.clone(), choice.acknowledge)
        };
        PrimaryBackup::new(config, past.disk).unwrap()
    }

    fn way(message: &Message) -> (NodeId, NodeId) {
        (message.from, message.to)
    }

    fn tick(&mut self) {
        self.tick();
    }

    fn step(&mut self, message: Message) {
        self.step(message);
    }

    fn persisted(&mut self, batch: BatchId) {
        self.persisted(batch);
    }

    fn input(&mut self, name: &str, words: &Words<'_>) -> Result<(), String> {
        match name {
            "propose" => {
                let command = Opaque::from(words.places[1].as_bytes());
                let refused = self.propose(command).err();
                refused.map_or(Ok(()), |refused| Err(refused.to_string()))
            }
            "promote" => {
                let epoch = words
                    .options
                    .get("epoch")
                    .map(|epoch| epoch.parse().unwrap());
                let stale = self.promote(epoch).err();
                stale.map_or(Ok(()), |stale| Err(stale.to_string()))
            }
            "compact" => {
                let state = words.options.get("state").copied().unwrap_or("");
                self.compact(Opaque::from(state.as_bytes()));
                Ok(())
            }
            "read" => self.read().map(|_| ()).map_err(|error| error.to_string()),
            _ => panic!("no command is called {name:?}"),
        }
    }

    fn take(&mut self) -> Vec<Taken<Message>> {
        let output = self.take_output();
        let mut after = Vec::new();
        if output.rebuild {
            let state = self
                .snapshot()
                .map(|snapshot| format!("{:?}", snapshot.state));
            let state = state.unwrap_or_else(|| "empty".to_owned());
            after.push(format!("its state is {state}"));
        }
        let applied = output.committed.iter();
        after.extend(applied.map(|entry| format!("applies {entry}")));
        after.extend(
            output
                .reads
                .iter()
                .map(|read| format!("answers read {}", read.name)),
        );
        vec![Taken {
            told: output.events.iter().map(told).collect(),
            batch: output.batch,
            send_now: output.send_now,
            send_durable: output.send_durable,
            barrier: output.barrier,
            after,
        }]
    }

    fn status(&self) -> String {
        let role = match self.role() {
            Role::Leader => "primary",
            _ => "backup",
        };
        let alone = if self.is_alone() { " alone" } else { "" };
        let wants = if self.wants_snapshot() {
            " wants-snapshot"
        } else {
            ""
        };
        let snapshot = self
            .snapshot()
            .map(|snapshot| format!(" snapshot={}", snapshot.last));
        format!(
            "{role}{alone}{wants} epoch={}/n{}{} commit={} durable={} log={}",
            self.term(),
            self.leader().unwrap(),
            snapshot.unwrap_or_default(),
            self.commit(),
            self.durable(),
            list(self.entries(1, u64::MAX)),
        )
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::BecameLeader { term, last } => {
            format!("is primary in epoch {term}, log ends at {last}")
        }
        Event::BecameFollower { term } => format!("is no primary in epoch {term}"),
        Event::Follows { term, leader } => format!("follows n{leader} in epoch {term}"),
        Event::Compacted { last } => format!("takes a snapshot at {last}"),
        Event::Installed { last } => format!("takes the snapshot at {last} for its log"),
        Event::Truncated { from, last } => format!("drops {from} to {last}"),
        Event::WentAlone { last, .. } => format!("goes on alone, log ends at {last}"),
        Event::Accompanied { .. } => "waits for backups again".to_owned(),
        other => panic!("an event of another core: {other:?}"),
    }
}
