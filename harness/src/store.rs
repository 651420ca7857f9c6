//! The folder of a run: made before anything starts, and whole before anything is judged.

use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A run's folder.
#[derive(Clone, Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

/// The results folder does not do what it must.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot {what} {path}: {source}; choose another folder with --results",
    path = path.display()
)]
pub(crate) struct StoreError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn fails(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { what, path, source }
}

impl RunFolder {
    /// Makes `<results>/runs/<utc time>-<name>/` and points `latest` at it.
    ///
    /// # Errors
    /// If a folder cannot be made or written to: found out here, before anything starts.
    pub(crate) fn create(results: &Path, name: &str) -> Result<Self, StoreError> {
        let runs = results.join("runs");
        fs::create_dir_all(&runs).map_err(fails("make the folder", &runs))?;
        let stamp = utc_stamp(SystemTime::now());
        let path = fresh(&runs, &format!("{stamp}-{name}"))?;
        let path = path
            .canonicalize()
            .map_err(fails("find the folder", &path))?;
        point_latest(&runs, &path)?;
        Ok(RunFolder { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's own name, which names the run.
    pub(crate) fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// The file of that name in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder of one node, made if needed.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn node(&self, node: &str) -> Result<PathBuf, StoreError> {
        let path = self.path.join("nodes").join(node);
        fs::create_dir_all(&path).map_err(fails("make the folder", &path))?;
        Ok(path)
    }

    /// Where a node keeps its data; made if need be.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn node_data(&self, node: &str) -> Result<PathBuf, StoreError> {
        let path = self.node(node)?.join("data");
        fs::create_dir_all(&path).map_err(fails("make the folder", &path))?;
        Ok(path)
    }

    /// Writes a whole file and has it on disk when it returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.file(name);
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(content)?;
            file.sync_all()
        };
        write().map_err(fails("write", &path))
    }

    /// Removes the data directories of the nodes, which only matter when something is wrong.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub(crate) fn drop_node_data(&self) -> Result<(), StoreError> {
        let nodes = self.path.join("nodes");
        let Ok(entries) = fs::read_dir(&nodes) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            let data = entry.path().join("data");
            if data.is_dir() {
                fs::remove_dir_all(&data).map_err(fails("remove", &data))?;
            }
        }
        Ok(())
    }
}

/// The file in a run's folder that says which processes were the run's own.
pub(crate) const MARK: &str = "sandbox.json";

/// What a run is known by on its machine, should it be killed: see `ordeal clean`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The process that the user started.
    pub(crate) outer: Started,
    /// The sandbox's pid namespace, as the kernel names it: `pid:[4026532001]`.
    pub(crate) pid_namespace: String,
    /// When the first process in it started.
    pub(crate) init_at: u64,
}

/// A process, told from a later one with the same number by when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    /// Its number.
    pub(crate) pid: u32,
    /// In clock ticks since the machine's start.
    pub(crate) at: u64,
}

impl Started {
    /// The process with this number now, if there is one.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything: the state is the 3rd field, the start the 22nd.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let is_dead = fields.next()? == "Z";
        let at = fields.nth(18)?.parse().ok()?;
        (!is_dead).then_some(Self { pid, at })
    }
}

impl Mark {
    /// The mark of a run whose outer process is known; asked inside its sandbox.
    ///
    /// # Errors
    /// If /proc does not tell.
    pub(crate) fn inside(outer: Started) -> Result<Self, StoreError> {
        let link = Path::new("/proc/self/ns/pid");
        let pid_namespace = fs::read_link(link).map_err(fails("read", link))?;
        let init = Started::of(1).ok_or_else(|| io::ErrorKind::NotFound.into());
        Ok(Mark {
            outer,
            pid_namespace: pid_namespace.to_string_lossy().into_owned(),
            init_at: init.map_err(fails("read", Path::new("/proc/1/stat")))?.at,
        })
    }
}

/// Two runs may begin in the same second: the second one gets a number.
fn fresh(runs: &Path, name: &str) -> Result<PathBuf, StoreError> {
    let mut path = runs.join(name);
    for copy in 2.. {
        match fs::create_dir(&path) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                path = runs.join(format!("{name}-{copy}"));
            }
            Err(error) => return Err(fails("make the folder", &path)(error)),
        }
    }
    Ok(path)
}

/// `latest` is replaced by a rename, so that it is never missing; two runs may race for it.
fn point_latest(runs: &Path, run: &Path) -> Result<(), StoreError> {
    let name = run.file_name().unwrap_or_default();
    let latest = runs.join("latest");
    let swap = runs.join(format!(".latest-{}", name.to_string_lossy()));
    symlink(name, &swap).map_err(fails("link", &swap))?;
    fs::rename(&swap, &latest).map_err(fails("link", &latest))
}

fn utc_stamp(now: SystemTime) -> String {
    let rfc3339 = humantime::format_rfc3339_seconds(now).to_string();
    rfc3339
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_stamp_sorts_by_time_and_needs_no_quoting() {
        let at = |s| utc_stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        assert_eq!(at(1_795_225_501), "20261121T014501Z".to_owned());
        assert!(at(0) < at(1));
    }

    #[test]
    fn two_runs_of_one_second_have_folders_of_their_own_and_latest_is_the_last() {
        let results = tempfile::tempdir().unwrap();
        let first = RunFolder::create(results.path(), "raft-set-1").unwrap();
        let second = RunFolder::create(results.path(), "raft-set-1").unwrap();
        assert_ne!(first.path(), second.path());
        let latest = results.path().join("runs/latest").canonicalize().unwrap();
        assert_eq!(latest, second.path());
    }

    #[test]
    fn an_impossible_folder_is_an_error_that_names_it() {
        let error = RunFolder::create(Path::new("/dev/null/results"), "x").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/dev/null/results"), "{text}");
        assert!(text.contains("--results"), "{text}");
    }
}
