//! What a replica keeps for one key.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::raft::{NodeId, Opaque};

/// A version: the higher one is the newer one, and no two values ever have the same.
///
/// The order is that of the fields. Two coordinators may give the same counter at the same time;
/// their numbers decide then. One that comes back after a crash does not remember which counters
/// it gave to values that few replicas got; its life keeps these apart.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Stamp {
    /// One above the highest that R replicas knew of.
    pub counter: u64,
    /// Who gave it.
    pub node: NodeId,
    /// In which life.
    pub life: u64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/n{}#{}", self.counter, self.node, self.life)
    }
}

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The version.
    pub stamp: Stamp,
    /// The value; none where the key was deleted.
    pub value: Option<Opaque>,
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{value:?} at {}", self.stamp),
            None => write!(f, "deleted at {}", self.stamp),
        }
    }
}
