//! Whom a fault had started again.

use super::{CrashLooped, Killed, Proof, Successor};
use crate::node::Node;

impl Proof {
    /// The nodes that ended by this fault and came back as another process; as often as they did.
    pub fn restarted(&self) -> Vec<Node> {
        let ended: Vec<(Node, &Option<Successor>)> = match self {
            Self::Killed { processes } => each(processes, |one| (one.node, &one.successor)),
            Self::PowerLost { nodes } => each(nodes, |one| of(&one.killed)),
            Self::Damaged { nodes } => each(nodes, |one| of(&one.killed)),
            Self::DiskMet { nodes } => each(nodes, |one| (one.node, &one.successor)),
            Self::Stopped { processes } => each(processes, |one| (one.node, &one.successor)),
            Self::StartKilled { processes } => each(processes, |one| (one.node, &one.successor)),
            Self::Starved { processes } => each(processes, |one| (one.node, &one.successor)),
            Self::CrashLooped { nodes } => return looped(nodes),
            Self::Paused { .. } | Self::Slowed { .. } => Vec::new(),
            Self::Cut(_) | Self::Shaped(_) | Self::Clocks { .. } => Vec::new(),
            Self::Members { .. } | Self::AskedAlone { .. } => Vec::new(),
            Self::Led { .. } | Self::Logs { .. } => Vec::new(),
        };
        let back = ended
            .into_iter()
            .filter(|(_, successor)| successor.is_some());
        back.map(|(node, _)| node).collect()
    }
}

fn each<'a, T, U>(all: &'a [T], what: impl Fn(&'a T) -> U) -> Vec<U> {
    all.iter().map(what).collect()
}

fn of(killed: &Killed) -> (Node, &Option<Successor>) {
    (killed.node, &killed.successor)
}

/// Every kill but the last was followed by a start; the last one, where somebody serves.
fn looped(nodes: &[CrashLooped]) -> Vec<Node> {
    let times = |one: &CrashLooped| {
        let last_is_missing = one.successor.is_none();
        one.pids.len().saturating_sub(usize::from(last_is_missing))
    };
    let each = nodes
        .iter()
        .flat_map(|one| std::iter::repeat_n(one.node, times(one)));
    each.collect()
}
