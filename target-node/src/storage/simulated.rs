//! The storage of a simulated node: the same code, on a disk in memory that loses and tears what
//! was not synced.

use std::path::PathBuf;
use std::sync::Arc;

use super::recover::Repair;
use super::vfs::Files;
use super::vfs::memory::{Fault, Memory};
use super::wal::Wal;
use super::{Identity, StorageError, load, make_dir};
use crate::raft::{Batch, Recovered};

/// How large a file of the log is: so small that there are many.
const CAPACITY: u64 = 2048;

/// A node's disk, and its log while the node runs.
#[derive(Debug)]
pub(crate) struct SimulatedStorage {
    disk: Memory,
    wal: Wal,
}

impl SimulatedStorage {
    /// An empty disk with a log just begun; the seed decides what crashes leave.
    pub(crate) fn new(seed: u64) -> Result<Self, StorageError> {
        let disk = Memory::new(seed);
        let (wal, ..) = open(&disk)?;
        Ok(Self { disk, wal })
    }

    /// Makes batches durable, all with one sync.
    pub(crate) fn write(&mut self, batches: &[Batch]) -> Result<(), StorageError> {
        self.wal.write(batches).map(|_| ())
    }

    /// The power goes after so many operations, while these batches are being written. What the
    /// next start finds, and whether the log ended in a torn record.
    pub(crate) fn crash(
        &mut self,
        batches: &[Batch],
        operations: u64,
    ) -> Result<(Recovered, bool), StorageError> {
        self.disk.fail_after(operations, Fault::PowerLoss);
        if !batches.is_empty() {
            // Whether it got as far as that or not, nobody is told any more.
            let _ = self.wal.write(batches);
        }
        self.disk.crash();
        let (wal, recovered, repair) = open(&self.disk)?;
        self.wal = wal;
        Ok((recovered, repair.torn_bytes > 0))
    }
}

fn open(disk: &Memory) -> Result<(Wal, Recovered, Repair), StorageError> {
    let files: Files = Arc::new(disk.clone());
    let dir = PathBuf::from("/data");
    let identity = Identity {
        cluster: "simulation".to_owned(),
        node: 1,
        founders: [1].into(),
    };
    make_dir(&*files, &dir)?;
    load(&files, &dir, &identity, CAPACITY)
}
