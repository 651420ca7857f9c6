//! The table of the README, made of the list of measurements and of what became of them.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use crate::{
    Measured, measured,
    support::told::{Outcome, Told},
};

const BEGIN: &str = "<!-- conformance: written by tests/conformance, see its head -->\n";
const END: &str = "<!-- end of conformance -->\n";
const NOTE: &str =
    "\n† by netem, which this kernel lacks: measured by `.ci/netem`, on one that has it.\n";

/// One row a fault, in the order of the list; the backends that share a promise stand together.
fn table() -> String {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    let mut backends: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for one in measured() {
        let row = (one.fault, one.promise);
        if !rows.contains(&row) {
            rows.push(row);
        }
        let mark = if one.netem { " †" } else { "" };
        let backend = format!("{}{mark}", one.backend);
        backends.entry(row).or_default().push(backend);
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
    text + NOTE
}

/// What must not be claimed on the ground of this run, since it was not seen to hold in it.
fn unseen(told: &Told) -> Vec<String> {
    let is_seen = |one: &Measured| match told.of(one.test) {
        Some(Outcome::Passed) => true,
        // The mark says who measures it.
        Some(Outcome::Ignored(_)) => one.netem,
        Some(Outcome::Failed(_)) | None => false,
    };
    let unseen = measured().into_iter().filter(|one| !is_seen(one));
    unseen
        .map(|one| format!("{} on {}", one.fault, one.backend))
        .collect()
}

/// Compares the README's table with the list's; writes it where that is asked for and every row was
/// seen to hold.
pub(crate) fn check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme
        .split_once(BEGIN)
        .expect("the table's beginning is marked");
    let (committed, after) = rest.split_once(END).expect("the table's end is marked");
    let table = table();
    if env::var_os("ORDEAL_BLESS").is_some() {
        let unseen = unseen(&Told::before());
        assert!(
            unseen.is_empty(),
            "not seen to hold in this run: {unseen:?}"
        );
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        committed, table,
        "ORDEAL_BLESS=1 cargo test -p ordeal-nemesis --test conformance"
    );
}
