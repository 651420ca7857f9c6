//! A verdict in the form that every check gives, and in words.

use std::collections::BTreeMap;

use serde_json::json;

use super::explain::{Words, by_time};
use super::{Decision, KeyVerdict, Linearizability, Telling};
use crate::history::Time;
use crate::verdict::{Anomaly, Finding, Validity};

/// Where or when an operation was, in words: `lines 3 to 9`.
pub(crate) type Place<'p> = dyn Fn(&Telling) -> String + 'p;

/// Where or when something returned, in words: `line 9`.
pub(crate) type Moment<'m> = dyn Fn(Time) -> String + 'm;

/// What is told of one key, without the evidence that it was taken from.
pub(crate) struct Told {
    validity: Validity,
    operations: usize,
    states: u64,
    anomaly: Option<Anomaly>,
    explanation: Option<String>,
    /// What is known of it, where it is undecided.
    undecided: Option<String>,
}

impl Told {
    /// The anomaly, to be placed elsewhere.
    pub(crate) fn anomaly_mut(&mut self) -> Option<&mut Anomaly> {
        self.anomaly.as_mut()
    }
}

impl Linearizability {
    /// The verdict in the form that every check gives.
    pub fn finding(&self) -> Finding {
        self.finding_by(&by_time)
    }

    /// Every violation with its drawing and reasons, for a terminal; `None` if there is none.
    pub fn explain(&self) -> Option<String> {
        self.explain_by(&by_time)
    }

    /// [`Linearizability::explain`], where `place` says when or where an operation was: `lines 3
    /// to 9`.
    pub fn explain_by(&self, place: &dyn Fn(&Telling) -> String) -> Option<String> {
        explanation(&self.told(place))
    }

    /// [`Linearizability::finding`], where `place` says when or where an operation was: `lines 3
    /// to 9`.
    pub fn finding_by(&self, place: &dyn Fn(&Telling) -> String) -> Finding {
        finding(self.told(place))
    }

    fn told(&self, place: &Place<'_>) -> Vec<Told> {
        // Of several keys a monitor hands out the one that is wrong.
        let told = self
            .keys
            .iter()
            .map(|key| key.told(false, place, &|at| at.to_string()));
        told.collect()
    }
}

/// Every violation with its drawing and reasons; `None` if there is none.
pub(crate) fn explanation(keys: &[Told]) -> Option<String> {
    let told = keys.iter().filter_map(|key| key.explanation.as_deref());
    let told: Vec<&str> = told.collect();
    (!told.is_empty()).then(|| told.join("\n"))
}

/// One verdict on all keys.
pub(crate) fn finding(keys: Vec<Told>) -> Finding {
    let count = |validity| keys.iter().filter(|key| key.validity == validity).count();
    let operations: usize = keys.iter().map(|key| key.operations).sum();
    let states: u64 = keys.iter().map(|key| key.states).sum();
    let (validity, summary) = summary(&keys, operations, count);
    let statistics = BTreeMap::from([
        ("operations".into(), json!(operations)),
        ("states".into(), json!(states)),
        ("keys".into(), json!(keys.len())),
        ("keys_valid".into(), json!(count(Validity::Valid))),
        ("keys_unknown".into(), json!(count(Validity::Unknown))),
        ("keys_invalid".into(), json!(count(Validity::Invalid))),
    ]);
    let anomalies = keys.into_iter();
    let anomalies = anomalies.filter_map(|key| Some((key.validity, key.anomaly?)));
    let mut anomalies: Vec<(Validity, Anomaly)> = anomalies.collect();
    anomalies.sort_by_key(|(validity, _)| std::cmp::Reverse(*validity));
    Finding {
        check: "linearizability".into(),
        validity,
        summary,
        anomalies: anomalies.into_iter().map(|(_, anomaly)| anomaly).collect(),
        statistics,
    }
}

