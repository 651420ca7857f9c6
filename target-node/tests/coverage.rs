//! The table of the README: every row of the list is there, and what it names exists.

#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows: name, what, where, shown by.
fn rows() -> Vec<Vec<String>> {
    let readme = read("README.md");
    let table = readme
        .split("| row | what |")
        .nth(1)
        .expect("the table is there");
    let lines = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(cell).collect();
    lines.map(cells).collect()
}

fn cell(text: &str) -> String {
    text.trim().to_owned()
}

/// What stands between back quotes.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_row_of_the_list_is_there_once() {
    let expected: Vec<String> = (1..=80)
        .map(|row| row.to_string())
        .chain((1..=26).map(|scenario| format!("S{scenario:02}")))
        .collect();
    let found: Vec<String> = rows().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_a_row_names_exists() {
    let simulation = read("src/simulation.rs");
    for row in rows() {
        let [number, _, place, shown] = &row[..] else {
            panic!("{row:?} has not four cells")
        };
        for file in names(place) {
            read(&format!("src/{file}"));
        }
        for name in names(shown) {
            if let Some((file, test)) = name.split_once("::") {
                let is_there = read(file).contains(&format!("fn {test}("));
                assert!(is_there, "row {number}: {file} has no test {test}");
            } else if name.starts_with("testdata/") {
                read(&format!("tests/{name}"));
            } else {
                let is_there = simulation.contains(&format!("\n    {name},\n"));
                assert!(is_there, "row {number}: there is no invariant {name}");
            }
        }
        let is_shown = names(shown).next().is_some();
        let is_left_out = shown.starts_with("not built: optional");
        assert!(is_shown != is_left_out, "row {number}: {shown}");
    }
}

#[test]
fn every_conversation_shows_some_row() {
    let rows = rows();
    let shown: BTreeSet<&str> = rows.iter().flat_map(|row| names(&row[3])).collect();
    let mut folders = vec!["testdata".to_owned()];
    while let Some(folder) = folders.pop() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests")
            .join(&folder);
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name);
            } else {
                let is_shown = shown.contains(name.as_str());
                assert!(is_shown, "{name} is in no row of the README's table");
            }
        }
    }
}
