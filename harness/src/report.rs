//! The report: what is told about a run, to a person and to the machines that run tests.
//!
//! ```text
//!              ┌─▶ html      one self-contained page, readable offline and without scripts
//!   RunView ───┼─▶ text      the terminal, ending with the command that reproduces
//!    (plain)   ├─▶ markdown  summary.md, for a job's summary
//!              └─▶ junit     junit.xml, one test case per axis
//! ```
//!
//! Nothing here judges: the verdict is an input, and every figure that is told stands in it or is
//! counted from the evidence. Everything that came from the target is hostile text until escaped.

mod anomaly;
mod clock;
mod drawing;
mod fault;
mod figure;
mod html;
mod junit;
mod lane;
mod markdown;
mod operation;
mod plot;
#[cfg(test)]
mod sample;
mod sentence;
mod table;
mod text;
mod timeline;

pub(crate) use fault::{FaultStatus, FaultView};
pub(crate) use html::html;
pub(crate) use junit::junit;
pub(crate) use markdown::markdown;
pub(crate) use text::text;

use crate::run::{ClockReading, Observation};
use crate::verdict::Verdict;
use ordeal_checker::history::{Event, Time};
use ordeal_nemesis::scenario::StepEvent;

/// Everything that a report is made of. All of it stands in the run's folder too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunView<'a> {
    /// What it amounts to.
    pub(crate) verdict: &'a Verdict,
    /// What clients saw, as it stands in `history.jsonl`.
    pub(crate) history: &'a [Event],
    /// What was done to the target, on the same clock.
    pub(crate) faults: &'a [FaultView],
    /// What the nodes said of themselves, on the same clock.
    pub(crate) observations: &'a [Observation],
    /// How wrong their wall clocks were, where faults made them so.
    pub(crate) clocks: &'a [ClockReading],
    /// The nodes, in order.
    pub(crate) nodes: &'a [NodeView],
    /// `plan.toml`, word for word.
    pub(crate) plan: &'a str,
    /// Versions, kernel, mechanisms: name and value, in the order in which they are told.
    pub(crate) facts: &'a [(String, String)],
    /// The run's folder, as a person would type it.
    pub(crate) folder: &'a str,
    /// The command that does all this again.
    pub(crate) reproduce: &'a str,
    /// What became of each step of its scenario.
    pub(crate) steps: &'a [StepEvent],
}

impl RunView<'_> {
    /// The last instant that anything is known about.
    fn end(&self) -> Time {
        let events = self.history.iter().map(|event| event.time);
        let faults = self
            .faults
            .iter()
            .filter_map(|fault| fault.healed.or(fault.installed));
        let seen = self.observations.iter().map(|observation| observation.time);
        events.chain(faults).chain(seen).max().unwrap_or_default()
    }
}

/// One node, as its supervisor knew it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeView {
    /// Its name: `n1`, …
    pub(crate) name: String,
    /// How often it was started again after a fault had ended it.
    pub(crate) restarts: u64,
    /// Ends that no fault explains: when, and how (`exit code 101`, `signal 6`).
    pub(crate) unplanned_deaths: Vec<(Time, String)>,
    /// The last lines of its log.
    pub(crate) log_tail: String,
}

