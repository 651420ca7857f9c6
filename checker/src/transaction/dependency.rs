//! Who must have come before whom, and why.
//!
//! Real time would need an edge from every transaction to every later one. Instead there is a node
//! for each completion, in a chain: a transaction leads to its completion, and the last completion
//! before an invocation leads to that transaction.

use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashMap;

use super::{Elements, Kind, Name, Step, Violation};
use crate::history::{History, Operation, OperationId, Outcome};

/// Why one came before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// It wrote what the other overwrote.
    Ww,
    /// It wrote what the other read.
    Wr,
    /// It read what the other overwrote.
    Rw,
    /// It completed before the other was invoked.
    Time,
}

type Transaction = Operation<Vec<Step>, Vec<Step>>;

pub(super) struct Dependencies {
    /// Transactions by their place in the history, then completions.
    pub(super) graph: DiGraph<(), Edge, u32>,
    pub(super) violations: Vec<Violation>,
}

/// What is known of one list or register.
#[derive(Default)]
struct Object {
    writers: FxHashMap<i64, u32>,
    /// The longest order that was read, or known to be.
    order: Vec<i64>,
    reads: Vec<Read>,
}

/// How much of an object's order a transaction saw. There are millions of them.
struct Read {
    reader: u32,
    length: u32,
    /// The value that it saw last, if it saw any.
    last: i64,
}

impl Read {
    fn last(&self) -> Option<i64> {
        (self.length > 0).then_some(self.last)
    }
}

struct Collector<'h> {
    history: &'h History<Vec<Step>, Vec<Step>>,
    numbers: FxHashMap<&'h Name, usize>,
    objects: Vec<Object>,
    violations: Vec<Violation>,
}

impl Dependencies {
    pub(super) fn new(kind: Kind, history: &History<Vec<Step>, Vec<Step>>) -> Self {
        let mut collector = Collector {
            history,
            numbers: FxHashMap::default(),
            objects: Vec::new(),
            violations: Vec::new(),
        };
        for (place, transaction) in (0..).zip(history.operations()) {
            collector.writes(place, transaction);
        }
        for (place, transaction) in (0..).zip(history.operations()) {
            collector.reads(kind, place, transaction);
        }
        // Edges are most of the graph: no more room for them than they need.
        let of_objects: usize = collector.objects.iter().map(Object::edges).sum();
        let edges = of_objects + 3 * history.len();
        let mut graph = DiGraph::with_capacity(2 * history.len(), edges);
        for _ in 0..history.len() {
            graph.add_node(());
        }
        for object in collector.objects {
            match kind {
                Kind::ListAppend => lists(&mut graph, &object),
                Kind::RwRegister => registers(&mut graph, &object),
            }
        }
        time(&mut graph, history);
        Dependencies {
            graph,
            violations: collector.violations,
        }
    }
}

impl Object {
    /// About how many edges it will give.
    fn edges(&self) -> usize {
        self.order.len() + 2 * self.reads.len()
    }
}

/// What it did, as far as it is known to have happened.
fn steps(transaction: &Transaction) -> Option<&[Step]> {
    match transaction.outcome() {
        Outcome::Ok(steps) => Some(steps),
        Outcome::Info(_) => Some(transaction.op()),
        Outcome::Fail(_) => None,
    }
}

