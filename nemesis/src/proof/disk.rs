//! What proves that machines lost power, and that disks were ill or damaged.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{Killed, Successor};
use crate::node::Node;

/// One machine that lost power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerLost {
    /// Its process.
    #[serde(flatten)]
    pub killed: Killed,
    /// What was lost with it.
    pub lost: Lost,
}

/// What was not durable when the power went, and did not survive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Files that are not what they were.
    pub files: u64,
    /// Bytes that were written to them.
    pub bytes: u64,
    /// Names that were made, moved or removed.
    pub names: u64,
}

/// One disk that was ill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskMet {
    /// Whose.
    pub node: Node,
    /// How many requests met it.
    pub requests: u64,
    /// Who serves in the place of a process that ended because of it; absent where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Successor>,
}

/// One disk that was damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedNode {
    /// The process that was killed for it.
    #[serde(flatten)]
    pub killed: Killed,
    /// What was done.
    pub damaged: Damaged,
    /// Whether its successor refused the damaged disk, so that the damage was undone.
    #[serde(default)]
    pub refused: bool,
}

/// What is not as it was on a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// How many bytes differ, or are gone.
    pub bytes: u64,
    /// In which files.
    pub files: BTreeSet<String>,
}

impl fmt::Display for PowerLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, lost {}", self.killed, self.lost)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            files,
            bytes,
            names,
        } = self;
        write!(
            f,
            "{bytes} unsynced bytes in {files} files and {names} names"
        )
    }
}

impl fmt::Display for DiskMet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} requests met it", self.node, self.requests)?;
        match &self.successor {
            Some(successor) => write!(f, ", ended by it, pid {} serving", successor.pid),
            None => Ok(()),
        }
    }
}

impl fmt::Display for DamagedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damaged { bytes, files } = &self.damaged;
        write!(f, "{}, {bytes} bytes damaged in ", self.killed)?;
        match files.iter().collect::<Vec<_>>().as_slice() {
            [one] => f.write_str(one)?,
            several => write!(f, "{} files", several.len())?,
        }
        if self.refused {
            f.write_str(", refused by the node and undone")?;
        }
        Ok(())
    }
}
