//! How faults of packets are drawn.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::anybody;
use crate::fault::{Fault, PacketEffect, Packets, Scope};

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

/// On the packets of some nodes.
fn around(count: u16, shaping: &str, rng: &mut ChaCha8Rng) -> Fault {
    Fault::Packets(Packets {
        scope: Scope::Around(anybody(count, rng)),
        shaping: shaping.parse().expect("written in this file"),
    })
}
