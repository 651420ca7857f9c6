//! From the search's last word to words: how far an order gets, and what stops it there.

use std::collections::BTreeMap;

use serde_json::json;

use super::problem::Problem;
use super::{Decision, KeyVerdict, Linearizability, Prefix, Stuck};
use crate::history::Operation;
use crate::model::Model;
use crate::verdict::{Anomaly, Finding, Validity};

/// How many stuck operations a message names; the rest is in the data.
const NAMED_MAX: usize = 4;

/// Replays `order` and says of every operation that might come next why it cannot.
pub(super) fn prefix<M: Model>(problem: &Problem<'_, M>, order: &[u32]) -> Prefix {
    let mut state = problem.model.init();
    let mut writer = None;
    let mut done = vec![false; problem.operations.len()];
    for place in order {
        let next = problem
            .step(&state, *place)
            .expect("the search only takes possible steps");
        if next != state {
            writer = Some(*place);
        }
        state = next;
        done[*place as usize] = true;
    }
    let mut left: Vec<u32> = (0..)
        .zip(&done)
        .filter(|(place, done)| !**done && !problem.is_open(*place))
        .map(|(place, _)| place)
        .collect();
    left.sort_by_key(|place| problem.returns[*place as usize]);
    let front = left.first().map(|place| problem.returns[*place as usize]);
    let until = left
        .first()
        .and_then(|place| problem.operations[*place as usize].returned());
    let stuck = left
        .iter()
        .filter(|place| front.is_some_and(|front| problem.calls[**place as usize] < front))
        .map(|place| Stuck {
            operation: problem.operations[*place as usize].id(),
            why: why(problem, *place, &state, writer),
        })
        .collect();
    Prefix {
        order: problem.ids(order),
        state: problem.model.describe_state(&state),
        stuck,
        left: left.len(),
        until,
        open: (0..problem.len())
            .filter(|place| problem.is_open(*place))
            .count(),
    }
}

fn why<M: Model>(
    problem: &Problem<'_, M>,
    place: u32,
    state: &M::State,
    writer: Option<u32>,
) -> String {
    let model = problem.model;
    let operation = sentence(model, problem.operations[place as usize]);
    if problem.step(state, place).is_some() {
        return format!("{operation} could follow, but leads to a dead end further on");
    }
    let holds = model.describe_state(state);
    match writer {
        Some(writer) => {
            let writer = sentence(model, problem.operations[writer as usize]);
            format!("{operation} cannot follow: the object holds {holds}, since {writer}")
        }
        None => format!("{operation} cannot follow: the object still holds {holds}"),
    }
}

/// An operation as one phrase: who, what, when.
fn sentence<M: Model>(model: &M, operation: &Operation<M::Op, M::Ret>) -> String {
    let what = model.describe(operation.op(), operation.outcome().ok());
    let (process, invoked) = (operation.process(), operation.invoked());
    match operation.returned() {
        Some(returned) => format!("{process}'s {what} ({invoked} to {returned})"),
        None => format!("{process}'s {what} (from {invoked}, never returned)"),
    }
}

impl Linearizability {
    /// The verdict in the form that every check gives.
    pub fn finding(&self) -> Finding {
        let count = |validity| {
            let of = |key: &&KeyVerdict| key.validity() == validity;
            self.keys.iter().filter(of).count()
        };
        let operations: usize = self.keys.iter().map(|key| key.operations).sum();
        let states: u64 = self.keys.iter().map(|key| key.states).sum();
        let mut anomalies: Vec<(Validity, Anomaly)> = self
            .keys
            .iter()
            .filter_map(|key| Some((key.validity(), key.anomaly()?)))
            .collect();
        anomalies.sort_by_key(|(validity, _)| std::cmp::Reverse(*validity));
        Finding {
            check: "linearizability".into(),
            validity: self.validity(),
            summary: self.summary(operations, count),
            anomalies: anomalies.into_iter().map(|(_, anomaly)| anomaly).collect(),
            statistics: BTreeMap::from([
                ("operations".into(), json!(operations)),
                ("states".into(), json!(states)),
                ("keys".into(), json!(self.keys.len())),
                ("keys_valid".into(), json!(count(Validity::Valid))),
                ("keys_unknown".into(), json!(count(Validity::Unknown))),
                ("keys_invalid".into(), json!(count(Validity::Invalid))),
            ]),
        }
    }

