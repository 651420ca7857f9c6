//! The nemeses by name: what each is for, and which cards its deck holds.

mod description;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::card::Card;
use crate::{fault::PacketEffect, text::stored_as_text};

/// A named way to break the cluster, as `--nemesis` takes it and `ordeal list` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Nemesis {
    /// No fault at all.
    None,
    /// Kill up to a minority, start again.
    Kill,
    /// Kill whoever leads.
    KillLeader,
    /// Kill every node at once.
    KillAll,
    /// Pause up to a minority.
    Pause,
    /// Pause whoever leads.
    PauseLeader,
    /// Pause every node at once.
    PauseAll,
    /// Tell up to a minority to end in order, start again.
    Stop,
    /// The same, and start again at once.
    Restart,
    /// Restart every node in order, all at once.
    RestartAll,
    /// Kill as often as they come up.
    CrashLoop,
    /// Kill while they start.
    KillStarting,
    /// A share of the processor.
    SlowCpu,
    /// No more memory.
    Memory,
    /// Partitions of every shape.
    Partition,
    /// Random halves only.
    Halves,
    /// One random node cut off.
    Isolate,
    /// Whoever leads cut off from the other nodes.
    IsolateLeader,
    /// Majorities ring only.
    Ring,
    /// One direction only.
    OneWay,
    /// Clients cut off from some nodes.
    ClientCut,
    /// One side of at most a third.
    MinorityThird,
    /// Two sides, and one node that hears both.
    Bridge,
    /// Everybody who says that they lead, each alone.
    IsolateLeaders,
    /// Every effect on packets below but altered payloads and refusals, and several at once, in
    /// turn.
    Packet,
    /// Packets arrive later, more or less.
    Delay,
    /// Packets are lost.
    Loss,
    /// Packets arrive twice.
    Duplicate,
    /// Packets overtake each other.
    Reorder,
    /// Packets arrive broken, and their checksum finds it.
    Corrupt,
    /// Payloads change on the way, and their checksum fits.
    CorruptDeliver,
    /// TCP connections are reset at both ends.
    Reset,
    /// New TCP connections are refused, open ones go on.
    Refuse,
    /// Packets wait for a slow line.
    Rate,
    /// Several effects on packets at once.
    Flaky,
    /// Machines lose power: some, the leader, all.
    PowerLoss,
    /// Disks that fail, are full or slow, in turn.
    Disk,
    /// Reads fail.
    ReadError,
    /// Writes fail.
    WriteError,
    /// Fsyncs fail.
    FsyncError,
    /// No room on the disk.
    DiskFull,
    /// Fsyncs take longer.
    SlowFsync,
    /// Fsyncs do nothing, and everybody loses power.
    LyingFsync,
    /// Bytes of a minority of the disks change, in turn.
    Damage,
    /// Bits of files flip.
    BitFlip,
    /// The end of a file is gone.
    Truncate,
    /// A disk is as it was before.
    Restore,
    /// A disk is empty.
    Wipe,
    /// Wall clocks are wrong, in each way, in turn.
    Clock,
    /// Wall clocks are ahead or behind.
    ClockOffset,
    /// Wall clocks are too fast or too slow.
    ClockRate,
    /// Wall clocks are wrong and right in turn.
    ClockStrobe,
    /// Members join, leave and are replaced, in turn.
    Membership,
    /// Spares join the cluster.
    Grow,
    /// Members leave it.
    Shrink,
    /// Spares take the place of members.
    Replace,
    /// Leaders hand over; some when nobody hears them.
    Transfer,
    /// Nodes begin elections that nobody needs.
    Campaign,
    /// Leaders stop to lead.
    StepDown,
    /// Nodes take snapshots.
    Snapshot,
    /// Nodes take snapshots, and drop the log that these stand for.
    Compact,
    /// Kills, pauses, partitions of every shape, power losses and ill disks, overlapping.
    Mixed,
    /// A random choice of all that can be survived, of drawn strengths, at a random pace.
    Swarm,
    /// All that can be survived, one at a time, and as long again nothing.
    FlipFlop,
}

/// A name that is no nemesis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no nemesis: use one of {list}", list = names())]
pub struct NemesisNameError(String);

fn names() -> String {
    Nemesis::ALL.map(Nemesis::name).join(", ")
}

