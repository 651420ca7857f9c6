//! Is every acknowledged element still there at the end?
//!
//! ```text
//!   add 7   ├──────┤ ok at 3.1 s by n2, term 4
//!   heal                     ▼
//!   final read of n1            ├────┤ {1, 2, 3, 7}
//!   final read of n3            ├────┤ {1, 2, 3}          7 is missing: it began after 3.1 s
//! ```
//!
//! Linear in elements and reads. Sound: a set only grows, so an element whose add returned before
//! a read began must be in it, whatever else happened. Not complete: reads that only contradict
//! each other's order are the business of [`crate::linearizability`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use crate::history::{Process, Time};
use crate::verdict::{Anomaly, Finding, Validity};

/// One attempt to add an element.
#[derive(Clone, Debug, PartialEq)]
pub struct Add {
    /// What was added; unique within a run.
    pub element: i64,
    /// Who asked.
    pub process: Process,
    /// When.
    pub invoked: Time,
    /// What became of it.
    pub outcome: AddOutcome,
    /// Its place in the history, for the witness.
    pub event: u64,
}

/// What a client knows of its add.
#[derive(Clone, Debug, PartialEq)]
pub enum AddOutcome {
    /// It was acknowledged. Node and term are labels, only repeated in messages.
    Acknowledged {
        /// When.
        at: Time,
        /// By whom.
        node: Option<Arc<str>>,
        /// In which term.
        term: Option<u64>,
    },
    /// Nobody knows.
    Unknown,
    /// It did not happen, and never will.
    Failed,
}

/// One read of the whole set, or an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct SetRead {
    /// The node that was asked.
    pub node: Option<Arc<str>>,
    /// Who asked.
    pub process: Process,
    /// When.
    pub invoked: Time,
    /// When it returned, where it completed.
    pub returned: Option<Time>,
    /// Everything that was there; `None` where the read did not complete.
    pub elements: Option<Vec<i64>>,
    /// True for the reads after healing, that decide.
    pub is_final: bool,
    /// Its place in the history, for the witness.
    pub event: u64,
}

/// Judges adds by the reads.
///
/// Without a complete final read that began after an acknowledgement, or without an
/// acknowledgement, nothing was tested and the answer is unknown; a violation seen in any read
/// counts all the same.
pub fn check(adds: &[Add], reads: &[SetRead]) -> Finding {
    let mut judged = Judged::new(adds, reads);
    for add in adds {
        judged.judge(add);
    }
    judged.unexpected();
    judged.finding(adds, reads)
}

struct Judged<'a> {
    reads: Vec<Seen<'a>>,
    /// The attempts at each element.
    attempts: BTreeMap<i64, Vec<&'a Add>>,
    lost: Vec<Anomaly>,
    /// The lost elements by who acknowledged them, and in which term.
    lost_by: BTreeMap<Acknowledger, Vec<i64>>,
    stale: Vec<Anomaly>,
    unexpected: Vec<Anomaly>,
    duplicates: BTreeSet<i64>,
    recovered: u64,
    /// Acknowledged before a complete final read began, so that their loss would show.
    tested: u64,
}

/// The node and the term of an acknowledgement, where they are known.
type Acknowledger = (Option<Arc<str>>, Option<u64>);

/// A complete read.
struct Seen<'a> {
    read: &'a SetRead,
    elements: BTreeSet<i64>,
}

impl Seen<'_> {
    fn name(&self) -> String {
        let kind = if self.read.is_final {
            "final read"
        } else {
            "read"
        };
        match &self.read.node {
            Some(node) => format!("the {kind} of {node} at {}", self.read.invoked),
            None => format!(
                "the {kind} by {} at {}",
                self.read.process, self.read.invoked
            ),
        }
    }
}

