//! The modes beside Raft in virtual time, and what each declares to guarantee, judged from what
//! clients saw by the checker of linearizability, and from the inside by invariants.
//!
//! | mode | without a promotion | with promotions at the worst of times |
//! |---|---|---|
//! | sync | linearizable, loses nothing | the same |
//! | semisync, async | linearizable, loses nothing | loses what the promoted node had not |
//! | quorum, `abd`, R + W > N | linearizable | – |
//! | quorum otherwise | not linearizable | – |
//!
//! What an old primary acknowledges after its successor was promoted may be lost, too.
//! A weakness that a mode declares has to show, or the simulation would prove nothing: each of
//! them is looked for over the same seeds. `MODE_SEEDS=A..B` for other seeds.

#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "mode_simulation/counterexample.rs"]
mod counterexample;
#[path = "mode_simulation/primary_backup.rs"]
mod primary_backup;
#[path = "mode_simulation/quorum.rs"]
mod quorum;
#[path = "mode_simulation/world.rs"]
mod world;

use std::ops::Range;

use ordeal_checker::budget::Budget;
use ordeal_checker::linearizability::check;
use ordeal_checker::model::{CasRegister, PerKey};
use ordeal_checker::verdict::Validity;
use target_node::primary_backup::Acknowledge;
use target_node::quorum::Repair;
use world::{Seen, Weather, World};

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("MODE_SEEDS") else {
        return 0..150;
    };
    let (first, end) = text.split_once("..").unwrap();
    first.parse().unwrap()..end.parse().unwrap()
}

fn judge(history: &Seen) -> (Validity, String) {
    let model = PerKey::<u8, _>::new(CasRegister);
    let judged = check(&model, history, &Budget::default());
    (judged.validity(), judged.explain().unwrap_or_default())
}

/// So many operations of a run were answered: a world in which nothing happens proves nothing.
fn answered(history: &Seen) -> usize {
    let operations = history.operations().iter();
    operations
        .filter(|operation| operation.outcome().ok().is_some())
        .count()
}

const SEMISYNC: Acknowledge = Acknowledge::One { patience_ticks: 20 };

/// What the runs of one setting came to.
#[derive(Debug, Default)]
struct Sum {
    answered: usize,
    invalid: usize,
    lost: usize,
    alone: u64,
    rebuilt: u64,
    installed: u64,
}

/// Runs all seeds of a mode with a primary; what must hold of every one is checked here.
fn trials(acknowledge: Acknowledge, promotions: bool) -> Sum {
    let mut sum = Sum::default();
    for seed in seeds() {
        let setting = primary_backup::Setting {
            acknowledge,
            snapshot_entries: if seed % 2 == 0 { 6 } else { 1000 },
        };
        let weather = Weather {
            nodes: 3,
            ticks: 400,
            promotions,
            rough: false,
        };
        let (history, world) = World::<primary_backup::Host>::run(seed, setting, weather);
        let lost = primary_backup::lost(world.nodes(), &world.log);
        let unprotected = &world.log.unprotected;
        assert!(
            lost.is_subset(unprotected),
            "seed {seed}: {lost:?} was lost, and was protected"
        );
        let (validity, why) = judge(&history);
        let must_hold = !promotions || acknowledge == Acknowledge::All;
        if must_hold {
            assert!(
                lost.is_empty(),
                "seed {seed}: {lost:?} was acknowledged and is lost"
            );
            assert_eq!(validity, Validity::Valid, "seed {seed}:\n{why}");
        }
        sum.answered += answered(&history);
        sum.invalid += usize::from(validity == Validity::Invalid);
        sum.lost += lost.len();
        sum.alone += world.log.went_alone;
        sum.rebuilt += world.log.rebuilt;
        sum.installed += world.log.installed;
        assert_converged(seed, &world);
    }
    eprintln!("{acknowledge:?}, promotions {promotions}: {sum:?}");
    sum
}

/// A healed world: all logs equal, everything applied.
fn assert_converged(seed: u64, world: &World<primary_backup::Host>) {
    let cores: Vec<_> = world.nodes().map(|host| &host.core).collect();
    let place = |core: &&target_node::primary_backup::PrimaryBackup| {
        (core.term(), core.leader(), core.applied())
    };
    let newest = cores.iter().map(place).max().unwrap();
    let slowest = cores.iter().map(place).min().unwrap();
    assert_eq!(
        newest.0, slowest.0,
        "seed {seed}: nodes of different epochs"
    );
    // Clients go on to the end, so the last few entries may be under way.
    assert!(
        newest.2 - slowest.2 < 20,
        "seed {seed}: {newest:?} and {slowest:?}"
    );
}

