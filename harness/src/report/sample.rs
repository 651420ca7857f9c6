//! Made-up runs for the tests of the report: a small one, a violated one, one as large as you like.

use super::{FaultStatus, FaultView, NodeView, RunView};
use crate::run::{ClockReading, Observation};
use crate::verdict::{AxisVerdict, FORMAT, OperationCounts, Timing, Verdict};
use ordeal_checker::history::{Event, EventError, EventKind, Process, Time};
use ordeal_checker::verdict::{Anomaly, Finding, Validity};
use ordeal_nemesis::scenario::StepEvent;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde_json::{Value, json};

const MS: u64 = 1_000_000;

pub(super) fn invocation(index: u64, process: u64, f: &str, time: u64) -> Event {
    Event {
        index,
        process: Process(process),
        kind: EventKind::Invoke,
        f: f.into(),
        key: Some(json!(3)),
        value: Value::Null,
        time: Time(time),
        node: Some(format!("n{}", process % 3 + 1)),
        term: None,
        log_index: None,
        error: None,
        phase: None,
    }
}

pub(super) fn completion(index: u64, process: u64, kind: EventKind, time: u64) -> Event {
    let code = |code: &str| EventError {
        code: code.into(),
        message: "no answer in 1 s".into(),
    };
    Event {
        kind,
        key: None,
        term: (kind == EventKind::Ok).then_some(1),
        error: match kind {
            EventKind::Fail => Some(code("NOT_LEADER")),
            EventKind::Info => Some(code("TIMEOUT")),
            EventKind::Ok | EventKind::Invoke => None,
        },
        ..invocation(index, process, "read", time)
    }
}

/// A run that owns what a view borrows.
pub(super) struct Sample {
    pub(super) verdict: Verdict,
    pub(super) history: Vec<Event>,
    pub(super) faults: Vec<FaultView>,
    pub(super) observations: Vec<Observation>,
    pub(super) clocks: Vec<ClockReading>,
    pub(super) nodes: Vec<NodeView>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) plan: String,
    pub(super) steps: Vec<StepEvent>,
}

impl Sample {
    pub(super) fn view(&self) -> RunView<'_> {
        RunView {
            verdict: &self.verdict,
            history: &self.history,
            faults: &self.faults,
            observations: &self.observations,
            clocks: &self.clocks,
            nodes: &self.nodes,
            plan: &self.plan,
            facts: &self.facts,
            folder: "results/runs/latest",
            reproduce: "ordeal run --seed 7",
            steps: &self.steps,
        }
    }

    /// Three nodes, eight operations, one fault of each class, valid.
    pub(super) fn small() -> Self {
        let mut sample = Sample::of(8, 8_000, 2);
        sample.nodes.truncate(3);
        sample.verdict.operations = OperationCounts {
            ok: 7,
            fail: 0,
            info: 1,
            ok_during_faults: 4,
        };
        sample
    }

    /// As above, but a read returned a value that had been replaced.
    pub(super) fn violated() -> Self {
        let mut sample = Sample::small();
        sample.history = stale_read();
        let anomaly = Anomaly {
            kind: "nonlinearizable".into(),
            key: Some("k3".into()),
            message: "p2 read 1 at n3 from 5.300 s to 5.304 s, although p1 had written 2 at n1 \
                      by 4.010 s; no order of these operations explains that answer"
                .into(),
            events: vec![0, 2, 4],
            lines: Vec::new(),
        };
        sample.verdict.defects = vec!["read_leader_local".into()];
        sample.verdict.consistency = AxisVerdict {
            validity: Validity::Invalid,
            summary: "1 of 1 keys is not linearizable".into(),
            findings: vec![Finding {
                check: "linearizability".into(),
                validity: Validity::Invalid,
                summary: "1 of 1 keys is not linearizable".into(),
                anomalies: vec![anomaly],
                statistics: [("states".to_owned(), json!(12))].into(),
            }],
        };
        sample
    }

    /// Five nodes and ten workers, with about that many operations in half a minute.
    pub(super) fn large(operations: u64) -> Self {
        let mut sample = Sample::of(operations, 30_000, 10);
        let kinds = |kind| {
            sample
                .history
                .iter()
                .filter(|event| event.kind == kind)
                .count() as u64
        };
        sample.verdict.operations = OperationCounts {
            ok: kinds(EventKind::Ok),
            fail: kinds(EventKind::Fail),
            info: kinds(EventKind::Info),
            ok_during_faults: kinds(EventKind::Ok) / 2,
        };
        sample
    }

    fn of(operations: u64, ms: u64, workers: u64) -> Self {
        let axis = |summary: &str| AxisVerdict {
            validity: Validity::Valid,
            summary: summary.into(),
            findings: Vec::new(),
        };
        Sample {
            verdict: Verdict {
                format: FORMAT,
                ordeal: "0.1.0".into(),
                run: "20260101T000000Z-raft-register-7".into(),
                seed: 7,
                target: "raft".into(),
                workload: "register".into(),
                nemesis: "mixed".into(),
                defects: Vec::new(),
                consistency: axis("8 operations on 1 key are linearizable"),
                durability: axis("no acknowledged write is missing"),
                progress: axis("served again 0.8 s after the last heal"),
                coverage: axis("3 of 3 fault classes proven"),
                operations: OperationCounts::default(),
                interrupted: None,
                timing: Timing {
                    first_write_ms: 400,
                    main_ms: ms,
                    recovery_ms: Some(800),
                    checking_ms: 12,
                },
            },
            history: history(operations, ms, workers),
            faults: faults(ms),
            observations: observations(ms),
            clocks: Vec::new(),
            nodes: nodes(),
            facts: vec![("kernel".into(), "Linux 6.1".into())],
            plan: "seed = 7\ntarget = \"raft\"\n".into(),
            steps: Vec::new(),
        }
    }
}

