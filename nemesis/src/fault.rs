//! Faults as data: closed, printable, and read back from the very text they print.
//!
//! A fault is one line, the same on the terminal, in a plan and in an event:
//!
//! | text | what happens, and what heals it |
//! |---|---|
//! | `kill n1 n3`, `kill leader`, `kill all` | SIGKILL; started again |
//! | `pause n2`, `pause leader`, `pause all` | SIGSTOP; SIGCONT |
//! | `halves n1 n2 \| n3 n4 n5` | the two sides do not hear each other |
//! | `isolate n3`, `isolate leader` | one node and all others do not hear each other |
//! | `isolate leaders` | each node that says it leads is alone |
//! | `bridge n1 n2 \| n3 \| n4 n5` | two sides that do not hear each other; the middle hears both |
//! | `ring n3 n1 n5 n2 n4` | each node hears only its neighbours in this circle |
//! | `one-way n1 n2 -> n3` | nothing from the left reaches the right |
//! | `clients n1 n2` | clients and these nodes do not hear each other |
//! | `cut n1 -> n2 n3, n4 \| clients` | exactly these directions: one (`->`) or both (`\|`) |
//! | `packets n1: delay 50ms ±10ms, loss 20%` | see [`shaping`] and [`Scope`]; as before |
//! | `power-loss n1: torn`, `disk n1: fsync-error`, `damage n1: bit-flip 3` | see [`disk`] |
//! | `clock n1: +288s`, `clock all: rate 1.05`, `clock n1: strobe +200ms every 10ms` | see [`clock`] |
//! | `grow n6`, `shrink leader`, `replace n2 -> n6` | see [`admin`]; the first members again |
//! | `transfer n3`, `campaign any`, `step-down`, `snapshot n1`, `compact all` | see [`admin`] |
//!
//! `leader` is a symbol: who it is, is asked when the fault is injected.

pub mod admin;
mod class;
pub mod clock;
pub mod disk;
mod packets;
pub mod shaping;

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::admin::{AdminFault, Asked, MemberChange, MemberFault, Whom};
pub use self::class::FaultClass;
pub use self::clock::{ClockFault, Skew};
pub use self::disk::{Ailment, Damage, DamageFault, DiskFault, Keep, PowerLoss};
pub use self::packets::{Packets, Scope};
use self::shaping::ShapingTextError;
pub use self::shaping::{PacketEffect, Shaping};
use crate::{
    grudge::Grudge,
    node::{Edge, NameError, Node},
};

/// Something to do to the cluster, and by implication to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Fault {
    /// SIGKILL; heals by starting the same nodes again.
    Kill(Targets),
    /// SIGSTOP; heals by SIGCONT.
    Pause(Targets),
    /// A cut in the network; heals by removing it.
    Partition(Shape),
    /// Packets slowed, lost, doubled, broken; heals by letting them pass as they are.
    Packets(Packets),
    /// Cut off, killed, and all that was not fsynced lost; heals by starting in a fresh network
    /// namespace.
    PowerLoss(PowerLoss),
    /// Requests to a disk that fail, wait or are lied about; heals by doing them again.
    Disk(DiskFault),
    /// Bytes of a disk changed; heals by starting what ended because of it on what was there.
    Damage(DamageFault),
    /// Wall clocks that are wrong; heals by making them right.
    Clock(ClockFault),
    /// The members changed; heals by bringing back the first ones.
    Member(MemberFault),
    /// Something an administrator orders; there is nothing to undo.
    Admin(AdminFault),
}

/// The nodes a process fault hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// These, known when the plan is made: one, a minority, any list.
    Nodes(BTreeSet<Node>),
    /// Whoever leads at the moment of injection.
    Leader,
    /// Every node.
    All,
}

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

