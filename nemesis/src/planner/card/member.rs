//! How changes of the members, and what an administrator orders besides, are drawn.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{Card, Free, some, split};
use crate::{
    fault::{AdminFault, Asked, Fault, FaultClass, MemberChange, MemberFault, Targets, Whom},
    network::NODES_MAX,
    node::Node,
};

/// How many nodes run besides the cluster's, where it may grow.
const SPARES: u16 = 2;

pub(super) fn fault(card: Card, count: u16, free: &Free, rng: &mut ChaCha8Rng) -> Fault {
    match card.class() {
        FaultClass::Membership => Fault::Member(members(card, count, free, rng)),
        _ => Fault::Admin(order(card, count, rng)),
    }
}

fn members(card: Card, count: u16, free: &Free, rng: &mut ChaCha8Rng) -> MemberFault {
    let spares: Vec<Node> = Node::first(count.saturating_add(SPARES).min(NODES_MAX))
        .skip(usize::from(count))
        .collect();
    let spare = spares.iter().take(1).copied().collect();
    let change = match card {
        Card::Grow => {
            let new = spares.len().min(rng.random_range(1..=usize::from(SPARES)));
            MemberChange::Grow(spares.into_iter().take(new).collect())
        }
        Card::Shrink => MemberChange::Shrink(some(free, rng)),
        Card::ShrinkLeader => MemberChange::Shrink(Targets::Leader),
        Card::ShrinkAlone => {
            // All others at most: a majority of what is left could be the leader alone.
            let size = rng.random_range(1..usize::from(count));
            MemberChange::Shrink(Targets::Nodes(split(count, size, rng).0))
        }
        Card::Replace => {
            let one = free.nodes[rng.random_range(0..free.nodes.len())];
            let old = Targets::one(one);
            MemberChange::Replace { old, new: spare }
        }
        _ => MemberChange::Replace {
            old: Targets::Leader,
            new: spare,
        },
    };
    let asked = match card {
        Card::ShrinkAlone => Asked::Isolated,
        _ => Asked::Leader,
    };
    MemberFault { change, asked }
}

fn order(card: Card, count: u16, rng: &mut ChaCha8Rng) -> AdminFault {
    let mut any = || {
        let size = rng.random_range(1..=usize::from(count));
        Targets::Nodes(split(count, size, rng).0)
    };
    match card {
        Card::Transfer => AdminFault::Transfer {
            to: Whom::Any,
            asked: Asked::Leader,
        },
        Card::TransferAlone => AdminFault::Transfer {
            to: Whom::Any,
            asked: Asked::Isolated,
        },
        Card::Campaign => AdminFault::Campaign(Whom::Any),
        Card::StepDown => AdminFault::StepDown,
        Card::Snapshot => AdminFault::Snapshot(any()),
        _ => AdminFault::Compact(any()),
    }
}
