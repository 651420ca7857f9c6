//! Shapes of partitions, and their text.

use std::{collections::BTreeSet, fmt};

use super::{Problem, nodes, packets, spaced};
use crate::{
    grudge::Grudge,
    node::{Edge, Node},
};

/// How a partition is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Two sides that do not hear each other.
    Halves {
        /// One side.
        left: BTreeSet<Node>,
        /// The other.
        right: BTreeSet<Node>,
    },
    /// One node against all others.
    Isolate(Node),
    /// Whoever leads at the moment of injection against all others; clients still reach it.
    IsolateLeader,
    /// Everybody who says that they lead at the moment of injection, each alone.
    IsolateLeaders,
    /// Two sides that do not hear each other, and some who hear both.
    Bridge {
        /// One side.
        left: BTreeSet<Node>,
        /// Who hears everybody, and is heard.
        middle: BTreeSet<Node>,
        /// The other side.
        right: BTreeSet<Node>,
    },
    /// Each node hears only its neighbours in this circle: see [`Grudge::ring`].
    MajoritiesRing(Vec<Node>),
    /// Nothing from `from` reaches `to`; the way back is open.
    OneWay {
        /// Who is not heard.
        from: BTreeSet<Node>,
        /// Who does not hear.
        to: BTreeSet<Node>,
    },
    /// Clients and these nodes do not hear each other.
    ClientCut(BTreeSet<Node>),
    /// Exactly these edges.
    Edges(Grudge),
}

impl Shape {
    /// The edges to block, in a cluster of `count`; `None` when a leader is meant and none known.
    /// The first of `leaders` is whom `leader` means.
    pub fn grudge(&self, count: u16, leaders: &[Node]) -> Option<Grudge> {
        let leader = leaders.first().copied();
        Some(match self {
            Self::Halves { left, right } => Grudge::halves(left, right),
            Self::Isolate(node) => Grudge::isolate(*node, count),
            Self::IsolateLeader => Grudge::isolate(leader?, count),
            Self::IsolateLeaders => {
                leader?;
                let alone = leaders.iter().map(|node| Grudge::isolate(*node, count));
                alone.fold(Grudge::default(), Grudge::union)
            }
            Self::Bridge { left, right, .. } => Grudge::halves(left, right),
            Self::MajoritiesRing(order) => Grudge::ring(order),
            Self::OneWay { from, to } => Grudge::one_way(from, to),
            Self::ClientCut(nodes) => Grudge::clients(nodes),
            Self::Edges(grudge) => grudge.clone(),
        })
    }

    /// The first word of the shape's text: `halves`, `isolate`, `bridge`, `ring`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Halves { .. } => "halves",
            Self::Isolate(_) | Self::IsolateLeader | Self::IsolateLeaders => "isolate",
            Self::Bridge { .. } => "bridge",
            Self::MajoritiesRing(_) => "ring",
            Self::OneWay { .. } => "one-way",
            Self::ClientCut(_) => "clients",
            Self::Edges(_) => "cut",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::Halves { left, right } => {
                write!(f, "{name} {} | {}", spaced(left), spaced(right))
            }
            Self::Isolate(node) => write!(f, "{name} {node}"),
            Self::IsolateLeader => write!(f, "{name} leader"),
            Self::IsolateLeaders => write!(f, "{name} leaders"),
            Self::Bridge {
                left,
                middle,
                right,
            } => {
                let [left, middle, right] = [left, middle, right].map(spaced);
                write!(f, "{name} {left} | {middle} | {right}")
            }
            Self::MajoritiesRing(order) => write!(f, "{name} {}", spaced(order)),
            Self::OneWay { from, to } => write!(f, "{name} {} -> {}", spaced(from), spaced(to)),
            Self::ClientCut(nodes) => write!(f, "{name} {}", spaced(nodes)),
            Self::Edges(grudge) => write!(f, "{name} {grudge}"),
        }
    }
}

/// Reads a partition, if `kind` is the first word of one.
pub(super) fn parse(kind: &str, rest: &str) -> Result<Option<Shape>, Problem> {
    Ok(Some(match kind {
        "halves" => {
            let (left, right) = sides(rest, "|", "halves n1 n2 | n3")?;
            Shape::Halves { left, right }
        }
        "isolate" if rest == "leader" => Shape::IsolateLeader,
        "isolate" if rest == "leaders" => Shape::IsolateLeaders,
        "bridge" => bridge(rest)?,
        "cut" => Shape::Edges(edges(rest)?),
        "isolate" => match nodes(rest, "isolate n1` or `isolate leader")?.as_slice() {
            [node] => Shape::Isolate(*node),
            _ => return Err(Problem::Form("isolate n1` or `isolate leader")),
        },
        "ring" => Shape::MajoritiesRing(nodes(rest, "ring n1 n2 n3 n4")?),
        "one-way" => {
            let (from, to) = sides(rest, "->", "one-way n1 -> n2 n3")?;
            Shape::OneWay { from, to }
        }
        "clients" => {
            let nodes = nodes(rest, "clients n1 n2")?;
            Shape::ClientCut(nodes.into_iter().collect())
        }
        _ => return Ok(None),
    }))
}

const BRIDGE: &str = "bridge n1 n2 | n3 | n4 n5";

fn bridge(text: &str) -> Result<Shape, Problem> {
    let (left, rest) = text.split_once('|').ok_or(Problem::Form(BRIDGE))?;
    let (middle, right) = sides(rest, "|", BRIDGE)?;
    let left: Side = nodes(left, BRIDGE)?.into_iter().collect();
    if let Some(node) = left
        .iter()
        .find(|node| middle.contains(node) || right.contains(node))
    {
        return Err(Problem::Twice(node.to_string()));
    }
    Ok(Shape::Bridge {
        left,
        middle,
        right,
    })
}

/// What a grudge prints: terms of `n1 -> n2` and `n1 | n2`.
fn edges(text: &str) -> Result<Grudge, Problem> {
    const FORM: &str = "cut n1 -> n2 n3, n4 | clients";
    let mut grudge = Grudge::default();
    for term in text.split(',') {
        let (both, (from, to)) = match (term.split_once("->"), term.split_once('|')) {
            (Some(sides), None) => (false, sides),
            (None, Some(sides)) => (true, sides),
            _ => return Err(Problem::Form(FORM)),
        };
        let (from, to) = (packets::ends(from, FORM)?, packets::ends(to, FORM)?);
        if let Some(end) = from.intersection(&to).next() {
            return Err(Problem::Twice(end.to_string()));
        }
        let there = from
            .iter()
            .flat_map(|from| to.iter().map(|to| Edge::new(*from, *to)));
        let back = there.clone().map(Edge::reversed).filter(|_| both);
        grudge = grudge.union(there.chain(back).collect());
    }
    Ok(grudge)
}

type Side = BTreeSet<Node>;

fn sides(text: &str, between: &str, form: &'static str) -> Result<(Side, Side), Problem> {
    let (left, right) = text.split_once(between).ok_or(Problem::Form(form))?;
    let left: Side = nodes(left, form)?.into_iter().collect();
    let right: Side = nodes(right, form)?.into_iter().collect();
    if let Some(node) = left.intersection(&right).next() {
        return Err(Problem::Twice(node.to_string()));
    }
    Ok((left, right))
}
