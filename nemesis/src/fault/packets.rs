//! What is done to packets, and to which: `packets n1 n2: delay 50ms ±10ms, loss 20%`.
//!
//! | scope | the directed edges |
//! |---|---|
//! | `all`, `leader`, `n1 n2` | between any of these nodes and every other node, both ways |
//! | `n1 n2 -> n3`, `clients -> n1` | from each on the left to each on the right |

use std::{collections::BTreeSet, fmt};

use super::{Problem, Targets, shaping::Shaping, spaced, targets};
use crate::node::{Edge, Endpoint, Node};

/// Something done to the packets of some edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packets {
    /// To whose packets.
    pub scope: Scope,
    /// What.
    pub shaping: Shaping,
}

/// Which directed edges are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every edge between one of these nodes and another node; clients are not concerned.
    Around(Targets),
    /// From each of these to each of those.
    Between {
        /// Who sends.
        from: BTreeSet<Endpoint>,
        /// Who receives.
        to: BTreeSet<Endpoint>,
    },
}

impl Scope {
    /// The edges meant, in a cluster of `count`, with the nodes that [`Targets::resolve`] finds.
    pub fn edges(&self, count: u16, leader: Option<Node>, seed: u64) -> BTreeSet<Edge> {
        let pairs: Vec<Edge> = match self {
            Self::Around(targets) => {
                let around = targets.resolve(count, leader, seed);
                let others = |node: Node| Node::first(count).map(move |to| Edge::new(node, to));
                let out = around.into_iter().flat_map(others);
                out.flat_map(|edge| [edge, edge.reversed()]).collect()
            }
            Self::Between { from, to } => from
                .iter()
                .flat_map(|from| to.iter().map(|to| Edge::new(*from, *to)))
                .collect(),
        };
        let between_two = pairs.into_iter().filter(|edge| edge.from != edge.to);
        between_two.collect()
    }

    /// The nodes that its text names.
    pub fn named(&self) -> BTreeSet<Node> {
        match self {
            Self::Around(Targets::Nodes(nodes)) => nodes.clone(),
            Self::Around(_) => BTreeSet::new(),
            Self::Between { from, to } => from.union(to).filter_map(|end| end.node()).collect(),
        }
    }
}

impl fmt::Display for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packets {}: {}", self.scope, self.shaping)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Around(targets) => targets.fmt(f),
            Self::Between { from, to } => write!(f, "{} -> {}", spaced(from), spaced(to)),
        }
    }
}

const FORM: &str = "packets n1 n2: delay 50ms` or `packets leader: loss 20%` or \
                    `packets clients -> n1: rate 1mbit";
const CLIENTS: &str = "packets clients -> n1: loss 20%` (clients are an end of a direction) or \
                       `packets n1 n2 -> clients: delay 50ms";

/// Reads what follows the word `packets`.
pub(super) fn parse(text: &str) -> Result<Packets, Problem> {
    let (scope, shaping) = text.split_once(':').ok_or(Problem::Form(FORM))?;
    let scope = match scope.split_once("->") {
        Some((from, to)) => Scope::Between {
            from: ends(from, FORM)?,
            to: ends(to, FORM)?,
        },
        None if scope.split_whitespace().any(|word| word == "clients") => {
            return Err(Problem::Form(CLIENTS));
        }
        None => Scope::Around(targets(scope.trim(), FORM)?),
    };
    let shaping = shaping.parse()?;
    Ok(Packets { scope, shaping })
}

/// At least one endpoint, none twice.
pub(super) fn ends(text: &str, form: &'static str) -> Result<BTreeSet<Endpoint>, Problem> {
    let mut set = BTreeSet::new();
    for word in text.split_whitespace() {
        let end: Endpoint = word.parse()?;
        if !set.insert(end) {
            return Err(Problem::Twice(end.to_string()));
        }
    }
    if set.is_empty() {
        return Err(Problem::Form(form));
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(scope: &str, count: u16) -> Vec<String> {
        let packets = parse(&format!("{scope}: loss 1%")).unwrap();
        let edges = packets.scope.edges(count, Some(Node(2)), 0);
        edges.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_scope_means_exactly_its_edges() {
        assert_eq!(
            edges("leader", 3),
            ["n1 -> n2", "n2 -> n1", "n2 -> n3", "n3 -> n2"]
        );
        assert_eq!(edges("all", 3).len(), 6);
        assert_eq!(
            edges("n1 n2", 4).len(),
            10,
            "one pair of four is left alone"
        );
        assert_eq!(
            edges("clients n1 -> n1 n2", 2),
            ["clients -> n1", "clients -> n2", "n1 -> n2"]
        );
        assert!(edges("all", 1).is_empty());
    }

    #[test]
    fn an_unknown_leader_means_no_edges_yet() {
        let packets = parse("leader: loss 1%").unwrap();
        assert!(packets.scope.edges(3, None, 0).is_empty());
    }
}
