//! What can be pulled here: each lever is optional, and a fault without its lever is skipped.

mod admin;

use std::sync::Arc;

pub use self::admin::{Admin, Order, OrderError, OrderKind, OrderTextError, Standing};
use crate::{clock::Clocks, disk::Disks, network::Network, node::Node, process::Lifecycle};

/// The levers of one deployment.
#[derive(Clone, Default)]
pub struct Levers {
    /// Kills, pauses, starts.
    pub processes: Option<Arc<dyn Lifecycle>>,
    /// Cuts.
    pub network: Option<Arc<dyn Network>>,
    /// Power losses, failing requests, damage.
    pub disks: Option<Arc<dyn Disks>>,
    /// Wall clocks that are wrong.
    pub clocks: Option<Arc<dyn Clocks>>,
    /// Orders of an administrator, where the target takes any.
    pub admin: Option<Arc<dyn Admin>>,
}

/// What is known about the cluster from outside the clients' network: asked over a way that no
/// fault blocks, and answered at once from what was seen last.
pub trait Observer: Sync {
    /// Who leads now, if anybody is known to.
    fn leader(&self) -> Option<Node>;

    /// Everybody who says that they lead, [`Observer::leader`] first: after a partition there may
    /// be several.
    fn leaders(&self) -> Vec<Node> {
        self.leader().into_iter().collect()
    }

    /// How far ahead the node's wall clock was by its own words, in nanoseconds, and when it said
    /// so, by the harness's clock; for targets that tell the time.
    fn clock_told(&self, _node: Node) -> Option<ClockTold> {
        None
    }

    /// Whether the process `pid` of this node answers requests. An answer that an earlier process
    /// of the node gave does not count: it is what proves that the node came back.
    fn serving(&self, node: Node, pid: u32) -> bool;
}

/// What a node said of its wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockTold {
    /// When it was asked, in nanoseconds on the harness's clock.
    pub asked_ns: u64,
    /// When it had answered.
    pub answered_ns: u64,
    /// How far ahead it was, in nanoseconds, seen from the middle of asking and answer.
    pub ahead_ns: i64,
    /// By how much that may be wrong: half of the time that the answer took.
    pub within_ns: u64,
}
