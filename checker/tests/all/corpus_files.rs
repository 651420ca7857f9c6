//! The histories with known verdicts, where they are at hand: `../shared/histories`, or the folder
//! that `ORDEAL_HISTORIES` names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ordeal_checker::budget::Budget;
use ordeal_checker::format::{Format, events};
use ordeal_checker::history::{EventKind, HistoryBuilder, Outcome, Reason};
use ordeal_checker::judge::{Options, Subject, check_file};
use ordeal_checker::linearizability::{Decision, check};
use ordeal_checker::model::{CasRegister, RegisterOp, RegisterRet};
use ordeal_checker::verdict::Validity;
use serde_json::Value;

use crate::support::{RegisterHistory, assert_minimal_by};

/// What the operations of a file cannot tell.
fn model_of(path: &Path) -> Option<Subject> {
    path.ends_with("jepsen/counter.edn")
        .then_some(Subject::Counter)
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
    for file in crate::support::files::within(&folder.join("kv")) {
        let is_valid = file.to_string_lossy().contains("-ok");
        all.push((file, is_valid));
    }
    for (name, is_valid) in [("good", true), ("bad", false)] {
        all.extend(
            crate::support::files::within(&folder.join("knossos").join(name))
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
    let Some(folder) = crate::support::files::folder() else {
        println!("skipped: no folder of histories here; set ORDEAL_HISTORIES to one");
        return;
    };
    let mut wrong = Vec::new();
    for (path, is_valid) in expected(&folder) {
        let validity = judge(&path, model_of(&path));
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

/// Of an explanation by search: that no operation is too many, and who, what and why.
#[test]
fn every_violation_of_a_register_or_a_string_is_explained_with_no_operation_too_many() {
    let Some(folder) = crate::support::files::folder() else {
        println!("skipped: no folder of histories here; set ORDEAL_HISTORIES to one");
        return;
    };
    let mut told = 0;
    for (path, is_valid) in expected(&folder) {
        let is_searched = ["etcd-logs", "kv", "knossos"]
            .iter()
            .any(|part| path.to_string_lossy().contains(part));
        if is_valid || !is_searched {
            continue;
        }
        let report = check_file(&path, &Options::default()).unwrap();
        let text = report.explanation.expect("a violation is explained");
        let is_wide = |line: &&str| line.chars().count() > 100;
        assert_eq!(text.lines().find(is_wide), None, "{path:?}");
        // What a line is too long for goes on under it.
        let text = text.replace("\n     ", " ");
        for key in text.split("is not linearizable: ").skip(1) {
            let claim = key.split("\n\n").next().unwrap().replace('\n', " ");
            assert!(
                claim.contains(" show it") || claim.contains(" shows it"),
                "{path:?}: {key}"
            );
            assert!(
                claim.contains("explained. There is no order"),
                "{path:?}: {key}"
            );
            assert!(!claim.contains("Fewer may be enough"), "{path:?}: {key}");
            let is_one = claim.contains("This one of its") || claim.contains("one operation");
            assert!(is_one || claim.contains(" needed: if "), "{path:?}: {key}");
            let is_reason = |line: &&str| line.starts_with("  ✗  p") && line.contains("'s ");
            let why = key.lines().find(is_reason);
            let why = why.unwrap_or_else(|| panic!("{path:?}: nothing is stuck: {key}"));
            assert!(why.contains("(line"), "{path:?}: {why}");
            let reason = ["cannot come", "cannot be explained", "could come next"];
            assert!(
                reason.iter().any(|reason| why.contains(reason)),
                "{path:?}: {why}"
            );
            told += 1;
        }
    }
    assert!(told >= 50, "only {told} keys were told of");
}

/// A file of one register as a history.
fn register_of(path: &Path) -> RegisterHistory {
    let text = fs::read_to_string(path).unwrap();
    let format = Format::guess(&text).unwrap();
    let mut history = HistoryBuilder::new();
    let mut asked = BTreeMap::new();
    let int = |value: &Value| value.as_i64().unwrap();
    for line in events(std::io::Cursor::new(text), format) {
        let (_, event) = line.unwrap();
        let (process, time, value) = (event.process, event.time, &event.value);
        if event.kind == EventKind::Invoke {
            let op = match event.f.as_str() {
                "read" => RegisterOp::Read,
                "write" => RegisterOp::Write(int(value)),
                "cas" => RegisterOp::Cas {
                    expect: value[0].as_i64(),
                    new: int(&value[1]),
                },
                other => panic!("{path:?}: {other}"),
            };
            asked.insert(process, op);
            history.invoke(process, time, op).unwrap();
            continue;
        }
        let outcome = match (event.kind, asked[&process]) {
            (EventKind::Ok, RegisterOp::Read) => Outcome::Ok(RegisterRet::Value(value.as_i64())),
            (EventKind::Ok, RegisterOp::Write(_)) => Outcome::Ok(RegisterRet::Written),
            (EventKind::Ok, RegisterOp::Cas { .. }) => {
                Outcome::Ok(RegisterRet::Swapped(value.as_bool().unwrap_or(true)))
            }
            (EventKind::Fail, _) => Outcome::Fail(Reason::default()),
            _ => Outcome::Info(Reason::default()),
        };
        history.complete(process, time, outcome).unwrap();
    }
    history.finish()
}

/// Too long for exhaustive search; but what is left of a history is checked as one of its own, from
/// the beginning and by all algorithms.
#[test]
fn without_any_operation_of_its_explanation_a_known_history_has_an_order() {
    let Some(folder) = crate::support::files::folder() else {
        println!("skipped: no folder of histories here; set ORDEAL_HISTORIES to one");
        return;
    };
    let search = |history: &RegisterHistory| {
        let verdict = check(&CasRegister, history, &Budget::default());
        assert_ne!(verdict.validity(), Validity::Unknown);
        verdict.validity() == Validity::Valid
    };
    let mut told = 0;
    for (path, is_valid) in expected(&folder) {
        let is_register = ["etcd-logs", "knossos"]
            .iter()
            .any(|part| path.to_string_lossy().contains(part));
        if is_valid || !is_register {
            continue;
        }
        let history = register_of(&path);
        let verdict = check(&CasRegister, &history, &Budget::default());
        let Decision::Invalid(contradiction) = &verdict.keys[0].decision else {
            panic!("{path:?}: {:?}", verdict.validity());
        };
        let name = path.display().to_string();
        assert_minimal_by(search, &CasRegister, &history, contradiction, &name);
        told += 1;
    }
    assert!(told >= 30, "only {told} histories were told of");
}
