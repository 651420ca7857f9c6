//! How power losses, ill disks and damage are drawn.

use std::time::Duration;

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{
    Card, Free, anybody, some,
    strength::{Kind, Strength},
};
use crate::{
    fault::{Ailment, Damage, DamageFault, DiskFault, Fault, Keep, PowerLoss, Targets},
    node::Node,
};

pub(super) fn fault(
    card: Card,
    count: u16,
    free: &Free,
    strength: Strength,
    rng: &mut ChaCha8Rng,
) -> Fault {
    let (targets, ailment) = match card {
        Card::ReadError => (some(free, rng), Ailment::ReadError),
        Card::WriteError => (some(free, rng), Ailment::WriteError),
        Card::FsyncError => (some(free, rng), Ailment::FsyncError),
        Card::Full => (some(free, rng), Ailment::Full),
        Card::SlowFsync => {
            let late = strength.place(Kind::SlowFsync, 3, rng).of(&[5, 20, 100]);
            let targets = anybody(count, rng);
            (targets, Ailment::SlowFsync(Duration::from_millis(late)))
        }
        _ => (Targets::All, Ailment::LyingFsync),
    };
    Fault::Disk(DiskFault { targets, ailment })
}

/// Some machines, and what of the unsynced they keep.
pub(super) fn power_loss(targets: Targets, rng: &mut ChaCha8Rng) -> Fault {
    let keep = [Keep::Nothing, Keep::Some, Keep::Torn][rng.random_range(0..3)];
    Fault::PowerLoss(PowerLoss { targets, keep })
}

/// All machines, and nothing of the unsynced.
pub(super) fn blackout() -> Fault {
    let (targets, keep) = (Targets::All, Keep::Nothing);
    Fault::PowerLoss(PowerLoss { targets, keep })
}

/// So many bits.
pub(super) fn bit_flip(strength: Strength, rng: &mut ChaCha8Rng) -> Damage {
    let bits = strength.place(Kind::BitFlip, 3, rng).of(&[1, 8, 64]);
    Damage::BitFlip(u8::try_from(bits).expect("64 at most").into())
}

/// One node of those whose disk may go.
pub(super) fn damage(damage: Damage, free: &Free, rng: &mut ChaCha8Rng) -> Fault {
    let nodes: Vec<Node> = free.damageable().collect();
    let targets = Targets::one(nodes[rng.random_range(0..nodes.len())]);
    Fault::Damage(DamageFault { targets, damage })
}
