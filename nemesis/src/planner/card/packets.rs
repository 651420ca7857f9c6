//! How faults of packets are drawn.

use rand::rngs::ChaCha8Rng;

use super::{
    anybody,
    strength::{Kind, Place, Strength},
};
use crate::fault::{Fault, PacketEffect, Packets, Scope};

/// One effect.
pub(super) fn one(
    count: u16,
    effect: PacketEffect,
    strength: Strength,
    rng: &mut ChaCha8Rng,
) -> Fault {
    let place = strength.place(Kind::Packets(effect), 3, rng);
    around(count, &term(effect, place), rng)
}

/// Several at once.
pub(super) fn several(count: u16, strength: Strength, rng: &mut ChaCha8Rng) -> Fault {
    let place = strength.place(Kind::Flaky, 3, rng);
    around(count, &flaky(strength, place), rng)
}

/// Bad networks as people meet them: a worn-out cable, a line that is full, a long way. A swarm's
/// lie in between.
fn flaky(strength: Strength, place: Place) -> String {
    const FLAKY: [&str; 3] = [
        "delay 100ms ±30ms, loss 2%",
        "delay 5ms ±5ms, loss 10%, duplicate 10%, reorder 10%",
        "delay 20ms ±10ms, loss 1%, rate 1mbit",
    ];
    if strength.is_usual() {
        let index = usize::try_from(place.of(&[0, 1, 2])).expect("one of three");
        return FLAKY[index].to_owned();
    }
    let [delay, jitter] = [[5, 20, 100], [5, 10, 30]].map(|ms: [u64; 3]| place.of(&ms));
    let [loss, others] = [[10_000, 20_000, 50_000], [20_000, 50_000, 100_000]]
        .map(|shares: [u64; 3]| percent(place.of(&shares)));
    format!("delay {delay}ms ±{jitter}ms, loss {loss}, duplicate {others}, reorder {others}")
}

/// How hard an effect hits: from mildly, as Jepsen's packet nemesis does by default, to harder.
fn term(effect: PacketEffect, place: Place) -> String {
    match effect {
        PacketEffect::Delay => {
            let (delay, jitter) = (place.of(&[10, 50, 250]), place.of(&[5, 10, 100]));
            format!("{effect} {delay}ms ±{jitter}ms")
        }
        PacketEffect::Rate => format!("{effect} {}kbit", place.of(&[4_000, 1_000, 256])),
        // Few clusters get anything done where every fifth packet ends a connection.
        PacketEffect::Reset => format!("{effect} {}", percent(place.of(&[5_000, 10_000, 50_000]))),
        _ => format!(
            "{effect} {}",
            percent(place.of(&[50_000, 200_000, 500_000]))
        ),
    }
}

/// A share of a million, to a tenth of a percent.
fn percent(share: u64) -> String {
    format!("{}.{}%", share / 10_000, share % 10_000 / 1_000)
}

/// On the packets of some nodes.
fn around(count: u16, shaping: &str, rng: &mut ChaCha8Rng) -> Fault {
    Fault::Packets(Packets {
        scope: Scope::Around(anybody(count, rng)),
        shaping: shaping.parse().expect("written in this file"),
    })
}