impl Fault {
    /// The class that this fault counts towards.
    pub fn class(&self) -> FaultClass {
        match self {
            Self::Kill(_) => FaultClass::Kill,
            Self::Pause(_) => FaultClass::Pause,
            Self::Partition(_) => FaultClass::Partition,
            Self::Packets(_) => FaultClass::Packet,
            Self::PowerLoss(_) => FaultClass::PowerLoss,
            Self::Disk(_) => FaultClass::Disk,
            Self::Damage(_) => FaultClass::Damage,
            Self::Clock(_) => FaultClass::Clock,
            Self::Member(_) => FaultClass::Membership,
            Self::Admin(_) => FaultClass::Admin,
        }
    }

    /// The nodes it is aimed at, unless it is the network's.
    pub fn targets(&self) -> Option<&Targets> {
        match self {
            Self::Kill(targets) | Self::Pause(targets) => Some(targets),
            Self::PowerLoss(PowerLoss { targets, .. })
            | Self::Disk(DiskFault { targets, .. })
            | Self::Damage(DamageFault { targets, .. }) => Some(targets),
            Self::Clock(fault) => Some(&fault.targets),
            Self::Member(fault) => fault.leaving(),
            Self::Admin(fault) => fault.targets(),
            Self::Partition(_) | Self::Packets(_) => None,
        }
    }

    /// Whether it may end a process: nothing else that may do so can be in force on the same node.
    pub fn hits_processes(&self) -> bool {
        match self {
            Self::Disk(fault) => fault.ailment.is_noticed(),
            Self::Clock(_) | Self::Member(_) | Self::Admin(_) => false,
            _ => self.targets().is_some(),
        }
    }

    /// Whether somebody has to be asked who leads before this fault can be injected.
    pub fn needs_leader(&self) -> bool {
        self.targets() == Some(&Targets::Leader)
            || matches!(
                self,
                Self::Partition(Shape::IsolateLeader | Shape::IsolateLeaders)
                    | Self::Packets(Packets {
                        scope: Scope::Around(Targets::Leader),
                        ..
                    })
            )
    }

    /// The nodes whose processes this fault hits: `None` for the network or an unknown leader.
    pub fn processes(&self, count: u16, leader: Option<Node>) -> Option<BTreeSet<Node>> {
        self.targets()?.resolve(count, leader)
    }
}

impl Targets {
    /// One node.
    pub fn one(node: Node) -> Self {
        Self::Nodes(BTreeSet::from([node]))
    }

    /// Every node that may be meant: the leader may be anybody.
    pub fn possible(&self, count: u16) -> BTreeSet<Node> {
        match self {
            Self::Nodes(nodes) => nodes.clone(),
            Self::Leader | Self::All => Node::first(count).collect(),
        }
    }

