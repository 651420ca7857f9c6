//! What happened, in words: the sentences that every form of the report shares.

use super::figure::{count, length, thousands};
use super::{FaultStatus, FaultView, RunView};
use crate::verdict::{Exit, NO_FAULTS, RECOVERY, Verdict};
use ordeal_checker::verdict::{Anomaly, Validity};
use std::collections::{BTreeMap, BTreeSet};

/// What each axis asks.
pub(super) fn question(axis: &str) -> &'static str {
    match axis {
        "consistency" => "Did clients see what the workload promises?",
        "durability" => "Is every acknowledged write still there?",
        "progress" => "Did the cluster serve again after healing?",
        "coverage" => "Did the faults really happen, under real work?",
        _ => "",
    }
}

/// The verdict as one word and one sentence.
pub(super) fn headline(verdict: &Verdict) -> (&'static str, &'static str) {
    match verdict.exit() {
        // Faults may stand in a plan without a nemesis.
        Exit::Valid if verdict.coverage.summary.contains(NO_FAULTS) => {
            ("Valid", "Every promise was kept; no faults were planned.")
        }
        Exit::Valid => (
            "Valid",
            "Every promise was kept, under faults that really happened.",
        ),
        Exit::Violated => match verdict.consistency.validity {
            Validity::Invalid => ("Violated", "Clients saw what a correct system never shows."),
            _ => ("Violated", "Writes that were acknowledged are gone."),
        },
        Exit::Undecided if not_asked(verdict).is_some() => (
            "Undecided",
            "Nothing was found, but a fault could not be healed: what comes after it is not known.",
        ),
        Exit::NoProgress => (
            "No progress",
            "The cluster did not serve again in time after the last fault.",
        ),
        _ => (
            "Undecided",
            "Nothing was found, but too little was shown to call it right.",
        ),
    }
}

/// How an anomaly is called in a heading: `Not linearizable: k9`, `Lost write: 44003`.
pub(super) fn heading(anomaly: &Anomaly) -> String {
    let kind = match anomaly.kind.as_str() {
        "nonlinearizable" => "not linearizable".to_owned(),
        kind => kind.replace(['_', '-'], " "),
    };
    let mut chars = kind.chars();
    let mut heading: String = chars
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    heading.extend(chars);
    if let Some(key) = &anomaly.key {
        heading += &format!(": {key}");
    }
    heading
}

/// Every anomaly with its axis: those that convict first, then what could not be decided.
///
/// What a check noted on its way to `valid`, like a single fault without effect, is not among them.
pub(super) fn anomalies(verdict: &Verdict) -> Vec<(&'static str, Validity, &Anomaly)> {
    let mut all = Vec::new();
    for (axis, answer) in verdict.axes() {
        let told = answer
            .findings
            .iter()
            .filter(|finding| finding.validity > Validity::Valid);
        for finding in told {
            let each = finding.anomalies.iter();
            all.extend(each.map(|anomaly| (axis, finding.validity, anomaly)));
        }
    }
    all.sort_by_key(|(_, validity, _)| std::cmp::Reverse(*validity));
    all
}

/// How many faults of one class were planned, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClassCount {
    pub(super) planned: u64,
    pub(super) proven: u64,
}

/// Fault classes by name.
pub(super) fn classes(faults: &[FaultView]) -> BTreeMap<&str, ClassCount> {
    let mut classes: BTreeMap<&str, ClassCount> = BTreeMap::new();
    for fault in faults {
        let class = classes.entry(&fault.class).or_default();
        class.planned += 1;
        class.proven += u64::from(fault.status == FaultStatus::Proven);
    }
    classes
}

/// `kill 4 of 4, partition 3 of 5`.
pub(super) fn proven(faults: &[FaultView]) -> String {
    let classes = classes(faults);
    let each = classes
        .iter()
        .map(|(class, n)| format!("{class} {} of {}", n.proven, n.planned));
    each.collect::<Vec<_>>().join(", ")
}

/// `4,210 ok, 112 fail, 31 info`.
pub(super) fn outcomes(verdict: &Verdict) -> String {
    let counts = &verdict.operations;
    let [ok, fail, info] = [counts.ok, counts.fail, counts.info].map(thousands);
    format!("{ok} ok, {fail} fail, {info} info")
}

/// How the cluster came back after the last fault.
pub(super) fn recovery(verdict: &Verdict) -> String {
    match verdict.timing.recovery_ms {
        Some(ms) => format!(
            "Every node served a write and a read again within {} of the last heal.",
            length(ms.saturating_mul(1_000_000))
        ),
        None => match not_asked(verdict) {
            Some(why) => format!("Whether the nodes serve again was {why}."),
            None => "Not every node was seen to serve again after the last heal.".into(),
        },
    }
}

