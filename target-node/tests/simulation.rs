//! Seeded schedules of a whole cluster: the clean node passes all of them, and each defect that
//! an invariant can see is seen.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it tells how long it took; nothing depends on that"
)]

use std::collections::BTreeSet;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use target_node::defect::{Defect, Defects};
use target_node::simulation::{Count, Disks, Invariant, Plan, Summary, Violation, run};

/// Runs a seed; a panic of the core names its seed.
fn simulate(seed: u64, plan: &Plan) -> Result<Summary, Violation> {
    panic::catch_unwind(AssertUnwindSafe(|| run(seed, plan)))
        .unwrap_or_else(|cause| panic!("seed {seed} made the core panic: {cause:?}"))
}

/// How many schedules to run: `SIMULATION_SEEDS=A..B` runs others than the usual.
fn seeds() -> std::ops::Range<u64> {
    let Ok(range) = std::env::var("SIMULATION_SEEDS") else {
        return 0..3000;
    };
    let (first, last) = range.split_once("..").expect("SIMULATION_SEEDS is A..B");
    let number = |text: &str| text.parse().expect("SIMULATION_SEEDS is A..B");
    number(first)..number(last)
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Simulates every seed of a range, on all processors; the violation with the lowest seed, if any.
fn simulate_all(seeds: std::ops::Range<u64>, plan: &Plan) -> Result<Summary, Violation> {
    let next = AtomicU64::new(seeds.start);
    let work = || -> Result<Summary, Violation> {
        let mut total = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return Ok(total);
            }
            total += simulate(seed, plan)?;
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers()).map(|_| scope.spawn(work)).collect();
        let ends = workers.into_iter().map(|worker| {
            worker
                .join()
                .unwrap_or_else(|cause| panic::resume_unwind(cause))
        });
        let mut total = Summary::default();
        let mut violations = Vec::new();
        for end in ends {
            match end {
                Ok(summary) => total += summary,
                Err(violation) => violations.push(violation),
            }
        }
        match violations
            .into_iter()
            .min_by_key(|violation| violation.seed)
        {
            None => Ok(total),
            Some(violation) => Err(violation),
        }
    })
}

#[test]
fn the_clean_node_keeps_every_invariant_in_every_schedule() {
    let seeds = seeds();
    let (begin, workers) = (Instant::now(), workers());
    let total = simulate_all(seeds.clone(), &Plan::default()).unwrap_or_else(|violation| {
        let seed = violation.seed;
        panic!("{violation}; again: SIMULATION_SEEDS={seed}..{}", seed + 1)
    });
    let seconds = begin.elapsed().as_secs_f64();
    let count = total.of(Count::Schedules);
    println!(
        "seeds {seeds:?}: {count} schedules in {seconds:.1} s on {workers} threads, {:.0} a \
         second; {} steps and {} ticks of virtual time each\n{total}",
        count as f64 / seconds,
        total.of(Count::Steps) / count,
        total.of(Count::Ticks) / count,
    );
    let torn = total.of(Count::UnsyncedTorn);
    assert!(
        proves_something(&total) && (torn > 0 || count < 500),
        "{total}"
    );
}

/// A run that proves nothing must not pass: everything has happened, and what matters often.
fn proves_something(total: &Summary) -> bool {
    let schedules = total.of(Count::Schedules);
    let often = [
        (Count::Leaders, 1.0),
        (Count::Writes, 5.0),
        (Count::Reads, 5.0),
        (Count::Repeats, 1.0),
        (Count::Compacted, 5.0),
        (Count::Crashes, 1.0),
        (Count::Partitions, 1.0),
        (Count::Truncations, 0.1),
        (Count::Installed, 0.1),
        (Count::QuorumsLost, 0.03),
        (Count::Changes, 0.1),
        (Count::Transfers, 0.1),
        (Count::UnsyncedLost, 0.05),
        (Count::UnsyncedKept, 0.05),
    ];
    // The model tears between records, and files within them; and hardly any cluster stays away,
    // also where Raft does not promise that it comes back.
    let optional = [Count::TornTails, Count::UnsyncedTorn, Count::Unpromised];
    let happened = |count: &Count| optional.contains(count) || total.of(*count) > 0;
    let is_often = |&(count, times): &(Count, f64)| {
        let found = total.of(count) as f64;
        found >= times * schedules as f64
    };
    schedules < 500 || Count::ALL.iter().all(happened) && often.iter().all(is_often)
}