/// The worst of all keys, and a sentence.
fn summary(
    told: &[Told],
    operations: usize,
    count: impl Fn(Validity) -> usize,
) -> (Validity, String) {
    let keys = told.len();
    let valid = count(Validity::Valid);
    let of_keys = |these: usize| match (these, keys) {
        (1, 1) => "the history".to_owned(),
        _ => format!("{these} of {}", counted(keys, "key")),
    };
    let are = if operations == 1 { "is" } else { "are" };
    let operations = counted(operations, "operation");
    let validity = Validity::worst(told.iter().map(|key| key.validity));
    let sentence = match validity {
        Validity::Valid if keys == 1 => format!("{operations} {are} linearizable"),
        Validity::Valid => {
            format!(
                "{operations} on {} {are} linearizable",
                counted(keys, "key")
            )
        }
        Validity::Unknown if keys == 1 => undecided(told),
        Validity::Unknown => format!("{} valid; {}", of_keys(valid), undecided(told)),
        Validity::Invalid => {
            let invalid = count(Validity::Invalid);
            let verb = if invalid == 1 { "is" } else { "are" };
            format!(
                "{} {verb} not linearizable ({operations})",
                of_keys(invalid)
            )
        }
    };
    (validity, sentence)
}

/// `1 key`, `2 keys`.
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// What is known of the first key that the budget did not suffice for.
fn undecided(keys: &[Told]) -> String {
    let mut undecided = keys.iter().filter_map(|key| key.undecided.as_deref());
    let Some(first) = undecided.next() else {
        return String::new();
    };
    match undecided.count() {
        0 => first.to_owned(),
        1 => format!("{first}; so is 1 more key"),
        more => format!("{first}; so are {more} more keys"),
    }
}

impl KeyVerdict {
    /// What it is about: where it is the only key, the whole history.
    fn object(&self, is_only: bool) -> String {
        match self.key.as_deref() {
            None | Some("") => "the history".to_owned(),
            Some(_) if is_only => "the history".to_owned(),
            Some(key) => format!("key {key}"),
        }
    }

    /// What is told of it; all evidence that nobody reads is left behind.
    pub(crate) fn told(&self, is_only: bool, place: &Place<'_>, moment: &Moment<'_>) -> Told {
        let object = self.object(is_only);
        let holder = match object.strip_prefix("key ") {
            Some(_) => object.as_str(),
            None => "the object",
        };
        let words = Words { place, holder };
        Told {
            validity: self.validity(),
            operations: self.operations,
            states: self.states,
            anomaly: self.anomaly(&object, words),
            explanation: self.explain(&object, words),
            undecided: self.undecided(&object, moment),
        }
    }

    fn explain(&self, object: &str, words: Words<'_>) -> Option<String> {
        let Decision::Invalid(contradiction) = &self.decision else {
            return None;
        };
        Some(words.tell(object, self.operations, contradiction))
    }

    fn undecided(&self, object: &str, moment: &Moment<'_>) -> Option<String> {
        let Decision::Unknown(prefix) = &self.decision else {
            return None;
        };
        let open = counted(prefix.open, "operation");
        let until = match prefix.until {
            Some(until) => format!("longest consistent prefix up to {}", moment(until)),
            None => "nothing that returned is left over".to_owned(),
        };
        let is = if object == "the history" { " is" } else { "" };
        Some(format!("{object}{is} undecided, {open} open, {until}"))
    }

    fn anomaly(&self, object: &str, words: Words<'_>) -> Option<Anomaly> {
        let (kind, opening, prefix, minimal, steps) = match &self.decision {
            Decision::Valid { .. } => return None,
            Decision::Unknown(prefix) => {
                let opening = format!(
                    "{object} is undecided: the longest consistent order found explains {} of {} \
                     operations.",
                    prefix.order.len(),
                    self.operations
                );
                ("undecided", opening, prefix, &[][..], &[][..])
            }
            Decision::Invalid(contradiction) => {
                let opening = format!("{object} is not linearizable.");
                (
                    "nonlinearizable",
                    opening,
                    &contradiction.prefix,
                    &contradiction.minimal[..],
                    &contradiction.steps[..],
                )
            }
        };
        let is_alone = matches!(&self.decision, Decision::Invalid(all) if all.is_alone());
        let mut message = opening;
        for reason in words.reasons(prefix, steps, is_alone) {
            message.push(' ');
            message.push_str(&reason);
        }
        let stuck = prefix.stuck.iter().map(|stuck| stuck.telling.operation);
        let last = prefix.order.last().copied();
        let mut events: Vec<u64> = Vec::new();
        for id in stuck
            .chain(last)
            .chain(minimal.iter().map(|telling| telling.operation))
        {
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
            lines: Vec::new(),
        })
    }
}
