//! What a run leaves on the machine besides its folder: nothing.
//!
//! Other people's processes come and go on the same machine, so a run's own are told apart: by the
//! results folder in their command line, and by the namespaces that they share with those.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A process, and the instant of its start: a number alone may be given to another one.
pub(crate) type Identity = (u32, String);

/// Everything that a run could leave behind, taken before it or in the middle of it.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    interfaces: BTreeSet<String>,
    mounts: BTreeSet<String>,
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
        }
    }

    /// Panics unless, within `patience`, nothing of the run is left: no process with this marker,
    /// none of `processes`, no interface and no mount that was not there before.
    pub(crate) fn is_clean(
        &self,
        marker: &Path,
        processes: &BTreeSet<Identity>,
        patience: Duration,
    ) {
        let begun = Instant::now();
        loop {
            let marked = processes_with(marker);
            let alive: Vec<_> = processes.iter().filter(|id| is_alive(id)).collect();
            let now = Machine::look();
            let interfaces: Vec<_> = now.interfaces.difference(&self.interfaces).collect();
            let mounts: Vec<_> = now.mounts.difference(&self.mounts).collect();
            let clean =
                marked.is_empty() && alive.is_empty() && interfaces.is_empty() && mounts.is_empty();
            if clean {
                return;
            }
            assert!(
                begun.elapsed() < patience,
                "left behind: {marked:#?} {alive:?} {interfaces:?} {mounts:?}"
            );
            std::thread::yield_now();
        }
    }
}

/// The processes that have this path in their command line.
pub(crate) fn processes_with(marker: &Path) -> Vec<u32> {
    let marker = marker.display().to_string();
    let has_it = |pid: &u32| {
        let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command_line).contains(&marker)
    };
    all_processes().into_iter().filter(has_it).collect()
}

/// Every process of a run: those with its marker, and whoever shares a namespace with them that
/// we are not in ourselves.
pub(crate) fn processes_of(marker: &Path) -> BTreeSet<Identity> {
    let own = namespaces(std::process::id());
    let theirs: BTreeSet<String> = processes_with(marker)
        .into_iter()
        .flat_map(namespaces)
        .collect();
    let theirs: BTreeSet<_> = theirs.difference(&own).cloned().collect();
    let marked = processes_with(marker).into_iter();
    let inside = all_processes()
        .into_iter()
        .filter(|pid| !namespaces(*pid).is_disjoint(&theirs));
    marked
        .chain(inside)
        .filter_map(|pid| Some((pid, start_of(pid)?)))
        .collect()
}

fn all_processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The namespaces that a process is in; none where it has just ended.
fn namespaces(pid: u32) -> BTreeSet<String> {
    let link = |kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
    let all = ["net", "pid", "mnt", "uts", "ipc"]
        .into_iter()
        .filter_map(link);
    all.map(|name| name.display().to_string()).collect()
}

/// When a process started, in the kernel's own count.
///
/// A zombie has left everything already and only waits for its new parent to look at its exit
/// code; how soon that happens is the machine's business.
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may have spaces in it; the fields after it have not.
    let fields = stat.rsplit_once(')')?.1;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    fields.nth(18).filter(|_| state != "Z").map(str::to_owned)
}

fn is_alive((pid, start): &Identity) -> bool {
    start_of(*pid).is_some_and(|now| now == *start)
}
