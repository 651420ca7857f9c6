//! Which directed edges are cut, and by which cuts: what every packet is looked up in.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    grudge::Grudge,
    node::{Edge, Endpoint},
    proof::Dropped,
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
        }
    }
}

/// The union of all cuts, by edge. Never changed in place: a new one takes its place whole, so no
/// packet meets half a partition.
#[derive(Debug)]
pub(super) struct Matrix {
    ports: usize,
    /// `from * ports + to` → the counters of the cuts that block this edge; none: it is open.
    edges: Vec<Vec<Arc<AtomicU64>>>,
}

impl Matrix {
    /// Nothing is cut.
    pub(super) fn open(ports: usize) -> Self {
        Self {
            ports,
            edges: vec![Vec::new(); ports * ports],
        }
    }

    /// The union of `cuts`.
    pub(super) fn of<'a>(ports: usize, cuts: impl IntoIterator<Item = &'a Cut>) -> Self {
        let mut matrix = Self::open(ports);
        for (edge, counter) in cuts.into_iter().flat_map(|cut| &cut.0) {
            let index = port_of(edge.from) * ports + port_of(edge.to);
            matrix.edges[index].push(Arc::clone(counter));
        }
        matrix
    }

    /// Whether a packet from port `from` to port `to` passes; if not, every cut that blocks it
    /// counts it.
    pub(super) fn passes(&self, from: usize, to: usize) -> bool {
        let blocking = &self.edges[from * self.ports + to];
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
        let matrix = Matrix::of(4, [&first, &second]);

        assert!(!matrix.passes(1, 2));
        assert!(!matrix.passes(1, 3));
        assert!(!matrix.passes(2, 1));
        assert!(matrix.passes(2, 3));
        assert!(matrix.passes(0, 1), "clients still reach n1");

        assert_eq!(first.dropped().total(), 3);
        assert_eq!(second.dropped().total(), 1);
    }
}
