//! Each algorithm alone, on small random histories of every model, against exhaustive search: so
//! against every other too.

// Less of it is used here than by the tests from outside.
#[path = "../../tests/all/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;

use std::collections::BTreeMap;
use std::time::Instant;

use super::class::Classes;
use super::cut::{self, Pieces};
use super::frontier::{Fate, Frontier, Scope};
use super::glance::{Glance, Sight};
use super::meter::Meter;
use super::portfolio::{self, Answer};
use super::problem::{Problem, counts};
use super::reachable::{impossible, reachable};
use super::search::{Cuts, Outcome, Search};
use super::sum::{self, Sums};
use super::tighten::tightened;
use super::zone::Zones;
use super::{counter, queue, set, zone};
use crate::budget::Budget;
use crate::history::{History, HistoryBuilder, Operation, Process};
use crate::model::Model;
use support::play::{NAMES, Play, Visit, random_history, visit};
use support::{exhaustive, exhaustive_on, seeds};

/// How often each algorithm said valid, and invalid.
type Tally = BTreeMap<&'static str, [u64; 2]>;

fn meter() -> Meter {
    Meter::new(Budget::states(20_000), Instant::now())
}

/// One history of one key, and what is true of it.
struct Case<'h, 'a, M: Model> {
    problem: &'h Problem<'a, M>,
    is_valid: bool,
    told_of: &'h str,
    tally: &'h mut Tally,
}

