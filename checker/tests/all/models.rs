//! Every model, on small random histories, against exhaustive search.
//!
//! A valid verdict's witness is replayed through the model; an invalid one's explanation is checked
//! to be enough and minimal, by exhaustive search too.

use std::time::Instant;

use crate::support::play::{NAMES, Play, Visit, random_history, visit};
use crate::support::{assert_minimal, exhaustive, replays, seeds};
use ordeal_checker::budget::Budget;
use ordeal_checker::linearizability::{Decision, check};
use ordeal_checker::model::Model;
use ordeal_checker::verdict::Validity;

/// How many were valid, and how many invalid.
#[derive(Default)]
struct Seen {
    valid: u64,
    invalid: u64,
}

impl Visit for Seen {
    fn visit<M: Model + Default>(&mut self, play: &Play<M>)
    where
        M::Op: Clone,
        M::Ret: Clone,
    {
        let seeds = seeds("ORDEAL_MODEL_SEEDS", 0..1_000);
        let is_long = seeds.end - seeds.start > 10_000;
        for seed in seeds {
            let history = random_history(play, seed);
            let is_right = exhaustive(&play.model, &history);
            let verdict = check(&play.model, &history, &Budget::default());
            let expected = match is_right {
                true => Validity::Valid,
                false => Validity::Invalid,
            };
            assert_eq!(verdict.validity(), expected, "seed {seed}: {history:?}");
            for key in &verdict.keys {
                match &key.decision {
                    Decision::Valid { order } => assert!(
                        replays(&play.model, &history, order),
                        "seed {seed}: {order:?}"
                    ),
                    // That takes twenty times as long as the verdict.
                    Decision::Invalid(contradiction) if !is_long || seed.is_multiple_of(16) => {
                        let seed = format!("seed {seed}");
                        assert_minimal(&play.model, &history, contradiction, &seed);
                    }
                    Decision::Invalid(_) | Decision::Unknown(_) => {}
                }
            }
            self.valid += u64::from(is_right);
            self.invalid += u64::from(!is_right);
        }
    }
}

/// With `ORDEAL_MODEL_SEEDS=0..1000000` on as many as that for each model (in release).
#[test]
fn every_model_agrees_with_exhaustive_search() {
    for name in NAMES {
        let (started, mut seen) = (Instant::now(), Seen::default());
        visit(name, &mut seen);
        let (valid, invalid) = (seen.valid, seen.invalid);
        let all = valid + invalid;
        let rate = u128::from(all) * 1000 / started.elapsed().as_millis().max(1);
        println!("{name}: {valid} valid, {invalid} invalid, no disagreement; {rate} a second");
        // Of either kind there are enough to mean something.
        assert!(valid * 20 > all, "{name}: only {valid} of {all} are valid");
        assert!(
            invalid * 20 > all,
            "{name}: only {invalid} of {all} are invalid"
        );
    }
}
