//! What a scenario's steps came to, as findings.
//!
//! A missed step says that the scenario did not come about: thin coverage. A failed expectation
//! says something about the target: lost progress.

use super::Evidence;
use ordeal_checker::verdict::{Anomaly, Finding, Validity};
use ordeal_nemesis::scenario::{Step, StepEvent, StepWhat};
use serde_json::json;
use std::collections::BTreeMap;

fn anomalies(steps: &[StepEvent], what: StepWhat, kind: &str) -> Vec<Anomaly> {
    let told = steps.iter().filter(|event| event.what == what);
    told.map(|event| Anomaly {
        kind: kind.into(),
        key: None,
        message: format!("step {} ({}): {}", event.step, event.text, event.message),
        events: Vec::new(),
        lines: Vec::new(),
    })
    .collect()
}

/// Whether every step was done: for the coverage axis.
pub(super) fn steps(evidence: &Evidence) -> Option<Finding> {
    let scenario = evidence.plan.scenario.as_ref()?;
    Some(coverage(
        scenario.script.steps.len(),
        &evidence.steps,
        evidence.interrupted.is_some(),
    ))
}

fn coverage(planned: usize, steps: &[StepEvent], interrupted: bool) -> Finding {
    let is_over = |event: &&StepEvent| matches!(event.what, StepWhat::Met | StepWhat::Failed);
    let done = steps.iter().filter(is_over).count();
    let anomalies = anomalies(steps, StepWhat::Missed, "step_missed");
    let (validity, summary) = match anomalies.first() {
        None if done == planned => (Validity::Valid, format!("all {planned} steps were done")),
        None => (
            Validity::Unknown,
            format!("{done} of {planned} steps were done"),
        ),
        Some(_) if interrupted => (
            Validity::Unknown,
            format!("interrupted after {done} of {planned} steps"),
        ),
        Some(missed) => (Validity::Invalid, format!("missed {}", missed.message)),
    };
    Finding {
        check: "scenario".into(),
        validity,
        summary,
        anomalies,
        statistics: BTreeMap::from([
            ("steps".to_owned(), json!(planned)),
            ("done".to_owned(), json!(done)),
        ]),
    }
}

/// Whether what was expected held: for the progress axis.
pub(super) fn expectations(evidence: &Evidence) -> Option<Finding> {
    let scenario = evidence.plan.scenario.as_ref()?;
    let steps = scenario.script.steps.iter();
    let expected = steps
        .filter(|step| matches!(step, Step::Expect { .. }))
        .count();
    (expected > 0).then(|| progress(expected, &evidence.steps))
}

fn progress(expected: usize, steps: &[StepEvent]) -> Finding {
    let anomalies = anomalies(steps, StepWhat::Failed, "expectation_failed");
    let (validity, summary) = match anomalies.first() {
        None => (
            Validity::Valid,
            format!("no expectation of {expected} failed"),
        ),
        Some(first) => (Validity::Invalid, format!("failed: {}", first.message)),
    };
    Finding {
        check: "expectations".into(),
        validity,
        summary,
        anomalies,
        statistics: BTreeMap::from([("expected".to_owned(), json!(expected))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(step: usize, what: StepWhat) -> StepEvent {
        StepEvent {
            time_ns: 1,
            step,
            what,
            text: "expect leader".into(),
            message: "nobody leads".into(),
        }
    }

    #[test]
    fn a_missed_step_is_thin_coverage_and_a_failed_expectation_lost_progress() {
        let met = [event(1, StepWhat::Begun), event(1, StepWhat::Met)];
        assert_eq!(coverage(1, &met, false).validity, Validity::Valid);
        assert_eq!(coverage(2, &met, false).validity, Validity::Unknown);
        assert_eq!(progress(1, &met).validity, Validity::Valid);
        let failed = [event(1, StepWhat::Failed)];
        assert_eq!(coverage(1, &failed, false).validity, Validity::Valid);
        let told = progress(1, &failed);
        assert_eq!(told.validity, Validity::Invalid);
        assert_eq!(told.summary, "failed: step 1 (expect leader): nobody leads");
        let missed = [event(1, StepWhat::Missed)];
        assert_eq!(coverage(1, &missed, false).validity, Validity::Invalid);
        assert_eq!(coverage(1, &missed, true).validity, Validity::Unknown);
    }
}
