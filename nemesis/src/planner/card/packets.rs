//! How faults of packets are drawn.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::split;
use crate::fault::{Fault, PacketEffect, Packets, Scope, Targets};

/// One effect.
pub(super) fn one(count: u16, effect: PacketEffect, rng: &mut ChaCha8Rng) -> Fault {
    around(count, &strength(effect, rng), rng)
}

/// Several at once.
pub(super) fn several(count: u16, rng: &mut ChaCha8Rng) -> Fault {
    let text = FLAKY[rng.random_range(0..FLAKY.len())];
    around(count, text, rng)
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
fn around(count: u16, shaping: &str, rng: &mut ChaCha8Rng) -> Fault {
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
