//! How kills, pauses, stops, crash loops, kills while a node starts, and squeezes are drawn.

use std::time::Duration;

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{
    Card, Free, some,
    strength::{Kind, Strength},
};
use crate::fault::{CrashLoop, Fault, MemoryLimit, SlowCpu, StartKill, Targets};

pub(super) fn fault(card: Card, free: &Free, strength: Strength, rng: &mut ChaCha8Rng) -> Fault {
    match card {
        Card::Kill => return Fault::Kill(some(free, rng)),
        Card::KillLeader => return Fault::Kill(Targets::Leader),
        Card::KillAll => return Fault::Kill(Targets::All),
        Card::Pause => return Fault::Pause(some(free, rng)),
        Card::PauseLeader => return Fault::Pause(Targets::Leader),
        Card::PauseAll => return Fault::Pause(Targets::All),
        Card::RestartAll => return Fault::Restart(Targets::All),
        Card::Restart => return Fault::Restart(whom(free, rng)),
        Card::Stop => return Fault::Stop(whom(free, rng)),
        _ => {}
    }
    let targets = whom(free, rng);
    let kind = match card {
        Card::CrashLoop => Kind::CrashLoop,
        Card::StartKill => Kind::StartKill,
        Card::SlowCpu => Kind::SlowCpu,
        _ => Kind::Memory,
    };
    let place = strength.place(kind, 3, rng);
    let small = |number: u64| u8::try_from(number).expect("a share of a hundred");
    match card {
        Card::CrashLoop => Fault::CrashLoop(CrashLoop {
            targets,
            kills: small(place.of(&[3, 5, 10])).into(),
        }),
        Card::StartKill => Fault::StartKill(StartKill {
            targets,
            within: Duration::from_millis(place.of(&[2, 10, 50])),
        }),
        Card::SlowCpu => Fault::SlowCpu(SlowCpu {
            targets,
            percent: small(place.of(&[5, 20, 50])),
        }),
        _ => Fault::Memory(MemoryLimit {
            targets,
            room_mb: small(place.of(&[0, 0, 1])).into(),
        }),
    }
}

/// Some of those that are free; where all are, the leader half of the time.
fn whom(free: &Free, rng: &mut ChaCha8Rng) -> Targets {
    if free.nobody_is_hit && rng.random_bool(0.5) {
        Targets::Leader
    } else {
        some(free, rng)
    }
}
