//! A schedule: which fault, when, for how long. Plain data that a plan stores and replays.
//!
//! In a plan's TOML, embedded as `#[serde(rename = "fault", default)] schedule: Schedule`:
//!
//! ```toml
//! [[fault]]
//! id = 1
//! at_ms = 1200
//! for_ms = 3000
//! fault = "halves n1 n2 | n3 n4 n5"
//! ```

mod clock;
mod members;

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    fault::{
        AdminFault, Ailment, Asked, Fault, FaultClass, PacketEffect, Shape, Shaping, Targets, Whom,
    },
    lever::OrderKind,
    node::{Edge, Endpoint, Node},
};

/// One fault at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFault {
    /// Its name in events and reports; unique in its schedule.
    pub id: u32,
    /// When to inject, in milliseconds from the start of the main phase.
    pub at_ms: u64,
    /// How long to keep it before healing, in milliseconds.
    pub for_ms: u64,
    /// What to do.
    pub fault: Fault,
}

impl PlannedFault {
    /// When to heal, in milliseconds from the start of the main phase.
    pub fn heal_ms(&self) -> u64 {
        self.at_ms.saturating_add(self.for_ms)
    }
}

/// Faults in the order of their injection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule {
    /// Sorted by `at_ms`, which [`Schedule::validate`] checks.
    pub faults: Vec<PlannedFault>,
}

/// A schedule that cannot be run as it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Two faults share an id.
    #[error("two faults have the id {0}; give each its own")]
    SameId(u32),
    /// The faults are out of order.
    #[error("fault {id} at {at_ms} ms stands after a later one; sort the faults by at_ms")]
    Order {
        /// The fault.
        id: u32,
        /// Its time.
        at_ms: u64,
    },
    /// A fault names a node that the cluster has not.
    #[error("fault {id} names {node}, but the cluster has only n1 … n{count}")]
    NoSuchNode {
        /// The fault.
        id: u32,
        /// The node it names.
        node: Node,
        /// The size of the cluster.
        count: u16,
    },
    /// A fault would change nothing.
    #[error("fault {id} (`{fault}`) would change nothing in a cluster of {count}")]
    NoOp {
        /// The fault.
        id: u32,
        /// Its text.
        fault: String,
        /// The size of the cluster.
        count: u16,
    },
    /// A fault lasts no time.
    #[error("fault {0} has for_ms = 0; give it at least 1 ms")]
    NoTime(u32),
    /// A fault would still be there when the main phase ends.
    #[error("fault {id} heals at {heal_ms} ms, after the main phase ends at {time_ms} ms")]
    TooLate {
        /// The fault.
        id: u32,
        /// When it heals.
        heal_ms: u64,
        /// The end of the main phase.
        time_ms: u64,
    },
    /// Two process faults would hit one node at the same time.
    #[error("faults {first} and {second} overlap and may both hit {node}'s process")]
    SameProcess {
        /// The earlier fault.
        first: u32,
        /// The later one.
        second: u32,
        /// A node that both may hit.
        node: Node,
    },
    /// Two faults would set one clock at the same time.
    #[error("faults {first} and {second} overlap and may both set the clock of {node}")]
    SameClock {
        /// The earlier fault.
        first: u32,
        /// The later one.
        second: u32,
        /// A node that both may hit.
        node: Node,
    },
    /// Two faults would change the members at the same time.
    #[error("faults {first} and {second} overlap and both change the members")]
    SameMembers {
        /// The earlier fault.
        first: u32,
        /// The later one.
        second: u32,
    },
    /// A change of the members that cannot be.
    #[error("fault {id} (`{fault}`): {why}, in a cluster of n1 … n{count}")]
    Members {
        /// The fault.
        id: u32,
        /// Its text.
        fault: String,
        /// What is wrong.
        why: &'static str,
        /// The size of the cluster.
        count: u16,
    },
}

