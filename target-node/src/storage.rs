//! The node's own disk: an identity, a lock, and a write-ahead log.
//!
//! ```text
//! data/
//!   identity              whose data this is; written once, checked at every start
//!   lock                  held by the process that uses the directory
//!   wal/0000000000000001.wal, …
//!   snap/…                the newest snapshot, and the one before it, which would do in its place
//! ```
//!
//! | file | what |
//! |---|---|
//! | [`identity`] | which cluster and node the directory belongs to |
//! | [`record`] | one record of the log as bytes: pure |
//! | [`segment`] | the head of a log file: pure |
//! | [`recover`] | bytes of all segments in, log and hard state or a refusal out: pure |
//! | [`wal`] | the files: append, sync, rotate, purge |
//! | [`snapshot`] | snapshots: written whole or not at all |
//! | [`mod@inspect`] | all of it told as JSON, changing nothing |
//! | [`vfs`] | the seam to the file system, and one in memory that forgets what was not synced |
//! | [`simulated`] | all of it but the thread, for a node that is simulated |
//! | [`writer`] | the thread that owns them, so that no tick waits for a disk |
//!
//! Every error of the log is final: after a failed sync nobody knows what is on the disk, and
//! trying again could only pretend.

#![allow(clippy::disallowed_types, reason = "the storage is what touches files")]

mod identity;
mod inspect;
mod record;
mod recover;
mod segment;
mod simulated;
mod snapshot;
mod vfs;
mod wal;
mod writer;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

pub(crate) use identity::Identity;
pub(crate) use inspect::{Condition, inspect};
pub(crate) use recover::Repair;
pub(crate) use simulated::SimulatedStorage;
pub(crate) use writer::Writer;

use crate::failpoint::Failpoints;
use crate::raft::{NodeId, Recovered};
use crate::trace::Tracer;
use identity::Claim;
use segment::CAPACITY;
use snapshot::Shelf;
use vfs::failing::Failing;
use vfs::{Files, Vfs};
use wal::Wal;

/// Why the storage cannot be used.
#[derive(Debug, Error)]
pub(crate) enum StorageError {
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was known to be on the disk is not there, or not what it was.
    #[error(
        "{} is corrupt at byte {offset}: {reason}; refusing to start, because entries that this \
         node has acknowledged may be missing: restore the file, or remove the node",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The directory belongs to someone else.
    #[error("{} {reason}; give this node a data directory of its own", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        reason: String,
    },
    /// There is no room left.
    #[error(
        "cannot {doing} {}: the disk is full; nothing that was acknowledged is lost, so make room \
         and start again",
        path.display()
    )]
    Full {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
    },
    /// Another process uses the directory.
    #[error("{} is in use by another process; stop it first", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
}

impl StorageError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { doing, path },
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }
}

/// An opened data directory.
#[derive(Debug)]
pub(crate) struct Storage {
    wal: Wal,
    /// Held until the process ends; none where the file system is a process's own.
    lock: Option<File>,
    founders: BTreeSet<NodeId>,
}

impl Storage {
    /// Opens the data directory of `identity`, making it where there is none, and reads back what
    /// is in it.
    pub(crate) fn open(
        dir: &Path,
        identity: &Identity,
        failpoints: &Failpoints,
    ) -> Result<(Self, Recovered, Repair), StorageError> {
        let files: Files = Arc::new(Failing::new(vfs::direct(), failpoints.clone()));
        make_dir(&*files, dir)?;
        let lock = lock(dir)?;
        let (wal, recovered, repair) = load(&files, dir, identity, CAPACITY)?;
        let found = Identity::read(&*files, dir)?;
        let storage = Self {
            wal,
            lock: Some(lock),
            founders: found.map_or_else(BTreeSet::new, |found| found.founders),
        };
        Ok((storage, recovered, repair))
    }

    /// Who voted at first, as the first start said.
    pub(crate) fn founders(&self) -> &BTreeSet<NodeId> {
        &self.founders
    }

    /// Hands the log to a thread of its own; see [`Writer`].
    pub(crate) fn into_writer(
        self,
        tracer: Tracer,
        report: impl Fn(Result<u64, StorageError>) + Send + 'static,
    ) -> io::Result<Writer> {
        Writer::start(self.wal, self.lock, tracer, report)
    }
}

/// Reads what is in a data directory, and claims it where it is nobody's.
fn load(
    files: &Files,
    dir: &Path,
    identity: &Identity,
    capacity: u64,
) -> Result<(Wal, Recovered, Repair), StorageError> {
    let claim = identity.find(&**files, dir)?;
    let wal_dir = dir.join("wal");
    let is_new = claim == Claim::Unclaimed;
    let shelf = Shelf::open(files, dir.join("snap"), identity.owner())?;
    let opened = Wal::open(&wal_dir, shelf, identity.owner(), is_new, capacity)?;
    if is_new {
        if opened.1 != Recovered::default() {
            let reason = "there is a log, but nothing tells whose it is".to_owned();
            return Err(StorageError::Corrupt {
                path: wal_dir,
                offset: 0,
                reason,
            });
        }
        identity.claim(&**files, dir)?;
    }
    Ok(opened)
}

fn lock(dir: &Path) -> Result<File, StorageError> {
    let path = dir.join("lock");
    let open = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = open.map_err(StorageError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::Locked {
            path: dir.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(StorageError::io("lock", &path)(error)),
    }
}

/// Makes a directory and those above it, and makes their names durable.
fn make_dir(files: &dyn Vfs, dir: &Path) -> Result<(), StorageError> {
    if files.is_dir(dir) {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_dir(files, parent)?;
    }
    files.make_dir(dir).map_err(StorageError::io("make", dir))?;
    sync_dir(files, parent.unwrap_or(Path::new(".")))
}

/// Makes the names in a directory durable: a new file is not safe before.
fn sync_dir(files: &dyn Vfs, dir: &Path) -> Result<(), StorageError> {
    let synced = files.sync_dir(dir);
    synced.map_err(StorageError::io("sync directory", dir))
}
