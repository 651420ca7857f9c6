//! Linearizability while the run goes on: told as soon as it is certain that it is violated.
//!
//! Workers take the time before they take an event down, so that events come nearly in the order of
//! time. Each is held back until one comes that is [`SLACK`] younger.

use super::linearizable::{register_op, register_ret};
use crate::check::{Unjudgeable, Watch};
use crate::operation::{Foreign, Key, Op};
use crate::reading;
use ordeal_checker::budget::Budget;
use ordeal_checker::history::{Event, EventKind, Outcome, Process, Time};
use ordeal_checker::linearizability::{Linearizability, Monitor};
use ordeal_checker::model::{CasRegister, PerKey};
use std::collections::BTreeMap;

/// How much later than it happened an event may come, in nanoseconds.
const SLACK: u64 = 100_000_000;
/// Configurations for the explanation, so that it does not take as long as the run.
const STATES_MAX: u64 = 200_000;

/// Registers that are judged while they are used.
pub(crate) struct Watched {
    monitor: Monitor<PerKey<Key, CasRegister>>,
    /// Events that an older one may yet come before; by time, then as they came.
    held: BTreeMap<(Time, u64), Event>,
    came: u64,
    newest: Time,
    open: BTreeMap<Process, Op>,
}

impl Watched {
    pub(crate) fn new() -> Self {
        Watched {
            monitor: Monitor::new(PerKey::default(), Budget::states(STATES_MAX)),
            held: BTreeMap::new(),
            came: 0,
            newest: Time(0),
            open: BTreeMap::new(),
        }
    }

    fn feed(&mut self, event: &Event) -> Result<(), Unjudgeable> {
        let unwatched = |source| Unjudgeable::Unwatched {
            index: event.index,
            source,
        };
        let foreign = || Foreign::new(event, "is no operation of this workload");
        if event.kind == EventKind::Invoke {
            let op = Op::from_event(event)?;
            let asks = register_op(&op).ok_or_else(foreign)?;
            self.open.insert(event.process, op);
            self.monitor
                .invoke(event.process, event.time, asks)
                .map_err(unwatched)?;
            return Ok(());
        }
        let op = self
            .open
            .remove(&event.process)
            .ok_or_else(|| Foreign::new(event, "completes what was never invoked"))?;
        let outcome = match reading::outcome(&op, event)? {
            Outcome::Ok(ret) => Outcome::Ok(register_ret(&ret).ok_or_else(foreign)?),
            Outcome::Fail(why) => Outcome::Fail(why),
            Outcome::Info(why) => Outcome::Info(why),
        };
        self.monitor
            .complete(event.process, event.time, outcome)
            .map_err(unwatched)?;
        Ok(())
    }
}

impl Watch for Watched {
    fn see(&mut self, event: &Event) -> Result<Option<String>, Unjudgeable> {
        self.newest = self.newest.max(event.time);
        self.held.insert((event.time, self.came), event.clone());
        self.came += 1;
        while let Some(first) = self.held.first_entry()
            && first.key().0.0 + SLACK < self.newest.0
        {
            let event = first.remove();
            self.feed(&event)?;
        }
        let now = Time(self.newest.0.saturating_sub(SLACK));
        self.monitor
            .advance(now)
            .map_err(|source| Unjudgeable::Unwatched {
                index: event.index,
                source,
            })?;
        Ok(self.monitor.violation().map(in_words))
    }
}

fn in_words(violation: &Linearizability) -> String {
    let finding = violation.finding();
    let first = finding.anomalies.into_iter().next();
    first.map_or(finding.summary, |anomaly| anomaly.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::tests::events;
    use ordeal_checker::history::EventKind::{Invoke, Ok};
    use serde_json::json;

    /// Events at these nanoseconds.
    fn at(lines: &[(u64, EventKind, u64, &Op, serde_json::Value)]) -> Vec<Event> {
        let mut events = events(lines);
        for (event, line) in events.iter_mut().zip(lines) {
            event.time = Time(line.2);
        }
        events
    }

    #[test]
    fn a_stale_read_is_told_once_no_older_event_can_come() {
        let key = Key(1);
        let write = |value| Op::Write { key, value };
        let (read, none) = (Op::Read { key }, json!(null));
        let mut history = at(&[
            (1, Invoke, 1, &write(1), none.clone()),
            (1, Ok, 2, &write(1), none.clone()),
            // The invocation was taken down late.
            (1, Ok, 4, &write(2), none.clone()),
            (2, Invoke, 5, &read, none.clone()),
            (2, Ok, 6, &read, json!(1)),
            (3, Invoke, SLACK + 6, &read, none.clone()),
            (3, Ok, SLACK + 8, &read, json!(2)),
            (3, Invoke, SLACK + 9, &read, none.clone()),
        ]);
        let late = at(&[(1, Invoke, 3, &write(2), none)]);
        history.splice(3..3, late);
        let mut watched = Watched::new();
        let told: Vec<bool> = history
            .iter()
            .map(|event| watched.see(event).unwrap().is_some())
            .collect();
        let first = told.iter().position(|told| *told);
        assert_eq!(first, Some(7), "with the first event that is old enough");
        let why = watched.see(&history[8]).unwrap().expect("it stays so");
        assert!(why.contains("k1 is not linearizable"), "{why}");
    }

    #[test]
    fn an_event_that_comes_too_late_is_an_error_and_no_violation() {
        let key = Key(1);
        let write = Op::Write { key, value: 1 };
        let history = at(&[
            (1, Invoke, 5, &write, json!(null)),
            (2, Invoke, SLACK * 3, &write, json!(null)),
            (3, Invoke, 1, &write, json!(null)),
        ]);
        let mut watched = Watched::new();
        let seen: Vec<_> = history.iter().map(|event| watched.see(event)).collect();
        assert!(seen[0].is_ok() && seen[1].is_ok());
        let error = seen[2].as_ref().unwrap_err().to_string();
        assert!(error.contains("in the order of time"), "{error}");
    }
}
