//! What a sandbox leaves behind, found from outside by looking at every process of the machine.

use std::{fs, process::Command};

/// An environment variable that a process passes on to all its descendants.
pub(crate) struct Mark(String);

impl Mark {
    pub(crate) fn new(number: u32) -> Self {
        Self(format!("ORDEAL_TEST_MARK={}-{number}", std::process::id()))
    }

    pub(crate) fn put_on<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let (name, value) = self.0.split_once('=').expect("a mark has a value");
        command.env(name, value)
    }

    /// The living processes that bear it. A zombie has no environment.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == self.0.as_bytes())
        };
        pids().into_iter().filter(marked).collect()
    }
}

/// What of this machine a sandbox could have touched: interfaces and mounts of the test itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    interfaces: Vec<String>,
    mounts: String,
}

impl Shared {
    pub(crate) fn look() -> Self {
        let interfaces = fs::read_to_string("/proc/net/dev").expect("our own interfaces");
        let name = |line: &str| line.split(':').next().unwrap_or_default().trim().to_owned();
        Self {
            interfaces: interfaces.lines().skip(2).map(name).collect(),
            mounts: fs::read_to_string("/proc/self/mounts").expect("our own mounts"),
        }
    }
}

/// The processes that live in one of these namespaces (`net:[4026532000]`) or hold it open.
pub(crate) fn holders(namespaces: &[String]) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for pid in pids() {
        for folder in ["ns", "fd"] {
            let Ok(entries) = fs::read_dir(format!("/proc/{pid}/{folder}")) else {
                continue;
            };
            for link in entries
                .flatten()
                .filter_map(|entry| fs::read_link(entry.path()).ok())
            {
                let link = link.display().to_string();
                if namespaces.contains(&link) {
                    found.push((pid, link));
                }
            }
        }
    }
    found
}

/// The children of a process.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    pids()
        .into_iter()
        .filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

pub(crate) fn only_child(parent: u32) -> u32 {
    let children = children(parent);
    assert_eq!(children.len(), 1, "children of {parent}: {children:?}");
    children[0]
}

/// The living processes. A zombie is none: it has nothing but its exit code, and waits for its
/// parent, which after the death of outer is the machine's own pid 1, to take notice.
fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(state, _)| state != "Z"))
        .collect()
}

/// The state letter and the parent of a process.
fn stat(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
