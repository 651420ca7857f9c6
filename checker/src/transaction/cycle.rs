//! Short cycles of dependencies, and what they are called.
//!
//! Every cycle lies within a strongly connected component. In each the strongest anomaly is looked
//! for first: with writes alone (G0), with reads of what was written (G1c), with one overwritten
//! read (G-single), with any number (G2); and each without the order of time before with it.
//! Breadth-first search gives the shortest through a given transaction.

use std::collections::VecDeque;

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use rustc_hash::{FxHashMap, FxHashSet};

use super::dependency::{Dependencies, Edge};
use super::{Step, Violation};
use crate::history::{History, OperationId};

type Node = NodeIndex<u32>;

/// Transactions from which cycles are looked for, in each component.
const STARTS_MAX: usize = 2_000;
/// Components that are told of.
const COMPONENTS_MAX: usize = 16;

/// Name, which edges it may have, and whether it has an `rw` that nothing else replaces.
const KINDS: [(&str, &[Edge], bool); 8] = [
    ("G0", &[Edge::Ww], false),
    ("G1c", &[Edge::Ww, Edge::Wr], false),
    ("G-single", &[Edge::Ww, Edge::Wr], true),
    ("G2", &[Edge::Ww, Edge::Wr, Edge::Rw], true),
    ("G0-realtime", &[Edge::Ww, Edge::Time], false),
    ("G1c-realtime", &[Edge::Ww, Edge::Wr, Edge::Time], false),
    ("G-single-realtime", &[Edge::Ww, Edge::Wr, Edge::Time], true),
    (
        "G2-realtime",
        &[Edge::Ww, Edge::Wr, Edge::Rw, Edge::Time],
        true,
    ),
];

pub(super) fn find(
    dependencies: &Dependencies,
    history: &History<Vec<Step>, Vec<Step>>,
) -> Vec<Violation> {
    let mut components: Vec<Vec<Node>> = kosaraju_scc(&dependencies.graph);
    components.retain(|component| component.len() > 1);
    for component in &mut components {
        component.sort_unstable();
    }
    components.sort_unstable();
    let named = components.iter().take(COMPONENTS_MAX);
    named
        .filter_map(|component| strongest(dependencies, history, component))
        .collect()
}

fn strongest(
    dependencies: &Dependencies,
    history: &History<Vec<Step>, Vec<Step>>,
    component: &[Node],
) -> Option<Violation> {
    let within: FxHashSet<Node> = component.iter().copied().collect();
    let starts: Vec<Node> = component
        .iter()
        .copied()
        .filter(|node| node.index() < history.len())
        .collect();
    for (kind, allowed, has_rw) in KINDS {
        let cycles = starts
            .iter()
            .take(STARTS_MAX)
            .filter_map(|start| shortest(dependencies, &within, *start, allowed, has_rw));
        if let Some(cycle) = cycles.min_by_key(Vec::len) {
            return Some(violation(kind, &cycle, history));
        }
    }
    None
}

/// The shortest cycle through `start`: if `has_rw`, beginning with an `rw` edge.
fn shortest(
    dependencies: &Dependencies,
    within: &FxHashSet<Node>,
    start: Node,
    allowed: &[Edge],
    has_rw: bool,
) -> Option<Vec<(Node, Edge)>> {
    let mut from: FxHashMap<Node, (Node, Edge)> = FxHashMap::default();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for edge in dependencies.graph.edges_directed(node, Direction::Outgoing) {
            let is_first = node == start;
            let fits = match (is_first && has_rw, edge.weight()) {
                (true, weight) => *weight == Edge::Rw,
                (false, weight) => allowed.contains(weight),
            };
            let to = edge.target();
            if !fits || !within.contains(&to) {
                continue;
            }
            if to == start {
                let mut cycle = vec![(node, *edge.weight())];
                let mut at = node;
                while at != start {
                    let (before, edge) = from[&at];
                    cycle.push((before, edge));
                    at = before;
                }
                cycle.reverse();
                return Some(cycle);
            }
            from.entry(to).or_insert_with(|| {
                queue.push_back(to);
                (node, *edge.weight())
            });
        }
    }
    None
}

fn violation(
    kind: &str,
    cycle: &[(Node, Edge)],
    history: &History<Vec<Step>, Vec<Step>>,
) -> Violation {
    let is_transaction = |node: &Node| node.index() < history.len();
    let transactions: Vec<OperationId> = cycle
        .iter()
        .map(|(node, _)| node)
        .filter(|node| is_transaction(node))
        .map(|node| OperationId(node.index()))
        .collect();
    let number = |node: Node| {
        let place = transactions.iter().position(|id| id.0 == node.index());
        format!("T{}", place.unwrap_or(0) + 1)
    };
    let mut parts: Vec<String> = transactions
        .iter()
        .map(|id| {
            let transaction = history.get(*id);
            let process = transaction.process();
            let steps = transaction
                .outcome()
                .ok()
                .unwrap_or_else(|| transaction.op());
            let node = NodeIndex::new(id.0);
            format!("{} is {process}'s {}", number(node), words(steps))
        })
        .collect();
    for (at, (node, edge)) in cycle
        .iter()
        .enumerate()
        .filter(|(_, (node, _))| is_transaction(node))
    {
        let onward = (1..=cycle.len()).map(|step| cycle[(at + step) % cycle.len()].0);
        let next = onward.into_iter().find(is_transaction).unwrap_or(*node);
        let why = match edge {
            Edge::Ww => "wrote what the latter overwrote",
            Edge::Wr => "wrote what the latter read",
            Edge::Rw => "read what the latter overwrote",
            Edge::Time => "had completed before the latter was invoked",
        };
        parts.push(format!(
            "{} came before {}: the former {why}",
            number(*node),
            number(next)
        ));
    }
    Violation {
        kind: kind.into(),
        transactions,
        message: parts.join(". "),
    }
}

fn words(steps: &[Step]) -> String {
    let words: Vec<String> = steps
        .iter()
        .map(|step| match step {
            Step::Append(name, value) => format!("append {name} {value}"),
            Step::Write(name, value) => format!("write {name} {value}"),
            Step::Read(name, Some(seen)) => format!("read {name} → {seen:?}"),
            Step::Read(name, None) => format!("read {name} → nil"),
        })
        .collect();
    format!("({})", words.join(", "))
}