impl<M: Model> Case<'_, '_, M>
where
    M::Op: Clone,
    M::Ret: Clone,
{
    /// Nothing, or an answer, which is right.
    fn says(&mut self, algorithm: &'static str, is_valid: Option<bool>) {
        let Some(is_valid) = is_valid else { return };
        let told_of = self.told_of;
        assert_eq!(is_valid, self.is_valid, "{algorithm}: {told_of}");
        self.tally.entry(algorithm).or_default()[usize::from(!is_valid)] += 1;
    }

    fn order(&mut self, algorithm: &'static str, order: &[u32]) {
        let told_of = self.told_of;
        assert!(
            self.problem.replays(order),
            "{algorithm}: {order:?} of {told_of}"
        );
        self.says(algorithm, Some(true));
    }

    /// Those operations contradict each other by themselves.
    fn core(&mut self, algorithm: &'static str, core: &[u32]) {
        self.says(algorithm, Some(false));
        let mut core = core.to_vec();
        core.sort_unstable();
        core.dedup();
        let mut alone = HistoryBuilder::new();
        for (process, place) in (0..).zip(core) {
            let operation = self.problem.operations[place as usize];
            let process = Process(process);
            let (op, at) = (operation.op().clone(), operation.invoked());
            alone.invoke(process, at, op).unwrap();
            if let Some(at) = operation.returned() {
                let outcome = operation.outcome().clone();
                alone.complete(process, at, outcome).unwrap();
            }
        }
        let is_explained = exhaustive(self.problem.model, &alone.finish());
        assert!(!is_explained, "{algorithm}: the core of {}", self.told_of);
    }

    fn monitors(&mut self) {
        let problem = self.problem;
        for (name, told) in [
            ("zones", zone::decide(problem, &mut meter())),
            ("queue", queue::decide(problem, &mut meter())),
            ("set", set::decide(problem, &mut meter())),
            ("bounds", counter::decide(problem, &mut meter())),
        ] {
            match told {
                Zones::Order(order) => self.order(name, &order),
                Zones::Contradiction(core) => self.core(name, &core),
                Zones::Undecided => {}
            }
        }
    }

    fn sums(&mut self) {
        match sum::decide(self.problem, &mut meter()) {
            Sums::Order(order) => self.order("sums", &order),
            Sums::Refuted(_) => self.says("sums", Some(false)),
            Sums::Undecided => {}
        }
    }

    fn searches(&mut self) {
        let narrow = Cuts {
            is_narrow: true,
            jumps_max: 3,
        };
        for (name, cuts) in [("depth-first", Cuts::default()), ("narrow", narrow)] {
            let mut classes = Classes::new(self.problem);
            match Search::new(self.problem, &mut classes, cuts).run(&mut meter()) {
                Outcome::Order(order) => self.order(name, &order),
                _ if name == "narrow" => {}
                Outcome::Exhausted { .. } => self.says(name, Some(false)),
                Outcome::Spent { .. } => panic!("{name}: so few operations: {}", self.told_of),
            }
        }
    }

    fn frontier(&self, scope: impl Fn(u32, &[u32]) -> Option<Scope>) -> Option<Fate> {
        let mut classes = Classes::new(self.problem);
        let states = reachable(self.problem, &mut classes).unwrap_or_default();
        let init = classes.intern(self.problem.model.init());
        let scope = scope(init, &states)?;
        Some(Frontier::new(self.problem, &mut classes, scope).run(&mut meter()))
    }

    fn frontiers(&mut self) {
        let all = 0..self.problem.events.len();
        for (name, is_relaxed) in [("frontier", false), ("relaxed frontier", true)] {
            // Where there is no end of states, there is none of using an open operation again.
            let scope = |init, states: &[u32]| {
                let scope = Scope {
                    events: all.clone(),
                    states: vec![init],
                    is_relaxed,
                };
                (!is_relaxed || !states.is_empty()).then_some(scope)
            };
            match self.frontier(scope) {
                Some(Fate::Survived(survivors)) if !is_relaxed => {
                    for rank in 0..survivors.states().count() {
                        self.order(name, &survivors.order(rank));
                    }
                }
                Some(Fate::Refuted(_)) => self.says(name, Some(false)),
                _ => assert!(is_relaxed, "{name}: so few operations: {}", self.told_of),
            }
        }
        for start in all.clone() {
            let end = (start + 1 + self.told_of.len() % 9).min(all.end);
            let window = |_, states: &[u32]| {
                let scope = Scope {
                    events: start..end,
                    states: states.to_vec(),
                    is_relaxed: true,
                };
                (!states.is_empty()).then_some(scope)
            };
            if let Some(Fate::Refuted(_)) = self.frontier(window) {
                self.says("windows", Some(false));
            }
        }
    }

    fn pieces(&mut self) {
        for piece_min in 1..4 {
            match cut::decide(self.problem, piece_min, &mut meter(), 5_000) {
                Pieces::Order(order) => self.order("pieces", &order),
                Pieces::Refuted(_) => self.says("pieces", Some(false)),
                Pieces::Undecided => {}
            }
        }
    }

    fn impossible(&mut self) {
        let mut classes = Classes::new(self.problem);
        let states = reachable(self.problem, &mut classes);
        let place = states.and_then(|states| impossible(&mut classes, &states));
        if let Some(place) = place {
            self.core("impossible results", &[place]);
        }
    }

    /// Twice with the same buffers and what was found to be counted.
    fn glances(&mut self) {
        let mut classes = Classes::new(self.problem);
        if reachable(self.problem, &mut classes).is_none() {
            return;
        }
        let mut glance = Glance::default();
        for name in ["glance", "second glance"] {
            let events = self.problem.events.iter().copied();
            match glance.look(self.problem, &mut classes, &events, &mut meter()) {
                Sight::Order(order) => self.order(name, &order),
                Sight::Refuted(_) => self.says(name, Some(false)),
                Sight::Unclear => {}
            }
        }
    }

    fn all(&mut self) {
        self.sums();
        self.glances();
        self.searches();
        self.frontiers();
        self.pieces();
        self.impossible();
        match portfolio::decide(self.problem, meter()).0 {
            Answer::Order(order) => self.order("portfolio", &order),
            Answer::None { .. } => self.says("portfolio", Some(false)),
            Answer::Spent { .. } => panic!("so few operations: {}", self.told_of),
        }
    }
}

