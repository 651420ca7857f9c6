//! The cards of the planner: kinds of faults, and how each is drawn for a cluster.

mod process;

use std::{collections::BTreeSet, time::Duration};

use rand::{RngExt, rngs::ChaCha8Rng, seq::SliceRandom};

use crate::{
    fault::{
        Ailment, Damage, DamageFault, DiskFault, Fault, FaultClass, Keep, PacketEffect, Packets,
        PowerLoss, Scope, Shape, Targets,
    },
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

    pub(super) const MIXED: [Card; 10] = [
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

    /// What swarms are drawn from: all of which a cluster must survive any choice.
    pub(super) fn survivable() -> Vec<Card> {
        let shapes = [Self::MinorityThird, Self::Bridge, Self::IsolateLeaders];
        [&Self::MIXED[..], &Self::PROCESSES, &shapes, &Self::PACKETS].concat()
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
            Self::PowerLoss | Self::PowerLossLeader => FaultClass::PowerLoss,
            Self::PowerLossAll | Self::Blackout => FaultClass::PowerLoss,
            Self::ReadError
            | Self::WriteError
            | Self::FsyncError
            | Self::Full
            | Self::SlowFsync
            | Self::LyingFsync => FaultClass::Disk,
            Self::BitFlip | Self::Truncate | Self::Restore | Self::Wipe => FaultClass::Damage,
        }
    }

    pub(super) fn hits_processes(self) -> bool {
        match self.class() {
            FaultClass::Partition | FaultClass::Packet => false,
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
            Self::IsolateLeaders => 2,
            Self::Packets(_) | Self::Flaky => 2,
            // In a smaller cluster there is no minority whose disks may go.
            Self::BitFlip | Self::Truncate | Self::Restore | Self::Wipe => 3,
            _ => 1,
        }
    }

    pub(super) fn is_playable(self, free: &Free) -> bool {
        match self {
            Self::KillLeader | Self::KillAll | Self::PauseLeader | Self::PauseAll => {
                free.nobody_is_hit
            }
            Self::RestartAll => free.nobody_is_hit,
            Self::PowerLossLeader | Self::PowerLossAll | Self::Blackout => free.nobody_is_hit,
            Self::BitFlip | Self::Truncate | Self::Restore | Self::Wipe => {
                free.budget > 0 && free.damageable().next().is_some()
            }
            _ => !self.hits_processes() || free.budget > 0 && !free.nodes.is_empty(),
        }
    }

    /// Draws the particulars.
    pub(super) fn fault(self, count: u16, free: &Free, rng: &mut ChaCha8Rng) -> Fault {
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
            Self::Packets(effect) => packets(count, &strength(effect, rng), rng),
            Self::Flaky => {
                let text = FLAKY[rng.random_range(0..FLAKY.len())];
                packets(count, text, rng)
            }
            Self::PowerLoss => power_loss(some(free, rng), rng),
            Self::PowerLossLeader => power_loss(Targets::Leader, rng),
            Self::PowerLossAll => power_loss(Targets::All, rng),
            Self::Blackout => Fault::PowerLoss(PowerLoss {
                targets: Targets::All,
                keep: Keep::Nothing,
            }),
            Self::BitFlip => damage(
                Damage::BitFlip([1, 8, 64][rng.random_range(0..3)]),
                free,
                rng,
            ),
            Self::Truncate => damage(Damage::Truncate, free, rng),
            Self::Restore => damage(Damage::Restore, free, rng),
            Self::Wipe => damage(Damage::Wipe, free, rng),
            Self::ReadError
            | Self::WriteError
            | Self::FsyncError
            | Self::Full
            | Self::SlowFsync
            | Self::LyingFsync => self.disk(count, free, rng),
            _ => process::fault(self, free, rng),
        }
    }

    fn disk(self, count: u16, free: &Free, rng: &mut ChaCha8Rng) -> Fault {
        let (targets, ailment) = match self {
            Self::ReadError => (some(free, rng), Ailment::ReadError),
            Self::WriteError => (some(free, rng), Ailment::WriteError),
            Self::FsyncError => (some(free, rng), Ailment::FsyncError),
            Self::Full => (some(free, rng), Ailment::Full),
            Self::SlowFsync => {
                let late = [5, 20, 100][rng.random_range(0..3)];
                let size = rng.random_range(1..=usize::from(count));
                let targets = Targets::Nodes(split(count, size, rng).0);
                (targets, Ailment::SlowFsync(Duration::from_millis(late)))
            }
            _ => (Targets::All, Ailment::LyingFsync),
        };
        Fault::Disk(DiskFault { targets, ailment })
    }
}

