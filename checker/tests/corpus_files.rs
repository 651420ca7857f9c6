//! The histories with known verdicts, where they are at hand: `../shared/histories`, or the folder
//! that `ORDEAL_HISTORIES` names.

#![allow(clippy::unwrap_used)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use ordeal_checker::judge::{Options, Subject, check_file};
use ordeal_checker::verdict::Validity;

fn histories() -> Option<PathBuf> {
    let named = env::var_os("ORDEAL_HISTORIES").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/histories");
    named.or(Some(beside)).filter(|folder| folder.is_dir())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

fn judge(path: &Path, model: Option<Subject>) -> Validity {
    let report = check_file(
        path,
        &Options {
            model,
            ..Options::default()
        },
    );
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    if report.finding.validity == Validity::Invalid {
        assert!(
            !report.finding.anomalies.is_empty(),
            "{path:?}: a violation has a witness"
        );
    }
    report.finding.validity
}

/// Every file, and whether it is valid.
fn expected(folder: &Path) -> Vec<(PathBuf, bool)> {
    let mut all = Vec::new();
    let logs = folder.join("etcd-logs");
    let verdicts = fs::read_to_string(logs.join("EXPECTED")).unwrap();
    for line in verdicts.lines() {
        let (name, verdict) = line.split_once(' ').unwrap();
        all.push((logs.join(name), verdict == "linearizable"));
    }
    for file in files(&folder.join("kv")) {
        let is_valid = file.to_string_lossy().contains("-ok");
        all.push((file, is_valid));
    }
    for (name, is_valid) in [("good", true), ("bad", false)] {
        all.extend(
            files(&folder.join("knossos").join(name))
                .into_iter()
                .map(|f| (f, is_valid)),
        );
    }
    for (name, is_valid) in [
        ("elle/paper-example.edn", false),
        ("elle/paper-example.json", false),
        ("elle/rw-register.edn", true),
        ("jepsen/counter.edn", true),
        ("jepsen/set.edn", true),
        ("jepsen/set_full.edn", false),
    ] {
        all.push((folder.join(name), is_valid));
    }
    all
}

#[test]
fn every_history_with_a_known_verdict_gets_it() {
    let Some(folder) = histories() else {
        println!("skipped: no folder of histories here; set ORDEAL_HISTORIES to one");
        return;
    };
    let mut wrong = Vec::new();
    for (path, is_valid) in expected(&folder) {
        let validity = judge(&path, None);
        let right = if is_valid {
            Validity::Valid
        } else {
            Validity::Invalid
        };
        if validity != right {
            wrong.push(format!("{}: {validity}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
