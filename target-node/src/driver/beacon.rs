//! What the server knows of the driver without asking it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::failure::Standing;
use crate::raft::{Index, NodeId, Term};

/// The present standing, for those who answer without the driver.
#[derive(Debug, Default)]
pub(crate) struct Beacon {
    /// There is a driver, with all that the disk holds.
    has_started: AtomicBool,
    term: AtomicU64,
    /// 0: not known.
    leader: AtomicU64,
    applied: AtomicU64,
}

impl Beacon {
    /// False while the node reads back what is on its disk.
    pub(crate) fn has_started(&self) -> bool {
        self.has_started.load(Ordering::Relaxed)
    }

    pub(super) fn start(&self) {
        self.has_started.store(true, Ordering::Relaxed);
    }

    pub(crate) fn standing(&self) -> Standing {
        let leader = self.leader.load(Ordering::Relaxed);
        let term = self.term.load(Ordering::Relaxed);
        Standing {
            term,
            leader: (leader != 0).then_some(leader),
        }
    }

    /// The highest index applied.
    pub(crate) fn applied(&self) -> Index {
        self.applied.load(Ordering::Relaxed)
    }

    pub(super) fn stand(&self, term: Term, leader: Option<NodeId>) {
        self.term.store(term, Ordering::Relaxed);
        self.leader.store(leader.unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn apply(&self, index: Index) {
        self.applied.store(index, Ordering::Relaxed);
    }
}