    fn summary(&self, operations: usize, count: impl Fn(Validity) -> usize) -> String {
        let keys = match self.keys.len() {
            1 => "1 key".to_owned(),
            keys => format!("{keys} keys"),
        };
        match self.validity() {
            Validity::Valid => format!("{operations} operations on {keys} are linearizable"),
            Validity::Unknown => format!(
                "{} of {keys} valid; {}",
                count(Validity::Valid),
                self.undecided()
            ),
            Validity::Invalid => format!(
                "{} of {keys} not linearizable ({operations} operations)",
                count(Validity::Invalid)
            ),
        }
    }
}

impl Linearizability {
    /// What is known of the first key that the budget did not suffice for.
    fn undecided(&self) -> String {
        let mut undecided = self.keys.iter().filter_map(|key| match &key.decision {
            Decision::Unknown(prefix) => Some((key, prefix)),
            _ => None,
        });
        let Some((key, prefix)) = undecided.next() else {
            return String::new();
        };
        let more = match undecided.count() {
            0 => String::new(),
            1 => "; so is 1 more key".to_owned(),
            more => format!("; so are {more} more keys"),
        };
        let open = match prefix.open {
            1 => "1 operation open".to_owned(),
            open => format!("{open} operations open"),
        };
        let until = match prefix.until {
            Some(until) => format!("longest consistent prefix up to {until}"),
            None => "nothing that returned is left over".to_owned(),
        };
        format!("{} undecided, {open}, {until}{more}", key.object())
    }
}

impl KeyVerdict {
    fn object(&self) -> String {
        self.key
            .as_ref()
            .map_or_else(|| "the history".to_owned(), |key| format!("key {key}"))
    }

    /// The violation with its drawing and reasons, for a terminal.
    pub(super) fn explain(&self) -> Option<String> {
        let Decision::Invalid(contradiction) = &self.decision else {
            return None;
        };
        let mut text = format!("{} is not linearizable.", self.object());
        if contradiction.minimal.is_empty() {
            text.push_str(" It is too long to be narrowed down.\n");
        } else {
            text.push_str(&format!(
                " These {} of its {} operations already contradict each other, and would not if \
                 any one of them were left out:\n\n{}\n",
                contradiction.minimal.len(),
                self.operations,
                contradiction.drawing
            ));
        }
        for reason in reasons(&contradiction.prefix) {
            text.push_str(&reason);
            text.push('\n');
        }
        Some(text)
    }

    fn anomaly(&self) -> Option<Anomaly> {
        let (kind, opening, prefix, minimal) = match &self.decision {
            Decision::Valid { .. } => return None,
            Decision::Unknown(prefix) => {
                let opening = format!(
                    "{} is undecided: the longest consistent order found explains {} of {} \
                     operations.",
                    self.object(),
                    prefix.order.len(),
                    self.operations
                );
                ("undecided", opening, prefix, &[][..])
            }
            Decision::Invalid(contradiction) => {
                let opening = format!("{} is not linearizable.", self.object());
                (
                    "nonlinearizable",
                    opening,
                    &contradiction.prefix,
                    &contradiction.minimal[..],
                )
            }
        };
        let mut message = opening;
        for reason in reasons(prefix) {
            message.push(' ');
            message.push_str(&reason);
        }
        let stuck = prefix.stuck.iter().map(|stuck| stuck.operation);
        let last = prefix.order.last().copied();
        let mut events: Vec<u64> = Vec::new();
        for id in stuck.chain(last).chain(minimal.iter().copied()) {
            let event = id.0 as u64;
            if !events.contains(&event) {
                events.push(event);
            }
        }
        Some(Anomaly {
            kind: kind.into(),
            key: self.key.clone(),
            message,
            events,
        })
    }
}

/// What is so after the longest consistent order, and why nothing can follow.
fn reasons(prefix: &Prefix) -> Vec<String> {
    let mut reasons: Vec<String> = prefix
        .stuck
        .iter()
        .take(NAMED_MAX)
        .map(|stuck| format!("{}.", stuck.why))
        .collect();
    if prefix.stuck.len() > NAMED_MAX {
        reasons.push(format!(
            "{} more are stuck there.",
            prefix.stuck.len() - NAMED_MAX
        ));
    }
    reasons
}
