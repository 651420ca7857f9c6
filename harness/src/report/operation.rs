//! Operations as a picture needs them: from invocation to completion, in lanes, with words.
//!
//! Unlike a checker's history this takes whatever is there: a report must come out of the worst
//! run. A completion without an invocation is left out, an invocation without one stays open.

use ordeal_checker::history::{Event, EventKind, Process, Time};
use ordeal_workloads::Op;
use serde_json::Value;
use std::collections::BTreeMap;

/// How many characters of a value are told: a set of thousands is no label.
const VALUE_CHARS_MAX: usize = 60;

/// How an operation ended, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    Ok,
    Fail,
    Info,
}

impl Ending {
    pub(super) const ALL: [Ending; 3] = [Ending::Ok, Ending::Fail, Ending::Info];

    /// The word, which is also its class in the page's style.
    pub(super) fn word(self) -> &'static str {
        match self {
            Ending::Ok => "ok",
            Ending::Fail => "fail",
            Ending::Info => "info",
        }
    }
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn<'a> {
    pub(super) invocation: &'a Event,
    pub(super) completion: Option<&'a Event>,
}

impl<'a> Drawn<'a> {
    pub(super) fn ending(&self) -> Ending {
        match self.completion.map(|event| event.kind) {
            Some(EventKind::Ok) => Ending::Ok,
            Some(EventKind::Fail) => Ending::Fail,
            Some(EventKind::Info | EventKind::Invoke) | None => Ending::Info,
        }
    }

    pub(super) fn process(&self) -> Process {
        self.invocation.process
    }

    pub(super) fn invoked(&self) -> Time {
        self.invocation.time
    }

    /// When its client stopped waiting, if ever.
    pub(super) fn completed(&self) -> Option<Time> {
        self.completion
            .map(|event| event.time.max(self.invocation.time))
    }

    /// How long its client waited, if it did not wait for ever.
    pub(super) fn latency(&self) -> Option<u64> {
        self.completed()
            .map(|completed| completed.0 - self.invoked().0)
    }

    /// Outside the main phase, the name of the phase.
    pub(super) fn phase(&self) -> Option<&'a str> {
        self.invocation.phase.as_deref()
    }

    pub(super) fn node(&self) -> Option<&'a str> {
        let answered = self.completion.and_then(|event| event.node.as_deref());
        answered.or(self.invocation.node.as_deref())
    }

    pub(super) fn term(&self) -> Option<u64> {
        self.completion.and_then(|event| event.term)
    }

    /// What was asked: `write k3 = 5`.
    pub(super) fn asked(&self) -> String {
        if let Ok(op) = Op::from_event(self.invocation) {
            return op.to_string();
        }
        let mut words = self.invocation.f.clone();
        if let Some(key) = &self.invocation.key {
            words += &format!(" {}", brief(key));
        }
        if !self.invocation.value.is_null() {
            words += &format!(" {}", brief(&self.invocation.value));
        }
        words
    }

    /// What came of it: `5`, `nil`, `ok`, `fail: NOT_LEADER`, `unknown: TIMEOUT`.
    pub(super) fn answered(&self) -> String {
        let reads = self.invocation.value.is_null();
        let code = self.completion.and_then(|event| event.error.as_ref());
        let code = code.map_or(String::new(), |error| format!(": {}", error.code));
        match (self.ending(), self.completion.map(|event| &event.value)) {
            (Ending::Ok, Some(Value::Null)) if reads => "nil".into(),
            (Ending::Ok, Some(Value::Bool(false))) => "not swapped".into(),
            (Ending::Ok, Some(Value::Null | Value::Bool(true)) | None) => "ok".into(),
            (Ending::Ok, Some(value)) if *value == self.invocation.value => "ok".into(),
            (Ending::Ok, Some(value)) => brief(value),
            (Ending::Fail, _) => format!("fail{code}"),
            (Ending::Info, None) => "never answered".into(),
            (Ending::Info, Some(_)) => format!("unknown{code}"),
        }
    }
}

/// A value in a few characters; of a long list its length and its last elements.
fn brief(value: &Value) -> String {
    let text = match value {
        Value::Null => "nil".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if value.to_string().chars().count() > VALUE_CHARS_MAX => {
            let last: Vec<String> = list.iter().rev().take(3).rev().map(brief).collect();
            format!("{} elements, … {}", list.len(), last.join(" "))
        }
        other => other.to_string(),
    };
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars().take(VALUE_CHARS_MAX).chain(['…']).collect()
}

