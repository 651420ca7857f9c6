//! The cards of the planner: kinds of faults, and how each is drawn for a cluster.

mod choice;
mod clock;
mod disk;
mod member;
mod packets;
mod process;
mod strength;

use std::collections::BTreeSet;

use rand::{RngExt, rngs::ChaCha8Rng};

pub(super) use self::strength::Strength;

use self::choice::{anybody, shuffled, some, split};
use crate::{
    fault::{Damage, Fault, FaultClass, PacketEffect, Shape, Targets},
    network::NODES_MAX,
    node::Node,
};

/// A kind of fault whose particulars are still to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Card {
    Kill,
    KillLeader,
    KillAll,
    Pause,
    PauseLeader,
    PauseAll,
    Stop,
    Restart,
    RestartAll,
    CrashLoop,
    StartKill,
    SlowCpu,
    Memory,
    Halves,
    Isolate,
    IsolateLeader,
    Ring,
    OneWay,
    Clients,
    /// Halves of which one is at most a third.
    MinorityThird,
    Bridge,
    IsolateLeaders,
    /// One effect on packets.
    Packets(PacketEffect),
    /// Several at once.
    Flaky,
    PowerLoss,
    PowerLossLeader,
    PowerLossAll,
    /// As that, and nothing of the unsynced survives.
    Blackout,
    /// A disk that fails, as its node notices.
    ReadError,
    WriteError,
    FsyncError,
    Full,
    SlowFsync,
    /// On every disk: what a power loss then takes was acknowledged.
    LyingFsync,
    BitFlip,
    Truncate,
    Restore,
    Wipe,
    /// Wall clocks that are ahead or behind.
    ClockOffset,
    ClockRate,
    ClockStrobe,
    Grow,
    Shrink,
    ShrinkLeader,
    /// The leader is asked when nobody hears it.
    ShrinkAlone,
    Replace,
    ReplaceLeader,
    Transfer,
    TransferAlone,
    Campaign,
    StepDown,
    Snapshot,
    Compact,
}

/// The processes that may be hit at one time.
pub(super) struct Free {
    /// In no process fault now.
    pub(super) nodes: Vec<Node>,
    /// How many more may be hit.
    pub(super) budget: usize,
    /// Whether no process fault is in force at all.
    pub(super) nobody_is_hit: bool,
    /// Whose disks may be damaged: see [`super::atlas`].
    pub(super) expendable: BTreeSet<Node>,
    /// Whether the members are the first ones, and have been for a while.
    pub(super) members_are_first: bool,
    /// Whether no fault has a clock in hand.
    pub(super) clocks_are_right: bool,
    /// Whether every node can have had what the others have for a while.
    pub(super) is_level: bool,
    /// Whether some node has forgotten what it had, and must not be left with others who never did.
    pub(super) is_forgetting: bool,
}

impl Free {
    /// Those that may be damaged now.
    fn damageable(&self) -> impl Iterator<Item = Node> {
        let nodes = self.nodes.iter().copied();
        nodes.filter(|node| self.expendable.contains(node))
    }
}

impl Card {
    pub(super) const PARTITIONS: [Card; 6] = [
        Self::Halves,
        Self::Isolate,
        Self::IsolateLeader,
        Self::Ring,
        Self::OneWay,
        Self::Clients,
    ];

    /// Of disks only what every node that writes meets at once: room that was taken beforehand
    /// lasts for a while, and few nodes read once they have started.
    pub(super) const MIXED: [Card; 15] = [
        Self::Kill,
        Self::KillLeader,
        Self::Pause,
        Self::PauseLeader,
        Self::Halves,
        Self::Isolate,
        Self::IsolateLeader,
        Self::Ring,
        Self::OneWay,
        Self::Clients,
        Self::PowerLoss,
        Self::PowerLossLeader,
        Self::WriteError,
        Self::FsyncError,
        Self::SlowFsync,
    ];

    /// All but refusals, which only those who dial notice, and altered payloads: TCP promises that
    /// there are none, so few clusters look for them.
    pub(super) const PACKETS: [Card; 8] = [
        Self::Packets(PacketEffect::Delay),
        Self::Packets(PacketEffect::Loss),
        Self::Packets(PacketEffect::Duplicate),
        Self::Packets(PacketEffect::Reorder),
        Self::Packets(PacketEffect::Corrupt),
        Self::Packets(PacketEffect::Reset),
        Self::Packets(PacketEffect::Rate),
        Self::Flaky,
    ];

    /// What else happens to processes, and a minority may go through at a time.
    pub(super) const PROCESSES: [Card; 6] = [
        Self::Stop,
        Self::Restart,
        Self::CrashLoop,
        Self::StartKill,
        Self::SlowCpu,
        Self::Memory,
    ];

