//! From events to operations: a history in the words of a model, and the way back to the file.

use crate::check::Unjudgeable;
use crate::operation::{Foreign, Op, Ret};
use ordeal_checker::history::{
    Event, EventKind, History, HistoryBuilder, Outcome, Process, Reason,
};
use std::collections::BTreeMap;

/// One operation with the events that it was read from.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    /// What was asked.
    pub(crate) op: Op,
    /// The invocation.
    pub(crate) invocation: &'a Event,
    /// The completion, where there is one.
    pub(crate) completion: Option<&'a Event>,
    /// How it ended.
    pub(crate) outcome: Outcome<Ret>,
}

/// The operations that a run's events stand for, in order of invocation.
///
/// # Errors
/// If an event is not one of ours.
pub(crate) fn operations(events: &[Event]) -> Result<Vec<Asked<'_>>, Unjudgeable> {
    let mut asked: Vec<Asked<'_>> = Vec::new();
    let mut open: BTreeMap<Process, usize> = BTreeMap::new();
    for event in events {
        if event.kind == EventKind::Invoke {
            open.insert(event.process, asked.len());
            asked.push(Asked {
                op: Op::from_event(event)?,
                invocation: event,
                completion: None,
                outcome: Outcome::Info(Reason("still open at the end of the run".into())),
            });
        } else if let Some(place) = open.remove(&event.process) {
            let operation = &mut asked[place];
            operation.completion = Some(event);
            operation.outcome = outcome(&operation.op, event)?;
        } else {
            return Err(Foreign::new(event, "completes what was never invoked").into());
        }
    }
    // Stable, as the history's own sort is: operation ids are places in this list.
    asked.sort_by_key(|operation| operation.invocation.time);
    Ok(asked)
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

/// The same operations in the words of a model; each one's id is its place in `asked`.
///
/// # Errors
/// If an operation is not one of the model's, or they contradict each other.
pub(crate) fn history<O, R>(
    asked: &[Asked<'_>],
    op: impl Fn(&Op) -> Option<O>,
    ret: impl Fn(&Ret) -> Option<R>,
) -> Result<History<O, R>, Unjudgeable> {
    let mut builder = HistoryBuilder::new();
    for operation in asked {
        let Asked {
            invocation,
            completion,
            outcome,
            ..
        } = operation;
        let foreign = || Foreign::new(invocation, "is no operation of this workload");
        let malformed = |source| Unjudgeable::Malformed {
            index: invocation.index,
            source,
        };
        let process = invocation.process;
        let asks = op(&operation.op).ok_or_else(foreign)?;
        builder
            .invoke(process, invocation.time, asks)
            .map_err(malformed)?;
        let Some(completion) = completion else {
            continue;
        };
        let ended = match outcome {
            Outcome::Ok(answer) => Outcome::Ok(ret(answer).ok_or_else(foreign)?),
            Outcome::Fail(why) => Outcome::Fail(why.clone()),
            Outcome::Info(why) => Outcome::Info(why.clone()),
        };
        builder
            .complete(process, completion.time, ended)
            .map_err(malformed)?;
    }
    Ok(builder.finish())
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
    fn operations_come_in_order_of_invocation_with_their_completions() {
        use EventKind::{Invoke, Ok};
        let (late, early) = (Op::Add { element: 2 }, Op::Add { element: 1 });
        let none = serde_json::Value::Null;
        let events = events(&[
            (2, Invoke, 5, &late, none.clone()),
            (1, Invoke, 3, &early, none.clone()),
            (1, Ok, 6, &early, none.clone()),
        ]);
        let asked = operations(&events).unwrap();
        assert_eq!(asked[0].op, early);
        assert_eq!(asked[0].outcome, Outcome::Ok(Ret::Added));
        assert_eq!(asked[0].completion.unwrap().index, 2);
        assert!(asked[1].outcome.is_info());
    }

    #[test]
    fn a_completion_out_of_nowhere_is_refused() {
        let op = Op::ReadSet;
        let events = events(&[(1, EventKind::Ok, 1, &op, json!([]))]);
        let error = operations(&events).unwrap_err().to_string();
        assert_eq!(
            error,
            "event 0: \"read-set\" completes what was never invoked"
        );
    }
}
