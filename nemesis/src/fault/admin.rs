//! What is asked of the cluster as its administrator would: who is a member, who leads, what of the
//! log is kept.
//!
//! | text | what happens, and what heals it |
//! |---|---|
//! | `grow n6 n7` | spare nodes join and vote; removed again |
//! | `shrink n2`, `shrink leader` | removed from the cluster; join again |
//! | `replace n2 -> n6`, `replace leader -> n6` | one leaves, a spare takes its place; and back |
//! | `shrink n2: isolated` | the leader is cut off, and then asked; the cut is healed |
//! | `transfer n3`, `transfer any` | the leader hands over to n3, to any other |
//! | `transfer any: isolated` | the leader is cut off, and then asked; the cut is healed |
//! | `campaign n2`, `campaign any` | n2, any other than the leader, begins an election |
//! | `step-down` | the leader stops to lead |
//! | `snapshot n1`, `snapshot leader`, `snapshot all` | each takes a snapshot |
//! | `compact n1`, `compact leader`, `compact all` | the same, and drops the log it stands for |
//!
//! Spares are the nodes beyond the cluster's size: `n6`, `n7` in a cluster of five. They run from
//! the start, and belong to nothing until a fault takes them in. Whatever changed the members, the
//! heal brings back the first ones, and looks that a leader has committed them.

use std::{collections::BTreeSet, fmt};

use super::{Problem, Targets, nodes, spaced, targets};
use crate::{lever::OrderKind, node::Node};

/// Who is a member, changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFault {
    /// How.
    pub change: MemberChange,
    /// Who is asked.
    pub asked: Asked,
}

/// How the members change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// These spares join.
    Grow(BTreeSet<Node>),
    /// These leave.
    Shrink(Targets),
    /// Some leave, and spares take their place.
    Replace {
        /// Who leaves.
        old: Targets,
        /// Who joins.
        new: BTreeSet<Node>,
    },
}

/// Who is asked for something that only a leader can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asked {
    /// Whoever leads.
    Leader,
    /// Whoever leads, once no other node hears it any more.
    Isolated,
}

/// An order without anything to undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminFault {
    /// The leader is to hand over.
    Transfer {
        /// To whom.
        to: Whom,
        /// Which leader.
        asked: Asked,
    },
    /// A node is to begin an election.
    Campaign(Whom),
    /// The leader is to stop.
    StepDown,
    /// Nodes are to take snapshots.
    Snapshot(Targets),
    /// Nodes are to take snapshots, and drop the log that these stand for.
    Compact(Targets),
}

/// One node other than the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Any: drawn from the plan's seed when the time has come.
    Any,
    /// This one.
    Node(Node),
}

impl MemberFault {
    /// Who leaves, if anybody.
    pub fn leaving(&self) -> Option<&Targets> {
        match &self.change {
            MemberChange::Grow(_) => None,
            MemberChange::Shrink(old) | MemberChange::Replace { old, .. } => Some(old),
        }
    }

    /// The spares that join.
    pub fn joining(&self) -> BTreeSet<Node> {
        match &self.change {
            MemberChange::Grow(new) | MemberChange::Replace { new, .. } => new.clone(),
            MemberChange::Shrink(_) => BTreeSet::new(),
        }
    }
}

impl AdminFault {
    /// The nodes whose logs it is about.
    pub fn targets(&self) -> Option<&Targets> {
        match self {
            Self::Snapshot(targets) | Self::Compact(targets) => Some(targets),
            _ => None,
        }
    }

    /// What a target must take for it.
    pub fn kinds(&self) -> &'static [OrderKind] {
        match self {
            Self::Transfer { .. } => &[OrderKind::Transfer],
            Self::Campaign(_) => &[OrderKind::Campaign],
            Self::StepDown => &[OrderKind::StepDown],
            Self::Snapshot(_) => &[OrderKind::Snapshot],
            Self::Compact(_) => &[OrderKind::Snapshot, OrderKind::Compact],
        }
    }
}

impl fmt::Display for MemberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            MemberChange::Grow(new) => write!(f, "grow {}", spaced(new))?,
            MemberChange::Shrink(old) => write!(f, "shrink {old}")?,
            MemberChange::Replace { old, new } => write!(f, "replace {old} -> {}", spaced(new))?,
        }
        self.asked.fmt(f)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => Ok(()),
            Self::Isolated => f.write_str(": isolated"),
        }
    }
}