impl<'a> Judged<'a> {
    fn new(adds: &'a [Add], reads: &'a [SetRead]) -> Self {
        let mut attempts: BTreeMap<i64, Vec<&Add>> = BTreeMap::new();
        for add in adds {
            attempts.entry(add.element).or_default().push(add);
        }
        let mut duplicates = BTreeSet::new();
        let mut complete: Vec<Seen<'a>> = Vec::new();
        for read in reads {
            let Some(listed) = &read.elements else {
                continue;
            };
            let mut elements = BTreeSet::new();
            duplicates.extend(listed.iter().filter(|element| !elements.insert(**element)));
            complete.push(Seen { read, elements });
        }
        complete.sort_by_key(|seen| (seen.read.invoked, seen.read.event));
        Judged {
            reads: complete,
            attempts,
            lost: Vec::new(),
            lost_by: BTreeMap::new(),
            stale: Vec::new(),
            unexpected: Vec::new(),
            duplicates,
            recovered: 0,
            tested: 0,
        }
    }

    fn judge(&mut self, add: &Add) {
        let has = |seen: &&Seen| seen.elements.contains(&add.element);
        let acknowledged = matches!(add.outcome, AddOutcome::Acknowledged { .. });
        if add.outcome == AddOutcome::Unknown && self.finals().any(|seen| has(&seen)) {
            self.recovered += 1;
        }
        let Some((since, known)) = self.known(add) else {
            return;
        };
        let later = || self.reads.iter().filter(|seen| seen.read.invoked > since);
        let (with, without): (Vec<&Seen>, Vec<&Seen>) = later().partition(has);
        self.tested += u64::from(acknowledged && later().any(|seen| seen.read.is_final));
        let Some(first) = without.first() else {
            return;
        };
        let mut message = format!(
            "{} {known}, but {} does not have it",
            add.element,
            first.name()
        );
        if without.len() > 1 {
            message.push_str(&format!(", nor do {} more", without.len() - 1));
        }
        let kept = with.iter().rev().find(|seen| seen.read.is_final);
        let is_lost = kept.is_none() && without.iter().any(|seen| seen.read.is_final);
        if let Some(kept) = kept.or(with.last()) {
            message.push_str(&format!(" (though {} does)", kept.name()));
        }
        let witnesses = std::iter::once(add.event).chain(without.iter().map(|s| s.read.event));
        let anomaly = Anomaly {
            kind: if is_lost { "lost_write" } else { "stale_read" }.into(),
            key: Some(add.element.to_string()),
            message,
            events: witnesses.collect(),
            lines: Vec::new(),
        };
        if is_lost {
            let by = match &add.outcome {
                AddOutcome::Acknowledged { node, term, .. } => (node.clone(), *term),
                AddOutcome::Unknown | AddOutcome::Failed => (None, None),
            };
            self.lost_by.entry(by).or_default().push(add.element);
        }
        if is_lost {
            &mut self.lost
        } else {
            &mut self.stale
        }
        .push(anomaly);
    }

    /// Since when the element is certainly there, and how that is known: it was acknowledged, or a
    /// read that returned had it. A set only grows, so that every later read must have it too.
    fn known(&self, add: &Add) -> Option<(Time, String)> {
        let acknowledged = match &add.outcome {
            AddOutcome::Acknowledged { at, node, term } => {
                let by = node
                    .as_ref()
                    .map_or(String::new(), |node| format!(" by {node}"));
                let term = term.map_or(String::new(), |term| format!(" in term {term}"));
                let process = add.process;
                Some((
                    *at,
                    format!("was acknowledged to {process} at {at}{by}{term}"),
                ))
            }
            AddOutcome::Unknown | AddOutcome::Failed => None,
        };
        let saw = |seen: &Seen| {
            let returned = seen.read.returned?;
            let has = seen.elements.contains(&add.element);
            has.then(|| (returned, format!("was in {}", seen.name())))
        };
        let seen = self
            .reads
            .iter()
            .filter_map(saw)
            .min_by_key(|(returned, _)| *returned);
        match (acknowledged, seen) {
            // What was acknowledged is said to have been, unless it was seen even before.
            (Some(acknowledged), Some(seen)) if seen.0 < acknowledged.0 => Some(seen),
            (Some(acknowledged), _) => Some(acknowledged),
            (None, seen) => seen,
        }
    }

