//! What can be said about a history: findings, each with its evidence, merged by the worst.

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
    /// One paragraph that a stranger can follow, with times, processes and nodes.
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
