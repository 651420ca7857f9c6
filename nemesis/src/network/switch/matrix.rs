//! What is done to each directed edge, and by which faults: what every packet is looked up in.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{link::Link, lock};
use crate::{
    fault::Shaping,
    grudge::Grudge,
    network::FateSeed,
    node::{Edge, Endpoint},
    proof::{Dropped, Shaped},
};

/// One installed cut: a counter of dropped packets for each of its edges.
#[derive(Debug)]
pub(super) struct Cut(BTreeMap<Edge, Arc<AtomicU64>>);

impl Cut {
    pub(super) fn new(grudge: &Grudge) -> Self {
        Self(grudge.edges().map(|edge| (edge, Arc::default())).collect())
    }

    pub(super) fn dropped(&self) -> Dropped {
        let read = |(edge, counter): (&Edge, &Arc<AtomicU64>)| (*edge, counter.load(Relaxed));
        Dropped {
            packets: self.0.iter().map(read).collect(),
            resumed_after_ms: None,
        }
    }
}

/// One installed shaping: a link for each of its edges.
#[derive(Debug)]
pub(super) struct Links(BTreeMap<Edge, Arc<Mutex<Link>>>);

impl Links {
    pub(super) fn new(
        edges: impl IntoIterator<Item = Edge>,
        shaping: &Shaping,
        seed: FateSeed,
    ) -> Self {
        let link = |edge| Arc::new(Mutex::new(Link::new(edge, shaping, seed)));
        Self(edges.into_iter().map(|edge| (edge, link(edge))).collect())
    }

    pub(super) fn shaped(&self) -> Shaped {
        let fates = |(edge, link): (&Edge, &Arc<Mutex<Link>>)| (*edge, lock(link).fates());
        Shaped {
            edges: self.0.iter().map(fates).collect(),
        }
    }
}

/// All faults, by edge. Never changed in place: a new one takes its place whole, so no packet meets
/// half a partition.
#[derive(Debug)]
pub(super) struct Matrix {
    ports: usize,
    /// `from * ports + to` → what is done to this edge.
    edges: Vec<Faults>,
    /// How many shapings were removed before it: packets that waited for one may be free to go.
    pub(super) healed: u64,
}

#[derive(Debug, Clone, Default)]
struct Faults {
    /// The counters of the cuts that block it; none: it is open.
    cuts: Vec<Arc<AtomicU64>>,
    /// Its links, which a packet passes one after the other; none: it arrives at once.
    links: Vec<Arc<Mutex<Link>>>,
}

impl Matrix {
    /// Nothing is done to any edge.
    pub(super) fn open(ports: usize) -> Self {
        Self {
            ports,
            edges: vec![Faults::default(); ports * ports],
            healed: 0,
        }
    }

    /// The union of `cuts`, and the `shapings` one after the other.
    pub(super) fn of<'a>(
        ports: usize,
        cuts: impl IntoIterator<Item = &'a Cut>,
        shapings: impl IntoIterator<Item = &'a Links>,
    ) -> Self {
        let mut matrix = Self::open(ports);
        for (edge, counter) in cuts.into_iter().flat_map(|cut| &cut.0) {
            matrix.edge(*edge).cuts.push(Arc::clone(counter));
        }
        for (edge, link) in shapings.into_iter().flat_map(|links| &links.0) {
            matrix.edge(*edge).links.push(Arc::clone(link));
        }
        matrix
    }

    fn edge(&mut self, edge: Edge) -> &mut Faults {
        &mut self.edges[port_of(edge.from) * self.ports + port_of(edge.to)]
    }

    /// The links on the way from port `from` to port `to`.
    pub(super) fn links(&self, from: usize, to: usize) -> &[Arc<Mutex<Link>>] {
        &self.edges[from * self.ports + to].links
    }

    /// Whether a packet from port `from` to port `to` passes; if not, every cut that blocks it
    /// counts it.
    pub(super) fn passes(&self, from: usize, to: usize) -> bool {
        let blocking = &self.edges[from * self.ports + to].cuts;
        for counter in blocking {
            counter.fetch_add(1, Relaxed);
        }
        blocking.is_empty()
    }
}

/// Clients are port 0, node N is port N.
fn port_of(end: Endpoint) -> usize {
    match end {
        Endpoint::Clients => 0,
        Endpoint::Node(node) => node.0.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;

    #[test]
    fn overlapping_cuts_block_the_union_and_each_counts_the_packet() {
        let first = Cut::new(&Grudge::isolate(Node(1), 3));
        let second = Cut::new(&[Edge::new(Node(1), Node(2))].into_iter().collect());
        let matrix = Matrix::of(4, [&first, &second], []);

        assert!(!matrix.passes(1, 2));
        assert!(!matrix.passes(1, 3));
        assert!(!matrix.passes(2, 1));
        assert!(matrix.passes(2, 3));
        assert!(matrix.passes(0, 1), "clients still reach n1");

        assert_eq!(first.dropped().total(), 3);
        assert_eq!(second.dropped().total(), 1);
    }
}
