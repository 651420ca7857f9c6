//! What proves that wall clocks were wrong.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::node::Node;

/// One wall clock that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSeen {
    /// Whose.
    pub node: Node,
    /// The process it was read from.
    pub pid: u32,
    /// How far ahead it was when the fault began, in nanoseconds, read from the process.
    pub ahead_ns: i64,
    /// The same by the node's own words, some time later; absent where it does not tell the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_ns: Option<i64>,
    /// How far ahead it was at the end, before the heal; absent until then, and where the node had
    /// no process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ns: Option<i64>,
}

impl fmt::Display for ClockSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ns: i64| Duration::from_nanos(ns.unsigned_abs()).as_secs_f64();
        let told = |f: &mut fmt::Formatter<'_>, ns: i64| match ns < 0 {
            false => write!(f, "{:.3} s ahead", seconds(ns)),
            true => write!(f, "{:.3} s behind", seconds(ns)),
        };
        write!(f, "{} pid {} ", self.node, self.pid)?;
        told(f, self.ahead_ns)?;
        if let Some(ns) = self.told_ns {
            f.write_str(", by its own words ")?;
            told(f, ns)?;
        }
        if let Some(ns) = self.end_ns {
            f.write_str(", in the end ")?;
            told(f, ns)?;
        }
        Ok(())
    }
}