impl Schedule {
    /// The classes that occur.
    pub fn classes(&self) -> BTreeSet<FaultClass> {
        self.faults
            .iter()
            .map(|planned| planned.fault.class())
            .collect()
    }

    /// What ails disks.
    pub fn ailments(&self) -> BTreeSet<Ailment> {
        let faults = self.faults.iter().map(|planned| &planned.fault);
        let ailments = faults.filter_map(|fault| match fault {
            Fault::Disk(fault) => Some(fault.ailment),
            _ => None,
        });
        ailments.collect()
    }

    /// The effects on packets that occur.
    pub fn effects(&self) -> BTreeSet<PacketEffect> {
        let shapings = self
            .faults
            .iter()
            .filter_map(|planned| match &planned.fault {
                Fault::Packets(packets) => Some(&packets.shaping),
                _ => None,
            });
        shapings.flat_map(Shaping::effects).collect()
    }

    /// How many nodes must run besides the `count` of the cluster, to join it when a fault says so.
    pub fn spares(&self, count: u16) -> u16 {
        let highest = self
            .faults
            .iter()
            .filter_map(|planned| match &planned.fault {
                Fault::Member(fault) => fault.joining().last().copied(),
                _ => None,
            });
        let highest = highest.map(|node| node.0).max();
        highest.unwrap_or(count).saturating_sub(count)
    }

    /// The kinds of orders that a target must take.
    pub fn orders(&self) -> BTreeSet<OrderKind> {
        let kinds = self.faults.iter().flat_map(|planned| match &planned.fault {
            Fault::Member(_) => &[OrderKind::Membership][..],
            Fault::Admin(fault) => fault.kinds(),
            _ => &[],
        });
        kinds.copied().collect()
    }

    /// Whether this can be run on `count` nodes in a main phase of `time_ms`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, by the fault's id.
    pub fn validate(&self, count: u16, time_ms: u64) -> Result<(), ScheduleError> {
        let mut ids = BTreeSet::new();
        let mut previous_ms = 0;
        for planned in &self.faults {
            let id = planned.id;
            if !ids.insert(id) {
                return Err(ScheduleError::SameId(id));
            }
            if planned.at_ms < previous_ms {
                return Err(ScheduleError::Order {
                    id,
                    at_ms: planned.at_ms,
                });
            }
            previous_ms = planned.at_ms;
            if planned.for_ms == 0 {
                return Err(ScheduleError::NoTime(id));
            }
            let heal_ms = planned.heal_ms();
            if heal_ms > time_ms {
                return Err(ScheduleError::TooLate {
                    id,
                    heal_ms,
                    time_ms,
                });
            }
            validate_targets(planned, count)?;
        }
        self.validate_overlaps(count)
    }

    fn validate_overlaps(&self, count: u16) -> Result<(), ScheduleError> {
        // The faults are in order by now, so one that has healed before this begins is done with.
        let mut in_force: Vec<(&PlannedFault, BTreeSet<Node>)> = Vec::new();
        for second in &self.faults {
            in_force.retain(|(first, _)| first.heal_ms() > second.at_ms);
            let hit = hits(&second.fault, count);
            for (first, earlier) in &in_force {
                if let Some(node) = earlier.intersection(&hit).next() {
                    let (first, second, node) = (first.id, second.id, *node);
                    return Err(ScheduleError::SameProcess {
                        first,
                        second,
                        node,
                    });
                }
                if let Some(node) = clock::shared(&first.fault, &second.fault, count) {
                    let (first, second) = (first.id, second.id);
                    return Err(ScheduleError::SameClock {
                        first,
                        second,
                        node,
                    });
                }
                if let (Fault::Member(_), Fault::Member(_)) = (&first.fault, &second.fault) {
                    let (first, second) = (first.id, second.id);
                    return Err(ScheduleError::SameMembers { first, second });
                }
            }
            in_force.push((second, hit));
        }
        Ok(())
    }
}

