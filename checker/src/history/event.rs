//! One line of `history.jsonl`: an invocation or a completion, before any model has looked at it.
//!
//! The format is described in `results/FORMAT.md`. Values stay JSON here; a workload or a model
//! gives them a meaning.

use super::{Process, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What happened: an invocation, or one of the three completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A process asks.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen and never will.
    Fail,
    /// Nobody knows.
    Info,
}

/// Why a completion was not `ok`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventError {
    /// A short upper-case code: the target's own, or the client's (`TIMEOUT`, `REFUSED`, …).
    pub code: String,
    /// The sentence behind it.
    pub message: String,
}

/// One event as it stands in a history file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the file; not an order between processes, which only `time` gives.
    pub index: u64,
    /// Who.
    pub process: Process,
    /// Invocation or completion.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// Which operation: `read`, `write`, `cas`, `add`, …
    pub f: String,
    /// The independent object it goes to, where the workload has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Value>,
    /// The argument in an invocation, the result in an `ok` completion.
    #[serde(default)]
    pub value: Value,
    /// Nanoseconds since the run began, taken by the worker itself.
    pub time: Time,
    /// The node that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The term in which the target says it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// The log index at which the target says it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// Why not `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<EventError>,
    /// Set on operations outside the main phase: `warm-up`, `recovery`, `final`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}
