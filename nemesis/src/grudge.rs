//! A grudge: the set of directed edges over which nothing is to pass.
//!
//! Every partition, however it is drawn, is resolved to this one form before a lever sees it, so a
//! network backend has a single thing to install, count and remove.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::node::{Edge, Endpoint, Node};

/// The directed edges that a cut blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grudge(BTreeSet<Edge>);

impl Grudge {
    /// Both directions between every node of `left` and every node of `right`; clients reach all.
    pub fn halves(left: &BTreeSet<Node>, right: &BTreeSet<Node>) -> Self {
        product(left, right)
            .flat_map(|edge| [edge, edge.reversed()])
            .collect()
    }

    /// `node` hears no other of the `count` nodes, nor they it; clients still reach it.
    pub fn isolate(node: Node, count: u16) -> Self {
        let others = Node::first(count).filter(|other| *other != node).collect();
        Self::halves(&BTreeSet::from([node]), &others)
    }

    /// Majorities ring: in the circle `order` every node keeps only its nearest neighbours, so that
    /// each sees a majority and no two see the same one.
    ///
    /// Exact for 4 and 5 nodes. Above, a circle cannot always give exactly a bare majority, and a
    /// node keeps the next even number of neighbours: still a majority, still all different. Below
    /// 4 the circle joins everybody to everybody and the grudge is empty.
    pub fn ring(order: &[Node]) -> Self {
        let count = order.len();
        // A majority is `count / 2 + 1` with oneself, so `count / 2` neighbours, half on each side.
        let each_side = (count / 2).div_ceil(2);
        let pairs = (0..count).flat_map(|i| (0..count).map(move |j| (i, j)));
        pairs
            .filter(|(i, j)| {
                let apart = i.abs_diff(*j);
                apart.min(count - apart) > each_side
            })
            .map(|(i, j)| Edge::new(order[i], order[j]))
            .collect()
    }

    /// Nothing from `from` reaches `to`; the way back stays open.
    pub fn one_way(from: &BTreeSet<Node>, to: &BTreeSet<Node>) -> Self {
        product(from, to)
            .filter(|edge| edge.from != edge.to)
            .collect()
    }

    /// Clients and `nodes` do not hear each other; the nodes still hear one another.
    pub fn clients(nodes: &BTreeSet<Node>) -> Self {
        let edges = nodes.iter().map(|node| Edge::new(Endpoint::Clients, *node));
        edges.flat_map(|edge| [edge, edge.reversed()]).collect()
    }

    /// What either blocks.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The blocked edges, in order.
    pub fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing would be blocked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many directed edges are blocked.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `edge` is blocked.
    pub fn contains(&self, edge: Edge) -> bool {
        self.0.contains(&edge)
    }
}

impl FromIterator<Edge> for Grudge {
    fn from_iter<I: IntoIterator<Item = Edge>>(edges: I) -> Self {
        Self(edges.into_iter().collect())
    }
}

fn product<E>(from: &BTreeSet<E>, to: &BTreeSet<E>) -> impl Iterator<Item = Edge>
where
    E: Copy + Into<Endpoint>,
{
    from.iter()
        .flat_map(|from| to.iter().map(|to| Edge::new(*from, *to)))
}

/// `n1 n2 | n3` where both directions are blocked, `n1 -> n2` where one is, joined by `, `.
///
/// Senders with the same victims are written together, so a clean split is one term.
impl fmt::Display for Grudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mutual = |edge: &Edge| self.0.contains(&edge.reversed());
        let both = grouped(self.0.iter().copied().filter(mutual));
        let one_way = grouped(self.0.iter().copied().filter(|edge| !mutual(edge)));
        let mut terms = Vec::new();
        let mut rest = Vec::new();
        for (left, right) in &both {
            if !both.contains(&(right.clone(), left.clone())) {
                rest.extend(product(left, right).filter(|edge| edge.from < edge.to));
            } else if left < right {
                terms.push(format!("{} | {}", spaced(left), spaced(right)));
            }
        }
        for (left, right) in grouped(rest.into_iter()) {
            terms.push(format!("{} | {}", spaced(&left), spaced(&right)));
        }
        for (from, to) in one_way {
            terms.push(format!("{} -> {}", spaced(&from), spaced(&to)));
        }
        if terms.is_empty() {
            return f.write_str("nothing");
        }
        f.write_str(&terms.join(", "))
    }
}

type Ends = BTreeSet<Endpoint>;

/// `(senders, receivers)`: senders that have the same receivers stand together.
fn grouped(edges: impl Iterator<Item = Edge>) -> Vec<(Ends, Ends)> {
    let mut receivers: BTreeMap<Endpoint, Ends> = BTreeMap::new();
    for edge in edges {
        receivers.entry(edge.from).or_default().insert(edge.to);
    }
    let mut groups: BTreeMap<Ends, Ends> = BTreeMap::new();
    for (from, to) in receivers {
        groups.entry(to).or_default().insert(from);
    }
    let mut groups: Vec<_> = groups.into_iter().map(|(to, from)| (from, to)).collect();
    groups.sort();
    groups
}

fn spaced(ends: &Ends) -> String {
    ends.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nodes: &[u16]) -> BTreeSet<Node> {
        nodes.iter().copied().map(Node).collect()
    }

    #[test]
    fn grudges_are_written_as_a_person_would() {
        let order: Vec<Node> = Node::first(5).collect();
        for (grudge, expected) in [
            (
                Grudge::halves(&set(&[1, 2]), &set(&[3, 4, 5])),
                "n1 n2 | n3 n4 n5",
            ),
            (Grudge::isolate(Node(3), 5), "n1 n2 n4 n5 | n3"),
            (Grudge::ring(&order), "n1 | n3 n4, n2 | n4 n5, n3 | n5"),
            (Grudge::one_way(&set(&[1]), &set(&[2, 3])), "n1 -> n2 n3"),
            (Grudge::clients(&set(&[2, 4])), "clients | n2 n4"),
            (Grudge::default(), "nothing"),
        ] {
            assert_eq!(grudge.to_string(), expected);
        }
    }

    #[test]
    fn in_a_ring_each_node_sees_a_majority_and_no_two_see_the_same() {
        for count in 4..=50 {
            let order: Vec<Node> = Node::first(count).collect();
            let ring = Grudge::ring(&order);
            let seen = |node: Node| -> BTreeSet<Node> {
                let open = |other: &Node| !ring.contains(Edge::new(node, *other));
                order.iter().copied().filter(open).collect()
            };
            let views: BTreeSet<_> = order.iter().map(|node| seen(*node)).collect();
            assert_eq!(
                views.len(),
                usize::from(count),
                "{count} nodes: two see the same"
            );
            for view in views {
                assert!(
                    view.len() > usize::from(count) / 2,
                    "{count} nodes: {view:?}"
                );
                assert!(count > 5 || view.len() == usize::from(count) / 2 + 1);
            }
        }
    }

    #[test]
    fn a_ring_of_three_blocks_nothing() {
        assert!(Grudge::ring(&[Node(1), Node(2), Node(3)]).is_empty());
    }

    #[test]
    fn one_way_leaves_the_way_back_open() {
        let grudge = Grudge::one_way(&set(&[1, 2]), &set(&[2, 3]));
        assert!(grudge.contains(Edge::new(Node(1), Node(2))));
        assert!(!grudge.contains(Edge::new(Node(2), Node(1))));
        assert!(
            !grudge.contains(Edge::new(Node(2), Node(2))),
            "nobody is cut from oneself"
        );
    }
}
