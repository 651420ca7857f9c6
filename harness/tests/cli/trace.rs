//! What a run leaves on the machine besides its folder: nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Everything on this machine that a run could leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    interfaces: BTreeSet<String>,
    mounts: Vec<String>,
    namespaces: BTreeSet<String>,
}

impl Machine {
    /// As it is now.
    pub(crate) fn look() -> Self {
        let interfaces = fs::read_dir("/sys/class/net").unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        Machine {
            interfaces: interfaces
                .map(|i| i.unwrap().file_name().into_string().unwrap())
                .collect(),
            mounts: mounts.lines().map(str::to_owned).collect(),
            namespaces: namespaces(),
        }
    }

    /// What is there now and was not before.
    fn left(&self) -> Vec<String> {
        let now = Machine::look();
        let interfaces = now.interfaces.difference(&self.interfaces).cloned();
        let mounts = now
            .mounts
            .iter()
            .filter(|mount| !self.mounts.contains(mount))
            .cloned();
        let namespaces = now.namespaces.difference(&self.namespaces).cloned();
        interfaces.chain(mounts).chain(namespaces).collect()
    }
}

/// The namespaces of every process that can be seen.
fn namespaces() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for kind in ["net", "pid", "mnt", "user", "uts", "ipc"] {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            // A process may end while we look.
            if let Ok(name) = fs::read_link(process.path().join("ns").join(kind)) {
                found.insert(name.display().to_string());
            }
        }
    }
    found
}

/// The processes whose command line has this path in it.
pub(crate) fn processes_with(marker: &Path) -> Vec<String> {
    let marker = marker.display().to_string();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let command_line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command_line = String::from_utf8_lossy(&command_line).replace('\0', " ");
        if command_line.contains(&marker) {
            found.push(format!("{}: {command_line}", process.file_name().display()));
        }
    }
    found
}

/// Panics unless, within `patience`, nothing of the run with this folder is left.
pub(crate) fn nothing_is_left(before: &Machine, marker: &Path, patience: Duration) {
    let begun = Instant::now();
    loop {
        let (processes, left) = (processes_with(marker), before.left());
        if processes.is_empty() && left.is_empty() {
            return;
        }
        assert!(
            begun.elapsed() < patience,
            "left behind: {processes:#?} {left:#?}"
        );
        std::thread::yield_now();
    }
}
