//! One fault from plan to heal, as a report tells it.

use ordeal_checker::history::Time;
use ordeal_nemesis::injector::FaultRecord;
use ordeal_nemesis::{Edge, Effect, Endpoint, Fault, Node, Packets, Proof, Scope, Shape, Targets};
use std::collections::{BTreeMap, BTreeSet};

/// From one time to another.
pub(super) type Window = (Time, Time);

/// Whether a fault really happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultStatus {
    /// There is proof.
    Proven,
    /// The lever was pulled, and nothing changed.
    NoEffect,
    /// It may or may not have happened.
    Indeterminate,
    /// It was not tried.
    Skipped,
}

impl FaultStatus {
    /// As it stands in tables.
    pub(super) fn word(self) -> &'static str {
        match self {
            FaultStatus::Proven => "proven",
            FaultStatus::NoEffect => "no effect",
            FaultStatus::Indeterminate => "indeterminate",
            FaultStatus::Skipped => "skipped",
        }
    }
}

/// One fault: what was planned, what became of it, and the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FaultView {
    /// Its class: `kill`, `pause`, `partition`.
    pub(crate) class: String,
    /// What it is, as the plan has it: `isolate leader`.
    pub(crate) what: String,
    /// The nodes it hit, resolved: `n3`. Empty where it has no one place.
    pub(crate) nodes: Vec<String>,
    /// When it was to begin.
    pub(crate) planned: Time,
    /// When it began.
    pub(crate) installed: Option<Time>,
    /// When it was undone.
    pub(crate) healed: Option<Time>,
    /// Whether it really happened.
    pub(crate) status: FaultStatus,
    /// The proof, or why there is none.
    pub(crate) evidence: String,
}

impl FaultView {
    /// What became of a planned fault, in a run whose main phase began at `main`.
    pub(crate) fn of(record: &FaultRecord, main: Time) -> Self {
        let planned = &record.planned;
        let (status, evidence) = match &record.effect {
            Effect::Installed(proof) => (FaultStatus::Proven, proof.to_string()),
            Effect::NoEffect(why) => (FaultStatus::NoEffect, why.clone()),
            Effect::Indeterminate(why) => (FaultStatus::Indeterminate, why.clone()),
            Effect::Skipped(why) => (FaultStatus::Skipped, why.clone()),
        };
        FaultView {
            class: planned.fault.class().to_string(),
            what: planned.fault.to_string(),
            nodes: hit(record).iter().map(ToString::to_string).collect(),
            planned: Time(
                main.0
                    .saturating_add(planned.at_ms.saturating_mul(1_000_000)),
            ),
            installed: record.window_ns.map(|(from, _)| Time(from)),
            healed: record
                .window_ns
                .filter(|_| record.healed)
                .map(|(_, to)| Time(to)),
            status,
            evidence,
        }
    }

    /// From its beginning to its end, which is `end` where it was never healed.
    pub(super) fn window(&self, end: Time) -> Option<Window> {
        let installed = self.installed?;
        Some((installed, self.healed.unwrap_or(end).max(installed)))
    }

    /// What it is, and to whom where that is not said already.
    pub(super) fn label(&self) -> String {
        let said = self
            .nodes
            .iter()
            .all(|node| self.what.contains(node.as_str()));
        if said || self.nodes.is_empty() {
            return self.what.clone();
        }
        format!("{} ({})", self.what, self.nodes.join(" "))
    }
}

/// A fault as a band in the row of its class.
pub(super) struct Band<'a> {
    pub(super) fault: &'a FaultView,
    pub(super) window: Window,
    /// How many bands down it lies, so that none lies on another.
    pub(super) level: usize,
}

