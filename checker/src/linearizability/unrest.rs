//! When a restless search goes back, how far, and what it prefers from there on.

use super::class::mix;

/// When and how far a restless search goes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unrest {
    /// Configurations visited since the latest front was reached.
    pub(super) visits: u32,
    /// Positions to go back next time.
    distance: usize,
    /// Which preference; zero is the usual one. It counts the times since the latest front.
    pub(super) salt: u32,
}

/// A restless search goes back after so many visits without getting on.
pub(super) const PATIENCE: u32 = 1_000;
const DISTANCE_MIN: usize = 32;
const DISTANCE_MAX: usize = 1 << 15;

impl Default for Unrest {
    fn default() -> Self {
        Unrest {
            visits: 0,
            distance: DISTANCE_MIN,
            salt: 0,
        }
    }
}

impl Unrest {
    /// Counts a configuration; how far to go back, when it is time.
    pub(super) fn visit(&mut self) -> Option<usize> {
        self.visits += 1;
        if self.visits < PATIENCE * (1 + self.salt / 8) {
            return None;
        }
        self.visits = 0;
        self.salt += 1;
        let distance = self.distance;
        self.distance = (distance * 3 / 2).min(DISTANCE_MAX);
        Some(distance)
    }

    /// Another preference than the usual, if there is a salt.
    pub(super) fn twist(&self, place: u32, rank: u32, returns: u32) -> (u32, u32) {
        if self.salt == 0 {
            return (rank, returns);
        }
        let chance = mix(u64::from(place) << 32 ^ u64::from(self.salt)) >> 96;
        let chance = u32::try_from(chance).expect("32 bits are left");
        let rank = if chance.is_multiple_of(4) {
            rank ^ 1
        } else {
            rank
        };
        (rank, if chance & 4 == 0 { returns } else { chance })
    }
}