#[cfg(test)]
mod tests {
    use super::sample::{Sample, completion};
    use ordeal_checker::history::EventKind;
    use ordeal_nemesis::injector::{FaultEvent, Step};
    use ordeal_nemesis::proof::{
        CrashLooped, Damaged, DamagedNode, DiskMet, Dropped, Killed, Lost, Paused, PowerLost,
        Slowed, StartKilled, Starved, Stopped, Successor,
    };
    use ordeal_nemesis::scenario::{StepEvent, StepWhat};
    use ordeal_nemesis::{Edge, FaultClass, Node, Proof};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn keys(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.keys().cloned());
                // Statistics and dropped packets are keyed by what they count.
                let closed = fields
                    .iter()
                    .filter(|(key, _)| !["statistics", "packets"].contains(&key.as_str()));
                closed.for_each(|(_, value)| keys(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }

    fn disk_events(killed: Killed) -> [FaultEvent; 3] {
        let lost = PowerLost {
            killed: killed.clone(),
            lost: Lost::default(),
        };
        let met = DiskMet {
            node: Node(1),
            requests: 1,
            successor: killed.successor.clone(),
        };
        let damaged = DamagedNode {
            killed,
            damaged: Damaged::default(),
            refused: true,
        };
        [
            Proof::PowerLost { nodes: vec![lost] },
            Proof::DiskMet { nodes: vec![met] },
            Proof::Damaged {
                nodes: vec![damaged],
            },
        ]
        .map(fault_event)
    }

    fn process_events(successor: Option<Successor>) -> [FaultEvent; 5] {
        let (node, pid) = (Node(1), 1);
        let stopped = Stopped {
            node,
            pid,
            status: String::new(),
            in_order: true,
            gone_after_us: 1,
            successor: successor.clone(),
        };
        let looped = CrashLooped {
            node,
            pids: vec![1, 2],
            successor: successor.clone(),
        };
        let start = StartKilled {
            node,
            pid,
            killed_after_us: 1,
            was_up: false,
            successor: successor.clone(),
        };
        let slowed = Slowed {
            node,
            pid,
            stops: 1,
            stopped_us: 1,
            lasted_us: 1,
            cpu_us: 1,
        };
        let starved = Starved {
            node,
            pid,
            limit: 1,
            had: 1,
            most: 1,
            ended: Some(String::new()),
            successor,
        };
        let proofs = [
            Proof::Stopped {
                processes: vec![stopped],
            },
            Proof::CrashLooped {
                nodes: vec![looped],
            },
            Proof::StartKilled {
                processes: vec![start],
            },
            Proof::Slowed {
                processes: vec![slowed],
            },
            Proof::Starved {
                processes: vec![starved],
            },
        ];
        proofs.map(fault_event)
    }

    fn fault_event(proof: Proof) -> FaultEvent {
        FaultEvent {
            time_ns: 1,
            fault: 1,
            class: FaultClass::Kill,
            what: Step::Healed,
            nodes: vec![Node(1)],
            edges: vec![Edge::new(Node(1), Node(2))],
            proof: Some(proof),
            message: String::new(),
        }
    }

    fn step_event() -> StepEvent {
        StepEvent {
            time_ns: 1,
            step: 1,
            what: StepWhat::Met,
            text: String::new(),
            message: String::new(),
        }
    }

    #[test]
    fn every_key_of_every_file_stands_in_the_description_of_formats() {
        let (node, pid) = (Node(1), 1);
        let successor = Some(Successor {
            pid,
            serving_after_ms: 1,
        });
        let killed = Killed {
            node,
            pid,
            gone_after_us: 1,
            successor,
        };
        let paused = Paused {
            node,
            pid,
            processes: 1,
            threads: 1,
            stopped_after_us: 1,
        };
        let sample = Sample::violated();
        let mut event = completion(0, 1, EventKind::Info, 1);
        (event.key, event.term, event.log_index) = (Some(json!(1)), Some(1), Some(1));
        event.phase = Some("final".into());
        let lines = json!([
            event,
            sample.verdict,
            sample.observations,
            disk_events(killed.clone()),
            process_events(killed.successor.clone()),
            fault_event(Proof::Killed {
                processes: vec![killed]
            }),
            fault_event(Proof::Paused {
                processes: vec![paused]
            }),
            fault_event(Proof::Cut(Dropped::default())),
            step_event(),
        ]);
        let mut found = BTreeSet::new();
        keys(&lines, &mut found);
        assert!(
            found.contains("serving_after_ms") && found.contains("log_index"),
            "{found:?}"
        );
        let format = include_str!("../../results/FORMAT.md");
        let missing: Vec<&String> = found
            .iter()
            .filter(|key| !format.contains(&format!("`{key}`")))
            .collect();
        assert!(
            missing.is_empty(),
            "results/FORMAT.md does not name {missing:?}"
        );
    }
}