    pub(super) const POWER_LOSSES: [Card; 3] =
        [Self::PowerLoss, Self::PowerLossLeader, Self::PowerLossAll];

    /// All but lies, which with a power loss take what was acknowledged from any cluster.
    pub(super) const DISKS: [Card; 5] = [
        Self::ReadError,
        Self::WriteError,
        Self::FsyncError,
        Self::Full,
        Self::SlowFsync,
    ];

    pub(super) const DAMAGES: [Card; 4] =
        [Self::BitFlip, Self::Truncate, Self::Restore, Self::Wipe];

    pub(super) const CLOCKS: [Card; 3] = [Self::ClockOffset, Self::ClockRate, Self::ClockStrobe];

    pub(super) const MEMBERSHIPS: [Card; 6] = [
        Self::Grow,
        Self::Shrink,
        Self::ShrinkLeader,
        Self::ShrinkAlone,
        Self::Replace,
        Self::ReplaceLeader,
    ];

    pub(super) const TRANSFERS: [Card; 2] = [Self::Transfer, Self::TransferAlone];

    /// What an administrator orders, but members.
    pub(super) const ORDERS: [Card; 6] = [
        Self::Transfer,
        Self::TransferAlone,
        Self::Campaign,
        Self::StepDown,
        Self::Snapshot,
        Self::Compact,
    ];

    /// What swarms are drawn from: all of which a cluster must survive any choice.
    pub(super) fn survivable() -> Vec<Card> {
        let shapes = [Self::MinorityThird, Self::Bridge, Self::IsolateLeaders];
        let mut cards = [&Self::MIXED[..], &Self::PROCESSES, &shapes, &Self::PACKETS].concat();
        cards.extend(Self::CLOCKS);
        cards.push(Self::PowerLossAll);
        cards.extend([&Self::DAMAGES[..], &Self::MEMBERSHIPS, &Self::ORDERS].concat());
        cards
    }

    pub(super) fn class(self) -> FaultClass {
        match self {
            Self::Kill | Self::KillLeader | Self::KillAll => FaultClass::Kill,
            Self::Pause | Self::PauseLeader | Self::PauseAll => FaultClass::Pause,
            Self::Stop | Self::Restart | Self::RestartAll => FaultClass::Stop,
            Self::CrashLoop => FaultClass::CrashLoop,
            Self::StartKill => FaultClass::StartKill,
            Self::SlowCpu => FaultClass::SlowCpu,
            Self::Memory => FaultClass::Memory,
            Self::Halves
            | Self::Isolate
            | Self::IsolateLeader
            | Self::Ring
            | Self::OneWay
            | Self::Clients
            | Self::MinorityThird
            | Self::Bridge
            | Self::IsolateLeaders => FaultClass::Partition,
            Self::Packets(_) | Self::Flaky => FaultClass::Packet,
            Self::PowerLoss | Self::PowerLossLeader | Self::PowerLossAll | Self::Blackout => {
                FaultClass::PowerLoss
            }
            Self::ReadError
            | Self::WriteError
            | Self::FsyncError
            | Self::Full
            | Self::SlowFsync
            | Self::LyingFsync => FaultClass::Disk,
            Self::BitFlip | Self::Truncate | Self::Restore | Self::Wipe => FaultClass::Damage,
            Self::ClockOffset | Self::ClockRate | Self::ClockStrobe => FaultClass::Clock,
            Self::Grow
            | Self::Shrink
            | Self::ShrinkLeader
            | Self::ShrinkAlone
            | Self::Replace
            | Self::ReplaceLeader => FaultClass::Membership,
            Self::Transfer
            | Self::TransferAlone
            | Self::Campaign
            | Self::StepDown
            | Self::Snapshot
            | Self::Compact => FaultClass::Admin,
        }
    }

    /// Whether it has to wait for nodes, or for the members to be the first ones again.
    pub(super) fn hits_processes(self) -> bool {
        match self.class() {
            FaultClass::Partition | FaultClass::Packet => false,
            FaultClass::Clock | FaultClass::Admin => false,
            FaultClass::Disk => !matches!(self, Self::SlowFsync | Self::LyingFsync),
            _ => true,
        }
    }

    /// The smallest cluster in which it changes something.
    pub(super) fn least(self) -> u16 {
        match self {
            Self::Ring => 4,
            Self::MinorityThird | Self::Bridge => 3,
            Self::Halves | Self::Isolate | Self::IsolateLeader | Self::OneWay => 2,
            Self::IsolateLeaders | Self::Packets(_) | Self::Flaky => 2,
            // In a smaller cluster there is no minority whose disks may go.
            Self::BitFlip | Self::Truncate | Self::Restore | Self::Wipe => 3,
            Self::Shrink | Self::ShrinkLeader | Self::ShrinkAlone | Self::Transfer => 2,
            Self::TransferAlone | Self::Campaign => 2,
            _ => 1,
        }
    }

