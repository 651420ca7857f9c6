//! Each algorithm alone, on small random histories, against the others.

use std::time::Instant;

use super::class::Classes;
use super::frontier::{Fate, Frontier, Scope};
use super::meter::Meter;
use super::portfolio::reachable;
use super::problem::{Problem, counts};
use super::search::{Cuts, Outcome, Search};
use super::zone::{self, Zones};
use crate::budget::Budget;
use crate::history::{History, HistoryBuilder, Outcome as Ended, Process, Reason, Time};
use crate::model::{CasRegister, Model, RegisterOp, RegisterRet};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn value(&mut self, bound: u64) -> i64 {
        i64::try_from(self.below(bound)).unwrap()
    }
}

/// Up to a dozen operations by up to five clients, on a register that hardly ever lies.
fn random_history(seed: u64) -> History<RegisterOp, RegisterRet> {
    let mut random = Random(seed);
    let values = if random.below(2) == 0 { 3 } else { 1_000_000 };
    let (clients, count) = (1 + random.below(5), 3 + random.below(10));
    let mut builder = HistoryBuilder::new();
    let mut open: Vec<(u64, RegisterOp, Option<RegisterRet>)> = Vec::new();
    let (mut state, mut begun, mut recent): (Option<i64>, u64, i64) = (None, 0, 0);
    for now in 0.. {
        if begun < count && (open.len() as u64) < clients {
            let expect = if random.below(2) == 0 {
                state
            } else {
                Some(recent)
            };
            let new = random.value(values);
            recent = if random.below(3) == 0 { new } else { recent };
            let op = match random.below(3) {
                0 => RegisterOp::Read,
                1 => RegisterOp::Write(new),
                _ => RegisterOp::Cas { expect, new },
            };
            builder.invoke(Process(begun), Time(now), op).unwrap();
            open.push((begun, op, None));
            begun += 1;
            continue;
        }
        if open.is_empty() {
            break;
        }
        let place = usize::try_from(random.below(open.len() as u64)).unwrap();
        let (process, op, ret) = open[place];
        let Some(ret) = ret else {
            let lies = random.below(30) == 0;
            let before = state;
            if random.below(20) > 0 {
                state = CasRegister.step(&state, &op, None).unwrap();
            }
            open[place].2 = Some(match op {
                RegisterOp::Read if lies => RegisterRet::Value(Some(recent)),
                RegisterOp::Read => RegisterRet::Value(before),
                RegisterOp::Write(_) => RegisterRet::Written,
                RegisterOp::Cas { expect, .. } => RegisterRet::Swapped(before == expect),
            });
            continue;
        };
        open.swap_remove(place);
        let ended = match random.below(7) {
            0 => Ended::Info(Reason::default()),
            _ => Ended::Ok(ret),
        };
        builder
            .complete(Process(process), Time(now), ended)
            .unwrap();
    }
    builder.finish()
}

fn frontier(problem: &Problem<'_, CasRegister>, scope: impl Fn(u32, Vec<u32>) -> Scope) -> Fate {
    let mut classes = Classes::new(problem);
    let states = reachable(problem, &mut classes).unwrap_or_default();
    let init = classes.intern(None);
    let mut meter = Meter::new(Budget::default(), Instant::now());
    Frontier::new(problem, &mut classes, scope(init, states)).run(&mut meter)
}

fn agree(seed: u64) -> bool {
    let history = random_history(seed);
    let operations: Vec<_> = history
        .operations()
        .iter()
        .filter(|op| counts(&CasRegister, op))
        .collect();
    let problem = Problem::new(&CasRegister, &operations);
    let events = problem.events.len();
    let exact = |init, _| Scope {
        events: 0..events,
        states: vec![init],
        is_relaxed: false,
    };
    let is_valid = match frontier(&problem, exact) {
        Fate::Survived(order, _) => {
            assert!(problem.replays(&order), "seed {seed}: the frontier's order");
            true
        }
        Fate::Refuted(_) => false,
        Fate::Spent => panic!("seed {seed}: so few operations"),
    };
    match zone::decide(&problem) {
        Zones::Order(_) => assert!(is_valid, "seed {seed}: zones say valid: {history:?}"),
        Zones::Contradiction(_) => assert!(!is_valid, "seed {seed}: zones refute: {history:?}"),
        Zones::Undecided => {}
    }
    for cuts in [
        Cuts::default(),
        Cuts {
            is_narrow: true,
            jumps_max: 3,
        },
    ] {
        let mut classes = Classes::new(&problem);
        let mut meter = Meter::new(Budget::default(), Instant::now());
        match Search::new(&problem, &mut classes, cuts).run(&mut meter) {
            Outcome::Order(order) => assert!(problem.replays(&order) && is_valid, "seed {seed}"),
            _ => assert!(
                !is_valid || cuts.is_narrow,
                "seed {seed}: depth-first: {history:?}"
            ),
        }
    }
    let relaxed = |init, _| Scope {
        events: 0..events,
        states: vec![init],
        is_relaxed: true,
    };
    let is_refuted = matches!(frontier(&problem, relaxed), Fate::Refuted(_));
    assert!(
        !(is_refuted && is_valid),
        "seed {seed}: relaxed: {history:?}"
    );
    for start in 0..events {
        let end = (start + 1 + usize::try_from(seed % 9).unwrap()).min(events);
        let window = |_, states| Scope {
            events: start..end,
            states,
            is_relaxed: true,
        };
        let is_refuted = matches!(frontier(&problem, window), Fate::Refuted(_));
        assert!(
            !(is_refuted && is_valid),
            "seed {seed}: window {start}..{end}: {history:?}"
        );
    }
    is_valid
}

#[test]
fn every_algorithm_agrees_with_every_other() {
    let valid = (0..60_000).filter(|seed| agree(*seed)).count();
    assert!(
        (30_000..58_000).contains(&valid),
        "both kinds are there: {valid} valid"
    );
}
