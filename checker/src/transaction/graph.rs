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
//! Nodes are the transactions by their places in the history, and after them *gates*, which stand
//! for edges from everyone before to everyone after:
//!
//! ```text
//!   R1 ──rw──┐        ┌──▶ W1
//!   R2 ──rw──┤▶ gate ─┤              five edges in place of six, a thousand in place of 250,000
//!   R3 ──rw──┘        └──▶ W2
//! ```

use std::slice;

use petgraph::Directed;
use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::csr::Csr;
use petgraph::visit::{
    GraphBase, GraphRef, IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers, Visitable,
};
use rayon::slice::ParallelSliceMut;

use super::effort::Effort;
use super::reason::Reasons;

type Rows = Csr<(), Reasons, Directed, u32>;

/// In no component.
pub(super) const NONE: u32 = u32::MAX;

/// Edges as they are found.
pub(super) struct Edges {
    all: Vec<(u32, u32, Reasons)>,
    nodes: u32,
}

/// What an edge takes while it waits to be sorted, and what it takes in the graph.
pub(super) const EDGE_BYTES: usize = size_of::<(u32, u32, Reasons)>() + 2 * (4 + 1);

impl Edges {
    pub(super) fn new(transactions: usize) -> Self {
        Edges {
            all: Vec::new(),
            nodes: u32::try_from(transactions).expect("transactions are numbered by u32"),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// A new gate.
    pub(super) fn gate(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    pub(super) fn connect(&mut self, from: u32, to: u32, why: Reasons) {
        if from != to {
            self.all.push((from, to, why));
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

    pub(super) fn graph(self) -> Graph {
        let Edges { mut all, nodes } = self;
        all.par_sort_unstable_by_key(|(from, to, _)| (*from, *to));
        all.dedup_by(|next, kept| {
            let is_same = (next.0, next.1) == (kept.0, kept.1);
            if is_same {
                kept.2 = kept.2.and(next.2);
            }
            is_same
        });
        let forward = rows(&all, nodes);
        all.iter_mut()
            .for_each(|(from, to, _)| (*from, *to) = (*to, *from));
        all.par_sort_unstable_by_key(|(to, from, _)| (*to, *from));
        let backward = rows(&all, nodes);
        Graph { forward, backward }
    }
}

fn rows(edges: &[(u32, u32, Reasons)], nodes: u32) -> Rows {
    let mut rows = Rows::from_sorted_edges(edges).expect("they were sorted just now");
    for _ in rows.node_count()..nodes as usize {
        rows.add_node(());
    }
    rows
}

/// Who came before whom.
pub(super) struct Graph {
    forward: Rows,
    backward: Rows,
}

impl Graph {
    pub(super) fn node_count(&self) -> usize {
        self.forward.node_count()
    }

    pub(super) fn edge_count(&self) -> usize {
        self.forward.edge_count()
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