    /// The largest cluster in which there is room for it.
    pub(super) fn most(self) -> u16 {
        match self {
            Self::Grow | Self::Replace | Self::ReplaceLeader => NODES_MAX - 1,
            _ => NODES_MAX,
        }
    }

    /// Whether it leaves alone who has which copy, and who leads.
    pub(super) fn is_beside(self) -> bool {
        matches!(
            self,
            Self::Clients | Self::Snapshot | Self::Compact | Self::LyingFsync
        )
    }

    pub(super) fn is_playable(self, free: &Free) -> bool {
        if free.is_forgetting && !self.is_beside() {
            return false;
        }
        match self {
            Self::KillLeader | Self::KillAll | Self::PauseLeader | Self::PauseAll => {
                free.nobody_is_hit
            }
            Self::RestartAll | Self::PowerLossLeader | Self::PowerLossAll | Self::Blackout => {
                free.nobody_is_hit
            }
            Self::BitFlip | Self::Truncate | Self::Restore | Self::Wipe => {
                free.is_level && free.budget > 0 && free.damageable().next().is_some()
            }
            Self::ClockOffset | Self::ClockRate | Self::ClockStrobe => free.clocks_are_right,
            Self::Grow | Self::ShrinkAlone => free.members_are_first,
            Self::ShrinkLeader | Self::ReplaceLeader => {
                free.members_are_first && free.nobody_is_hit
            }
            Self::Shrink | Self::Replace => {
                free.members_are_first && free.budget > 0 && !free.nodes.is_empty()
            }
            _ => !self.hits_processes() || free.budget > 0 && !free.nodes.is_empty(),
        }
    }

    /// Draws the particulars.
    pub(super) fn fault(
        self,
        count: u16,
        free: &Free,
        strength: Strength,
        rng: &mut ChaCha8Rng,
    ) -> Fault {
        let partition = Fault::Partition;
        match self {
            Self::Halves => {
                let (left, right) = split(count, usize::from(count / 2), rng);
                partition(Shape::Halves { left, right })
            }
            Self::Isolate => partition(Shape::Isolate(Node(rng.random_range(1..=count)))),
            Self::IsolateLeader => partition(Shape::IsolateLeader),
            Self::Ring => partition(Shape::MajoritiesRing(shuffled(count, rng))),
            Self::OneWay => {
                // Everybody is on one side or the other: so the leader is, and there is traffic.
                let senders = rng.random_range(1..usize::from(count));
                let (from, to) = split(count, senders, rng);
                partition(Shape::OneWay { from, to })
            }
            Self::Clients => {
                // Some nodes stay reachable, where there are several.
                let cut = rng.random_range(1..=usize::from(count.saturating_sub(1).max(1)));
                partition(Shape::ClientCut(split(count, cut, rng).0))
            }
            Self::MinorityThird => {
                let third = rng.random_range(1..=usize::from(count / 3));
                let (left, right) = split(count, third, rng);
                partition(Shape::Halves { left, right })
            }
            Self::Bridge => {
                let (left, rest) = split(count, usize::from((count - 1) / 2), rng);
                let middle = rest.iter().copied().nth(rng.random_range(0..rest.len()));
                let middle: BTreeSet<Node> = middle.into_iter().collect();
                let right = &rest - &middle;
                partition(Shape::Bridge {
                    left,
                    middle,
                    right,
                })
            }
            Self::IsolateLeaders => partition(Shape::IsolateLeaders),
            Self::Packets(effect) => packets::one(count, effect, strength, rng),
            Self::Flaky => packets::several(count, strength, rng),
            Self::PowerLoss => disk::power_loss(some(free, rng), rng),
            Self::PowerLossLeader => disk::power_loss(Targets::Leader, rng),
            Self::PowerLossAll => disk::power_loss(Targets::All, rng),
            Self::Blackout => disk::blackout(),
            Self::BitFlip => disk::damage(disk::bit_flip(strength, rng), free, rng),
            Self::Truncate => disk::damage(Damage::Truncate, free, rng),
            Self::Restore => disk::damage(Damage::Restore, free, rng),
            Self::Wipe => disk::damage(Damage::Wipe, free, rng),
            Self::ReadError
            | Self::WriteError
            | Self::FsyncError
            | Self::Full
            | Self::SlowFsync
            | Self::LyingFsync => disk::fault(self, count, free, strength, rng),
            _ => match self.class() {
                FaultClass::Membership | FaultClass::Admin => member::fault(self, count, free, rng),
                FaultClass::Clock => clock::fault(self, count, strength, rng),
                _ => process::fault(self, free, strength, rng),
            },
        }
    }
}
