//! What is seen of the cluster and of the faults at one moment.

use std::collections::BTreeMap;

use crate::node::Node;

/// Everything that a [`super::Play`] decides by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// Since the scenario began, in milliseconds.
    pub now_ms: u64,
    /// Who leads, the highest term first: after a partition there may be several.
    pub leaders: Vec<Node>,
    /// Each node; n1 first.
    pub nodes: Vec<Seen>,
    /// Operations that clients have begun and that have not ended.
    pub under_way: u64,
    /// The faults injected so far, by id.
    pub faults: BTreeMap<u32, FaultState>,
}

/// One node at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether it has a process.
    pub runs: bool,
    /// Whether it answers whoever looks at it out of band.
    pub answers: bool,
    /// Its term, as it says.
    pub term: u64,
    /// The highest index it has applied, where it tells.
    pub applied: Option<u64>,
    /// How many snapshots it has taken from others in the place of its log since it started, where
    /// it tells.
    pub installed: Option<u64>,
    /// How many operations of clients have succeeded at it so far.
    pub ok: u64,
}

/// What became of an injected fault so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultState {
    /// The lever is about to be pulled, or was and is not proven yet.
    Begun,
    /// Proven to be in force.
    Installed,
    /// It is over: whether it was proven, and whether nothing of it is left.
    Over {
        /// Proven to have happened.
        proven: bool,
        /// Undone, and that was verified.
        healed: bool,
        /// In words.
        words: String,
    },
}

impl Sight {
    /// Who leads.
    pub fn leader(&self) -> Option<Node> {
        self.leaders.first().copied()
    }

    /// What is seen of this node.
    pub(super) fn of(&self, node: Node) -> Option<&Seen> {
        self.nodes.get(usize::from(node.0).checked_sub(1)?)
    }

    /// How many operations have succeeded at these nodes.
    pub(super) fn ok_at(&self, nodes: &[Node]) -> u64 {
        let seen = nodes.iter().filter_map(|node| self.of(*node));
        seen.map(|seen| seen.ok).sum()
    }
}