/// Some machines, and what of the unsynced they keep.
fn power_loss(targets: Targets, rng: &mut ChaCha8Rng) -> Fault {
    let keep = [Keep::Nothing, Keep::Some, Keep::Torn][rng.random_range(0..3)];
    Fault::PowerLoss(PowerLoss { targets, keep })
}

/// One node of those whose disk may go.
fn damage(damage: Damage, free: &Free, rng: &mut ChaCha8Rng) -> Fault {
    let nodes: Vec<Node> = free.damageable().collect();
    let targets = Targets::one(nodes[rng.random_range(0..nodes.len())]);
    Fault::Damage(DamageFault { targets, damage })
}

/// Bad networks as people meet them: a long way, a worn-out cable, a line that is full.
const FLAKY: [&str; 3] = [
    "delay 100ms ±30ms, loss 2%",
    "delay 5ms ±5ms, loss 10%, duplicate 10%, reorder 10%",
    "delay 20ms ±10ms, loss 1%, rate 1mbit",
];

/// How hard an effect is to hit: mildly, as Jepsen's packet nemesis does by default, or harder.
fn strength(effect: PacketEffect, rng: &mut ChaCha8Rng) -> String {
    let strengths = match effect {
        PacketEffect::Delay => ["10ms ±5ms", "50ms ±10ms", "250ms ±100ms"],
        PacketEffect::Rate => ["4mbit", "1mbit", "256kbit"],
        // Few clusters get anything done where every fifth packet ends a connection.
        PacketEffect::Reset => ["0.5%", "1%", "5%"],
        _ => ["5%", "20%", "50%"],
    };
    format!(
        "{effect} {}",
        strengths[rng.random_range(0..strengths.len())]
    )
}

/// On the packets of one node, of a minority, of a majority, of the leader or of all.
fn packets(count: u16, shaping: &str, rng: &mut ChaCha8Rng) -> Fault {
    let minority = usize::from((count.saturating_sub(1) / 2).max(1));
    let some = |size: usize, rng: &mut _| Targets::Nodes(split(count, size, rng).0);
    let around = match rng.random_range(0..5) {
        0 => some(1, rng),
        1 => some(minority, rng),
        2 => some(minority + 1, rng),
        3 => Targets::Leader,
        _ => Targets::All,
    };
    Fault::Packets(Packets {
        scope: Scope::Around(around),
        shaping: shaping.parse().expect("written in this file"),
    })
}

/// One node or more of those that are free, within the budget.
fn some(free: &Free, rng: &mut ChaCha8Rng) -> Targets {
    let mut nodes = free.nodes.clone();
    nodes.shuffle(rng);
    let most = free.budget.min(nodes.len());
    nodes.truncate(rng.random_range(1..=most));
    Targets::Nodes(nodes.into_iter().collect())
}

fn shuffled(count: u16, rng: &mut ChaCha8Rng) -> Vec<Node> {
    let mut nodes: Vec<Node> = Node::first(count).collect();
    nodes.shuffle(rng);
    nodes
}

/// Two random sides, the first of `size` nodes.
fn split(count: u16, size: usize, rng: &mut ChaCha8Rng) -> (BTreeSet<Node>, BTreeSet<Node>) {
    let nodes = shuffled(count, rng);
    let (left, right) = nodes.split_at(size);
    (
        left.iter().copied().collect(),
        right.iter().copied().collect(),
    )
}