    /// The nodes meant, in a cluster of `count`; `None` when the leader is meant and not known.
    pub fn resolve(&self, count: u16, leader: Option<Node>) -> Option<BTreeSet<Node>> {
        match self {
            Self::Nodes(nodes) => Some(nodes.clone()),
            Self::Leader => leader.map(|node| BTreeSet::from([node])),
            Self::All => Some(Node::first(count).collect()),
        }
    }
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(targets) => write!(f, "kill {targets}"),
            Self::Pause(targets) => write!(f, "pause {targets}"),
            Self::Partition(shape) => shape.fmt(f),
            Self::Packets(packets) => packets.fmt(f),
            Self::PowerLoss(fault) => fault.fmt(f),
            Self::Disk(fault) => fault.fmt(f),
            Self::Damage(fault) => fault.fmt(f),
            Self::Clock(fault) => fault.fmt(f),
            Self::Member(fault) => fault.fmt(f),
            Self::Admin(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) => f.write_str(&spaced(nodes)),
            Self::Leader => f.write_str("leader"),
            Self::All => f.write_str("all"),
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

fn spaced<'a, T: fmt::Display + 'a>(names: impl IntoIterator<Item = &'a T>) -> String {
    names
        .into_iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

const KINDS: &str = "kill, pause, halves, isolate, bridge, ring, one-way, clients, cut, packets, \
                     power-loss, disk, damage, clock, grow, shrink, replace, transfer, \
                     campaign, step-down, snapshot or compact";

/// A fault's text that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault `{text}`: {problem}")]
pub struct FaultTextError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("`{0}` is no fault: use {KINDS}")]
    Kind(String),
    #[error("write it as `{0}`")]
    Form(&'static str),
    #[error("{0} is named twice")]
    Twice(String),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Shaping(#[from] ShapingTextError),
}

impl FromStr for Fault {
    type Err = FaultTextError;

    fn from_str(text: &str) -> Result<Self, FaultTextError> {
        parse(text).map_err(|problem| FaultTextError {
            text: text.to_owned(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<Fault, Problem> {
    let text = text.trim();
    let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    Ok(match kind {
        "kill" => Fault::Kill(targets(rest, "kill n1 n2` or `kill leader` or `kill all")?),
        "pause" => Fault::Pause(targets(
            rest,
            "pause n1 n2` or `pause leader` or `pause all",
        )?),
        "halves" => {
            let (left, right) = sides(rest, "|", "halves n1 n2 | n3")?;
            Fault::Partition(Shape::Halves { left, right })
        }
        "isolate" if rest == "leader" => Fault::Partition(Shape::IsolateLeader),
        "isolate" if rest == "leaders" => Fault::Partition(Shape::IsolateLeaders),
        "bridge" => Fault::Partition(bridge(rest)?),
        "cut" => Fault::Partition(Shape::Edges(edges(rest)?)),
        "isolate" => match nodes(rest, "isolate n1` or `isolate leader")?.as_slice() {
            [node] => Fault::Partition(Shape::Isolate(*node)),
            _ => return Err(Problem::Form("isolate n1` or `isolate leader")),
        },
        "ring" => Fault::Partition(Shape::MajoritiesRing(nodes(rest, "ring n1 n2 n3 n4")?)),
        "one-way" => {
            let (from, to) = sides(rest, "->", "one-way n1 -> n2 n3")?;
            Fault::Partition(Shape::OneWay { from, to })
        }
        "clients" => {
            let nodes = nodes(rest, "clients n1 n2")?;
            Fault::Partition(Shape::ClientCut(nodes.into_iter().collect()))
        }
        "packets" => Fault::Packets(packets::parse(rest)?),
        "power-loss" => Fault::PowerLoss(disk::power_loss(rest)?),
        "disk" => Fault::Disk(disk::disk(rest)?),
        "damage" => Fault::Damage(disk::damage(rest)?),
        "clock" => Fault::Clock(clock::parse(rest)?),
        other => match (admin::member(other, rest), admin::admin(other, rest)) {
            (Some(fault), _) => Fault::Member(fault?),
            (_, Some(fault)) => Fault::Admin(fault?),
            (None, None) => return Err(Problem::Kind(other.to_owned())),
        },
    })
}

fn targets(text: &str, form: &'static str) -> Result<Targets, Problem> {
    Ok(match text {
        "leader" => Targets::Leader,
        "all" => Targets::All,
        _ => Targets::Nodes(nodes(text, form)?.into_iter().collect()),
    })
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

/// At least one node, none twice.
fn nodes(text: &str, form: &'static str) -> Result<Vec<Node>, Problem> {
    let mut list = Vec::new();
    for word in text.split_whitespace() {
        let node: Node = word.parse()?;
        if list.contains(&node) {
            return Err(Problem::Twice(node.to_string()));
        }
        list.push(node);
    }
    if list.is_empty() {
        Err(Problem::Form(form))
    } else {
        Ok(list)
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> String {
        fault.to_string()
    }
}

impl TryFrom<String> for Fault {
    type Error = FaultTextError;

    fn try_from(text: String) -> Result<Self, FaultTextError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_back_from_the_text_it_prints() {
        for text in [
            "kill n1 n3",
            "kill leader",
            "kill all",
            "pause n2",
            "pause leader",
            "halves n1 n2 | n3 n4 n5",
            "isolate n3",
            "isolate leader",
            "isolate leaders",
            "bridge n1 n2 | n3 | n4 n5",
            "cut n1 -> n2 n3",
            "cut clients | n4, n1 -> n2 n3, n5 -> n1",
            "ring n3 n1 n5 n2 n4",
            "one-way n1 n2 -> n3",
            "clients n1 n2",
            "packets leader: delay 50ms ±10ms",
            "packets all: loss 20%, reorder 0.5%",
            "packets clients n1 -> n2: rate 1mbit",
            "power-loss n1 n3",
            "power-loss leader: some",
            "power-loss all: torn",
            "disk n2: fsync-error",
            "disk leader: slow-fsync 20ms",
            "disk all: lying-fsync",
            "damage n1: bit-flip 3",
            "damage n1 n2: wipe",
            "clock n1 n2: +288s",
            "clock leader: -11ms",
            "clock all: rate 1.05",
            "clock n1: strobe -200ms every 10ms",
            "grow n6 n7",
            "shrink leader",
            "shrink n2 n3: isolated",
            "replace n2 -> n6",
            "replace leader -> n6",
            "transfer n3",
            "transfer any: isolated",
            "campaign any",
            "step-down",
            "snapshot all",
            "compact n1 n2",
        ] {
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
            assert_eq!(serde_json::to_string(&fault).unwrap(), format!("{text:?}"));
        }
    }

    #[test]
    fn a_wrong_text_is_refused_with_the_form_to_use() {
        for (text, message) in [
            (
                "",
                "fault ``: `` is no fault: use kill, pause, halves, isolate, bridge, ring, \
                 one-way, clients, cut, packets, power-loss, disk, damage, clock, grow, shrink, \
                 replace, transfer, campaign, step-down, snapshot or compact",
            ),
            (
                "power-loss n1: half",
                "fault `power-loss n1: half`: write it as `power-loss n1 n2` or \
                 `power-loss leader: some` or `power-loss all: torn`",
            ),
            (
                "clock n1: 288s",
                "fault `clock n1: 288s`: write it as `clock n1: +288s` or `clock leader: -11ms` or \
                 `clock all: rate 1.05` or `clock n1: strobe +200ms every 10ms`",
            ),
            (
                "shrink all",
                "fault `shrink all`: write it as `shrink n2` or `shrink leader` or \
                 `shrink n2: isolated`",
            ),
            (
                "replace n2 -> n2",
                "fault `replace n2 -> n2`: n2 is named twice",
            ),
            (
                "damage n1: bit-flip 0",
                "fault `damage n1: bit-flip 0`: write it as `damage n1: bit-flip 3` or \
                 `damage n1: truncate` or `damage n1: restore` or `damage n1: wipe`",
            ),
            (
                "kill",
                "fault `kill`: write it as `kill n1 n2` or `kill leader` or `kill all`",
            ),
            (
                "kill n1 x",
                "fault `kill n1 x`: `x` is not a node (n1, n2, …)",
            ),
            ("pause n1 n1", "fault `pause n1 n1`: n1 is named twice"),
            (
                "isolate n1 n2",
                "fault `isolate n1 n2`: write it as `isolate n1` or `isolate leader`",
            ),
            (
                "halves n1 n2",
                "fault `halves n1 n2`: write it as `halves n1 n2 | n3`",
            ),
            (
                "halves n1 | n1",
                "fault `halves n1 | n1`: n1 is named twice",
            ),
            (
                "one-way n1 ->",
                "fault `one-way n1 ->`: write it as `one-way n1 -> n2 n3`",
            ),
            (
                "bridge n1 | n2 | n1",
                "fault `bridge n1 | n2 | n1`: n1 is named twice",
            ),
            (
                "bridge n1 | n2",
                "fault `bridge n1 | n2`: write it as `bridge n1 n2 | n3 | n4 n5`",
            ),
            (
                "cut n1 n2",
                "fault `cut n1 n2`: write it as `cut n1 -> n2 n3, n4 | clients`",
            ),
            ("cut n1 -> n1", "fault `cut n1 -> n1`: n1 is named twice"),
            (
                "packets n1: loss 200%",
                "fault `packets n1: loss 200%`: write it as `loss 20%` or `loss 0.5%`, above 0, \
                 at most `100%`",
            ),
            (
                "packets n1 -> n2 n2: loss 2%",
                "fault `packets n1 -> n2 n2: loss 2%`: n2 is named twice",
            ),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), message);
        }
    }
}