#[test]
fn without_a_promotion_all_three_modes_lose_nothing_and_are_linearizable() {
    for acknowledge in [Acknowledge::All, SEMISYNC, Acknowledge::Own] {
        let sum = trials(acknowledge, false);
        assert!(sum.answered > 10_000 * seeds().count() / 150, "{sum:?}");
    }
}

#[test]
fn sync_loses_nothing_whoever_is_promoted_when() {
    let sum = trials(Acknowledge::All, true);
    assert!(sum.answered > 5_000 * seeds().count() / 150, "{sum:?}");
    assert_eq!((sum.invalid, sum.lost), (0, 0));
}

#[test]
fn semisync_and_async_lose_what_the_promoted_node_did_not_have_and_nothing_else() {
    for acknowledge in [SEMISYNC, Acknowledge::Own] {
        let sum = trials(acknowledge, true);
        assert!(
            sum.lost > 0 && sum.invalid > 0,
            "a weakness that does not show: {sum:?}"
        );
        assert!(sum.rebuilt > 0 && sum.installed > 0, "{sum:?}");
        assert_eq!(sum.alone > 0, acknowledge == SEMISYNC, "{sum:?}");
    }
}

/// How many seeds of a quorum are not linearizable.
fn violations(setting: quorum::Setting, nodes: u64) -> (usize, usize) {
    let (mut invalid, mut all) = (0, 0);
    for seed in seeds() {
        let weather = Weather {
            nodes,
            ticks: 400,
            promotions: false,
            rough: seed % 2 == 0,
        };
        let (history, _) = World::<quorum::Host>::run(seed, setting, weather);
        let (validity, why) = judge(&history);
        assert_ne!(validity, Validity::Unknown, "seed {seed}");
        if setting.repair == Repair::Abd && setting.reads + setting.writes > setting.replicas {
            assert_eq!(validity, Validity::Valid, "seed {seed}:\n{why}");
        }
        invalid += usize::from(validity == Validity::Invalid);
        all += answered(&history);
    }
    eprintln!(
        "{setting:?}: {invalid} of {} not linearizable, {all} answers",
        seeds().count()
    );
    (invalid, all)
}

fn setting(replicas: usize, writes: usize, reads: usize, repair: Repair) -> quorum::Setting {
    quorum::Setting {
        replicas,
        writes,
        reads,
        repair,
    }
}

#[test]
fn abd_makes_registers_linearizable_wherever_quorums_overlap() {
    for (nodes, n, w, r) in [(3, 3, 2, 2), (3, 3, 3, 1), (5, 3, 2, 2), (5, 5, 2, 4)] {
        let (invalid, all) = violations(setting(n, w, r, Repair::Abd), nodes);
        assert_eq!(invalid, 0);
        assert!(all > 10_000 * seeds().count() / 150, "{all}");
    }
}

#[test]
fn overlap_alone_does_not_and_no_overlap_even_less() {
    for repair in [Repair::None, Repair::Async] {
        let (invalid, _) = violations(setting(3, 2, 2, repair), 3);
        assert!(invalid > 0, "{repair:?} found linearizable on every seed");
    }
    let (invalid, _) = violations(setting(3, 1, 2, Repair::Abd), 3);
    assert!(invalid > 0, "R + W <= N found linearizable on every seed");
}

#[test]
fn the_textbook_case_is_rejected_without_repair_and_passes_with_abd() {
    for repair in [Repair::None, Repair::Async, Repair::Abd] {
        let (values, history) = counterexample::play(repair);
        let (validity, why) = judge(&history);
        let (expected, seen) = match repair {
            // The second reader goes back in time, and the third forward again.
            Repair::None => (Validity::Invalid, [Some(2), Some(1), Some(2)]),
            Repair::Async | Repair::Abd => (Validity::Valid, [Some(2); 3]),
        };
        assert_eq!((validity, values), (expected, seen), "{repair:?}\n{why}");
    }
}

#[test]
fn a_seed_is_the_same_run_again() {
    let run = || {
        let weather = Weather {
            nodes: 3,
            ticks: 200,
            promotions: false,
            rough: true,
        };
        let quorum = setting(3, 2, 2, Repair::Async);
        let (history, _) = World::<quorum::Host>::run(7, quorum, weather);
        format!("{:?}", history.operations())
    };
    assert_eq!(run(), run());
}
