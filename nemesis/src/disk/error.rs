//! What can go wrong with disks.

use std::{io, path::PathBuf};

use super::AilmentId;
use crate::{fault::Damage, node::Node};

/// A disk that cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// There is no disk under this node's data.
    #[error("there is no disk of ours under the data of {0}")]
    NoDisk(Node),
    /// The ailment was never installed or is healed.
    #[error("ailment {} is not installed", .0.0)]
    NoSuchAilment(AilmentId),
    /// These disks cannot do this.
    #[error("{what} cannot be done here: {why}")]
    Unsupported {
        /// What was asked.
        what: String,
        /// Why not, and what helps.
        why: &'static str,
    },
    /// There is nothing that this could damage.
    #[error("there is nothing on the disk of {node} for {damage}")]
    Nothing {
        /// Whose disk.
        node: Node,
        /// What was asked.
        damage: Damage,
    },
    /// The device node of FUSE is missing or not accessible.
    #[error("cannot open /dev/fuse: {source}; {advice}")]
    Fuse {
        /// How it failed.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// A system call failed that should not have.
    #[error("disk {}: {call}: {source}", .path.display())]
    Call {
        /// Where it is mounted.
        path: PathBuf,
        /// Which call.
        call: &'static str,
        /// How it failed.
        source: io::Error,
    },
}
