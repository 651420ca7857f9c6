//! What a reader may rely on anywhere in this tree, kept by a test and not by memory.
//!
//! Formatting is rustfmt's business and most lints are clippy's; what is left is here: who may
//! import whom, how long a thing may get, and a few names. Every file is read twice: as text, and
//! as *code*, which is the text with comments and literals blanked out, so that a rule about code
//! does not trip over a sentence, and a rule's own pattern not over itself.

mod code;
mod rule;

use rule::{
    COLUMNS_MAX, FILE_LINES_MAX, FUNCTION_LINES_MAX, Offence, README_LINES_MAX, RULES, Source,
    TESTED_FILE_LINES_MAX,
};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// Files that are read: what a person wrote, not what a tool did.
fn is_ours(name: &str) -> bool {
    let kinds = [".rs", ".md", ".toml", ".yml", ".css", ".js", ".sh"];
    name == "run" || kinds.iter().any(|kind| name.ends_with(kind))
}

fn walk(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
        let hidden = name.starts_with('.') && ![".ci", ".github"].contains(&name.as_str());
        let built = path.join("CACHEDIR.TAG").exists() || relative == "results/runs";
        if path.is_dir() && !hidden && !built {
            walk(root, &path, sources)?;
        } else if path.is_file() && is_ours(&name) {
            sources.push(Source::new(&relative, &fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

fn judge(source: &Source) -> Vec<Offence> {
    RULES.iter().flat_map(|(_, rule)| rule(source)).collect()
}

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = Vec::new();
    walk(root, root, &mut sources).unwrap();
    for must in [
        ".ci/run",
        "ARCHITECTURE.md",
        "Cargo.toml",
        "README.md",
        "checker/src/lib.rs",
        "harness/src/main.rs",
    ] {
        assert!(
            sources.iter().any(|source| source.path == must),
            "{must} was not looked at"
        );
    }
    let mut offences: Vec<Offence> = sources.iter().flat_map(judge).collect();
    offences.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let lines: Vec<String> = offences.iter().map(Offence::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} offences\n{}",
        lines.len(),
        lines.join("\n")
    );
}

/// Rule, file, its text, and the lines that must be named.
const BAD: &[(&str, &str, &str, &[usize])] = &[
    (
        "manifest",
        "checker/Cargo.toml",
        "[dependencies]\nordeal.path = \"..\"\n",
        &[2, 1],
    ),
    (
        "manifest",
        "workloads/Cargo.toml",
        "[dev-dependencies]\ntokio.workspace = true\n",
        &[2, 1],
    ),
    (
        "manifest",
        "nemesis/Cargo.toml",
        "[lints]\nworkspace = true\n[dependencies.ordeal]\n",
        &[3],
    ),
    (
        "manifest",
        "extra/Cargo.toml",
        "[lints]\nworkspace = true\n",
        &[1],
    ),
    (
        "layering",
        "checker/src/a.rs",
        "//! A.\n\nuse ordeal_nemesis::fault;\n",
        &[3],
    ),
    (
        "layering",
        "checker/tests/a.rs",
        "//! A.\nuse tokio::{fs, time};\n",
        &[2, 2],
    ),
    (
        "layering",
        "nemesis/src/a.rs",
        "//! A.\nfn a() {\n    ordeal::run();\n}\n",
        &[3],
    ),
    (
        "node_face",
        "harness/src/a.rs",
        "use target_node::{\n    run,\n    raft::Core,\n};\n",
        &[3],
    ),
    (
        "raft_core",
        "target-node/src/raft/log.rs",
        "use std::{fmt, fs::File};\n",
        &[1],
    ),
    (
        "raft_core",
        "target-node/src/raft.rs",
        "fn f() {\n    tokio::spawn(g());\n}\n",
        &[2],
    ),
    ("first_line", "checker/src/a.rs", "use std::fmt;\n", &[1]),
    (
        "names",
        "checker/src/a.rs",
        "struct KeyManager;\ntrait PathUtils {}\n",
        &[1, 2],
    ),
    ("names", "harness/src/data.rs", "//! A.\n", &[1]),
    ("names", "harness/src/run/mod.rs", "//! A.\n", &[1]),
    (
        "unfinished",
        "checker/src/a.rs",
        "fn a() {\n    todo!()\n}\n#[ignore]\n",
        &[2, 4],
    ),
    ("whitespace", "a.md", "one \ntwo\n\tthree\nfour", &[1, 3, 4]),
    (
        "paths",
        "a.md",
        concat!("see /", "root/notes\nfine: a/", "work/b\n"),
        &[1],
    ),
];

fn fired(rule: &str, path: &str, text: &str) -> Vec<usize> {
    let known = RULES.iter().find(|(name, _)| *name == rule);
    let (_, rule) = known.expect("a snippet names a rule that there is");
    rule(&Source::new(path, text))
        .iter()
        .map(|offence| offence.line)
        .collect()
}

#[test]
fn every_rule_fires_on_a_bad_snippet() {
    let long = "x".repeat(COLUMNS_MAX + 1) + "\n";
    let tall = "\n".repeat(TESTED_FILE_LINES_MAX + 1);
    let function = format!("fn f() {{\n{}}}\n", "    a();\n".repeat(FUNCTION_LINES_MAX));
    let mut cases: Vec<(&str, &str, &str, &[usize])> = BAD.to_vec();
    cases.push(("columns", "checker/src/a.rs", &long, &[1]));
    cases.push((
        "file_length",
        "checker/src/a.rs",
        &tall,
        &[FILE_LINES_MAX + 1],
    ));
    cases.push(("function_length", "checker/src/a.rs", &function, &[1]));
    cases.push(("readme_length", "README.md", &tall, &[README_LINES_MAX]));
    let mut seen = BTreeSet::new();
    for (rule, path, text, lines) in cases {
        assert_eq!(fired(rule, path, text), lines, "{rule} on {path}: {text:?}");
        seen.insert(rule);
    }
    for (rule, _) in RULES {
        assert!(seen.contains(rule), "no bad snippet for {rule}");
    }
}

#[test]
fn no_rule_fires_on_a_good_file() {
    let text =
        "//! A thing.\n\nuse std::fmt;\n\n/// Not a Manager; never todo!().\npub struct Thing;\n";
    let offences = judge(&Source::new("checker/src/thing.rs", text));
    assert_eq!(offences, []);
    let main = "//! The binary.\n\nfn main() {\n    ordeal::main_with(vec![]);\n}\n";
    assert_eq!(judge(&Source::new("harness/src/main.rs", main)), []);
}

#[test]
fn inline_tests_earn_a_file_more_room() {
    let text = format!("//! A.\n#[cfg(test)]\n{}", "\n".repeat(FILE_LINES_MAX));
    assert_eq!(fired("file_length", "checker/src/a.rs", &text), []);
    let claimed = text.replace("#[cfg", "// #[cfg");
    assert_eq!(
        fired("file_length", "checker/src/a.rs", &claimed),
        [FILE_LINES_MAX + 1]
    );
}
