//! Did the run mean anything? Planned faults must be proven, and clients must have worked.

use super::Evidence;
use ordeal_checker::history::{Event, EventKind, Time};
use ordeal_checker::verdict::{Anomaly, Finding, Validity};
use ordeal_nemesis::injector::FaultRecord;
use ordeal_nemesis::{Effect, FaultClass};
use serde_json::json;
use std::collections::BTreeMap;

/// Fewer operations than this a second of the main phase are too few to mean anything.
const OK_PER_SECOND_MIN: u64 = 2;
/// Fewer operations than this while a fault was installed are too few to mean anything.
const OK_DURING_FAULTS_MIN: u64 = 10;

/// The findings on the coverage axis.
pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    vec![
        faults(&evidence.faults, evidence.interrupted.is_some()),
        operations(evidence),
    ]
}

fn faults(records: &[FaultRecord], interrupted: bool) -> Finding {
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
    let not_healed = records.iter().filter(|record| !record.healed).count();
    let (validity, summary) = if records.is_empty() {
        (Validity::Valid, "no faults were planned".to_owned())
    } else if not_healed > 0 {
        (
            Validity::Invalid,
            format!("{not_healed} faults could not be healed"),
        )
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
    let kind = match effect {
        Effect::Installed(_) => "fault_not_healed",
        Effect::Skipped(_) => "fault_skipped",
        Effect::NoEffect(_) => "fault_without_effect",
        Effect::Indeterminate(_) => "fault_indeterminate",
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
    }
}

fn operations(evidence: &Evidence) -> Finding {
    let main_s = evidence
        .milestones
        .healed
        .0
        .saturating_sub(evidence.milestones.main.0)
        / 1_000_000_000;
    let ok = evidence
        .events
        .iter()
        .filter(|event| ok_in_main(event))
        .count() as u64;
    let during = ok_during_faults(&evidence.events, &evidence.faults);
    let needed = OK_PER_SECOND_MIN * main_s.max(1);
    let under_faults = evidence
        .faults
        .iter()
        .any(|record| record.window_ns.is_some());
    let (validity, summary) = if ok < needed {
        let summary = format!("only {ok} operations succeeded in {main_s} s: {needed} are needed");
        (Validity::Unknown, summary)
    } else if under_faults && during < OK_DURING_FAULTS_MIN {
        let summary = format!(
            "only {during} operations succeeded under faults: {OK_DURING_FAULTS_MIN} are needed"
        );
        (Validity::Unknown, summary)
    } else if under_faults {
        (
            Validity::Valid,
            format!("{ok} operations succeeded, {during} of them under faults"),
        )
    } else {
        (Validity::Valid, format!("{ok} operations succeeded"))
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
