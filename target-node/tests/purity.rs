//! The core, the state machine and the simulation know no clock, no file, no socket and no
//! thread. The linter bans types and methods (`clippy.toml`); this bans the paths to them.

#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};

const PURE: &[&str] = &[
    "raft.rs",
    "raft",
    "machine.rs",
    "machine",
    "defect.rs",
    "simulation.rs",
    "simulation",
];

const BANNED: &[(&str, &str)] = &[
    ("std::fs", "files belong to the storage"),
    ("std::net", "sockets belong to the peer links"),
    ("std::time", "the core counts ticks"),
    ("std::thread", "the core is one thread"),
    ("std::process", "the driver owns the process"),
    ("tokio", "the driver owns the tasks"),
    ("axum", "the server owns HTTP"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("allow(clippy::disallowed", "there is no exception here"),
    ("println!", "the core tells events, it does not print"),
];

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries.flat_map(|entry| sources(&entry)).collect()
}

#[test]
fn the_core_reaches_for_nothing_outside_itself() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<PathBuf> = PURE
        .iter()
        .flat_map(|name| sources(&src.join(name)))
        .collect();
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for (banned, reason) in BANNED {
            let place = text.lines().position(|line| line.contains(banned));
            assert_eq!(place, None, "{}: {banned}: {reason}", file.display());
        }
    }
}
