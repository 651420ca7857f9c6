//! What can be pulled here: each lever is optional, and a fault without its lever is skipped.

mod admin;

use std::sync::Arc;

pub use self::admin::{Admin, Order, OrderError, OrderKind, OrderTextError, Standing};
use crate::{disk::Disks, network::Network, node::Node, process::Lifecycle};

/// The levers of one deployment.
#[derive(Clone, Default)]
pub struct Levers {
    /// Kills, pauses, starts.
    pub processes: Option<Arc<dyn Lifecycle>>,
    /// Cuts.
    pub network: Option<Arc<dyn Network>>,
    /// Power losses, failing requests, damage.
    pub disks: Option<Arc<dyn Disks>>,
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

    /// Whether the process `pid` of this node answers requests. An answer that an earlier process
    /// of the node gave does not count: it is what proves that the node came back.
    fn serving(&self, node: Node, pid: u32) -> bool;
}
