//! How kills, pauses, stops, crash loops, kills while a node starts, and squeezes are drawn.

use std::time::Duration;

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{Card, Free, some};
use crate::fault::{CrashLoop, Fault, MemoryLimit, SlowCpu, StartKill, Targets};

pub(super) fn fault(card: Card, free: &Free, rng: &mut ChaCha8Rng) -> Fault {
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
    let draw = rng.random_range(0..3);
    match card {
        Card::CrashLoop => Fault::CrashLoop(CrashLoop {
            targets,
            kills: [3, 5, 10][draw],
        }),
        Card::StartKill => Fault::StartKill(StartKill {
            targets,
            within: Duration::from_millis([2, 10, 50][draw]),
        }),
        Card::SlowCpu => Fault::SlowCpu(SlowCpu {
            targets,
            percent: [5, 20, 50][draw],
        }),
        _ => Fault::Memory(MemoryLimit {
            targets,
            room_mb: [0, 0, 1][draw],
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
