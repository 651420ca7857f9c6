//! How fast faults come, and how long they last.

use std::ops::RangeInclusive;

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{CALM_MS, Nemesis, PlanSpec};

/// From one injection to the next, and how long a fault lasts.
pub(super) struct Pace {
    /// The latest that the first fault comes.
    pub(super) first_ms: u64,
    pub(super) interval_ms: RangeInclusive<u64>,
    pub(super) duration_ms: RangeInclusive<u64>,
}

impl Pace {
    pub(super) fn draw(spec: &PlanSpec, rng: &mut ChaCha8Rng) -> Self {
        let mut within = |range: &RangeInclusive<u64>, most: u64| {
            let most = most.max(*range.start());
            let ends =
                [0; 2].map(|_: u8| rng.random_range(*range.start()..=most.min(*range.end())));
            ends[0].min(ends[1])..=ends[0].max(ends[1])
        };
        let (interval_ms, duration_ms) = (&spec.interval_ms, &spec.duration_ms);
        // At least one fault has to fit into the time, whatever is drawn.
        let room = spec.time_ms - CALM_MS;
        match spec.nemesis {
            Nemesis::Swarm => {
                let interval_ms = within(interval_ms, room - duration_ms.start());
                let duration_ms = within(duration_ms, room - interval_ms.start());
                Self {
                    first_ms: *interval_ms.start(),
                    interval_ms,
                    duration_ms,
                }
            }
            Nemesis::FlipFlop => {
                let drawn = within(duration_ms, room - interval_ms.start());
                let length_ms = *drawn.end();
                Self {
                    first_ms: *interval_ms.start(),
                    interval_ms: length_ms.saturating_mul(2)..=length_ms.saturating_mul(2),
                    duration_ms: length_ms..=length_ms,
                }
            }
            _ => Self {
                first_ms: *interval_ms.start(),
                interval_ms: interval_ms.clone(),
                duration_ms: duration_ms.clone(),
            },
        }
    }
}
