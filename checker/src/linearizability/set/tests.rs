//! The monitor against the exact search, on small random histories.

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::class::Classes;
use super::super::frontier::{Fate, Frontier, Scope};
use super::super::meter::Meter;
use super::super::problem::{Problem, counts};
use super::super::zone::Zones;
use super::decide;
use crate::budget::Budget;
use crate::history::{History, HistoryBuilder, Operation, Outcome, Process, Reason, Time};
use crate::model::{Set, SetOp, SetRet};

type Operations = History<SetOp, SetRet>;

fn next(draw: &mut u64, below: u64) -> u64 {
    *draw = draw
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*draw >> 33) % below
}

/// What a client could do: the probabilities of add, remove, contains and read, in eighths.
#[derive(Clone, Copy)]
struct Mix([u64; 4]);

const GROWING: Mix = Mix([4, 0, 1, 3]);
const CHANGING: Mix = Mix([3, 2, 1, 2]);
const ASKING: Mix = Mix([3, 2, 3, 0]);

struct Play {
    draw: u64,
    mix: Mix,
    added: Vec<i64>,
    removed: usize,
    /// Only what was added for certain is asked for and removed.
    is_careful: bool,
}

impl Play {
    fn ask(&mut self, begun: u64) -> SetOp {
        let kind = next(&mut self.draw, 8);
        let [add, remove, contains, _] = self.mix.0;
        let left = self.added.len() - self.removed;
        if kind < add || left == 0 {
            let element = i64::try_from(begun).unwrap();
            self.added.extend((!self.is_careful).then_some(element));
            return SetOp::Add(element);
        }
        let some = usize::try_from(next(&mut self.draw, left as u64)).unwrap();
        if kind < add + remove {
            self.added.swap(self.removed, self.removed + some);
            self.removed += 1;
            return SetOp::Remove(self.added[self.removed - 1]);
        }
        if kind < add + remove + contains {
            let some = usize::try_from(next(&mut self.draw, self.added.len() as u64)).unwrap();
            return SetOp::Contains(self.added[some]);
        }
        SetOp::Read
    }

    /// The answer, and what it does.
    fn answer(&mut self, held: &mut BTreeSet<i64>, op: &SetOp, lies: bool) -> SetRet {
        match op {
            SetOp::Add(element) => {
                if !lies {
                    held.insert(*element);
                }
                SetRet::Done
            }
            SetOp::Remove(element) => {
                if !lies {
                    held.remove(element);
                }
                SetRet::Done
            }
            SetOp::Contains(element) => SetRet::Is(held.contains(element) != lies),
            SetOp::Read => {
                let mut seen = held.clone();
                if lies {
                    let some = next(&mut self.draw, 4);
                    seen.pop_first();
                    seen.extend(self.added.get(usize::try_from(some).unwrap()));
                }
                SetRet::Elements(seen)
            }
        }
    }
}

/// `count` operations by up to `clients`, each at once at the object, some with wrong results.
fn random_history(seed: u64, mix: Mix, count: u64, clients: usize, honest: u64) -> Operations {
    let is_careful = count > 100;
    let mut play = Play {
        is_careful,
        draw: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xBF58_476D_1CE4_E5B9,
        mix,
        added: Vec::new(),
        removed: 0,
    };
    let mut held: BTreeSet<i64> = BTreeSet::new();
    let mut builder = HistoryBuilder::new();
    let mut open: Vec<(u64, SetOp, Option<SetRet>)> = Vec::new();
    let mut begun = 0;
    for now in 0.. {
        let is_idle = open.is_empty();
        if begun < count && open.len() < clients && (is_idle || next(&mut play.draw, 2) > 0) {
            let op = play.ask(begun);
            builder
                .invoke(Process(begun), Time(now), op.clone())
                .unwrap();
            open.push((begun, op, None));
            begun += 1;
            continue;
        }
        if open.is_empty() {
            break;
        }
        let place = usize::try_from(next(&mut play.draw, open.len() as u64)).unwrap();
        let lies = next(&mut play.draw, honest) == 0;
        let (process, op, ret) = &mut open[place];
        if ret.is_none() {
            *ret = Some(play.answer(&mut held, op, lies));
            continue;
        }
        let outcome = match ret.take() {
            Some(ret) if next(&mut play.draw, 8) > 0 => Outcome::Ok(ret),
            _ => Outcome::Info(Reason::default()),
        };
        if let (SetOp::Add(element), Outcome::Ok(_)) = (op, &outcome) {
            play.added.extend(is_careful.then_some(*element));
        }
        builder
            .complete(Process(*process), Time(now), outcome)
            .unwrap();
        open.swap_remove(place);
    }
    builder.finish()
}