impl Nemesis {
    /// Every nemesis, in the order in which they are listed.
    pub const ALL: [Nemesis; 64] = [
        Self::None,
        Self::Kill,
        Self::KillLeader,
        Self::KillAll,
        Self::Pause,
        Self::PauseLeader,
        Self::PauseAll,
        Self::Stop,
        Self::Restart,
        Self::RestartAll,
        Self::CrashLoop,
        Self::KillStarting,
        Self::SlowCpu,
        Self::Memory,
        Self::Partition,
        Self::Halves,
        Self::Isolate,
        Self::IsolateLeader,
        Self::Ring,
        Self::OneWay,
        Self::ClientCut,
        Self::MinorityThird,
        Self::Bridge,
        Self::IsolateLeaders,
        Self::Packet,
        Self::Delay,
        Self::Loss,
        Self::Duplicate,
        Self::Reorder,
        Self::Corrupt,
        Self::CorruptDeliver,
        Self::Reset,
        Self::Refuse,
        Self::Rate,
        Self::Flaky,
        Self::PowerLoss,
        Self::Disk,
        Self::ReadError,
        Self::WriteError,
        Self::FsyncError,
        Self::DiskFull,
        Self::SlowFsync,
        Self::LyingFsync,
        Self::Damage,
        Self::BitFlip,
        Self::Truncate,
        Self::Restore,
        Self::Wipe,
        Self::Clock,
        Self::ClockOffset,
        Self::ClockRate,
        Self::ClockStrobe,
        Self::Membership,
        Self::Grow,
        Self::Shrink,
        Self::Replace,
        Self::Transfer,
        Self::Campaign,
        Self::StepDown,
        Self::Snapshot,
        Self::Compact,
        Self::Mixed,
        Self::Swarm,
        Self::FlipFlop,
    ];

    /// What its deck holds.
    pub(super) fn cards(self) -> Vec<Card> {
        let cards: &[Card] = match self {
            Self::None => &[],
            Self::Kill => &[Card::Kill],
            Self::KillLeader => &[Card::KillLeader],
            Self::KillAll => &[Card::KillAll],
            Self::Pause => &[Card::Pause],
            Self::PauseLeader => &[Card::PauseLeader],
            Self::PauseAll => &[Card::PauseAll],
            Self::Stop => &[Card::Stop],
            Self::Restart => &[Card::Restart],
            Self::RestartAll => &[Card::RestartAll],
            Self::CrashLoop => &[Card::CrashLoop],
            Self::KillStarting => &[Card::StartKill],
            Self::SlowCpu => &[Card::SlowCpu],
            Self::Memory => &[Card::Memory],
            Self::Partition => &Card::PARTITIONS,
            Self::Halves => &[Card::Halves],
            Self::Isolate => &[Card::Isolate],
            Self::IsolateLeader => &[Card::IsolateLeader],
            Self::Ring => &[Card::Ring],
            Self::OneWay => &[Card::OneWay],
            Self::ClientCut => &[Card::Clients],
            Self::MinorityThird => &[Card::MinorityThird],
            Self::Bridge => &[Card::Bridge],
            Self::IsolateLeaders => &[Card::IsolateLeaders],
            Self::Packet => &Card::PACKETS,
            Self::Delay => &[Card::Packets(PacketEffect::Delay)],
            Self::Loss => &[Card::Packets(PacketEffect::Loss)],
            Self::Duplicate => &[Card::Packets(PacketEffect::Duplicate)],
            Self::Reorder => &[Card::Packets(PacketEffect::Reorder)],
            Self::Corrupt => &[Card::Packets(PacketEffect::Corrupt)],
            Self::CorruptDeliver => &[Card::Packets(PacketEffect::CorruptDeliver)],
            Self::Reset => &[Card::Packets(PacketEffect::Reset)],
            Self::Refuse => &[Card::Packets(PacketEffect::Refuse)],
            Self::Rate => &[Card::Packets(PacketEffect::Rate)],
            Self::Flaky => &[Card::Flaky],
            Self::PowerLoss => &Card::POWER_LOSSES,
            Self::Disk => &Card::DISKS,
            Self::ReadError => &[Card::ReadError],
            Self::WriteError => &[Card::WriteError],
            Self::FsyncError => &[Card::FsyncError],
            Self::DiskFull => &[Card::Full],
            Self::SlowFsync => &[Card::SlowFsync],
            Self::LyingFsync => &[Card::LyingFsync, Card::Blackout],
            Self::Damage => &Card::DAMAGES,
            Self::BitFlip => &[Card::BitFlip],
            Self::Truncate => &[Card::Truncate],
            Self::Restore => &[Card::Restore],
            Self::Wipe => &[Card::Wipe],
            Self::Clock => &Card::CLOCKS,
            Self::ClockOffset => &[Card::ClockOffset],
            Self::ClockRate => &[Card::ClockRate],
            Self::ClockStrobe => &[Card::ClockStrobe],
            Self::Membership => &Card::MEMBERSHIPS,
            Self::Grow => &[Card::Grow],
            Self::Shrink => &[Card::Shrink, Card::ShrinkLeader, Card::ShrinkAlone],
            Self::Replace => &[Card::Replace, Card::ReplaceLeader],
            Self::Transfer => &Card::TRANSFERS,
            Self::Campaign => &[Card::Campaign],
            Self::StepDown => &[Card::StepDown],
            Self::Snapshot => &[Card::Snapshot],
            Self::Compact => &[Card::Compact],
            Self::Mixed => &Card::MIXED,
            Self::Swarm | Self::FlipFlop => return Card::survivable(),
        };
        cards.to_vec()
    }

