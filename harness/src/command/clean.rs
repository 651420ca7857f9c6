//! `ordeal clean`: what a killed run has left, for the case that the kernel's own tidying did not
//! do.
//!
//! Ours is what a run's own record names: the process that the user started, the pid namespace and
//! its first process, each with the time of its start, which tells it from a later one with the
//! same number. Whatever runs elsewhere is never touched, whatever its name.

use crate::console::say;
use crate::store::{MARK, Mark, Started};
use crate::verdict::Exit;
use ordeal_nemesis::sandbox::kill_init;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Removes what is left of the runs in `results`, and says what.
pub(crate) fn clean(results: &Path) -> Exit {
    let runs = results.join("runs");
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            say(format_args!("there are no runs in {}", runs.display()));
            return Exit::Valid;
        }
        Err(error) => {
            say(format_args!(
                "ordeal: cannot read {}: {error}",
                runs.display()
            ));
            return Exit::Usage;
        }
    };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let (mut removed, mut failed) = (0, 0);
    for folder in folders {
        for done in of_one_run(&folder) {
            match done {
                Ok(what) => {
                    removed += 1;
                    say(format_args!("removed {what}"));
                }
                Err(why) => {
                    failed += 1;
                    say(format_args!("ordeal: {why}"));
                }
            }
        }
    }
    say(format_args!("{removed} removed, {failed} could not be"));
    if failed == 0 {
        Exit::Valid
    } else {
        Exit::Harness
    }
}

type Done = Result<String, String>;

fn of_one_run(folder: &Path) -> Vec<Done> {
    let is_link = folder.is_symlink();
    if is_link {
        return stale_link(folder).into_iter().collect();
    }
    let Ok(text) = fs::read_to_string(folder.join(MARK)) else {
        // No record: an earlier version's run, or nothing of ours. It is left alone.
        return Vec::new();
    };
    let mark: Mark = match serde_json::from_str(&text) {
        Ok(mark) => mark,
        Err(error) => return vec![Err(format!("{}/{MARK}: {error}", folder.display()))],
    };
    if is_alive(mark.outer) {
        return Vec::new();
    }
    let mut done: Vec<Done> = leftover(&mark).into_iter().collect();
    done.extend(node_data(folder));
    done
}

/// A link that was to become `latest` when its run was killed.
fn stale_link(link: &Path) -> Option<Done> {
    let name = link.file_name()?.to_str()?;
    name.starts_with(".latest-")
        .then(|| remove(link, fs::remove_file(link)))
}

fn remove(path: &Path, result: io::Result<()>) -> Done {
    let path = path.display();
    match result {
        Ok(()) => Ok(path.to_string()),
        Err(error) => Err(format!("cannot remove {path}: {error}")),
    }
}

/// Kills the first process of the run's pid namespace, where it is still there: all others in it go
/// with it, and with them their mounts, interfaces and rules.
fn leftover(mark: &Mark) -> Option<Done> {
    let init = pids().find(|pid| is_init_of(*pid, mark))?;
    Some(match kill_init(init) {
        Ok(()) => Ok(format!("process {init} and all of its pid namespace")),
        Err(error) => Err(format!("cannot kill process {init}: {error}")),
    })
}

fn is_init_of(pid: u32, mark: &Mark) -> bool {
    let link = fs::read_link(format!("/proc/{pid}/ns/pid"));
    let is_inside = link.is_ok_and(|link| link.as_os_str() == mark.pid_namespace.as_str());
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let inner = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().last());
    is_inside && inner == Some("1") && Started::of(pid).is_some_and(|it| it.at == mark.init_at)
}

fn is_alive(process: Started) -> bool {
    Started::of(process.pid) == Some(process)
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The nodes' data of a run that had no verdict, which a run that ends removes. Its evidence stays.
fn node_data(folder: &Path) -> Vec<Done> {
    if folder.join("verdict.json").exists() {
        return Vec::new();
    }
    let nodes = fs::read_dir(folder.join("nodes")).into_iter().flatten();
    let data = nodes.flatten().map(|node| node.path().join("data"));
    let there = data.filter(|data| data.is_dir());
    there
        .map(|data| remove(&data, fs::remove_dir_all(&data)))
        .collect()
}
