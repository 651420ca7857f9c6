//! Who came before whom, as a graph of petgraph's that millions of edges fit into.
//!
//! ```text
//!   rows      0     2  3  3        the edges of node 0 are 0 and 1, that of node 1 is 2
//!   columns   1  2  0              one after the other in memory, as a walk reads them
//!   weights   ww rw wr|ww          all reasons for one edge in one byte
//! ```
//!
//! Two [`Csr`]s, for petgraph's walks against the direction of edges need it the other way round
//! too. A [`View`] shows petgraph's algorithms some of the edges only. Of those only the iterative
//! ones may be used: a chain of a million transactions must not overflow the stack.
//!
//! Only those who may be in a cycle are in it ([`peel`](super::peel)), numbered anew, in the same
//! order: first the transactions and then the gates.

use std::slice;

use petgraph::Directed;
use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::csr::Csr;
use petgraph::visit::{
    GraphBase, GraphRef, IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers, Visitable,
};
use rayon::slice::ParallelSliceMut;

use super::edges::each;
use super::effort::Effort;
use super::object::Objects;
use super::reason::Reasons;

type Rows = Csr<(), Reasons, Directed, u32>;

/// In no component.
pub(super) const NONE: u32 = u32::MAX;

/// What an edge takes while it waits to be sorted, and what it takes in the graph.
const EDGE_BYTES: usize = size_of::<(u32, u32, Reasons)>() + 2 * (4 + 1);
/// What a node takes in the graph, and while its edges are looked for.
const NODE_BYTES: usize = 2 * size_of::<usize>() + 2 * size_of::<u32>();

fn rows(edges: &[(u32, u32, Reasons)], nodes: u32) -> Rows {
    let mut rows = Rows::from_sorted_edges(edges).expect("they were sorted just now");
    for _ in rows.node_count()..nodes as usize {
        rows.add_node(());
    }
    rows
}

/// Who came before whom.
pub(super) struct Graph {
    /// By node, the place of the transaction; of a gate something above all of them.
    places: Vec<u32>,
    /// So many of the nodes are transactions.
    transactions: u32,
    forward: Rows,
    backward: Rows,
}

impl Graph {
    /// That of the nodes that are left, if there is room for it.
    pub(super) fn of(objects: &Objects<'_>, left: &[bool], effort: &Effort) -> Option<Self> {
        let is_left = |node: &u32| left[*node as usize];
        let nodes = u32::try_from(left.len()).expect("nodes are numbered by u32");
        let places: Vec<u32> = (0..nodes).filter(is_left).collect();
        let mut numbers = vec![NONE; left.len()];
        for (number, place) in (0..).zip(&places) {
            numbers[*place as usize] = number;
        }
        let mut all = Vec::new();
        each(objects, effort, &mut |from, to, why| {
            let [from, to] = [from, to].map(|node| numbers[node as usize]);
            if from != NONE && to != NONE {
                effort.hold(EDGE_BYTES);
                all.push((from, to, why));
            }
        });
        if !effort.hold(NODE_BYTES * places.len()) || !effort.look() {
            return None;
        }
        all.par_sort_unstable_by_key(|(from, to, _)| (*from, *to));
        all.dedup_by(|next, kept| {
            let is_same = (next.0, next.1) == (kept.0, kept.1);
            if is_same {
                kept.2 = kept.2.and(next.2);
            }
            is_same
        });
        let count = u32::try_from(places.len()).expect("some of the nodes");
        let forward = rows(&all, count);
        all.iter_mut()
            .for_each(|(from, to, _)| (*from, *to) = (*to, *from));
        all.par_sort_unstable_by_key(|(to, from, _)| (*to, *from));
        let gates = objects.log.places().end;
        let transactions = places.partition_point(|place| *place < gates);
        Some(Graph {
            transactions: u32::try_from(transactions).expect("some of the nodes"),
            places,
            forward,
            backward: rows(&all, count),
        })
    }