    /// Whether it is a choice of many kinds of faults, and the same without some of them.
    pub fn is_a_choice(self) -> bool {
        matches!(self, Self::Mixed | Self::Swarm | Self::FlipFlop)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kill => "kill",
            Self::KillLeader => "kill-leader",
            Self::KillAll => "kill-all",
            Self::Pause => "pause",
            Self::PauseLeader => "pause-leader",
            Self::PauseAll => "pause-all",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::RestartAll => "restart-all",
            Self::CrashLoop => "crash-loop",
            Self::KillStarting => "kill-starting",
            Self::SlowCpu => "slow-cpu",
            Self::Memory => "memory",
            Self::Partition => "partition",
            Self::Halves => "halves",
            Self::Isolate => "isolate",
            Self::IsolateLeader => "isolate-leader",
            Self::Ring => "ring",
            Self::OneWay => "one-way",
            Self::ClientCut => "client-cut",
            Self::MinorityThird => "minority-third",
            Self::Bridge => "bridge",
            Self::IsolateLeaders => "isolate-leaders",
            Self::Packet => "packet",
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Corrupt => "corrupt",
            Self::CorruptDeliver => "corrupt-deliver",
            Self::Reset => "reset",
            Self::Refuse => "refuse",
            Self::Rate => "rate",
            Self::Flaky => "flaky",
            Self::PowerLoss => "power-loss",
            Self::Disk => "disk",
            Self::ReadError => "read-error",
            Self::WriteError => "write-error",
            Self::FsyncError => "fsync-error",
            Self::DiskFull => "disk-full",
            Self::SlowFsync => "slow-fsync",
            Self::LyingFsync => "lying-fsync",
            Self::Damage => "damage",
            Self::BitFlip => "bit-flip",
            Self::Truncate => "truncate",
            Self::Restore => "restore",
            Self::Wipe => "wipe",
            Self::Clock => "clock",
            Self::ClockOffset => "clock-offset",
            Self::ClockRate => "clock-rate",
            Self::ClockStrobe => "clock-strobe",
            Self::Membership => "membership",
            Self::Grow => "grow",
            Self::Shrink => "shrink",
            Self::Replace => "replace",
            Self::Transfer => "transfer",
            Self::Campaign => "campaign",
            Self::StepDown => "step-down",
            Self::Snapshot => "snapshot",
            Self::Compact => "compact",
            Self::Mixed => "mixed",
            Self::Swarm => "swarm",
            Self::FlipFlop => "flip-flop",
        }
    }
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Nemesis {
    type Err = NemesisNameError;

    fn from_str(text: &str) -> Result<Self, NemesisNameError> {
        let found = Self::ALL.into_iter().find(|nemesis| nemesis.name() == text);
        found.ok_or_else(|| NemesisNameError(text.to_owned()))
    }
}

stored_as_text!(Nemesis);
