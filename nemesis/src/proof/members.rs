//! What proves that members changed, that somebody else leads, and that logs keep less.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::Dropped;
use crate::node::Node;

/// A configuration that a leader has committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Who votes.
    pub voters: BTreeSet<Node>,
    /// The leader that says so.
    pub leader: Node,
    /// Its term.
    pub term: u64,
    /// Where in the log the configuration stands.
    pub index: u64,
}

/// What one node keeps of its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogKept {
    /// Whose.
    pub node: Node,
    /// Lowest index in its log, before and after.
    pub first: (u64, u64),
    /// Last index in its newest snapshot, before and after.
    pub snapshot: (u64, u64),
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.voters.iter().map(ToString::to_string).collect();
        let Self {
            leader,
            term,
            index,
            ..
        } = self;
        let names = names.join(" ");
        write!(f, "{names} vote ({leader} in term {term}, entry {index})")
    }
}

impl fmt::Display for LogKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            first,
            snapshot,
        } = self;
        let moved = |(before, after): &(u64, u64)| match before == after {
            true => format!("at {after}"),
            false => format!("from {before} to {after}"),
        };
        write!(
            f,
            "{node} snapshot {}, log begins {}",
            moved(snapshot),
            moved(first)
        )
    }
}

pub(super) fn changed(
    f: &mut fmt::Formatter<'_>,
    before: &Members,
    during: &Members,
    after: Option<&Members>,
) -> fmt::Result {
    write!(f, "{before}, then {during}")?;
    match after {
        Some(after) => write!(f, ", then {after}"),
        None => Ok(()),
    }
}

pub(super) fn asked_alone(
    f: &mut fmt::Formatter<'_>,
    node: Node,
    order: &str,
    dropped: &Dropped,
    after: Option<&Members>,
) -> fmt::Result {
    write!(f, "{node} took `{order}` alone, {dropped}")?;
    match after {
        Some(after) => write!(f, ", afterwards {after}"),
        None => Ok(()),
    }
}

pub(super) fn led(
    f: &mut fmt::Formatter<'_>,
    before: (Node, u64),
    after: (Node, u64),
) -> fmt::Result {
    let ((before, old), (after, new)) = (before, after);
    write!(f, "{before} led term {old}, {after} led term {new}")
}