    pub(super) fn is_transaction(&self, node: u32) -> bool {
        node < self.transactions
    }

    /// Where that transaction is in the history.
    pub(super) fn place(&self, node: u32) -> u32 {
        self.places[node as usize]
    }

    pub(super) fn node_count(&self) -> usize {
        self.forward.node_count()
    }

    /// Who came after that one, and why.
    pub(super) fn after(&self, node: u32) -> impl Iterator<Item = (u32, Reasons)> + '_ {
        let to = self.forward.neighbors_slice(node).iter().copied();
        to.zip(self.forward.edges_slice(node).iter().copied())
    }
}

/// Some of a graph's nodes, and some of the edges between them.
#[derive(Clone, Copy)]
pub(super) struct View<'g> {
    pub(super) graph: &'g Graph,
    pub(super) nodes: &'g [u32],
    /// Only edges that have such a reason.
    pub(super) allowed: Reasons,
    /// Only edges within one of these components, by node; all where there are none.
    pub(super) component: &'g [u32],
    /// Nothing leads anywhere once this is spent.
    pub(super) effort: &'g Effort,
}

impl View<'_> {
    /// The strongly connected components of more than one node, each in order; `None` where the
    /// effort was spent before.
    pub(super) fn components(self) -> Option<Vec<Vec<u32>>> {
        let mut components = kosaraju_scc(self);
        components.retain(|component| component.len() > 1);
        for component in &mut components {
            component.sort_unstable();
        }
        components.sort_unstable();
        (!self.effort.is_spent()).then_some(components)
    }

    /// The component that both are in, if there is one or if there are none.
    fn joins(&self, from: u32, to: u32) -> bool {
        let component = |node: u32| self.component.get(node as usize).copied();
        match (component(from), component(to)) {
            (Some(from), Some(to)) => from == to && from != NONE,
            _ => true,
        }
    }
}

impl GraphBase for View<'_> {
    type EdgeId = usize;
    type NodeId = u32;
}

impl GraphRef for View<'_> {}

impl Visitable for View<'_> {
    type Map = <Rows as Visitable>::Map;

    fn visit_map(&self) -> Self::Map {
        self.graph.forward.visit_map()
    }

    fn reset_map(&self, map: &mut Self::Map) {
        self.graph.forward.reset_map(map);
    }
}

impl<'g> IntoNodeIdentifiers for View<'g> {
    type NodeIdentifiers = std::iter::Copied<slice::Iter<'g, u32>>;

    fn node_identifiers(self) -> Self::NodeIdentifiers {
        self.nodes.iter().copied()
    }
}

impl<'g> IntoNeighbors for View<'g> {
    type Neighbors = Neighbors<'g>;

    fn neighbors(self, node: u32) -> Neighbors<'g> {
        self.neighbors_directed(node, Direction::Outgoing)
    }
}

impl<'g> IntoNeighborsDirected for View<'g> {
    type NeighborsDirected = Neighbors<'g>;

    fn neighbors_directed(self, node: u32, direction: Direction) -> Neighbors<'g> {
        let rows = match direction {
            Direction::Outgoing => &self.graph.forward,
            Direction::Incoming => &self.graph.backward,
        };
        let (nodes, reasons) = match self.effort.tick() {
            true => (rows.neighbors_slice(node), rows.edges_slice(node)),
            false => (&[][..], &[][..]),
        };
        Neighbors {
            view: self,
            node,
            edges: nodes.iter().zip(reasons),
        }
    }
}

/// Where a node leads, by allowed edges.
pub(super) struct Neighbors<'g> {
    view: View<'g>,
    node: u32,
    edges: std::iter::Zip<slice::Iter<'g, u32>, slice::Iter<'g, Reasons>>,
}

impl Iterator for Neighbors<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (view, node) = (self.view, self.node);
        let edge = self
            .edges
            .find(|(to, why)| why.meets(view.allowed) && view.joins(node, **to));
        edge.map(|(to, _)| *to)
    }
}
