//! Did the run mean anything? Planned faults must be proven, and clients must have worked.

use super::Evidence;
use super::left::not_healed;
use super::scene;
use crate::verdict::NO_FAULTS;
use ordeal_checker::history::{Event, EventKind, Time};
use ordeal_checker::verdict::{Anomaly, Finding, Validity};
use ordeal_nemesis::injector::FaultRecord;
use ordeal_nemesis::{Effect, FaultClass};
use serde_json::json;
use std::collections::BTreeMap;

/// Fewer operations than this a second of the main phase are too few to mean anything.
const OK_PER_SECOND_MIN: u64 = 2;
/// Fewer operations than this are too few, however short the run.
const OK_MIN: u64 = 20;
/// Fewer operations than this while a fault was installed are too few to mean anything.
const OK_DURING_FAULTS_MIN: u64 = 10;

/// The findings on the coverage axis.
pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = vec![faults(evidence), operations(evidence)];
    findings.extend(scene::steps(evidence));
    findings
}

fn faults(evidence: &Evidence) -> Finding {
    let (records, interrupted) = (&evidence.faults, evidence.interrupted.is_some());
    let left = evidence.recovery.not_asked.as_deref();
    faults_of(records, interrupted, left)
}

/// A run in which something is `left` in force is not the one that was planned, whatever else was
/// proven: from then on it went on beside every other fault.
fn faults_of(records: &[FaultRecord], interrupted: bool, left: Option<&str>) -> Finding {
    let mut classes: BTreeMap<FaultClass, (usize, usize)> = BTreeMap::new();
    let mut anomalies = Vec::new();
    for record in records {
        let (planned, proven) = classes.entry(record.planned.fault.class()).or_default();
        *planned += 1;
        *proven += usize::from(record.effect.is_installed());
        if !record.effect.is_installed() || !record.healed {
            anomalies.push(unproven(record));
        }
    }
    let in_words: Vec<String> = classes
        .iter()
        .map(|(class, (planned, proven))| format!("{proven} of {planned} {class}"))
        .collect();
    let missing: Vec<String> = classes
        .iter()
        .filter(|(_, (_, proven))| *proven == 0)
        .map(|(class, _)| class.to_string())
        .collect();
    let not_healed = || not_healed(records).map(|named| format!("{named} could not be healed"));
    let (validity, summary) = if let Some(why) = left.map(str::to_owned).or_else(not_healed) {
        (Validity::Invalid, why)
    } else if records.is_empty() {
        (Validity::Valid, NO_FAULTS.to_owned())
    } else if missing.is_empty() {
        (
            Validity::Valid,
            format!("faults proven: {}", in_words.join(", ")),
        )
    } else if interrupted {
        let missing = missing.join(", ");
        (
            Validity::Unknown,
            format!("interrupted before any {missing} was proven"),
        )
    } else {
        (
            Validity::Invalid,
            format!("no {} was proven", missing.join(", no ")),
        )
    };
    let statistics = classes.iter().map(|(class, (planned, proven))| {
        (
            class.to_string(),
            json!({ "planned": planned, "proven": proven }),
        )
    });
    Finding {
        check: "faults".into(),
        validity,
        summary,
        anomalies,
        statistics: statistics.collect(),
    }
}

/// A fault that does not count, and why.
fn unproven(record: &FaultRecord) -> Anomaly {
    let FaultRecord {
        planned,
        effect,
        healed,
        ..
    } = record;
    let kind = match (effect, healed) {
        // Whatever it came to until then.
        (Effect::Installed(_), _) | (_, false) => "fault_not_healed",
        (Effect::Skipped(_), true) => "fault_skipped",
        (Effect::NoEffect(_), true) => "fault_without_effect",
        (Effect::Indeterminate(_), true) => "fault_indeterminate",
    };
    let left = if *healed {
        ""
    } else {
        "; it could not be healed"
    };
    Anomaly {
        kind: kind.into(),
        key: None,
        message: format!("fault {} ({}): {effect}{left}", planned.id, planned.fault),
        events: Vec::new(),
        lines: Vec::new(),
    }
}

fn operations(evidence: &Evidence) -> Finding {
    let at = &evidence.milestones;
    let main_s = at.healed.0.saturating_sub(at.main.0) / 1_000_000_000;
    let ok = evidence
        .events
        .iter()
        .filter(|event| ok_in_main(event))
        .count() as u64;
    let during = ok_during_faults(&evidence.events, &evidence.faults);
    let needed = (OK_PER_SECOND_MIN * main_s).max(OK_MIN);
    let (validity, summary) = if ok < needed {
        let summary = format!("only {ok} operations succeeded in {main_s} s: {needed} are needed");
        (Validity::Unknown, summary)
    } else if !evidence
        .faults
        .iter()
        .any(|record| record.effect.is_installed())
    {
        (Validity::Valid, format!("{ok} operations succeeded"))
    } else if let Some(first) = first_of_outages_only(&evidence.faults, evidence.plan.nodes) {
        let after = ok_after(&evidence.events, first);
        enough(
            after,
            &format!("{ok} operations succeeded, {after} of them after an outage"),
        )
    } else {
        enough(
            during,
            &format!("{ok} operations succeeded, {during} of them under faults"),
        )
    };
    Finding {
        check: "operations".into(),
        validity,
        summary,
        anomalies: Vec::new(),
        statistics: BTreeMap::from([
            ("ok".to_owned(), json!(ok)),
            ("ok_during_faults".to_owned(), json!(during)),
        ]),
    }
}

