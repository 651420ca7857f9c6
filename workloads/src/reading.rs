//! From events to operations: of each no more is kept than what is judged and told, so that a long
//! history fits in memory.

use crate::check::Unjudgeable;
use crate::operation::{Foreign, Op, Ret};
use ordeal_checker::history::{Event, EventKind, Outcome, Process, Processes, Reason, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// What was asked.
    pub(crate) op: Op,
    /// Who asked.
    pub(crate) process: Process,
    /// When.
    pub(crate) invoked: Time,
    /// The index of the invocation.
    pub(crate) index: u64,
    /// The node that was asked.
    pub(crate) node: Option<Arc<str>>,
    /// True for the reads that end a run.
    pub(crate) is_final: bool,
    /// How it ended, where it did.
    pub(crate) ended: Option<Ended>,
}

/// How an operation ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) at: Time,
    /// The node that answered.
    pub(crate) node: Option<Arc<str>>,
    /// The term in which the target says that it happened.
    pub(crate) term: Option<u64>,
    pub(crate) outcome: Outcome<Ret>,
}

impl Asked {
    /// What it heard, where it heard something.
    pub(crate) fn answer(&self) -> Option<&Ret> {
        self.ended.as_ref()?.outcome.ok()
    }

    /// True where it certainly did not happen.
    pub(crate) fn has_failed(&self) -> bool {
        let ended = self.ended.as_ref();
        ended.is_some_and(|ended| matches!(ended.outcome, Outcome::Fail(_)))
    }
}

/// Puts invocations and completions together as they come.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    open: BTreeMap<Process, Asked>,
    processes: Processes,
    nodes: BTreeSet<Arc<str>>,
}

impl Pairing {
    /// The operation that is over with this event, if one is.
    ///
    /// # Errors
    /// If the event is not one of ours, or its process cannot do that now.
    pub(crate) fn see(&mut self, event: &Event) -> Result<Option<Asked>, Unjudgeable> {
        let malformed = |source| Unjudgeable::Malformed {
            index: event.index,
            source,
        };
        let (process, time) = (event.process, event.time);
        if event.kind == EventKind::Invoke {
            let asked = Asked {
                op: Op::from_event(event)?,
                process,
                invoked: time,
                index: event.index,
                node: event.node.as_deref().map(|node| self.node(node)),
                is_final: event.phase.as_deref() == Some("final"),
                ended: None,
            };
            self.processes.invoke(process, time, 0).map_err(malformed)?;
            self.open.insert(process, asked);
            return Ok(None);
        }
        let Some(mut asked) = self.open.remove(&process) else {
            return Err(Foreign::new(event, "completes what was never invoked").into());
        };
        let is_info = event.kind == EventKind::Info;
        let state = self.processes.complete(process, time, is_info);
        state.map_err(malformed)?;
        asked.ended = Some(Ended {
            at: time,
            node: event.node.as_deref().map(|node| self.node(node)),
            term: event.term,
            outcome: outcome(&asked.op, event)?,
        });
        Ok(Some(asked))
    }

    /// What is still open.
    pub(crate) fn open(self) -> impl Iterator<Item = Asked> {
        self.open.into_values()
    }

    /// One copy of each name.
    fn node(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.nodes.get(name) {
            return known.clone();
        }
        let node: Arc<str> = name.into();
        self.nodes.insert(node.clone());
        node
    }
}

pub(crate) fn outcome(op: &Op, event: &Event) -> Result<Outcome<Ret>, Foreign> {
    let reason = || {
        let message = event.error.as_ref().map(|error| error.message.clone());
        Reason(message.unwrap_or_default())
    };
    Ok(match event.kind {
        EventKind::Ok => Outcome::Ok(Ret::from_event(op, event)?),
        EventKind::Fail => Outcome::Fail(reason()),
        EventKind::Info | EventKind::Invoke => Outcome::Info(reason()),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ordeal_checker::history::Time;
    use serde_json::json;

    /// Events as a table: process, kind, time, operation, value of the completion.
    pub(crate) fn events(lines: &[(u64, EventKind, u64, &Op, serde_json::Value)]) -> Vec<Event> {
        let line = |(index, (process, kind, time, op, value)): (usize, &(_, _, _, &Op, _))| {
            let invoke = *kind == EventKind::Invoke;
            Event {
                index: index as u64,
                process: Process(*process),
                kind: *kind,
                f: op.f().into(),
                key: op.key().map(|key| json!(key)),
                value: if invoke {
                    op.argument()
                } else {
                    Clone::clone(value)
                },
                time: Time(*time * 1_000_000_000),
                node: Some("n1".into()),
                term: Some(3),
                log_index: None,
                error: None,
                phase: None,
            }
        };
        lines.iter().enumerate().map(line).collect()
    }

    #[test]
    fn operations_come_when_they_are_over_and_open_ones_in_the_end() {
        use EventKind::{Invoke, Ok};
        let (open, over) = (Op::Add { element: 2 }, Op::Add { element: 1 });
        let none = serde_json::Value::Null;
        let events = events(&[
            (2, Invoke, 5, &open, none.clone()),
            (1, Invoke, 3, &over, none.clone()),
            (1, Ok, 6, &over, none.clone()),
        ]);
        let mut pairing = Pairing::default();
        let mut seen = events.iter().map(|event| pairing.see(event).unwrap());
        assert!(seen.next().unwrap().is_none() && seen.next().unwrap().is_none());
        let asked = seen.next().unwrap().expect("it is over");
        assert_eq!((&asked.op, asked.index), (&over, 1));
        assert_eq!(asked.answer(), Some(&Ret::Added));
        assert_eq!(asked.node.as_deref(), Some("n1"));
        let left: Vec<Op> = pairing.open().map(|asked| asked.op).collect();
        assert_eq!(left, [open]);
    }

    fn refused(lines: &[(u64, EventKind, u64, &Op, serde_json::Value)]) -> String {
        let mut pairing = Pairing::default();
        let events = events(lines);
        let refused = events.iter().find_map(|event| pairing.see(event).err());
        refused.expect("one of them cannot be").to_string()
    }

    #[test]
    fn what_no_client_can_have_seen_is_refused() {
        use EventKind::{Invoke, Ok};
        let (op, none) = (Op::ReadSet, serde_json::Value::Null);
        assert_eq!(
            refused(&[(1, Ok, 1, &op, json!([]))]),
            "event 0: \"read-set\" completes what was never invoked"
        );
        assert_eq!(
            refused(&[(1, Invoke, 1, &op, none.clone()), (1, Invoke, 2, &op, none)]),
            "event 1: process p1 invoked at 2.000000 s while its last operation was still open"
        );
    }
}
