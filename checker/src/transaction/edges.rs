//! Who came before whom, edge by edge; whoever listens decides what to keep.
//!
//! Nodes are the transactions by their places in the history, and after them *gates*, which stand
//! for edges from everyone before to everyone after:
//!
//! ```text
//!   R1 ──rw──┐        ┌──▶ W1
//!   R2 ──rw──┤▶ gate ─┤              five edges in place of six, a thousand in place of 250,000
//!   R3 ──rw──┘        └──▶ W2
//! ```
//!
//! To say all edges anew takes less time than it would take memory to keep them: most are only
//! counted, and most of the others are of transactions that cannot be in a cycle ([`peel`]).
//!
//! [`peel`]: super::peel

use super::effort::Effort;
use super::object::Objects;
use super::reason::Reasons;
use super::{Kind, list, order, register};

/// Edges as they are said.
pub(super) struct Edges<'l> {
    nodes: u32,
    listen: &'l mut dyn FnMut(u32, u32, Reasons),
}

/// All edges, in the same order each time, as far as the effort goes; gives the number of nodes.
pub(super) fn each(
    objects: &Objects<'_>,
    effort: &Effort,
    listen: &mut dyn FnMut(u32, u32, Reasons),
) -> usize {
    let (log, happened) = (objects.log, &objects.happened);
    let mut edges = Edges {
        nodes: log.places().end,
        listen,
    };
    for object in objects.all.iter().filter(|object| !object.is_ambiguous) {
        if !effort.tick() {
            break;
        }
        match log.kind() {
            Kind::ListAppend => list::edges(object, log, happened, effort, &mut edges),
            Kind::RwRegister => register::edges(object, log, happened, effort, &mut edges),
        }
    }
    order::processes(&mut edges, log);
    order::time(&mut edges, log);
    edges.nodes as usize
}

impl Edges<'_> {
    /// A new gate.
    pub(super) fn gate(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    pub(super) fn connect(&mut self, from: u32, to: u32, why: Reasons) {
        if from != to {
            (self.listen)(from, to, why);
        }
    }

    /// Each of `before` came before each of `after`; nobody came before themselves.
    ///
    /// Both are sorted, and no node is in one of them twice.
    pub(super) fn connect_all(&mut self, before: &[(u32, Reasons)], after: &[u32]) {
        if before.len() <= 1 || after.len() <= 1 {
            for (from, why) in before {
                after.iter().for_each(|to| self.connect(*from, *to, *why));
            }
            return;
        }
        // Who is on both sides must not lead to themselves through the gate.
        let is_both = |from: u32| after.binary_search(&from).is_ok();
        let both: Vec<_> = before.iter().filter(|(from, _)| is_both(*from)).collect();
        let gate = self.gate();
        for (from, why) in before.iter().filter(|(from, _)| !is_both(*from)) {
            self.connect(*from, gate, *why);
        }
        for to in after {
            self.connect(gate, *to, Reasons::ANY);
        }
        // Any two of those came before each other: one cycle for each of them says all of it.
        if let Some((first, why)) = both.first() {
            after.iter().for_each(|to| self.connect(*first, *to, *why));
        }
        for (other, why) in both.iter().skip(1) {
            self.connect(*other, both[0].0, *why);
        }
    }
}
