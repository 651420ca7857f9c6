//! The node's own disk: an identity, a lock, and a write-ahead log.
//!
//! ```text
//! data/
//!   identity              whose data this is; written once, checked at every start
//!   lock                  held by the process that uses the directory
//!   wal/0000000000000001.wal, …
//!   snap/…              the newest snapshot, and for a moment the one before it
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
//! | [`writer`] | the thread that owns them, so that no tick waits for a disk |
//!
//! Every error of the log is final: after a failed sync nobody knows what is on the disk, and
//! trying again could only pretend.

#![allow(clippy::disallowed_types, reason = "the storage is what touches files")]

mod identity;
mod record;
mod recover;
mod segment;
mod snapshot;
mod wal;
mod writer;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub(crate) use identity::Identity;
pub(crate) use recover::Repair;
pub(crate) use writer::Writer;

use crate::raft::Recovered;
use identity::Claim;
use snapshot::Shelf;
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
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// An opened data directory.
#[derive(Debug)]
pub(crate) struct Storage {
    wal: Wal,
    /// Held until the process ends.
    lock: File,
}

impl Storage {
    /// Opens the data directory of `identity`, making it where there is none, and reads back what
    /// is in it.
    pub(crate) fn open(
        dir: &Path,
        identity: &Identity,
    ) -> Result<(Self, Recovered, Repair), StorageError> {
        make_dir(dir)?;
        let lock = lock(dir)?;
        let claim = identity.find(dir)?;
        let wal_dir = dir.join("wal");
        let is_new = claim == Claim::Unclaimed;
        let shelf = Shelf::open(dir.join("snap"), identity.owner())?;
        let (wal, recovered, repair) = Wal::open(&wal_dir, shelf, identity.owner(), is_new)?;
        if is_new {
            if recovered != Recovered::default() {
                let reason = "there is a log, but nothing tells whose it is".to_owned();
                return Err(StorageError::Corrupt {
                    path: wal_dir,
                    offset: 0,
                    reason,
                });
            }
            identity.claim(dir)?;
        }
        Ok((Self { wal, lock }, recovered, repair))
    }

    /// Hands the log to a thread of its own; see [`Writer`].
    pub(crate) fn into_writer(
        self,
        report: impl Fn(Result<u64, StorageError>) + Send + 'static,
    ) -> io::Result<Writer> {
        Writer::start(self.wal, self.lock, report)
    }
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

/// Makes a directory, and makes its name durable.
fn make_dir(dir: &Path) -> Result<(), StorageError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(StorageError::io("make", dir))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable: a new file is not safe before.
fn sync_dir(dir: &Path) -> Result<(), StorageError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(StorageError::io("sync directory", dir))
}