impl Visit for Tally {
    fn visit<M: Model + Default>(&mut self, play: &Play<M>)
    where
        M::Op: Clone,
        M::Ret: Clone,
    {
        for seed in seeds("ORDEAL_ALGORITHM_SEEDS", 0..500) {
            let history = random_history(play, seed);
            let mut keys: BTreeMap<M::Key, Vec<_>> = BTreeMap::new();
            for operation in history.operations() {
                if counts(&play.model, operation) {
                    let key = play.model.key(operation.op());
                    keys.entry(key).or_default().push(operation);
                }
            }
            for (key, operations) in keys {
                judge(play, &history, &key, &operations, self, seed);
            }
        }
    }
}

fn judge<M: Model>(
    play: &Play<M>,
    history: &History<M::Op, M::Ret>,
    key: &M::Key,
    operations: &[&Operation<M::Op, M::Ret>],
    tally: &mut Tally,
    seed: u64,
) where
    M::Op: Clone,
    M::Ret: Clone,
{
    let told_of = format!("seed {seed}: {operations:?}");
    let problem = Problem::new(&play.model, operations);
    let mut case = Case {
        problem: &problem,
        is_valid: exhaustive_on(&play.model, history, key),
        told_of: &told_of,
        tally,
    };
    case.monitors();
    case.all();
    match tightened(&problem) {
        Err(core) => case.core("tightening", &core),
        Ok(None) => {}
        Ok(Some(tight)) => {
            let told_of = format!("tight, {told_of}");
            let is_valid = case.is_valid;
            let mut case = Case {
                problem: &tight,
                is_valid,
                told_of: &told_of,
                tally,
            };
            case.says("tight", Some(is_valid));
            case.all();
        }
    }
}

/// Who must have said something of a model: valid and invalid at least so often.
const EXPECTED: [(&str, &str, [u64; 2]); 17] = [
    ("registers_with_cas", "glance", [50, 20]),
    ("registers_with_cas", "second glance", [50, 20]),
    ("counters", "sums", [50, 20]),
    ("counters", "bounds", [0, 20]),
    ("locks", "glance", [50, 20]),
    ("registers_of_distinct_values", "zones", [50, 20]),
    ("queues_of_distinct_values", "queue", [50, 20]),
    ("sets_of_distinct_elements", "set", [50, 20]),
    ("registers_with_cas", "pieces", [50, 10]),
    ("stacks", "pieces", [50, 10]),
    ("registers_with_cas", "windows", [0, 10]),
    ("registers_with_cas", "relaxed frontier", [0, 10]),
    ("locks", "relaxed frontier", [0, 10]),
    ("registers_of_distinct_values", "tight", [10, 1]),
    ("stacks", "tight", [10, 1]),
    ("sets", "tight", [10, 1]),
    ("transactions_on_registers", "tight", [10, 1]),
];

/// With `ORDEAL_ALGORITHM_SEEDS=0..100000` on as many as that for each model (in release).
#[test]
fn every_algorithm_alone_agrees_with_exhaustive_search() {
    let mut silent = Vec::new();
    for name in NAMES {
        let mut tally = Tally::new();
        visit(name, &mut tally);
        println!("{name}: {tally:?}");
        let [valid, invalid] = tally["portfolio"];
        let all = valid + invalid;
        for complete in ["depth-first", "frontier", "portfolio"] {
            let [valid, invalid] = tally[complete];
            assert!(valid * 50 > all && invalid * 50 > all, "{name}: {tally:?}");
        }
        for (_, algorithm, least) in EXPECTED.iter().filter(|(of, ..)| *of == name) {
            let said = tally.get(algorithm).copied().unwrap_or_default();
            if (0..2).any(|at| said[at] < least[at]) {
                silent.push(format!("{name}: {algorithm} said {said:?} of {all}"));
            }
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}