#[test]
fn the_storage_itself_keeps_every_invariant_on_a_disk_that_loses_what_was_not_synced() {
    let plan = Plan {
        disks: Disks::Files,
        ..Plan::default()
    };
    let seeds = seeds();
    let some = seeds.start..seeds.end.min(seeds.start + 1000);
    let total = simulate_all(some, &plan).unwrap_or_else(|violation| {
        let seed = violation.seed;
        panic!("{violation}; again: SIMULATION_SEEDS={seed}..{}", seed + 1)
    });
    println!("{total}");
    assert!(proves_something(&total), "{total}");
    let torn = total.of(Count::TornTails);
    assert!(torn > 0 || total.of(Count::Schedules) < 500, "{total}");
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for disks in [Disks::Model, Disks::Files] {
        let plan = Plan {
            disks,
            ..Plan::default()
        };
        for seed in 0..20 {
            assert_eq!(simulate(seed, &plan), simulate(seed, &plan));
        }
    }
}

/// Which invariants a defect breaks within some seeds.
fn broken_by(defect: Defect, seeds: u64) -> BTreeSet<Invariant> {
    let defects: Defects = [defect].into_iter().collect();
    let plan = Plan {
        defects,
        ..Plan::default()
    };
    (0..seeds)
        .filter_map(|seed| simulate(seed, &plan).err())
        .map(|violation| violation.broken.invariant)
        .collect()
}

#[test]
fn a_vote_without_a_look_at_the_log_loses_what_was_committed() {
    if Defects::COMPILED_IN {
        let broken = broken_by(Defect::NoLogCheckInVote, 100);
        assert!(
            broken.contains(&Invariant::LeaderCompleteness),
            "{broken:?}"
        );
    }
}

#[test]
fn an_acknowledgement_before_the_commit_is_not_kept() {
    if Defects::COMPILED_IN {
        let broken = broken_by(Defect::AckOnAppend, 400);
        assert!(broken.contains(&Invariant::Durability), "{broken:?}");
    }
}

#[test]
fn a_read_that_asks_nobody_is_stale() {
    if Defects::COMPILED_IN {
        let broken = broken_by(Defect::ReadLeaderLocal, 200);
        assert_eq!(broken, BTreeSet::from([Invariant::FreshReads]));
    }
}

#[test]
fn what_is_sent_again_without_a_session_is_applied_twice() {
    let plan = Plan {
        sessions: false,
        ..Plan::default()
    };
    let violations = (0..100).filter_map(|seed| simulate(seed, &plan).err());
    let broken: BTreeSet<_> = violations
        .map(|violation| violation.broken.invariant)
        .collect();
    assert_eq!(broken, BTreeSet::from([Invariant::ExactlyOnce]));
}

/// The bound on clocks is not there for nothing.
#[test]
fn a_lease_on_clocks_that_drift_beyond_the_bound_gives_stale_reads() {
    let plan = Plan {
        ticks: 300,
        clocks_drift: true,
        ..Plan::default()
    };
    // Clocks that differ so much may also keep the cluster from settling; that is not the point.
    let is_stale = |seed| {
        let end = simulate(seed, &plan);
        end.is_err_and(|violation| violation.broken.invariant == Invariant::FreshReads)
    };
    assert!((0..6000).any(is_stale));
}

#[test]
fn a_leader_that_counts_for_older_terms_is_caught() {
    if Defects::COMPILED_IN {
        let broken = broken_by(Defect::CommitPriorTerm, 400);
        assert!(broken.contains(&Invariant::CommitOnQuorum), "{broken:?}");
    }
}
