//! From the evidence to the verdict.

use super::Evidence;
use super::coverage::{self, ok_during_faults};
use super::scene;
use crate::verdict::{AxisVerdict, FORMAT, OperationCounts, Timing, Verdict};
use ordeal_checker::history::{Event, EventKind, Time};
use ordeal_checker::verdict::{Anomaly, Finding, Validity};
use ordeal_nemesis::injector::FaultRecord;
use ordeal_nemesis::process::Death;
use ordeal_workloads::check::{Effort, Unjudgeable};
use ordeal_workloads::{Axis, Workload};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Judges what a run left.
///
/// # Errors
/// If the history is not one that our own workers could have recorded: a failure of the harness.
pub(crate) fn judge(
    run: &str,
    evidence: &Evidence,
    workload: &dyn Workload,
    effort: &Effort,
) -> Result<Verdict, Unjudgeable> {
    let begun = Instant::now();
    let mut findings: BTreeMap<Axis, Vec<Finding>> = BTreeMap::new();
    for check in workload.checks() {
        let finding = check.judge(&evidence.events, effort)?.finding;
        findings.entry(check.axis()).or_default().push(finding);
    }
    if let Some(finding) = final_reads(evidence) {
        findings.entry(Axis::Durability).or_default().push(finding);
    }
    let mut axis = |axis: Axis| {
        let found = findings.remove(&axis).unwrap_or_default();
        AxisVerdict::of(
            found,
            (Validity::Unknown, "this workload has no check for it"),
        )
    };
    let (consistency, durability) = (axis(Axis::Consistency), axis(Axis::Durability));
    let mut progress = vec![evidence.recovery.finding()];
    progress.extend(deaths(&unexcused(evidence)));
    progress.extend(scene::expectations(evidence));
    let plan = &evidence.plan;
    Ok(Verdict {
        format: FORMAT,
        ordeal: env!("CARGO_PKG_VERSION").to_owned(),
        run: run.to_owned(),
        seed: plan.seed,
        target: plan.target.clone(),
        workload: plan.workload.to_string(),
        nemesis: match &plan.scenario {
            Some(scenario) => scenario.name.clone(),
            None => plan.nemesis.to_string(),
        },
        defects: plan.defects.clone(),
        consistency,
        durability,
        progress: AxisVerdict::of(progress, (Validity::Unknown, "")),
        coverage: AxisVerdict::of(coverage::findings(evidence), (Validity::Unknown, "")),
        operations: operations(evidence),
        interrupted: evidence.interrupted.clone(),
        timing: Timing {
            checking_ms: millis(begun.elapsed().as_nanos()),
            ..timing(evidence)
        },
    })
}

/// What the final reads are worth where a fault was still in force while they were asked for: an
/// answer is one all the same, and who got none knows nothing.
fn final_reads(evidence: &Evidence) -> Option<Finding> {
    let why = evidence.recovery.not_asked.as_ref()?;
    let is_final = |event: &&Event| event.phase.as_deref() == Some("final");
    let asked = evidence.events.iter().filter(is_final);
    let (answered, unanswered) = asked
        .filter(|event| event.kind != EventKind::Invoke)
        .partition::<Vec<_>, _>(|event| event.kind == EventKind::Ok);
    let (answered, unanswered) = (answered.len(), unanswered.len());
    let (validity, words) = match answered {
        0 => (Validity::Unknown, "no final read was answered".to_owned()),
        _ => (
            Validity::Valid,
            format!("{answered} final reads were answered, {unanswered} not"),
        ),
    };
    Some(Finding {
        check: "final_reads".into(),
        validity,
        summary: format!("{words}, with a fault in force: {why}"),
        anomalies: Vec::new(),
        statistics: BTreeMap::from([
            ("answered".to_owned(), answered.into()),
            ("unanswered".to_owned(), unanswered.into()),
        ]),
    })
}

fn millis(nanos: u128) -> u64 {
    u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX)
}

fn timing(evidence: &Evidence) -> Timing {
    let at = &evidence.milestones;
    Timing {
        first_write_ms: millis(at.first_write.0.into()),
        main_ms: millis(at.healed.0.saturating_sub(at.main.0).into()),
        recovery_ms: evidence
            .recovery
            .all_after()
            .map(|after| millis(after.as_nanos())),
        checking_ms: 0,
    }
}

fn operations(evidence: &Evidence) -> OperationCounts {
    let count = |kind| {
        evidence
            .events
            .iter()
            .filter(|event: &&Event| event.kind == kind)
            .count() as u64
    };
    OperationCounts {
        ok: count(EventKind::Ok),
        fail: count(EventKind::Fail),
        info: count(EventKind::Info),
        ok_during_faults: ok_during_faults(&evidence.events, &evidence.faults),
    }
}

/// After its disk is well, or damaged and served from again, or it gets memory again, a node may
/// still end because of it.
const EXCUSED_WITHIN: Duration = Duration::from_secs(10);

/// The deaths without a reason: a node that ends itself because its disk fails, or because it gets
/// no memory, does what it should; but it must have met that fault, see `FaultRecord::explains`.
fn unexcused(evidence: &Evidence) -> Vec<(Time, Death)> {
    let grace = u64::try_from(EXCUSED_WITHIN.as_nanos()).unwrap_or(u64::MAX);
    let excuses = |record: &FaultRecord, at: Time, death: &Death| {
        let during = record.window_ns.is_some_and(|(from, to)| {
            // What could not be healed goes on.
            let until = if record.healed {
                to.saturating_add(grace)
            } else {
                u64::MAX
            };
            (from..=until).contains(&at.0)
        });
        during && record.explains(death)
    };
    let deaths = evidence.deaths.iter().filter(|(at, death)| {
        let mut faults = evidence.faults.iter();
        !faults.any(|record| excuses(record, *at, death))
    });
    deaths.cloned().collect()
}

/// A node that ends without having been told to is a finding, whatever the others still do.
fn deaths(deaths: &[(Time, Death)]) -> Option<Finding> {
    if deaths.is_empty() {
        return None;
    }
    let anomaly = |(at, death): &(Time, Death)| {
        let words = match (&death.panic, death.last_words()) {
            (Some(panic), _) => format!("it panicked: {panic}"),
            (None, Some(line)) => format!("its last words: {line}"),
            (None, None) => "it said nothing".to_owned(),
        };
        Anomaly {
            kind: "unplanned_death".into(),
            key: None,
            message: format!(
                "{} ended on its own at {at} ({}); {words}",
                death.node, death.status
            ),
            events: Vec::new(),
            lines: Vec::new(),
        }
    };
    let nodes: Vec<String> = deaths
        .iter()
        .map(|(_, death)| death.node.to_string())
        .collect();
    Some(Finding {
        check: "unplanned_deaths".into(),
        validity: Validity::Invalid,
        summary: format!("{} ended without having been told to", nodes.join(", ")),
        anomalies: deaths.iter().map(anomaly).collect(),
        statistics: BTreeMap::new(),
    })
}
