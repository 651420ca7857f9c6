//! The table of the README, made of the list of measurements.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use crate::measured;

const BEGIN: &str = "<!-- conformance: written by tests/conformance, see its head -->\n";
const END: &str = "<!-- end of conformance -->\n";

/// One row a fault, in the order of the list; the backends that share a promise stand together.
fn table() -> String {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    let mut backends: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for one in measured() {
        let row = (one.fault, one.promise);
        if !rows.contains(&row) {
            rows.push(row);
        }
        backends.entry(row).or_default().push(one.backend);
    }
    let mut text = String::from("| fault | on | what a probe must see |\n|---|---|---|\n");
    for row in rows {
        let (fault, promise) = row;
        writeln!(
            text,
            "| {fault} | {} | {promise} |",
            backends[&row].join(" · ")
        )
        .unwrap();
    }
    text
}

/// Compares the README's table with the list's; writes it where that is asked for.
pub(crate) fn check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme
        .split_once(BEGIN)
        .expect("the table's beginning is marked");
    let (committed, after) = rest.split_once(END).expect("the table's end is marked");
    let table = table();
    if env::var_os("ORDEAL_BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        committed, table,
        "ORDEAL_BLESS=1 cargo test -p ordeal-nemesis --test conformance readme"
    );
}