/// Every node whose process the fault may hit: the leader may be anybody.
pub(crate) fn hits(fault: &Fault, count: u16) -> BTreeSet<Node> {
    match fault.targets() {
        Some(targets) if fault.hits_processes() => targets.possible(count),
        _ => BTreeSet::new(),
    }
}

/// Every node that the cluster may have to do without: its process hit, or no member any more.
pub(crate) fn missing(fault: &Fault, count: u16) -> BTreeSet<Node> {
    match fault {
        Fault::Member(member) => match (member.asked, member.leaving()) {
            (Asked::Leader, Some(leaving)) => leaving.possible(count),
            _ => BTreeSet::new(),
        },
        fault => hits(fault, count),
    }
}

fn validate_targets(planned: &PlannedFault, count: u16) -> Result<(), ScheduleError> {
    let id = planned.id;
    if let Some(node) = named(&planned.fault)
        .into_iter()
        .find(|node| node.0 > count)
    {
        return Err(ScheduleError::NoSuchNode { id, node, count });
    }
    // Who leads does not matter here: any node stands for the leader.
    let leaders: Vec<Node> = Node::first(count).take(1).collect();
    let leader = leaders.first().copied();
    let changes = match &planned.fault {
        Fault::Partition(shape) => {
            let grudge = shape.grudge(count, &leaders).unwrap_or_default();
            !grudge.is_empty() && grudge.edges().all(is_inside)
        }
        Fault::Packets(packets) => {
            let edges = packets.scope.edges(count, leader, 0);
            !edges.is_empty() && edges.into_iter().all(is_inside)
        }
        Fault::Member(fault) => {
            return members::validate(planned, fault, count);
        }
        Fault::Admin(AdminFault::Transfer { .. } | AdminFault::Campaign(_)) => count > 1,
        Fault::Admin(AdminFault::StepDown) => count > 0,
        fault => {
            let nodes = fault.targets().map(|targets| targets.possible(count));
            nodes.is_some_and(|nodes| !nodes.is_empty() && !nodes.contains(&Node(0)))
        }
    };
    if changes {
        return Ok(());
    }
    Err(ScheduleError::NoOp {
        id,
        fault: planned.fault.to_string(),
        count,
    })
}

/// Whether both ends can exist at all: nodes are counted from 1.
fn is_inside(edge: Edge) -> bool {
    ![edge.from, edge.to].contains(&Endpoint::Node(Node(0)))
}

/// The nodes that the fault's text names.
fn named(fault: &Fault) -> BTreeSet<Node> {
    match fault {
        Fault::Partition(shape) => match shape {
            Shape::Halves { left, right } => left | right,
            Shape::Isolate(node) => BTreeSet::from([*node]),
            Shape::IsolateLeader | Shape::IsolateLeaders => BTreeSet::new(),
            Shape::Bridge {
                left,
                middle,
                right,
            } => left | &(middle | right),
            Shape::MajoritiesRing(order) => order.iter().copied().collect(),
            Shape::OneWay { from, to } => from | to,
            Shape::ClientCut(nodes) => nodes.clone(),
            Shape::Edges(grudge) => {
                let ends = grudge.edges().flat_map(|edge| [edge.from, edge.to]);
                ends.filter_map(Endpoint::node).collect()
            }
        },
        Fault::Packets(packets) => packets.scope.named(),
        Fault::Admin(AdminFault::Campaign(Whom::Node(node)))
        | Fault::Admin(AdminFault::Transfer {
            to: Whom::Node(node),
            ..
        }) => BTreeSet::from([*node]),
        fault => match fault.targets() {
            Some(Targets::Nodes(nodes)) => nodes.clone(),
            _ => BTreeSet::new(),
        },
    }
}

/// One fault a line: when, for how long, what.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for planned in &self.faults {
            planned.fmt(f)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            at_ms,
            for_ms,
            fault,
        } = self;
        let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
        write!(
            f,
            "{id:>3}  at {:>7} s  for {} s  {fault}",
            seconds(*at_ms),
            seconds(*for_ms)
        )
    }
}