/// A read that returns what was replaced before it was asked.
fn stale_read() -> Vec<Event> {
    let write = |index, value: i64, at: u64| {
        let mut asked = invocation(index, 1, "write", at * MS);
        asked.value = json!(value);
        [
            asked,
            completion(index + 1, 1, EventKind::Ok, (at + 10) * MS),
        ]
    };
    let mut read = completion(5, 2, EventKind::Ok, 5_304 * MS);
    read.value = json!(1);
    let mut history = Vec::from(write(0, 1, 1_000));
    history.extend(write(2, 2, 4_000));
    history.extend([invocation(4, 2, "read", 5_300 * MS), read]);
    history
}

/// Workers that take turns; in the middle third some answers are lost.
fn history(operations: u64, ms: u64, workers: u64) -> Vec<Event> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut process: Vec<u64> = (0..workers).collect();
    let mut history: Vec<Event> = Vec::new();
    for operation in 0..operations {
        let worker = operation % workers;
        let turn = ms * MS / operations.max(1);
        let at = operation * turn + rng.random_range(0..turn / 4 + 1);
        let room = (turn * workers * 3 / 4).max(2);
        let troubled = (operations / 3..operations / 2).contains(&operation);
        let slow = if troubled || rng.random_range(0..100) == 0 {
            room
        } else {
            room / 16 + 1
        };
        let took = rng.random_range(slow / 2..=slow);
        let kind = match rng.random_range(0..10) {
            0 if troubled => EventKind::Info,
            1 | 2 if troubled => EventKind::Fail,
            _ => EventKind::Ok,
        };
        let who = &mut process[usize::try_from(worker).unwrap()];
        let index = operation * 2;
        let mut asked = invocation(index, *who, ["read", "write"][usize::from(troubled)], at);
        asked.value = if troubled {
            json!(operation)
        } else {
            Value::Null
        };
        history.extend([asked, completion(index + 1, *who, kind, at + took)]);
        if kind == EventKind::Info {
            *who += workers;
        }
    }
    history
}

fn faults(ms: u64) -> Vec<FaultView> {
    let fault =
        |class: &str, what: &str, nodes: &[&str], from: u64, to: u64, evidence: &str| FaultView {
            class: class.into(),
            what: what.into(),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            planned: Time(ms * MS * from / 100),
            installed: Some(Time(ms * MS * from / 100 + 2 * MS)),
            healed: Some(Time(ms * MS * to / 100)),
            status: FaultStatus::Proven,
            evidence: evidence.into(),
        };
    let gone = "n1 pid 41 gone, pid 77 serving";
    vec![
        fault("kill", "kill leader", &["n1"], 15, 25, gone),
        fault(
            "partition",
            "isolate n3",
            &["n3"],
            35,
            55,
            "812 packets dropped on 8 of 8 edges",
        ),
        fault(
            "pause",
            "pause n2",
            &["n2"],
            45,
            65,
            "n2 pid 42 in state T (4 threads)",
        ),
    ]
}

fn observations(ms: u64) -> Vec<Observation> {
    let saw = |percent: u64, node: &str, role: &str, term: Option<u64>| Observation {
        time: Time(ms * MS * percent / 100),
        node: node.into(),
        role: role.into(),
        term,
    };
    vec![
        saw(1, "n1", "leader", Some(1)),
        saw(1, "n2", "follower", Some(1)),
        saw(1, "n3", "follower", Some(1)),
        saw(15, "n1", "silent", None),
        saw(17, "n2", "candidate", Some(2)),
        saw(18, "n2", "leader", Some(2)),
        saw(18, "n3", "follower", Some(2)),
        saw(26, "n1", "follower", Some(2)),
    ]
}

fn nodes() -> Vec<NodeView> {
    let node = |number: u64| NodeView {
        name: format!("n{number}"),
        restarts: u64::from(number == 1),
        unplanned_deaths: Vec::new(),
        log_tail: format!("n{number}: listening\nn{number}: term 1"),
    };
    (1..=5).map(node).collect()
}

/// Fails unless every element that is opened is closed, in order. Knows HTML's void elements.
pub(super) fn assert_well_formed(markup: &str) {
    const VOID: &[&str] = &["meta", "br", "hr", "input", "link", "img"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest
            .find('>')
            .unwrap_or_else(|| panic!("an open tag at the end: {rest:.40}"));
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let name = tag
            .trim_start_matches('/')
            .split([' ', '\n', '/'])
            .next()
            .unwrap();
        assert_no_attribute_twice(tag);
        if tag.starts_with(['!', '?']) || tag.ends_with('/') || VOID.contains(&name) {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> before {rest:.60}");
            continue;
        }
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
            "<{tag}> is no element"
        );
        open.push(name);
        if ["script", "style"].contains(&name) {
            let close = rest.find(&format!("</{name}>")).expect("raw text ends");
            rest = &rest[close..];
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

/// A browser drops the second one without a word.
fn assert_no_attribute_twice(tag: &str) {
    let outside: Vec<&str> = tag.split('"').step_by(2).collect();
    let mut names: Vec<&str> = outside
        .iter()
        .filter_map(|part| part.strip_suffix('='))
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "an attribute twice in <{tag}>");
}
