//! Every drawing of transactions in the corpus has the verdict that its name says, which is that of
//! exhaustive search, and every anomaly is told in words that stand beside it.
//!
//! `G0.ok.txt` and `G0.bad.txt` are twins; `G0.told.txt` is what is said of the bad one. With
//! `ORDEAL_BLESS=1` the words are written anew, to be read in the diff.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::serial::{Transactions, is_strictly_serializable, moved, steps};
use crate::support::{assert_told, drawn_as};
use ordeal_checker::budget::Budget;
use ordeal_checker::history::HistoryBuilder;
use ordeal_checker::transaction::{Kind, Serializability, check};
use ordeal_checker::verdict::Validity;

/// How many twins there are of each.
const TWINS: [(&str, Kind, usize); 2] = [
    ("list-append", Kind::ListAppend, 22),
    ("rw-register", Kind::RwRegister, 21),
];

/// Drawings, by the names of their files.
fn drawings(folder: &str, end: &str) -> Vec<(String, PathBuf)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = fs::read_dir(corpus.join(folder)).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .filter_map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            Some((name.strip_suffix(end)?.to_owned(), path))
        })
        .collect();
    found.sort();
    found
}

/// A column is a millisecond.
fn history(path: &Path) -> Transactions {
    let drawn = drawn_as(&fs::read_to_string(path).unwrap(), steps);
    let mut builder = HistoryBuilder::new();
    moved(&mut builder, &drawn, (0, 0, 1_000_000));
    builder.finish()
}

fn kinds(verdict: &Serializability) -> Vec<&str> {
    let violations = verdict.violations.iter();
    violations
        .map(|violation| violation.kind.as_str())
        .collect()
}

#[test]
fn good_drawings_are_valid_and_have_bad_twins() {
    for (folder, kind, count) in TWINS {
        let good = drawings(folder, ".ok.txt");
        for (name, path) in &good {
            let history = history(path);
            assert!(is_strictly_serializable(kind, &history), "{folder}/{name}");
            let finding = check(kind, &history, &Budget::default()).finding();
            assert_eq!(
                finding.validity,
                Validity::Valid,
                "{folder}/{name}: {finding:?}"
            );
        }
        let names = |drawings: Vec<(String, PathBuf)>| -> BTreeSet<String> {
            drawings.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(good.len(), count, "{folder}");
        assert_eq!(names(good), names(drawings(folder, ".bad.txt")), "{folder}");
    }
}

#[test]
fn bad_drawings_are_told_by_the_name_of_their_anomaly_and_in_words() {
    for (folder, kind, _) in TWINS {
        for (name, path) in drawings(folder, ".bad.txt") {
            let history = history(&path);
            assert!(!is_strictly_serializable(kind, &history), "{folder}/{name}");
            let verdict = check(kind, &history, &Budget::default());
            assert_eq!(
                verdict.finding().validity,
                Validity::Invalid,
                "{folder}/{name}"
            );
            let is_anomaly = !["lost-append", "lost-half", "lost-write"].contains(&name.as_str());
            if is_anomaly {
                let first = kinds(&verdict)[0];
                let name = name.trim_end_matches("-blind");
                assert_eq!(first, name.trim_end_matches("-future"), "{folder}/{name}");
            }
            let told: String = verdict
                .violations
                .iter()
                .map(|violation| format!("{}: {}\n", violation.kind, violation.message))
                .collect();
            assert_told(&path, &told);
        }
    }
}

#[test]
fn anomalies_are_found_among_thousands_of_other_transactions() {
    let others = crate::many::large(2_000, crate::many::Fault::Nothing);
    for (name, path) in drawings("list-append", ".bad.txt") {
        let planted = history(&path);
        let alone = check(Kind::ListAppend, &planted, &Budget::default());
        let mut builder = HistoryBuilder::new();
        moved(&mut builder, &others, (1_000, 0, 1_000_000));
        moved(&mut builder, &planted, (0, 2_000_000_000, 1));
        let among = check(Kind::ListAppend, &builder.finish(), &Budget::default());
        assert_eq!(kinds(&among), kinds(&alone), "{name}");
    }
}

#[test]
fn without_a_budget_for_short_cycles_there_are_violations_all_the_same() {
    for (folder, kind, _) in TWINS {
        for (name, path) in drawings(folder, ".bad.txt") {
            let verdict = check(kind, &history(&path), &Budget::states(1));
            assert_eq!(
                verdict.finding().validity,
                Validity::Invalid,
                "{folder}/{name}"
            );
            assert!(!verdict.violations.is_empty(), "{folder}/{name}");
        }
    }
}
