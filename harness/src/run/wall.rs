//! The nodes' wall clocks over a run in which faults make them wrong: how far each is ahead.

use super::recorder::Recorder;
use ordeal_checker::history::Time;
use ordeal_nemesis::Node;
use ordeal_nemesis::clock::{Clocks, VdsoClocks};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One line of `clocks.jsonl`: how wrong a node's wall clock was, by up to two witnesses. Who has
/// no process, or does not answer, has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockReading {
    /// When it was asked.
    pub(crate) time: Time,
    /// Which node.
    pub(crate) node: String,
    /// The process whose memory was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    /// How far ahead whoever asks in that process for the time is told to be, in nanoseconds: what
    /// stands in its memory, read from there. Any program has this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) set_ns: Option<i64>,
    /// How far ahead the time was that the node told, in nanoseconds, right to half of its answer's
    /// way; where the target tells the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) told_ns: Option<i64>,
}

/// Reads one node's clock.
pub(super) struct Reader {
    node: Node,
    clocks: Arc<VdsoClocks>,
    lines: Recorder<ClockReading>,
}

impl Reader {
    /// Of that node.
    pub(super) fn new(node: Node, clocks: Arc<VdsoClocks>, lines: Recorder<ClockReading>) -> Self {
        Reader {
            node,
            clocks,
            lines,
        }
    }

    /// Takes down what stands in its memory now, and what it told when it was asked.
    pub(super) fn read(&self, asked: Time, told_ns: Option<i64>) {
        // What cannot be read is the injector's to tell of; here it is a gap.
        let set = self.clocks.read(self.node).ok().flatten();
        if set.is_none() && told_ns.is_none() {
            return;
        }
        self.lines.record(ClockReading {
            time: asked,
            node: self.node.to_string(),
            pid: set.map(|reading| reading.pid),
            set_ns: set.map(|reading| reading.ahead_ns),
            told_ns,
        });
    }
}