    /// Elements that were read but never attempted, or whose every attempt certainly failed, or
    /// was made only later.
    fn unexpected(&mut self) {
        let mut named = BTreeSet::new();
        for seen in &self.reads {
            for element in &seen.elements {
                let attempts = self.attempts.get(element).map_or(&[][..], Vec::as_slice);
                let failed = |add: &&Add| add.outcome == AddOutcome::Failed;
                let too_late =
                    |add: &&Add| seen.read.returned.is_some_and(|read| read < add.invoked);
                let why = if attempts.is_empty() {
                    "nobody ever tried to add it"
                } else if attempts.iter().all(failed) {
                    "every attempt to add it certainly failed"
                } else if attempts.iter().all(too_late) {
                    "it was asked for only after that"
                } else {
                    continue;
                };
                if named.insert(*element) {
                    let witnesses = attempts.iter().map(|add| add.event);
                    self.unexpected.push(Anomaly {
                        kind: "unexpected_element".into(),
                        key: Some(element.to_string()),
                        message: format!("{} has {element}, but {why}", seen.name()),
                        events: witnesses.chain([seen.read.event]).collect(),
                        lines: Vec::new(),
                    });
                }
            }
        }
    }

    fn finals(&self) -> impl Iterator<Item = &Seen<'a>> {
        self.reads.iter().filter(|seen| seen.read.is_final)
    }

    fn finding(self, adds: &[Add], reads: &[SetRead]) -> Finding {
        let count = |wanted: fn(&AddOutcome) -> bool| {
            adds.iter().filter(|add| wanted(&add.outcome)).count() as u64
        };
        let acknowledged = count(|outcome| matches!(outcome, AddOutcome::Acknowledged { .. }));
        let (finals, tested) = (self.finals().count(), self.tested);
        let finals_tried = reads.iter().filter(|read| read.is_final).count();
        let statistics = [
            ("attempted", adds.len() as u64),
            ("acknowledged", acknowledged),
            (
                "failed",
                count(|outcome| matches!(outcome, AddOutcome::Failed)),
            ),
            (
                "unknown",
                count(|outcome| matches!(outcome, AddOutcome::Unknown)),
            ),
            ("tested", tested),
            ("final_reads", finals as u64),
            ("final_reads_tried", finals_tried as u64),
            ("lost", self.lost.len() as u64),
            ("stale", self.stale.len() as u64),
            ("unexpected", self.unexpected.len() as u64),
            ("duplicates", self.duplicates.len() as u64),
            ("recovered", self.recovered),
        ];
        let (lost, stale, odd) = (self.lost.len(), self.stale.len(), self.unexpected.len());
        let duplicates = duplicates(&self.duplicates, &self.reads);
        let groups = groups(&self.lost_by);
        let mut anomalies = self.lost;
        anomalies.extend(self.stale);
        anomalies.extend(self.unexpected);
        anomalies.extend(duplicates);
        let (validity, summary) = if !anomalies.is_empty() {
            let summary = format!(
                "of {acknowledged} acknowledged elements {lost} lost{groups} and {stale} missing \
                 from some read; {odd} elements read that cannot be there"
            );
            (Validity::Invalid, summary)
        } else if acknowledged == 0 {
            (
                Validity::Unknown,
                "no add was acknowledged: nothing to lose".into(),
            )
        } else if finals == 0 {
            let summary = format!("none of {finals_tried} final reads completed");
            (Validity::Unknown, summary)
        } else if tested == 0 {
            let summary = "no final read began after an acknowledgement".into();
            (Validity::Unknown, summary)
        } else {
            let summary =
                format!("all of {tested} acknowledged elements are in {finals} final reads");
            (Validity::Valid, summary)
        };
        Finding {
            check: "lost_writes".into(),
            validity,
            summary,
            anomalies,
            statistics: statistics
                .into_iter()
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect(),
        }
    }
}

/// How many groups of lost elements a summary names: the largest.
const GROUPS_MAX: usize = 3;

