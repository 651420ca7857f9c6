//! The histories with known verdicts, where they are at hand.
#![allow(dead_code, clippy::unwrap_used)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// `../shared/histories`, or the folder that `ORDEAL_HISTORIES` names.
pub(crate) fn folder() -> Option<PathBuf> {
    let named = env::var_os("ORDEAL_HISTORIES").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/histories");
    named.or(Some(beside)).filter(|folder| folder.is_dir())
}

/// What is in a folder, in the order of names.
pub(crate) fn within(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Every history in all folders; none where there is no such folder.
pub(crate) fn all() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = folder().into_iter().collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in within(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("EXPECTED") && !path.ends_with("README.md") {
                files.push(path);
            }
        }
    }
    files
}
