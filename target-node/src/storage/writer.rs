//! The thread that owns the log, so that no tick and no message ever waits for a disk.

use std::fs::File;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use super::StorageError;
use super::wal::Wal;
use crate::raft::{Batch, BatchId};

/// How much is written and synced together at most.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The way to the thread. Batches become durable in the order they are given.
#[derive(Debug)]
pub(crate) struct Writer {
    batches: Option<Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. It calls `report` with the number of the last durable batch after each
    /// sync, and with the error, once and for all, where the log failed.
    pub(super) fn start(
        wal: Wal,
        lock: Option<File>,
        report: impl Fn(Result<BatchId, StorageError>) + Send + 'static,
    ) -> io::Result<Self> {
        let (batches, queue) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("wal".to_owned())
            .spawn(move || {
                if let Err(error) = write_all(wal, &queue, &report) {
                    report(Err(error));
                }
                drop(lock);
            })?;
        Ok(Self {
            batches: Some(batches),
            thread: Some(thread),
        })
    }

    /// Puts a batch into the queue. Where the thread has ended, its report has said why.
    pub(crate) fn submit(&self, batch: Batch) {
        if let Some(batches) = &self.batches {
            let _ = batches.send(batch);
        }
    }

    /// Writes what is in the queue, closes the log and ends the thread.
    pub(crate) fn close(mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes until the queue is closed. While one sync runs, the next group gathers.
fn write_all(
    mut wal: Wal,
    queue: &Receiver<Batch>,
    report: &impl Fn(Result<BatchId, StorageError>),
) -> Result<(), StorageError> {
    while let Ok(first) = queue.recv() {
        let mut bytes = size(&first);
        let mut group = vec![first];
        while bytes < GROUP_BYTES_MAX
            && let Ok(next) = queue.try_recv()
        {
            bytes += size(&next);
            group.push(next);
        }
        report(Ok(wal.write(&group)?));
    }
    wal.close()
}

fn size(batch: &Batch) -> usize {
    batch.append.iter().map(|entry| entry.payload.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::super::snapshot::Shelf;
    use super::super::vfs::Files;
    use super::super::vfs::memory::{Fault, Memory};
    use super::*;
    use crate::raft::HardState;

    fn batch(id: BatchId) -> Batch {
        Batch {
            id,
            hard_state: Some(HardState {
                term: id,
                vote: None,
            }),
            truncate_from: None,
            snapshot: None,
            drops_log: false,
            append: Vec::new(),
        }
    }

    #[test]
    fn after_an_error_nothing_is_tried_again_and_nothing_more_is_reported() {
        let disk = Memory::new(1);
        let files: Files = Arc::new(disk.clone());
        let shelf = Shelf::open(&files, PathBuf::from("/snap"), 1).unwrap();
        let (wal, ..) = Wal::open(Path::new("/wal"), shelf, 1, true, 4096).unwrap();
        let (report, reports) = mpsc::channel();
        let tell = move |result| report.send(result).unwrap();
        let writer = Writer::start(wal, None, tell).unwrap();
        writer.submit(batch(1));
        assert_eq!(reports.recv().unwrap().unwrap(), 1);
        // One write of the batch, then its sync.
        disk.fail_after(1, Fault::Eio);
        writer.submit(batch(2));
        let error = reports.recv().unwrap().unwrap_err();
        assert!(
            matches!(error, StorageError::Io { doing: "sync", .. }),
            "{error}"
        );
        let operations = disk.operations();
        writer.submit(batch(3));
        writer.close();
        assert!(reports.recv().is_err(), "a word after the last one");
        assert_eq!(disk.operations(), operations);
    }
}