/// ` (985 acknowledged by n2 in term 4: 17 to 1002; …)`; nothing where nobody is known.
fn groups(lost: &BTreeMap<Acknowledger, Vec<i64>>) -> String {
    let mut groups: Vec<_> = lost.iter().collect();
    groups.sort_by_key(|(_, elements)| std::cmp::Reverse(elements.len()));
    let named = groups
        .iter()
        .take(GROUPS_MAX)
        .map(|((node, term), elements)| {
            let by = node
                .as_ref()
                .map_or(String::new(), |node| format!(" by {node}"));
            let term = term.map_or(String::new(), |term| format!(" in term {term}"));
            let (low, high) = (elements.iter().min(), elements.iter().max());
            let range = match (low, high) {
                (Some(low), Some(high)) if low < high => format!("{low} to {high}"),
                (low, _) => low.map_or(String::new(), i64::to_string),
            };
            let how = match (node, term.is_empty()) {
                (None, true) => "of an unknown node".to_owned(),
                _ => format!("acknowledged{by}{term}"),
            };
            format!("{} {how}: {range}", elements.len())
        });
    let mut words: Vec<String> = named.collect();
    let rest = groups.iter().skip(GROUPS_MAX);
    let (count, elements) = rest.fold((0, 0), |(count, sum), group| {
        (count + 1, sum + group.1.len())
    });
    if count > 0 {
        words.push(format!("{elements} by {count} others"));
    }
    match words.as_slice() {
        [] => String::new(),
        words => format!(" ({})", words.join("; ")),
    }
}

