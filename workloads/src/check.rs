//! From the events of a run to findings: each workload's checks, each on its axis.

use crate::operation::Foreign;
use ordeal_checker::history::{Event, MalformedHistory};
use ordeal_checker::judge;
use ordeal_checker::linearizability::MonitorError;
use ordeal_checker::verdict::Finding;
use serde::{Deserialize, Serialize};
use std::time::Duration;

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

    /// Nothing seen yet of a history.
    fn begin(&self) -> Box<dyn Judge>;

    /// Its answer on a whole history.
    ///
    /// # Errors
    /// If the events are not a history that this workload could have left.
    fn judge(&self, events: &[Event], effort: &Effort) -> Result<Judgement, Unjudgeable> {
        let mut judge = self.begin();
        for (line, event) in (1..).zip(events) {
            judge.see(line, event)?;
        }
        Ok(judge.finish(effort))
    }
}

/// A check that is shown a history event by event, and keeps no more of it than it needs.
pub trait Judge: Send {
    /// Takes note of an event, in the order of the file, where it stands on that line.
    ///
    /// # Errors
    /// If with it the events are not a history that this workload could have left.
    fn see(&mut self, line: usize, event: &Event) -> Result<(), Unjudgeable>;

    /// The answer.
    fn finish(self: Box<Self>, effort: &Effort) -> Judgement;
}

/// A check's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub finding: Finding,
    /// Its evidence drawn for a terminal, where there is something to draw.
    pub explanation: Option<String>,
}

impl From<Finding> for Judgement {
    fn from(finding: Finding) -> Self {
        Judgement {
            finding,
            explanation: None,
        }
    }
}

/// A property of a run that is judged while it goes on.
pub trait Watch: Send {
    /// What is certainly violated, in words, once it is; stays so.
    ///
    /// # Errors
    /// If the events are no history of this workload, or come too far out of order. Then it must
    /// not be asked again.
    fn see(&mut self, event: &Event) -> Result<Option<String>, Unjudgeable>;
}

/// How much a check may spend before it says *unknown*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Search states, for each key.
    pub states_max: u64,
    /// Bytes that the memory of those may take, for each key.
    pub bytes_max: u64,
    /// How long a check may take on each key; `None` where its answer must not depend on the
    /// speed of the machine.
    pub wall_max: Option<Duration>,
}

impl Default for Effort {
    fn default() -> Self {
        Effort {
            states_max: 20_000_000,
            bytes_max: 1 << 30,
            wall_max: Some(Duration::from_secs(20)),
        }
    }
}

/// Events that are no history of this workload.
#[derive(Debug, thiserror::Error)]
pub enum Unjudgeable {
    /// An event is not one of ours.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// The checker cannot take it.
    #[error(transparent)]
    Unread(#[from] judge::Unjudgeable),
    /// The events contradict each other.
    #[error("event {index}: {source}")]
    Malformed {
        /// Where.
        index: u64,
        /// How.
        source: MalformedHistory,
    },
    /// The events cannot be judged while they come.
    #[error("event {index}: {source}")]
    Unwatched {
        /// Where.
        index: u64,
        /// How.
        source: MonitorError,
    },
}