fn told(history: &Operations, then: impl Fn(&Problem<'_, Set>, &Zones)) -> Zones {
    let operations: Vec<&Operation<_, _>> = history
        .operations()
        .iter()
        .filter(|operation| counts(&Set, operation))
        .collect();
    let problem = Problem::new(&Set, &operations);
    let mut meter = Meter::new(Budget::default(), Instant::now());
    let told = decide(&problem, &mut meter);
    then(&problem, &told);
    told
}

fn is_linearizable(problem: &Problem<'_, Set>) -> bool {
    let mut classes = Classes::new(problem);
    let states = vec![classes.intern(BTreeSet::new())];
    let scope = Scope {
        events: 0..problem.events.len(),
        states,
        is_relaxed: false,
    };
    let mut meter = Meter::new(Budget::default(), Instant::now());
    match Frontier::new(problem, &mut classes, scope).run(&mut meter) {
        Fate::Survived(..) => true,
        Fate::Refuted(_) => false,
        Fate::Spent => panic!("so few operations"),
    }
}

/// How many orders, contradictions and undecided there are, after all agreed.
fn agreed(mix: Mix) -> [u32; 3] {
    let mut seen = [0; 3];
    for seed in 0..20_000 {
        let history = random_history(seed, mix, 4 + seed % 9, 5, 12);
        let told = told(&history, |problem, told| {
            let is_valid = is_linearizable(problem);
            match told {
                Zones::Order(order) => {
                    assert!(
                        is_valid && problem.replays(order),
                        "seed {seed}: {history:?}"
                    );
                }
                Zones::Contradiction(core) => {
                    assert!(!is_valid, "seed {seed}: {history:?}");
                    let mut core = core.clone();
                    core.sort_unstable();
                    let alone: Vec<_> = core
                        .iter()
                        .map(|place| problem.operations[*place as usize])
                        .collect();
                    let alone = Problem::new(&Set, &alone);
                    assert!(
                        !is_linearizable(&alone),
                        "seed {seed}: the core alone: {core:?} of {:?}",
                        problem.operations
                    );
                }
                Zones::Undecided => {}
            }
        });
        seen[match told {
            Zones::Order(_) => 0,
            Zones::Contradiction(_) => 1,
            Zones::Undecided => 2,
        }] += 1;
    }
    println!("{:?}: {seen:?}", mix.0);
    seen
}

#[test]
fn a_set_that_only_grows_is_always_decided_as_the_exact_search_does() {
    let seen = agreed(GROWING);
    assert!(seen[0] > 5_000 && seen[1] > 2_000, "{seen:?}");
    assert_eq!(seen[2], 0, "{seen:?}");
}

#[test]
fn a_set_that_is_asked_for_one_element_at_a_time_is_hardly_ever_left_to_the_search() {
    let seen = agreed(ASKING);
    assert!(seen[0] > 5_000 && seen[1] > 1_000, "{seen:?}");
    assert!(seen[2] < 500, "{seen:?}");
}

#[test]
fn reads_and_removes_agree_with_the_exact_search() {
    let seen = agreed(CHANGING);
    assert!(seen[0] > 5_000 && seen[1] > 2_000, "{seen:?}");
    assert!(seen[2] < 1_000, "{seen:?}");
}

#[test]
fn a_long_history_is_decided_without_a_search() {
    for mix in [Mix([4, 1, 3, 0]), ASKING] {
        let history = random_history(1, mix, 100_000, 30, u64::MAX);
        assert!(matches!(told(&history, |_, _| ()), Zones::Order(_)));
    }
    // The more clients, the more absences have two possibilities each.
    for (mix, clients) in [(GROWING, 30), (CHANGING, 4)] {
        let history = random_history(1, mix, 2_000, clients, u64::MAX);
        assert!(
            matches!(told(&history, |_, _| ()), Zones::Order(_)),
            "{:?}",
            mix.0
        );
        let history = random_history(1, mix, 2_000, clients, 1_000);
        assert!(
            matches!(told(&history, |_, _| ()), Zones::Contradiction(_)),
            "{:?}",
            mix.0
        );
    }
}