fn enough(tested: u64, summary: &str) -> (Validity, String) {
    if tested >= OK_DURING_FAULTS_MIN {
        (Validity::Valid, summary.to_owned())
    } else {
        (
            Validity::Unknown,
            format!("{summary}: {OK_DURING_FAULTS_MIN} are needed"),
        )
    }
}

/// When the first proven fault was healed, where every proven fault left no majority that could
/// work. Nobody can be served during such an outage; what was there before it must be there after.
fn first_of_outages_only(records: &[FaultRecord], nodes: u16) -> Option<u64> {
    let (nodes, majority) = (usize::from(nodes), usize::from(nodes) / 2 + 1);
    let is_outage = |record: &FaultRecord| match record.planned.fault.class() {
        FaultClass::Kill
        | FaultClass::Pause
        | FaultClass::Stop
        | FaultClass::CrashLoop
        | FaultClass::StartKill
        | FaultClass::PowerLoss => record.nodes.len() + majority > nodes,
        // Any cut stops two nodes, or the only one; three and more have a majority somewhere.
        _ => nodes <= 2,
    };
    let proven = || records.iter().filter(|record| record.effect.is_installed());
    if !proven().all(is_outage) {
        return None;
    }
    proven()
        .filter_map(|record| record.window_ns)
        .map(|(_, healed)| healed)
        .min()
}

fn ok_after(events: &[Event], at: u64) -> u64 {
    events
        .iter()
        .filter(|event| ok_in_main(event) && event.time.0 > at)
        .count() as u64
}

fn ok_in_main(event: &Event) -> bool {
    event.kind == EventKind::Ok && event.phase.is_none()
}

/// Operations of the main phase that succeeded while a proven fault was installed.
pub(super) fn ok_during_faults(events: &[Event], records: &[FaultRecord]) -> u64 {
    let windows: Vec<(u64, u64)> = records
        .iter()
        .filter(|record| record.effect.is_installed())
        .filter_map(|record| record.window_ns)
        .collect();
    let inside = |Time(at): Time| windows.iter().any(|(from, to)| (*from..=*to).contains(&at));
    events
        .iter()
        .filter(|event| ok_in_main(event) && inside(event.time))
        .count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordeal_nemesis::proof::Dropped;
    use ordeal_nemesis::{Node, PlannedFault, Proof};
    use std::slice::from_ref;

    fn record(fault: &str, nodes: u16, window_ns: (u64, u64), effect: Effect) -> FaultRecord {
        let fault = fault.parse().unwrap();
        FaultRecord {
            planned: PlannedFault {
                id: 1,
                at_ms: 0,
                for_ms: 1,
                fault,
            },
            nodes: Node::first(nodes).collect(),
            window_ns: Some(window_ns),
            effect,
            healed: true,
            met_by: Vec::new(),
        }
    }

    fn proven() -> Effect {
        Effect::Installed(Proof::Cut(Dropped::default()))
    }

    #[test]
    fn a_class_that_was_never_proven_makes_the_run_worthless() {
        let no_effect = || Effect::NoEffect("no packet met the cut".into());
        let cut = record("isolate n1", 5, (1, 9), no_effect());
        let kill = record("kill n1", 1, (1, 9), proven());
        let finding = faults_of(&[cut.clone(), kill.clone()], false, None);
        assert_eq!(finding.validity, Validity::Invalid);
        assert_eq!(finding.summary, "no partition was proven");
        assert_eq!(finding.anomalies[0].kind, "fault_without_effect");
        assert_eq!(faults_of(&[cut], true, None).validity, Validity::Unknown);
        let other_cut = record("isolate n1", 5, (1, 9), proven());
        let both = [kill, other_cut];
        assert_eq!(faults_of(&both, false, None).validity, Validity::Valid);
    }

    #[test]
    fn a_fault_that_could_not_be_healed_is_never_passed_over() {
        let stuck = FaultRecord {
            healed: false,
            ..record("kill n1", 1, (1, 9), proven())
        };
        let finding = faults_of(&[stuck], false, None);
        assert_eq!(finding.validity, Validity::Invalid);
        assert_eq!(finding.summary, "fault 1 (kill n1) could not be healed");
        assert_eq!(finding.anomalies[0].kind, "fault_not_healed");
        let left = faults_of(&[], false, Some("something is still in force"));
        assert_eq!(left.validity, Validity::Invalid);
    }

    #[test]
    fn an_outage_of_all_nodes_is_judged_by_what_works_after_it() {
        let all = record("kill all", 5, (10, 20), proven());
        let one = record("kill n1", 1, (12, 30), proven());
        assert_eq!(first_of_outages_only(from_ref(&all), 5), Some(20));
        assert_eq!(first_of_outages_only(&[all, one], 5), None);
        let cut = record("halves n1 n2 | n3 n4 n5", 5, (10, 20), proven());
        assert_eq!(first_of_outages_only(&[cut], 5), None);
    }
}
