//! What can be said about a history: findings, each with its evidence, merged by the worst.
//!
//! # Three answers, each with evidence
//!
//! | answer | evidence | who can check it |
//! |---|---|---|
//! | valid | an order of the operations ([`Decision::Valid`]) | replay it through the model |
//! | invalid | operations that contradict each other ([`Contradiction`]) | try all their orders |
//! | unknown | the longest order that was found ([`Prefix`]) | give it more budget |
//!
//! Unknown is neither of the others, and never counts as a pass: [`Validity`] is ordered, the worst
//! of several is their `max`, and it does not turn into a `bool`.
//!
//! # Why it is invalid
//!
//! Of a violation a minimal set of operations is told: they are *enough* to show it, whatever the
//! others did and when, and each is *needed*: forget any one of them, and some order explains the
//! rest ([`Contradiction::is_minimal`] says where that was too long to find). They are then ordered
//! as far as that goes, which shows what the object held and whom it contradicts. All that is there
//! as data, in words and as a drawing:
//!
//! ```
//! # use ordeal_checker::budget::Budget;
//! # use ordeal_checker::history::{HistoryBuilder, MalformedHistory, Outcome, Process, Time};
//! # use ordeal_checker::linearizability::{Decision, check};
//! # use ordeal_checker::model::{CasRegister, RegisterOp, RegisterRet};
//! # let mut history = HistoryBuilder::new();
//! for (at, value) in [(10, 1), (20, 2), (30, 3)] {
//!     history.invoke(Process(1), Time(at), RegisterOp::Write(value))?;
//!     history.complete(Process(1), Time(at + 5), Outcome::Ok(RegisterRet::Written))?;
//! }
//! history.invoke(Process(2), Time(40), RegisterOp::Read)?;
//! history.complete(Process(2), Time(45), Outcome::Ok(RegisterRet::Value(Some(1))))?;
//! let verdict = check(&CasRegister, &history.finish(), &Budget::default());
//!
//! let Decision::Invalid(contradiction) = &verdict.keys[0].decision else {
//!     panic!("the 1 was overwritten, twice");
//! };
//! assert!(contradiction.is_minimal && contradiction.minimal.len() < 4);
//! let words = verdict.explain().expect("a violation has an explanation");
//! assert!(words.contains("p2's read → 1"), "{words}");
//! assert_eq!(verdict.finding().anomalies[0].kind, "nonlinearizable");
//! # Ok::<(), MalformedHistory>(())
//! ```
//!
//! [`Finding`] is the form that every check here gives, to be stored and merged: an answer, a
//! sentence that stands alone, and [anomalies](Anomaly) that name their events.
//!
//! *Before: [`linearizability`](crate::linearizability) · [contents](crate) · next: where no search
//! is needed, [`transaction`](crate::transaction).*
//!
//! [`Decision::Valid`]: crate::linearizability::Decision::Valid
//! [`Contradiction`]: crate::linearizability::Contradiction
//! [`Contradiction::is_minimal`]: crate::linearizability::Contradiction::is_minimal
//! [`Prefix`]: crate::linearizability::Prefix

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The answer on one axis. Ordered: the worst of several is their `max`.
///
/// Deliberately not convertible to `bool`: unknown is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// It holds, and was shown to.
    Valid,
    /// Not decided: a budget was spent, or there was too little to judge.
    Unknown,
    /// It does not hold, and there is a witness.
    Invalid,
}

impl Validity {
    /// The worst of all, `Valid` if there are none.
    pub fn worst(all: impl IntoIterator<Item = Validity>) -> Validity {
        all.into_iter().max().unwrap_or(Validity::Valid)
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Validity::Valid => "valid",
            Validity::Unknown => "unknown",
            Validity::Invalid => "invalid",
        })
    }
}

/// One concrete thing that is wrong, or that could not be decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What kind: `nonlinearizable`, `lost_write`, `stale_read`, …
    pub kind: String,
    /// The object it concerns, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A paragraph or a few lines that a stranger can follow, with times, processes and nodes.
    pub message: String,
    /// The witnesses, as positions in the history (`Event::index` of the invocations).
    #[serde(default)]
    pub events: Vec<u64>,
    /// The same as lines of the file that was judged, counted from one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<u64>,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The check that speaks: `linearizability`, `lost_writes`, …
    pub check: String,
    /// Its answer.
    pub validity: Validity,
    /// One line that stands alone.
    pub summary: String,
    /// Every anomaly, worst first.
    #[serde(default)]
    pub anomalies: Vec<Anomaly>,
    /// Figures: operations checked, states visited, budget spent.
    #[serde(default)]
    pub statistics: BTreeMap<String, Value>,
}
