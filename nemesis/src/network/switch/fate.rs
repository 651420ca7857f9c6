//! What is decided about a packet before anybody looks at it: a pure function of the dice.

use rand::{RngExt, rngs::ChaCha8Rng};

use crate::fault::{PacketEffect, Shaping, shaping::WHOLE};

/// What the dice say about one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) lost: bool,
    pub(super) duplicated: bool,
    pub(super) held_back: bool,
    pub(super) corrupted: bool,
    pub(super) altered: bool,
    pub(super) reset: bool,
    pub(super) refused: bool,
    /// Where in the range of delays this packet and its double lie: a part of `u32::MAX`.
    pub(super) delays: [u32; 2],
    /// Which bit flips, modulo those there are.
    pub(super) bit: u32,
}

impl Fate {
    /// Throws the same number of dice for every packet, whatever becomes of it: so the fate of the
    /// n-th packet depends on the seed and on n alone.
    pub(super) fn draw(shaping: &Shaping, rng: &mut ChaCha8Rng) -> Self {
        let mut met = |effect| rng.random_range(0..WHOLE) < shaping.share(effect);
        Self {
            lost: met(PacketEffect::Loss),
            duplicated: met(PacketEffect::Duplicate),
            held_back: met(PacketEffect::Reorder),
            corrupted: met(PacketEffect::Corrupt),
            altered: met(PacketEffect::CorruptDeliver),
            reset: met(PacketEffect::Reset),
            refused: met(PacketEffect::Refuse),
            delays: [rng.random(), rng.random()],
            bit: rng.random(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn fates(text: &str, seed: u64) -> Vec<Fate> {
        let shaping = text.parse().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..1000).map(|_| Fate::draw(&shaping, &mut rng)).collect()
    }

    #[test]
    fn one_seed_gives_one_sequence_of_fates() {
        assert_eq!(fates("loss 10%", 1), fates("loss 10%", 1));
        assert_ne!(fates("loss 10%", 1), fates("loss 10%", 2));
        let lost = |text| fates(text, 1).into_iter().map(|fate| fate.lost);
        let with_more = lost("loss 10%, duplicate 50%, delay 1ms");
        assert!(
            lost("loss 10%").eq(with_more),
            "other effects use other dice"
        );
    }

    #[test]
    fn a_share_is_met_as_often_as_it_says() {
        // 1000 throws at 10 %: mean 100, standard deviation 9.5; four of them.
        let lost = fates("loss 10%", 3).iter().filter(|fate| fate.lost).count();
        assert!((62..=138).contains(&lost), "{lost}");
        assert!(fates("loss 100%", 3).iter().all(|fate| fate.lost));
        assert!(!fates("loss 100%", 3).iter().any(|fate| fate.duplicated));
    }
}
