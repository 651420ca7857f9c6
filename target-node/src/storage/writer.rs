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
        lock: File,
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
