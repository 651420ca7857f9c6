//! A verdict in the form that every check gives, and in words.

use std::collections::BTreeMap;

use serde_json::json;

use super::explain::{Words, by_time};
use super::{Decision, KeyVerdict, Linearizability, Telling};
use crate::verdict::{Anomaly, Finding, Validity};

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
        let told = self
            .keys
            .iter()
            .filter_map(|key| key.explain(Words { place }));
        let told: Vec<String> = told.collect();
        (!told.is_empty()).then(|| told.join("\n"))
    }
}

impl Linearizability {
    /// [`Linearizability::finding`], where `place` says when or where an operation was: `lines 3
    /// to 9`.
    pub fn finding_by(&self, place: &dyn Fn(&Telling) -> String) -> Finding {
        let words = Words { place };
        let count = |validity| {
            let of = |key: &&KeyVerdict| key.validity() == validity;
            self.keys.iter().filter(of).count()
        };
        let operations: usize = self.keys.iter().map(|key| key.operations).sum();
        let states: u64 = self.keys.iter().map(|key| key.states).sum();
        let mut anomalies: Vec<(Validity, Anomaly)> = self
            .keys
            .iter()
            .filter_map(|key| Some((key.validity(), key.anomaly(words)?)))
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
        let keys = self.keys.len();
        let valid = count(Validity::Valid);
        let of_keys = |these: usize| match (these, keys) {
            (1, 1) => "the history".to_owned(),
            _ => format!("{these} of {}", counted(keys, "key")),
        };
        let operations = counted(operations, "operation");
        match self.validity() {
            Validity::Valid if keys == 1 => format!("{operations} are linearizable"),
            Validity::Valid => {
                format!("{operations} on {} are linearizable", counted(keys, "key"))
            }
            Validity::Unknown if keys == 1 => self.undecided(),
            Validity::Unknown => format!("{} valid; {}", of_keys(valid), self.undecided()),
            Validity::Invalid => {
                let invalid = count(Validity::Invalid);
                let verb = if invalid == 1 { "is" } else { "are" };
                format!(
                    "{} {verb} not linearizable ({operations})",
                    of_keys(invalid)
                )
            }
        }
    }
}

/// `1 key`, `2 keys`.
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
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
        let open = counted(prefix.open, "operation");
        let until = match prefix.until {
            Some(until) => format!("longest consistent prefix up to {until}"),
            None => "nothing that returned is left over".to_owned(),
        };
        format!("{} undecided, {open} open, {until}{more}", key.object())
    }
}

impl KeyVerdict {
    fn object(&self) -> String {
        match self.key.as_deref() {
            None | Some("") => "the history".to_owned(),
            Some(key) => format!("key {key}"),
        }
    }

    fn explain(&self, words: Words<'_>) -> Option<String> {
        let Decision::Invalid(contradiction) = &self.decision else {
            return None;
        };
        Some(words.tell(&self.object(), self.operations, contradiction))
    }

    fn anomaly(&self, words: Words<'_>) -> Option<Anomaly> {
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
        for reason in words.reasons(prefix) {
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
