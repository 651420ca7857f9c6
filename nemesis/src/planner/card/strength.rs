//! How hard a fault hits: one of a few strengths, or anything in a range that a swarm has drawn.
//!
//! Each kind of fault has its strengths from mild to hard. Usually a fault has one of these. A run
//! of `swarm` first draws for each kind which part of that way its faults come from, so that one
//! run loses few packets and has its disks stall for long, and the next the other way round; and
//! each fault lies anywhere in that part. Whole numbers only: the same seed gives the same bytes
//! wherever it is asked.

use std::ops::RangeInclusive;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::fault::PacketEffect;

/// What has a strength of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Packets(PacketEffect),
    Flaky,
    CrashLoop,
    StartKill,
    SlowCpu,
    Memory,
    SlowFsync,
    BitFlip,
    ClockOffset,
    ClockRate,
    ClockStrobe,
}

/// How strengths are drawn in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::planner) enum Strength {
    /// One of the few.
    Usual,
    /// Anything in the parts that follow from this seed.
    Swarm(u64),
}

/// One step of the way from one strength to the next.
const STEP: u64 = 1000;

/// Streams of the seed that belong to somebody else.
const STREAMS_TAKEN: u64 = 16;

/// How far from the first of several strengths, in thousandths of the way to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u64);

impl Strength {
    /// Draws a place among so many strengths.
    pub(super) fn place(self, kind: Kind, strengths: usize, rng: &mut ChaCha8Rng) -> Place {
        match self {
            Self::Usual => Place(rng.random_range(0..strengths) as u64 * STEP),
            Self::Swarm(seed) => Place(rng.random_range(part(seed, kind, strengths))),
        }
    }

    pub(super) fn is_usual(self) -> bool {
        self == Self::Usual
    }
}

/// From where to where a run draws the places of one kind. Dice of its own, so that it does not
/// depend on what else is drawn.
fn part(seed: u64, kind: Kind, strengths: usize) -> RangeInclusive<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAMS_TAKEN + kind.number());
    let last = (strengths as u64 - 1) * STEP;
    let ends = [0; 2].map(|_: u8| rng.random_range(0..=last));
    ends[0].min(ends[1])..=ends[0].max(ends[1])
}

impl Kind {
    fn number(self) -> u64 {
        match self {
            Self::Flaky => 0,
            Self::CrashLoop => 1,
            Self::StartKill => 2,
            Self::SlowCpu => 3,
            Self::Memory => 4,
            Self::SlowFsync => 5,
            Self::BitFlip => 6,
            Self::ClockOffset => 7,
            Self::ClockRate => 8,
            Self::ClockStrobe => 9,
            Self::Packets(effect) => 10 + effect as u64,
        }
    }
}

impl Place {
    /// The strength there: on the line between the two next to it.
    pub(super) fn of(self, strengths: &[u64]) -> u64 {
        let last = strengths.len() - 1;
        let (step, part) = (self.0 / STEP, self.0 % STEP);
        let step = usize::try_from(step).map_or(last, |step| step.min(last));
        let (here, next) = (strengths[step], strengths[(step + 1).min(last)]);
        if next >= here {
            here + (next - here) * part / STEP
        } else {
            here - (here - next) * part / STEP
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_on_the_line_between_two_strengths() {
        let strengths = [5, 20, 50];
        let at = |place| Place(place).of(&strengths);
        assert_eq!([0, 1000, 2000].map(at), strengths);
        assert_eq!([500, 1500, 1999].map(at), [12, 35, 49]);
        assert_eq!(Place(1500).of(&[4000, 1000, 250]), 625);
        assert_eq!(Place(0).of(&[7]), 7);
    }

    #[test]
    fn usual_strengths_are_the_few_and_a_swarm_keeps_to_its_part() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut draw = |strength: Strength| {
            let places = (0..50).map(|_| strength.place(Kind::Flaky, 3, &mut rng).0);
            places.collect::<Vec<u64>>()
        };
        assert!(draw(Strength::Usual).iter().all(|place| place % STEP == 0));
        let mut parts = Vec::new();
        for seed in 0..20 {
            let part = part(seed, Kind::Flaky, 3);
            assert!(
                draw(Strength::Swarm(seed))
                    .iter()
                    .all(|place| part.contains(place))
            );
            parts.push(part);
        }
        let (mild, hard) = (0..=700, 1300..=2000);
        let all_in = |range: &RangeInclusive<u64>| {
            let within = |part: &&RangeInclusive<u64>| {
                range.contains(part.start()) && range.contains(part.end())
            };
            parts.iter().any(|part| within(&part))
        };
        assert!(all_in(&mild) && all_in(&hard), "{parts:?}");
    }
}
