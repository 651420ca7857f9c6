//! The classes of faults: what a plan promises, and what coverage asks for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The classes that coverage asks for: what a plan promises is that each of them really happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultClass {
    /// Processes killed and started again.
    Kill,
    /// Processes stopped and continued.
    Pause,
    /// Processes told to end, and started again.
    Stop,
    /// Processes killed as often as they come up.
    CrashLoop,
    /// Processes killed while they start.
    #[serde(rename = "kill-starting")]
    StartKill,
    /// Processes that get a share of the processor.
    SlowCpu,
    /// Processes that get no more memory.
    Memory,
    /// Packets dropped.
    Partition,
    /// Packets slowed, lost, doubled, broken.
    Packet,
    /// Machines that lost power, and what was not fsynced with it.
    PowerLoss,
    /// Disks that fail, wait or lie.
    Disk,
    /// Disks whose bytes are not what they were.
    Damage,
    /// Wall clocks that are wrong.
    Clock,
    /// Members that join and leave.
    Membership,
    /// What an administrator orders besides: who leads, what of the log is kept.
    Admin,
}

impl FaultClass {
    /// Every class, in order.
    pub const ALL: [FaultClass; 15] = [
        Self::Kill,
        Self::Pause,
        Self::Stop,
        Self::CrashLoop,
        Self::StartKill,
        Self::SlowCpu,
        Self::Memory,
        Self::Partition,
        Self::Packet,
        Self::PowerLoss,
        Self::Disk,
        Self::Damage,
        Self::Clock,
        Self::Membership,
        Self::Admin,
    ];

    /// Whether it takes a disk of ours under the nodes' data.
    pub fn needs_disk(self) -> bool {
        matches!(self, Self::PowerLoss | Self::Disk | Self::Damage)
    }

    /// Whether it is the target that must offer it, and not the machine.
    pub fn is_offered_by_target(self) -> bool {
        matches!(self, Self::Membership | Self::Admin)
    }
}

impl fmt::Display for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Stop => "stop",
            Self::CrashLoop => "crash-loop",
            Self::StartKill => "kill-starting",
            Self::SlowCpu => "slow-cpu",
            Self::Memory => "memory",
            Self::Partition => "partition",
            Self::Packet => "packet",
            Self::PowerLoss => "power-loss",
            Self::Disk => "disk",
            Self::Damage => "damage",
            Self::Clock => "clock",
            Self::Membership => "membership",
            Self::Admin => "admin",
        })
    }
}
