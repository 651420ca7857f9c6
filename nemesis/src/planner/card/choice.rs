//! Which nodes a fault is to hit.

use std::collections::BTreeSet;

use rand::{RngExt, rngs::ChaCha8Rng, seq::SliceRandom};

use super::Free;
use crate::{fault::Targets, node::Node};

/// One node or more of those that are free, within the budget.
pub(super) fn some(free: &Free, rng: &mut ChaCha8Rng) -> Targets {
    let mut nodes = free.nodes.clone();
    nodes.shuffle(rng);
    let most = free.budget.min(nodes.len());
    nodes.truncate(rng.random_range(1..=most));
    Targets::Nodes(nodes.into_iter().collect())
}

/// One node, a minority, a majority, the leader, its followers or all, where any may be meant.
pub(super) fn anybody(count: u16, rng: &mut ChaCha8Rng) -> Targets {
    let minority = usize::from((count.saturating_sub(1) / 2).max(1));
    let some = |size: usize, rng: &mut _| Targets::Nodes(split(count, size, rng).0);
    match rng.random_range(0..6) {
        0 => some(1, rng),
        1 => some(minority, rng),
        2 => some(usize::from(count).min(minority + 1), rng),
        3 => Targets::Leader,
        4 if count > 1 => Targets::Followers,
        _ => Targets::All,
    }
}

pub(super) fn shuffled(count: u16, rng: &mut ChaCha8Rng) -> Vec<Node> {
    let mut nodes: Vec<Node> = Node::first(count).collect();
    nodes.shuffle(rng);
    nodes
}

/// Two random sides, the first of `size` nodes.
pub(super) fn split(
    count: u16,
    size: usize,
    rng: &mut ChaCha8Rng,
) -> (BTreeSet<Node>, BTreeSet<Node>) {
    let nodes = shuffled(count, rng);
    let (left, right) = nodes.split_at(size);
    (
        left.iter().copied().collect(),
        right.iter().copied().collect(),
    )
}