impl<'h> Collector<'h> {
    fn object(&mut self, name: &'h Name) -> &mut Object {
        let next = self.objects.len();
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            self.objects.push(Object::default());
        }
        &mut self.objects[number]
    }

    fn violation(&mut self, kind: &str, places: &[u32], message: String) {
        let transactions = places
            .iter()
            .map(|place| OperationId(*place as usize))
            .collect();
        self.violations.push(Violation {
            kind: kind.into(),
            transactions,
            message,
        });
    }

    fn writes(&mut self, place: u32, transaction: &'h Transaction) {
        for step in transaction.op() {
            if let Step::Append(name, value) | Step::Write(name, value) = step {
                let earlier = self.object(name).writers.insert(*value, place);
                if let Some(earlier) = earlier {
                    let message = format!("{value} is written to {name} twice");
                    self.violation("duplicate-write", &[earlier, place], message);
                }
            }
        }
    }

    fn reads(&mut self, kind: Kind, place: u32, transaction: &'h Transaction) {
        let Some(steps) = steps(transaction) else {
            return;
        };
        let is_known = transaction.outcome().ok().is_some();
        for (at, step) in steps.iter().enumerate() {
            let Step::Read(name, Some(seen)) = step else {
                continue;
            };
            let own = steps[..at].iter().rev().find_map(|step| match step {
                Step::Append(of, value) | Step::Write(of, value) if of == name => Some(*value),
                _ => None,
            });
            if !is_known {
                continue;
            }
            if let Some(own) = own {
                if seen.iter().last() != Some(own) {
                    let message = format!(
                        "{} wrote {own} to {name} and then read {seen:?}",
                        transaction.process()
                    );
                    self.violation("internal", &[place], message);
                }
                continue;
            }
            self.external(kind, place, name, seen);
        }
        if kind == Kind::RwRegister && is_known {
            self.overwrites(steps);
        }
    }

    /// A read of what others wrote.
    fn external(&mut self, kind: Kind, place: u32, name: &'h Name, seen: &Elements) {
        let history = self.history;
        let object = self.object(name);
        let (length, last) = (seen.len(), seen.iter().last());
        object.reads.push(Read {
            reader: place,
            length: u32::try_from(length).expect("nobody reads 2^32 elements at once"),
            last: last.unwrap_or_default(),
        });
        let writer = last.and_then(|last| object.writers.get(&last).copied());
        if kind == Kind::ListAppend {
            let mut common = object.order.iter().copied().zip(seen.iter());
            let agrees = common.all(|(known, seen)| known == seen);
            if length > object.order.len() && agrees {
                object.order = seen.iter().collect();
            }
            if !agrees {
                let order = object.order.clone();
                let message = format!("{name} was read as {order:?} and as {seen:?}");
                self.violation("incompatible-order", &[place], message);
            }
        }
        let Some(writer) = writer else {
            return;
        };
        let writes = history.get(OperationId(writer as usize));
        if matches!(writes.outcome(), Outcome::Fail(_)) {
            let message = format!("{seen:?} was read from {name}, but its write certainly failed");
            self.violation("G1a", &[writer, place], message);
        }
        let last_write = writes.op().iter().rev().find_map(|step| match step {
            Step::Append(of, value) | Step::Write(of, value) if of == name => Some(*value),
            _ => None,
        });
        if writer != place && last_write != last {
            let message =
                format!("{seen:?} was read from {name}, between two writes of one transaction");
            self.violation("G1b", &[writer, place], message);
        }
    }

    /// What a transaction read and then wrote follows directly, as far as anybody can tell.
    fn overwrites(&mut self, steps: &'h [Step]) {
        for (at, step) in steps.iter().enumerate() {
            let Step::Read(name, Some(seen)) = step else {
                continue;
            };
            let written = steps[at..].iter().find_map(|step| match step {
                Step::Write(of, value) if of == name => Some(*value),
                _ => None,
            });
            if let (Some(seen), Some(written)) = (seen.iter().last(), written) {
                self.object(name).order.extend([seen, written]);
            }
        }
    }
}

fn connect(graph: &mut DiGraph<(), Edge, u32>, from: u32, to: u32, edge: Edge) {
    if from != to {
        graph.add_edge(
            NodeIndex::new(from as usize),
            NodeIndex::new(to as usize),
            edge,
        );
    }
}

fn lists(graph: &mut DiGraph<(), Edge, u32>, object: &Object) {
    let writer = |value: &i64| object.writers.get(value).copied();
    for pair in object.order.windows(2) {
        if let (Some(from), Some(to)) = (writer(&pair[0]), writer(&pair[1])) {
            connect(graph, from, to, Edge::Ww);
        }
    }
    for read in &object.reads {
        if let Some(from) = read.last().as_ref().and_then(writer) {
            connect(graph, from, read.reader, Edge::Wr);
        }
        if let Some(to) = object.order.get(read.length as usize).and_then(writer) {
            connect(graph, read.reader, to, Edge::Rw);
        }
    }
}

fn registers(graph: &mut DiGraph<(), Edge, u32>, object: &Object) {
    let mut next: FxHashMap<i64, Vec<u32>> = FxHashMap::default();
    for pair in object.order.chunks_exact(2) {
        let Some(to) = object.writers.get(&pair[1]).copied() else {
            continue;
        };
        if let Some(from) = object.writers.get(&pair[0]).copied() {
            connect(graph, from, to, Edge::Ww);
        }
        next.entry(pair[0]).or_default().push(to);
    }
    for read in &object.reads {
        let Some(last) = read.last() else {
            continue;
        };
        if let Some(from) = object.writers.get(&last).copied() {
            connect(graph, from, read.reader, Edge::Wr);
        }
        for to in next.get(&last).into_iter().flatten() {
            connect(graph, read.reader, *to, Edge::Rw);
        }
    }
}

fn time(graph: &mut DiGraph<(), Edge, u32>, history: &History<Vec<Step>, Vec<Step>>) {
    let mut completions: Vec<_> = (0_u32..)
        .zip(history.operations())
        .filter_map(|(place, transaction)| Some((transaction.returned()?, place)))
        .collect();
    completions.sort_unstable();
    let mut completions = completions.into_iter().peekable();
    let mut last = None;
    for (place, transaction) in (0_u32..).zip(history.operations()) {
        while let Some((_, done)) = completions.next_if(|(at, _)| *at < transaction.invoked()) {
            let node = graph.add_node(());
            graph.add_edge(NodeIndex::new(done as usize), node, Edge::Time);
            if let Some(last) = last {
                graph.add_edge(last, node, Edge::Time);
            }
            last = Some(node);
        }
        if let Some(last) = last
            && !matches!(transaction.outcome(), Outcome::Fail(_))
        {
            graph.add_edge(last, NodeIndex::new(place as usize), Edge::Time);
        }
    }
}
