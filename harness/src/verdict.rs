//! The verdict: four axes, each with its findings, and the exit code that follows.

use ordeal_checker::verdict::{Finding, Validity};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a run amounts to. Plain data: `verdict.json` is this and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Version of this format.
    pub(crate) format: u32,
    /// Version of ordeal that judged.
    pub(crate) ordeal: String,
    /// The folder's name.
    pub(crate) run: String,
    /// The seed everything was derived from.
    pub(crate) seed: u64,
    /// What was put on trial.
    pub(crate) target: String,
    /// What clients did.
    pub(crate) workload: String,
    /// What was done to it.
    pub(crate) nemesis: String,
    /// Defects that were switched on in the target; a violation is then expected.
    pub(crate) defects: Vec<String>,
    /// Is the client history what the workload promises?
    pub(crate) consistency: AxisVerdict,
    /// Is every acknowledged write still there?
    pub(crate) durability: AxisVerdict,
    /// Did the cluster serve again within the bound after healing?
    pub(crate) progress: AxisVerdict,
    /// Did the planned faults really happen, and did clients really work while they did?
    pub(crate) coverage: AxisVerdict,
    /// What clients did, in figures.
    pub(crate) operations: OperationCounts,
    /// Why the run ended before its time, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) interrupted: Option<String>,
    /// How long things took, in milliseconds on the run's clock.
    pub(crate) timing: Timing,
}

/// What coverage says of a run without any.
pub(crate) const NO_FAULTS: &str = "no faults were planned";

/// The check that asks every node to serve again.
pub(crate) const RECOVERY: &str = "recovery";

/// The format that this version writes.
pub(crate) const FORMAT: u32 = 1;

/// The answer on one axis and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AxisVerdict {
    /// The worst of the findings.
    pub(crate) validity: Validity,
    /// One line that stands alone.
    pub(crate) summary: String,
    /// What was looked at.
    pub(crate) findings: Vec<Finding>,
}

impl AxisVerdict {
    /// The axis as its findings have it; `nothing` is said where there are none.
    pub(crate) fn of(findings: Vec<Finding>, nothing: (Validity, &str)) -> Self {
        let worst = findings.iter().max_by_key(|finding| finding.validity);
        let (validity, summary) = match worst {
            None => (nothing.0, nothing.1.to_owned()),
            Some(worst) => {
                let validity = worst.validity;
                let says: Vec<&str> = findings
                    .iter()
                    .filter(|finding| finding.validity == validity)
                    .map(|finding| finding.summary.as_str())
                    .collect();
                (validity, says.join("; "))
            }
        };
        AxisVerdict {
            validity,
            summary,
            findings,
        }
    }
}

/// How many operations ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OperationCounts {
    /// Happened.
    pub(crate) ok: u64,
    /// Did not happen.
    pub(crate) fail: u64,
    /// Unknown.
    pub(crate) info: u64,
    /// Happened while at least one fault was installed.
    pub(crate) ok_during_faults: u64,
}

/// How long things took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timing {
    /// From the start of the command to the first acknowledged write.
    pub(crate) first_write_ms: u64,
    /// From the first to the last operation of the main phase.
    pub(crate) main_ms: u64,
    /// From the last heal until every node served a write and a read; absent if not all did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_ms: Option<u64>,
    /// Spent in the checks.
    pub(crate) checking_ms: u64,
}

impl Verdict {
    /// The axes in the order in which they are told.
    pub(crate) fn axes(&self) -> [(&'static str, &AxisVerdict); 4] {
        [
            ("consistency", &self.consistency),
            ("durability", &self.durability),
            ("progress", &self.progress),
            ("coverage", &self.coverage),
        ]
    }

    /// The exit code: a violation outranks everything, lost progress outranks not knowing.
    pub(crate) fn exit(&self) -> Exit {
        let invalid = |axis: &AxisVerdict| axis.validity == Validity::Invalid;
        let valid = |axis: &AxisVerdict| axis.validity == Validity::Valid;
        if invalid(&self.consistency) || invalid(&self.durability) {
            Exit::Violated
        } else if invalid(&self.progress) {
            Exit::NoProgress
        } else if self.axes().iter().all(|(_, axis)| valid(axis)) {
            Exit::Valid
        } else {
            Exit::Undecided
        }
    }
}

/// How a command ends, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All four axes are valid.
    Valid,
    /// Consistency or durability is violated.
    Violated,
    /// Undecided: a checker's budget was spent, or coverage was too thin to mean anything.
    Undecided,
    /// The cluster did not serve again in time.
    NoProgress,
    /// Bad usage or a bad plan: nothing was started.
    Usage,
    /// The harness failed; that says nothing about the target.
    Harness,
}

impl Exit {
    /// The process's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Valid => 0,
            Exit::Violated => 1,
            Exit::Undecided => 2,
            Exit::NoProgress => 3,
            Exit::Usage => 64,
            Exit::Harness => 70,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Exit::Valid => "valid",
            Exit::Violated => "violated",
            Exit::Undecided => "undecided",
            Exit::NoProgress => "no progress",
            Exit::Usage => "bad usage",
            Exit::Harness => "the harness failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(validity: Validity) -> AxisVerdict {
        AxisVerdict {
            validity,
            summary: String::new(),
            findings: Vec::new(),
        }
    }

    fn exit(axes: [Validity; 4]) -> Exit {
        let [consistency, durability, progress, coverage] = axes.map(axis);
        Verdict {
            format: FORMAT,
            ordeal: String::new(),
            run: String::new(),
            seed: 0,
            target: String::new(),
            workload: String::new(),
            nemesis: String::new(),
            defects: Vec::new(),
            consistency,
            durability,
            progress,
            coverage,
            operations: OperationCounts::default(),
            interrupted: None,
            timing: Timing::default(),
        }
        .exit()
    }

    #[test]
    fn a_violation_outranks_everything_and_unknown_is_no_pass() {
        use Validity::{Invalid, Unknown, Valid};
        assert_eq!(exit([Valid, Valid, Valid, Valid]), Exit::Valid);
        assert_eq!(exit([Invalid, Unknown, Invalid, Unknown]), Exit::Violated);
        assert_eq!(exit([Unknown, Invalid, Valid, Valid]), Exit::Violated);
        assert_eq!(exit([Unknown, Valid, Invalid, Valid]), Exit::NoProgress);
        assert_eq!(exit([Unknown, Valid, Valid, Valid]), Exit::Undecided);
        assert_eq!(exit([Valid, Valid, Valid, Invalid]), Exit::Undecided);
    }

    #[test]
    fn an_axis_says_what_its_worst_findings_say() {
        let finding = |validity, summary: &str| Finding {
            check: String::new(),
            validity,
            summary: summary.into(),
            anomalies: Vec::new(),
            statistics: Default::default(),
        };
        let findings = vec![
            finding(Validity::Valid, "fine"),
            finding(Validity::Invalid, "bad"),
            finding(Validity::Invalid, "worse"),
        ];
        let axis = AxisVerdict::of(findings, (Validity::Unknown, "nothing"));
        assert_eq!(
            (axis.validity, axis.summary.as_str()),
            (Validity::Invalid, "bad; worse")
        );
        let empty = AxisVerdict::of(Vec::new(), (Validity::Unknown, "nothing was looked at"));
        assert_eq!(empty.summary, "nothing was looked at");
    }
}