/// The operations of a history in order of invocation.
pub(super) fn pair(history: &[Event]) -> Vec<Drawn<'_>> {
    let mut operations: Vec<Drawn<'_>> = Vec::with_capacity(history.len() / 2);
    let mut open: BTreeMap<Process, usize> = BTreeMap::new();
    for event in history {
        if event.kind == EventKind::Invoke {
            open.insert(event.process, operations.len());
            operations.push(Drawn {
                invocation: event,
                completion: None,
            });
        } else if let Some(place) = open.remove(&event.process) {
            operations[place].completion = Some(event);
        }
    }
    operations.sort_by_key(|operation| (operation.invoked(), operation.invocation.index));
    operations
}

/// The lane of every operation, from 0, so that no two processes of a lane live at the same time.
///
/// A worker goes on under a new process after an unknown outcome; in a picture it stays itself.
pub(super) fn lanes(operations: &[Drawn<'_>]) -> (Vec<usize>, usize) {
    let mut lives: BTreeMap<Process, (Time, Time)> = BTreeMap::new();
    for operation in operations {
        let end = operation.completed().unwrap_or(Time(u64::MAX));
        let life = lives
            .entry(operation.process())
            .or_insert((operation.invoked(), end));
        life.1 = life.1.max(end);
    }
    let mut births: Vec<(Time, Process)> = lives
        .iter()
        .map(|(process, (born, _))| (*born, *process))
        .collect();
    births.sort_unstable();
    let mut busy_until: Vec<Time> = Vec::new();
    let mut lane_of: BTreeMap<Process, usize> = BTreeMap::new();
    for (born, process) in births {
        let free = busy_until.iter().position(|until| *until <= born);
        let lane = free.unwrap_or(busy_until.len());
        if lane == busy_until.len() {
            busy_until.push(born);
        }
        busy_until[lane] = lives[&process].1;
        lane_of.insert(process, lane);
    }
    let lanes = operations
        .iter()
        .map(|operation| lane_of[&operation.process()])
        .collect();
    (lanes, busy_until.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{completion, invocation};
    use serde_json::json;

    #[test]
    fn a_worker_stays_in_its_lane_when_its_process_retires() {
        let history = [
            invocation(0, 1, "read", 10),
            invocation(1, 2, "read", 11),
            completion(2, 1, EventKind::Info, 20),
            invocation(3, 11, "read", 30),
            completion(4, 2, EventKind::Ok, 40),
            completion(5, 11, EventKind::Ok, 50),
        ];
        let operations = pair(&history);
        assert_eq!(lanes(&operations), (vec![0, 1, 0], 2));
    }

    #[test]
    fn a_stray_completion_is_left_out_and_an_open_invocation_is_unknown() {
        let history = [
            completion(0, 1, EventKind::Ok, 5),
            invocation(1, 1, "read", 6),
        ];
        let operations = pair(&history);
        assert_eq!(operations.len(), 1);
        assert_eq!(operations[0].ending(), Ending::Info);
        assert_eq!(operations[0].answered(), "never answered");
    }

    #[test]
    fn an_operation_says_what_was_asked_and_what_came_of_it() {
        let words = |f: &str, argument: Value, result: Value| {
            let mut asked = invocation(0, 1, f, 1);
            (asked.key, asked.value) = (Some(json!(3)), argument);
            let mut answer = completion(1, 1, EventKind::Ok, 2);
            answer.value = result;
            let drawn = Drawn {
                invocation: &asked,
                completion: Some(&answer),
            };
            format!("{} → {}", drawn.asked(), drawn.answered())
        };
        assert_eq!(words("write", json!(5), json!(null)), "write k3 = 5 → ok");
        assert_eq!(words("read", json!(null), json!(null)), "read k3 → nil");
        assert_eq!(words("read", json!(null), json!(7)), "read k3 → 7");
        assert_eq!(
            words("cas", json!([1, 2]), json!(false)),
            "cas k3 1 → 2 → not swapped"
        );
        assert_eq!(words("enqueue", json!("x"), json!("x")), "enqueue 3 x → ok");
    }

    #[test]
    fn a_long_value_is_cut_short() {
        let list: Vec<u32> = (0..1000).collect();
        assert_eq!(brief(&json!(list)), "1000 elements, … 997 998 999");
        assert_eq!(
            brief(&json!("é".repeat(100))).chars().count(),
            VALUE_CHARS_MAX + 1
        );
    }
}