/// Why nobody was asked to serve again, if so: a fault was still in force.
fn not_asked(verdict: &Verdict) -> Option<&str> {
    let mut findings = verdict.progress.findings.iter();
    let recovery = findings.find(|finding| finding.check == RECOVERY)?;
    (recovery.validity == Validity::Unknown).then_some(&recovery.summary)
}

/// Who led: how often leadership changed hands, and the last term.
fn leadership(run: &RunView<'_>) -> Option<String> {
    let led: BTreeSet<(u64, &str)> = run
        .observations
        .iter()
        .filter(|observation| observation.role == "leader")
        .filter_map(|observation| Some((observation.term?, observation.node.as_str())))
        .collect();
    let (last, node) = led.last()?;
    let times = match led.len() {
        1 => "One leader was seen".to_owned(),
        n => format!("{} leaderships were seen", thousands(n as u64)),
    };
    Some(format!("{times}, the last one of {node} in term {last}."))
}

/// The run as a short story.
pub(super) fn story(run: &RunView<'_>) -> Vec<String> {
    let verdict = run.verdict;
    let counts = &verdict.operations;
    let total = counts.ok + counts.fail + counts.info;
    let mut story = vec![format!(
        "A {} cluster of {} served the {} workload for {} under the nemesis {}.",
        verdict.target,
        count(run.nodes.len() as u64, "node"),
        verdict.workload,
        length(verdict.timing.main_ms.saturating_mul(1_000_000)),
        verdict.nemesis,
    )];
    story.push(format!(
        "Clients completed {}: {} succeeded, {} failed for certain and changed nothing, and of {} \
         nobody knows whether they happened.",
        count(total, "operation"),
        thousands(counts.ok),
        thousands(counts.fail),
        thousands(counts.info),
    ));
    story.push(format!(
        "While at least one fault was installed, {} succeeded.",
        count(counts.ok_during_faults, "operation"),
    ));
    story.push(if run.faults.is_empty() {
        "No fault was planned.".into()
    } else {
        let done = run
            .faults
            .iter()
            .filter(|fault| fault.status == FaultStatus::Proven)
            .count();
        format!(
            "{} {} planned, and {} proven to have happened: {}.",
            count(run.faults.len() as u64, "fault"),
            if run.faults.len() == 1 { "was" } else { "were" },
            match done {
                0 => "none is".to_owned(),
                1 => "1 is".to_owned(),
                n => format!("{} are", thousands(n as u64)),
            },
            proven(run.faults),
        )
    });
    story.extend(leadership(run));
    story.push(recovery(verdict));
    if let Some(why) = &verdict.interrupted {
        story.push(format!("The run ended before its time: {why}."));
    }
    story
}

/// What must be said first where the target was broken on purpose.
pub(super) fn defects(verdict: &Verdict) -> Option<String> {
    if verdict.defects.is_empty() {
        return None;
    }
    let (noun, verb) = match verdict.defects.len() {
        1 => ("Defect", "is"),
        _ => ("Defects", "are"),
    };
    let names = verdict.defects.join(", ");
    Some(format!(
        "{noun} {names} {verb} switched on in the target: a violation is expected."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::Sample;

    #[test]
    fn the_headline_follows_the_exit() {
        let mut sample = Sample::small();
        assert_eq!(headline(&sample.verdict).0, "Valid");
        sample.verdict.coverage.validity = Validity::Invalid;
        assert_eq!(headline(&sample.verdict).0, "Undecided");
        sample.verdict.progress.validity = Validity::Invalid;
        assert_eq!(headline(&sample.verdict).0, "No progress");
        sample.verdict.durability.validity = Validity::Invalid;
        assert_eq!(
            headline(&sample.verdict).1,
            "Writes that were acknowledged are gone."
        );
    }

    #[test]
    fn what_was_noted_on_the_way_to_valid_is_no_anomaly() {
        let mut sample = Sample::violated();
        assert_eq!(anomalies(&sample.verdict).len(), 1);
        sample.verdict.consistency.findings[0].validity = Validity::Valid;
        assert_eq!(anomalies(&sample.verdict).len(), 0);
    }

    #[test]
    fn a_class_counts_what_is_proven_of_what_was_planned() {
        let mut sample = Sample::small();
        sample.faults[0].status = FaultStatus::NoEffect;
        assert_eq!(
            proven(&sample.faults),
            "kill 0 of 1, partition 1 of 1, pause 1 of 1"
        );
    }

    #[test]
    fn the_story_counts_and_names() {
        let story = story(&Sample::small().view()).join(" ");
        for part in [
            "A raft cluster of 3 nodes",
            "4 operations succeeded",
            "3 faults were planned, and 3 are proven",
            "within 800 ms",
        ] {
            assert!(story.contains(part), "{part:?} in {story}");
        }
        assert!(
            story.contains("2 leaderships were seen, the last one of n2 in term 2"),
            "{story}"
        );
    }
}
