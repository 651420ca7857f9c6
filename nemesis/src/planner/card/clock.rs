//! How wrong clocks are drawn: from less than a tick to hours, as operators have seen them.

use rand::{RngExt, rngs::ChaCha8Rng, seq::IndexedRandom};

use super::{Card, choice::anybody};
use crate::fault::{ClockFault, Fault, Skew};

const MS: i64 = 1_000_000;

/// A few milliseconds, about an election, some minutes, an hour: what a bad time server, a
/// suspended machine and a wrong time zone do.
const OFFSETS_MS: [i64; 5] = [11, 218, 6_300, 288_000, 3_600_000];
/// In millionths: beyond what a quartz does, so that a short fault shows it.
const RATES: [u32; 5] = [500_000, 900_000, 1_010_000, 1_100_000, 2_000_000];
const STROBES_MS: [i64; 3] = [4, 200, 5_000];
const PERIODS_MS: [i64; 3] = [1, 10, 100];

pub(super) fn fault(card: Card, count: u16, rng: &mut ChaCha8Rng) -> Fault {
    let targets = anybody(count, rng);
    let draw = |from: &[i64], rng: &mut ChaCha8Rng| {
        let ms = from.choose(rng).expect("no list is empty");
        ms * MS
    };
    let sign = if rng.random_bool(0.5) { 1 } else { -1 };
    let skew = match card {
        Card::ClockRate => Skew::Rate {
            millionths: *RATES.choose(rng).expect("the list is not empty"),
        },
        Card::ClockStrobe => Skew::Strobe {
            ns: sign * draw(&STROBES_MS, rng),
            period_ns: draw(&PERIODS_MS, rng),
        },
        _ => Skew::Offset {
            ns: sign * draw(&OFFSETS_MS, rng),
        },
    };
    Fault::Clock(ClockFault { targets, skew })
}