fn duplicates(elements: &BTreeSet<i64>, reads: &[Seen]) -> Option<Anomaly> {
    let first = elements.first()?;
    let of = |seen: &&Seen| seen.elements.contains(first);
    Some(Anomaly {
        kind: "duplicate_element".into(),
        key: None,
        message: format!(
            "{} elements came back more than once in one read of a set: {first} first",
            elements.len()
        ),
        events: reads
            .iter()
            .filter(of)
            .map(|seen| seen.read.event)
            .collect(),
        lines: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(element: i64, outcome: AddOutcome) -> Add {
        let second = 1_000_000_000 * element.unsigned_abs();
        Add {
            element,
            process: Process(1),
            invoked: Time(second),
            outcome,
            event: element.unsigned_abs() * 2,
        }
    }

    fn acknowledged(element: i64) -> Add {
        let at = Time(1_000_000_000 * element.unsigned_abs() + 500_000);
        let (node, term) = (Some("n2".into()), Some(4));
        add(element, AddOutcome::Acknowledged { at, node, term })
    }

    fn final_read(node: &str, elements: Option<&[i64]>) -> SetRead {
        SetRead {
            node: Some(node.into()),
            process: Process(9),
            invoked: Time(60_000_000_000),
            returned: elements.map(|_| Time(60_100_000_000)),
            elements: elements.map(<[i64]>::to_vec),
            is_final: true,
            event: 100,
        }
    }

    fn kinds(finding: &Finding) -> Vec<&str> {
        finding.anomalies.iter().map(|a| a.kind.as_str()).collect()
    }

    #[test]
    fn everything_still_there_is_valid() {
        let adds = [acknowledged(1), acknowledged(2)];
        let finding = check(&adds, &[final_read("n1", Some(&[1, 2]))]);
        assert_eq!(finding.validity, Validity::Valid, "{finding:?}");
        assert_eq!(finding.statistics["tested"], 2);
    }

    #[test]
    fn a_lost_element_is_named_with_its_acknowledgement() {
        let adds = [acknowledged(1), acknowledged(2)];
        let reads = [final_read("n1", Some(&[1])), final_read("n3", Some(&[1]))];
        let finding = check(&adds, &reads);
        assert_eq!(finding.validity, Validity::Invalid);
        assert_eq!(kinds(&finding), ["lost_write"]);
        assert_eq!(
            finding.anomalies[0].message,
            "2 was acknowledged to p1 at 2.000500 s by n2 in term 4, but the final read of n1 at \
             60.000000 s does not have it, nor do 1 more"
        );
        assert_eq!(finding.anomalies[0].events, [4, 100, 100]);
    }

    #[test]
    fn many_lost_elements_are_told_by_who_acknowledged_them() {
        let adds: Vec<Add> = (1..=9).map(acknowledged).collect();
        let finding = check(&adds, &[final_read("n1", Some(&[5]))]);
        assert_eq!(finding.anomalies.len(), 8, "the data has each");
        assert_eq!(
            finding.summary,
            "of 9 acknowledged elements 8 lost (8 acknowledged by n2 in term 4: 1 to 9) and 0 \
             missing from some read; 0 elements read that cannot be there"
        );
    }

    #[test]
    fn an_element_missing_from_one_final_read_only_is_stale_and_still_a_violation() {
        let adds = [acknowledged(1)];
        let reads = [final_read("n1", Some(&[])), final_read("n3", Some(&[1]))];
        let finding = check(&adds, &reads);
        assert_eq!(finding.validity, Validity::Invalid);
        assert_eq!(kinds(&finding), ["stale_read"]);
    }

    #[test]
    fn an_element_acknowledged_after_the_read_began_may_be_missing() {
        let late = acknowledged(61);
        let finding = check(&[acknowledged(1), late], &[final_read("n1", Some(&[1]))]);
        assert_eq!(finding.validity, Validity::Valid);
        assert_eq!(finding.statistics["tested"], 1);
    }

    #[test]
    fn without_a_complete_final_read_the_answer_is_unknown() {
        let finding = check(&[acknowledged(1)], &[final_read("n1", None)]);
        assert_eq!(finding.validity, Validity::Unknown);
        assert_eq!(check(&[acknowledged(1)], &[]).validity, Validity::Unknown);
    }

    #[test]
    fn without_an_acknowledgement_the_answer_is_unknown() {
        let adds = [add(1, AddOutcome::Unknown), add(2, AddOutcome::Failed)];
        let finding = check(&adds, &[final_read("n1", Some(&[1]))]);
        assert_eq!(finding.validity, Validity::Unknown);
        assert_eq!(finding.statistics["recovered"], 1);
    }

    #[test]
    fn elements_that_cannot_be_there_are_unexpected() {
        let adds = [acknowledged(1), add(2, AddOutcome::Failed)];
        let finding = check(&adds, &[final_read("n1", Some(&[1, 2, 3, 3]))]);
        assert_eq!(finding.validity, Validity::Invalid);
        assert_eq!(
            kinds(&finding),
            [
                "unexpected_element",
                "unexpected_element",
                "duplicate_element"
            ]
        );
    }

    #[test]
    fn an_element_that_was_seen_must_be_seen_again_acknowledged_or_not() {
        let adds = [acknowledged(1), add(7, AddOutcome::Unknown)];
        let first = final_read("n1", Some(&[1, 7]));
        let second = SetRead {
            invoked: Time(61_000_000_000),
            ..final_read("n2", Some(&[1]))
        };
        let finding = check(&adds, &[first.clone(), second]);
        assert_eq!(kinds(&finding), ["lost_write"]);
        assert_eq!(
            finding.anomalies[0].message,
            "7 was in the final read of n1 at 60.000000 s, but the final read of n2 at \
             61.000000 s does not have it"
        );
        // A read that overlaps the first one may come before it.
        let overlapping = SetRead {
            invoked: Time(60_050_000_000),
            ..final_read("n2", Some(&[1]))
        };
        assert_eq!(
            check(&adds, &[first, overlapping]).validity,
            Validity::Valid
        );
    }

    #[test]
    fn an_element_cannot_be_read_before_it_is_added() {
        let adds = [acknowledged(1), acknowledged(70)];
        let finding = check(&adds, &[final_read("n1", Some(&[1, 70]))]);
        assert_eq!(kinds(&finding), ["unexpected_element"]);
    }

    #[test]
    fn an_empty_final_read_loses_everything() {
        let adds = [acknowledged(1), acknowledged(2)];
        let finding = check(&adds, &[final_read("n1", Some(&[]))]);
        assert_eq!(kinds(&finding), ["lost_write", "lost_write"]);
    }
}
