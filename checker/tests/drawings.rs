//! Every drawing in the corpus has the verdict that its name says.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use ordeal_checker::budget::Budget;
use ordeal_checker::linearizability::{Decision, check};
use ordeal_checker::model::{CasRegister, Model};
use ordeal_checker::verdict::Validity;

#[test]
fn every_drawing_has_the_verdict_in_its_name() {
    let mut judged = (0, 0);
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let history = support::drawn(&fs::read_to_string(&path).unwrap());
        let expected = match name.ends_with(".ok.txt") {
            true => Validity::Valid,
            false => Validity::Invalid,
        };
        let verdict = check(&CasRegister, &history, &Budget::default());
        assert_eq!(
            verdict.validity(),
            expected,
            "{name}: {:?}",
            verdict.finding()
        );
        let exhaustive = support::exhaustive(&CasRegister, &history);
        assert_eq!(exhaustive, expected == Validity::Valid, "{name}");
        match expected {
            Validity::Valid => judged.0 += 1,
            _ => judged.1 += 1,
        }
    }
    assert!(judged.0 >= 6 && judged.1 >= 6, "twins: {judged:?}");
}

#[test]
fn a_violation_is_told_with_who_and_when() {
    let history = support::drawn(
        "p1 ├── write 1 ──┤
         p2                  ├── write 2 ──┤
         p3                                   ├── read → 1 ──┤"
            .replace("         p", "p")
            .as_str(),
    );
    let finding = check(&CasRegister, &history, &Budget::default()).finding();
    assert_eq!(finding.validity, Validity::Invalid);
    assert_eq!(
        finding.anomalies[0].message,
        "the history is not linearizable. p3's read → 1 (0.000000 s to 0.000000 s) cannot follow: \
         the object holds 2, since p2's write 2 (0.000000 s to 0.000000 s)."
    );
    assert_eq!(finding.anomalies[0].events, [2, 1, 0]);
}

#[test]
fn a_spent_budget_is_unknown_never_valid() {
    // Two writes of one value keep the zones out of it.
    let history = support::drawn(
        "p1 ├── write 1 ──────────────┤
p2  ├── write 2 ─────────────┤
p3   ├── write 1 ────────────┤
p4     ├── read → 2 ──┤ ├── read → 1 ──┤",
    );
    let verdict = check(&CasRegister, &history, &Budget::states(1));
    assert_eq!(verdict.validity(), Validity::Unknown);
    assert!(matches!(verdict.keys[0].decision, Decision::Unknown(_)));
    assert_eq!(
        check(&CasRegister, &history, &Budget::default()).validity(),
        Validity::Valid
    );
}

#[test]
fn every_explanation_is_minimal() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".bad.txt") {
            continue;
        }
        let history = support::drawn(&fs::read_to_string(&path).unwrap());
        let verdict = check(&CasRegister, &history, &Budget::default());
        let Decision::Invalid(contradiction) = &verdict.keys[0].decision else {
            panic!("{path:?}: {verdict:?}")
        };
        let minimal = &contradiction.minimal;
        assert!(
            !minimal.is_empty() && !contradiction.drawing.is_empty(),
            "{path:?}"
        );
        let without = |left: Option<usize>| {
            let kept = minimal.iter().filter(|id| Some(id.0) != left);
            support::redrawn(&history, kept.copied())
        };
        assert!(
            !support::exhaustive(&CasRegister, &without(None)),
            "{path:?}: still wrong"
        );
        for id in minimal {
            let rest = without(Some(id.0));
            let is_right = support::exhaustive(&CasRegister, &rest) || support::has_orphan(&rest);
            assert!(
                is_right,
                "{path:?}: {id:?} could be left out of {minimal:?}"
            );
        }
    }
}

#[test]
fn the_order_of_a_valid_history_replays() {
    let text = include_str!("corpus/unknown-cas-chain.ok.txt");
    let history = support::drawn(text);
    let verdict = check(&CasRegister, &history, &Budget::default());
    let Decision::Valid { order } = &verdict.keys[0].decision else {
        panic!("{verdict:?}")
    };
    let mut state = CasRegister.init();
    for id in order {
        let operation = history.get(*id);
        let ret = operation.outcome().ok();
        state = CasRegister.step(&state, operation.op(), ret).unwrap();
    }
}
