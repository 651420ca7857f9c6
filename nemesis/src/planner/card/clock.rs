//! How wrong clocks are drawn: from less than a tick to hours, as operators have seen them.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{
    Card,
    choice::anybody,
    strength::{Kind, Strength},
};
use crate::fault::{ClockFault, Fault, Skew};

const MS: i64 = 1_000_000;

/// A few milliseconds, about an election, some minutes, an hour: what a bad time server, a
/// suspended machine and a wrong time zone do.
const OFFSETS_MS: [u64; 5] = [11, 218, 6_300, 288_000, 3_600_000];
/// In millionths: beyond what a quartz does, so that a short fault shows it.
const RATES: [u64; 5] = [500_000, 900_000, 1_010_000, 1_100_000, 2_000_000];
/// From nearly right to as far off as the others, on either side: a right clock is no fault.
const SLOWER: [u64; 3] = [990_000, 900_000, 500_000];
const FASTER: [u64; 3] = [1_010_000, 1_100_000, 2_000_000];
const STROBES_MS: [u64; 3] = [4, 200, 5_000];
const PERIODS_MS: [u64; 3] = [1, 10, 100];

pub(super) fn fault(card: Card, count: u16, strength: Strength, rng: &mut ChaCha8Rng) -> Fault {
    let targets = anybody(count, rng);
    let is_ahead = rng.random_bool(0.5);
    let sign = if is_ahead { 1 } else { -1 };
    let ns = |ms: u64| i64::try_from(ms).expect("an hour at most") * MS;
    let skew = match card {
        Card::ClockRate if strength.is_usual() => {
            rate(strength.place(Kind::ClockRate, 5, rng).of(&RATES))
        }
        Card::ClockRate => {
            let rates = if is_ahead { FASTER } else { SLOWER };
            rate(strength.place(Kind::ClockRate, 3, rng).of(&rates))
        }
        Card::ClockStrobe => Skew::Strobe {
            ns: sign * ns(strength.place(Kind::ClockStrobe, 3, rng).of(&STROBES_MS)),
            period_ns: ns(strength.place(Kind::ClockStrobe, 3, rng).of(&PERIODS_MS)),
        },
        _ => Skew::Offset {
            ns: sign * ns(strength.place(Kind::ClockOffset, 5, rng).of(&OFFSETS_MS)),
        },
    };
    Fault::Clock(ClockFault { targets, skew })
}

fn rate(millionths: u64) -> Skew {
    let millionths = u32::try_from(millionths).expect("two at most");
    Skew::Rate { millionths }
}
