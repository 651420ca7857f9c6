//! From the events of a run to findings: each workload's checks, each on its axis.

use crate::operation::Foreign;
use ordeal_checker::history::{Event, MalformedHistory};
use ordeal_checker::verdict::Finding;
use serde::{Deserialize, Serialize};

/// The question that a check answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Is the client history what the workload promises?
    Consistency,
    /// Is every acknowledged write still there?
    Durability,
}

/// One property of a run's events.
pub trait Check: Send + Sync {
    /// The axis it speaks on.
    fn axis(&self) -> Axis;

    /// Its answer.
    ///
    /// # Errors
    /// If the events are not a history that this workload could have left.
    fn judge(&self, events: &[Event], effort: &Effort) -> Result<Finding, Unjudgeable>;
}

/// How much a check may spend before it says *unknown*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Search states over all keys.
    pub states_max: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Effort {
            states_max: 50_000_000,
        }
    }
}

/// Events that are no history of this workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unjudgeable {
    /// An event is not one of ours.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// The events contradict each other.
    #[error("event {index}: {source}")]
    Malformed {
        /// Where.
        index: u64,
        /// How.
        source: MalformedHistory,
    },
}
