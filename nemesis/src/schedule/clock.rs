//! Which faults of clocks can be at the same time.

use crate::{fault::Fault, node::Node};

/// A node whose clock both may set.
pub(super) fn shared(first: &Fault, second: &Fault, count: u16) -> Option<Node> {
    let (Fault::Clock(first), Fault::Clock(second)) = (first, second) else {
        return None;
    };
    let [first, second] = [first, second].map(|fault| fault.targets.possible(count));
    first.intersection(&second).next().copied()
}