impl fmt::Display for AdminFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transfer { to, asked } => write!(f, "transfer {to}{asked}"),
            Self::Campaign(who) => write!(f, "campaign {who}"),
            Self::StepDown => f.write_str("step-down"),
            Self::Snapshot(targets) => write!(f, "snapshot {targets}"),
            Self::Compact(targets) => write!(f, "compact {targets}"),
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Node(node) => node.fmt(f),
        }
    }
}

/// Reads a fault whose first word is `kind`; `None` where that is none of these.
pub(super) fn member(kind: &str, rest: &str) -> Option<Result<MemberFault, Problem>> {
    let parse = match kind {
        "grow" => grow,
        "shrink" => shrink,
        "replace" => replace,
        _ => return None,
    };
    let read = || {
        let (what, asked) = asked(rest, SHRINK)?;
        let change = parse(what)?;
        Ok(MemberFault { change, asked })
    };
    Some(read())
}

fn grow(text: &str) -> Result<MemberChange, Problem> {
    let new = nodes(text, "grow n6` or `grow n6 n7")?;
    Ok(MemberChange::Grow(new.into_iter().collect()))
}

const SHRINK: &str = "shrink n2` or `shrink leader` or `shrink n2: isolated";

fn shrink(text: &str) -> Result<MemberChange, Problem> {
    leavers(text, SHRINK).map(MemberChange::Shrink)
}

/// Somebody has to stay.
fn leavers(text: &str, form: &'static str) -> Result<Targets, Problem> {
    match targets(text, form)? {
        Targets::All => Err(Problem::Form(form)),
        some => Ok(some),
    }
}

fn replace(text: &str) -> Result<MemberChange, Problem> {
    const FORM: &str = "replace n2 -> n6` or `replace leader -> n6";
    let (old, new) = text.split_once("->").ok_or(Problem::Form(FORM))?;
    let old = leavers(old.trim(), FORM)?;
    let new: BTreeSet<Node> = nodes(new, FORM)?.into_iter().collect();
    if let Targets::Nodes(old) = &old
        && let Some(node) = old.intersection(&new).next()
    {
        return Err(Problem::Twice(node.to_string()));
    }
    Ok(MemberChange::Replace { old, new })
}

/// What stands before the colon, and who is asked.
fn asked<'a>(text: &'a str, form: &'static str) -> Result<(&'a str, Asked), Problem> {
    match text.split_once(':') {
        None => Ok((text, Asked::Leader)),
        Some((what, how)) if how.trim() == "isolated" => Ok((what.trim(), Asked::Isolated)),
        Some(_) => Err(Problem::Form(form)),
    }
}

const TRANSFER: &str = "transfer n3` or `transfer any` or `transfer any: isolated";
const CAMPAIGN: &str = "campaign n2` or `campaign any";

/// Reads a fault whose first word is `kind`; `None` where that is none of these.
pub(super) fn admin(kind: &str, rest: &str) -> Option<Result<AdminFault, Problem>> {
    Some(match kind {
        "transfer" => asked(rest, TRANSFER).and_then(|(to, asked)| {
            whom(to, TRANSFER).map(|to| AdminFault::Transfer { to, asked })
        }),
        "campaign" => whom(rest, CAMPAIGN).map(AdminFault::Campaign),
        "step-down" if rest.is_empty() => Ok(AdminFault::StepDown),
        "step-down" => Err(Problem::Form("step-down")),
        "snapshot" => targets(rest, "snapshot n1` or `snapshot leader` or `snapshot all")
            .map(AdminFault::Snapshot),
        "compact" => targets(rest, "compact n1` or `compact leader` or `compact all")
            .map(AdminFault::Compact),
        _ => return None,
    })
}

fn whom(text: &str, form: &'static str) -> Result<Whom, Problem> {
    if text == "any" {
        return Ok(Whom::Any);
    }
    match nodes(text, form)?.as_slice() {
        [node] => Ok(Whom::Node(*node)),
        _ => Err(Problem::Form(form)),
    }
}