/// The faults that were in force at some time within `during`, by class.
pub(super) fn bands(faults: &[FaultView], during: Window) -> BTreeMap<&str, Vec<Band<'_>>> {
    let windows = faults
        .iter()
        .filter_map(|fault| Some((fault.window(during.1)?, fault)));
    let mut windows: Vec<_> = windows
        .filter(|((from, to), _)| *from <= during.1 && *to >= during.0)
        .collect();
    windows.sort_by_key(|(window, _)| *window);
    let mut classes: BTreeMap<&str, Vec<Band<'_>>> = BTreeMap::new();
    for (window, fault) in windows {
        let class = classes.entry(&fault.class).or_default();
        let busy = |level: &usize| {
            class
                .iter()
                .any(|band| band.level == *level && band.window.1 > window.0)
        };
        let level = (0..).find(|level| !busy(level)).unwrap_or(0);
        class.push(Band {
            fault,
            window,
            level,
        });
    }
    classes
}

/// How many bands lie one below the other.
pub(super) fn levels(bands: &[Band<'_>]) -> usize {
    bands.iter().map(|band| band.level + 1).max().unwrap_or(0)
}

/// The nodes that a fault hit: of a cut, those on its smaller side.
///
/// Who led is not in the plan; whoever was isolated is at one end of every edge that was cut.
fn hit(record: &FaultRecord) -> Vec<Node> {
    let smaller = |left: &BTreeSet<Node>, right: &BTreeSet<Node>| {
        let side = if left.len() <= right.len() {
            left
        } else {
            right
        };
        side.iter().copied().collect()
    };
    let shape = match &record.planned.fault {
        Fault::Partition(shape) => shape,
        Fault::Packets(packets) => return around(record, packets),
        _ => return record.nodes.clone(),
    };
    match shape {
        Shape::Isolate(node) => vec![*node],
        Shape::IsolateLeader => match &record.effect {
            Effect::Installed(Proof::Cut(dropped)) => {
                at_every_edge(record, &dropped.packets.keys().collect::<Vec<_>>())
            }
            _ => Vec::new(),
        },
        // Which of the nodes led is not to be seen when there were several.
        Shape::IsolateLeaders | Shape::Edges(_) => record.nodes.clone(),
        Shape::Halves { left, right } | Shape::Bridge { left, right, .. } => smaller(left, right),
        Shape::OneWay { from, to } => smaller(from, to),
        Shape::MajoritiesRing(_) => record.nodes.clone(),
        Shape::ClientCut(nodes) => nodes.iter().copied().collect(),
    }
}

/// The nodes whose packets were shaped: those named, or whoever led.
fn around(record: &FaultRecord, packets: &Packets) -> Vec<Node> {
    match (&packets.scope, &record.effect) {
        (Scope::Around(Targets::Leader), Effect::Installed(Proof::Shaped(shaped))) => {
            at_every_edge(record, &shaped.edges.keys().collect::<Vec<_>>())
        }
        (Scope::Around(Targets::Leader), _) => Vec::new(),
        // Whoever is meant by a word of another kind is not to be seen from the edges.
        (Scope::Around(targets), _) if !matches!(targets, Targets::Nodes(_)) => {
            record.nodes.clone()
        }
        (scope, _) => scope.named().into_iter().collect(),
    }
}

/// The nodes of the record at one end or the other of each of these edges.
fn at_every_edge(record: &FaultRecord, edges: &[&Edge]) -> Vec<Node> {
    let is_end = |node: &Node| {
        let end = Endpoint::from(*node);
        edges.iter().all(|edge| edge.from == end || edge.to == end)
    };
    record.nodes.iter().copied().filter(is_end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordeal_nemesis::proof::{Dropped, Fates, Shaped};
    use ordeal_nemesis::{Grudge, PlannedFault};

    fn fault(what: &str, nodes: &[&str]) -> FaultView {
        FaultView {
            class: "kill".into(),
            what: what.into(),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            planned: Time(1),
            installed: Some(Time(2)),
            healed: None,
            status: FaultStatus::Proven,
            evidence: String::new(),
        }
    }

    #[test]
    fn a_label_names_the_nodes_once() {
        assert_eq!(fault("kill n1", &["n1"]).label(), "kill n1");
        assert_eq!(fault("kill leader", &["n3"]).label(), "kill leader (n3)");
        assert_eq!(fault("ring n1 n2", &[]).label(), "ring n1 n2");
    }

    #[test]
    fn a_record_becomes_what_is_told_of_it() {
        let record = FaultRecord {
            planned: PlannedFault {
                id: 4,
                at_ms: 1_500,
                for_ms: 3_000,
                fault: "isolate leader".parse().unwrap(),
            },
            nodes: vec![Node(1), Node(2), Node(3)],
            window_ns: Some((2_501_000_000, 5_502_000_000)),
            effect: Effect::NoEffect("no packet met the cut".into()),
            healed: true,
            met_by: Vec::new(),
        };
        let told = FaultView::of(&record, Time(1_000_000_000));
        assert_eq!(told.label(), "isolate leader");
        assert_eq!(
            (told.class.as_str(), told.status),
            ("partition", FaultStatus::NoEffect)
        );
        assert_eq!(told.planned, Time(2_500_000_000));
        assert_eq!(
            told.window(Time(0)),
            Some((Time(2_501_000_000), Time(5_502_000_000)))
        );
        assert_eq!(told.evidence, "no packet met the cut");
    }

    #[test]
    fn an_isolated_leader_is_who_is_at_one_end_of_every_cut_edge() {
        let grudge = Grudge::isolate(Node(2), 3);
        let edges = grudge.edges().map(|edge| (edge, 4));
        let record = FaultRecord {
            planned: PlannedFault {
                id: 1,
                at_ms: 0,
                for_ms: 1,
                fault: "isolate leader".parse().unwrap(),
            },
            nodes: vec![Node(1), Node(2), Node(3)],
            window_ns: Some((1, 2)),
            effect: Effect::Installed(Proof::Cut(Dropped {
                packets: edges.collect(),
                resumed_after_ms: None,
            })),
            healed: true,
            met_by: Vec::new(),
        };
        assert_eq!(
            FaultView::of(&record, Time(0)).label(),
            "isolate leader (n2)"
        );
    }

    #[test]
    fn whose_packets_were_shaped_is_named_or_at_one_end_of_every_edge() {
        let record = |text: &str, edges: &[&str], nodes: &[u16]| FaultRecord {
            planned: PlannedFault {
                id: 1,
                at_ms: 0,
                for_ms: 1,
                fault: text.parse().unwrap(),
            },
            nodes: nodes.iter().copied().map(Node).collect(),
            window_ns: Some((1, 2)),
            effect: Effect::Installed(Proof::Shaped(Shaped {
                edges: edges
                    .iter()
                    .map(|edge| (edge.parse().unwrap(), Fates::default()))
                    .collect(),
            })),
            healed: true,
            met_by: Vec::new(),
        };
        let label = |record| FaultView::of(&record, Time(0)).label();
        let edges = ["n2 -> n1", "n1 -> n2", "n2 -> n3", "n3 -> n2"];
        assert_eq!(
            label(record("packets leader: loss 5%", &edges, &[1, 2, 3])),
            "packets leader: loss 5% (n2)"
        );
        assert_eq!(
            label(record("packets n1: loss 5%", &edges[..2], &[1, 2])),
            "packets n1: loss 5%"
        );
    }

    #[test]
    fn no_band_lies_on_another_of_its_class() {
        let at = |from: u64, to: u64| FaultView {
            installed: Some(Time(from)),
            healed: Some(Time(to)),
            ..fault("kill n1", &["n1"])
        };
        let faults = [at(0, 10), at(5, 15), at(10, 20), at(30, 40)];
        let classes = bands(&faults, (Time(0), Time(25)));
        let levels: Vec<usize> = classes["kill"].iter().map(|band| band.level).collect();
        assert_eq!(levels, [0, 1, 0], "the last one is outside");
    }

    #[test]
    fn a_fault_that_was_never_healed_lasts_to_the_end() {
        assert_eq!(
            fault("kill n1", &["n1"]).window(Time(9)),
            Some((Time(2), Time(9)))
        );
    }
}
