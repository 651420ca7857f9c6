//! The files of the log: append, sync, rotate.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::record::Record;
use super::recover::{self, Repair};
use super::segment::{self, HEAD, Head};
use super::snapshot::Shelf;
use super::vfs::{Vfs, VfsFile};
use super::{StorageError, make_dir, sync_dir};
use crate::raft::{Batch, BatchId, HardState, Index, LogId, Recovered};

/// Room for the mark that closes every write.
const MARK_ROOM: u64 = 64;

/// The write-ahead log, ready to be written.
#[derive(Debug)]
pub(super) struct Wal {
    dir: PathBuf,
    head: Head,
    path: PathBuf,
    file: Box<dyn VfsFile>,
    /// Where the next record belongs.
    end: u64,
    /// The first thing in every new file, so that older ones need not be kept for it.
    hard_state: HardState,
    buffer: Vec<u8>,
    /// The size of files to come.
    capacity: u64,
    /// Where the log ends.
    last: Index,
    /// Every file with the end of the log when it was begun, oldest first.
    files: VecDeque<(u64, Index)>,
    shelf: Shelf,
}

impl Wal {
    /// Opens the log in `dir`, with what is in it; begins one where there may be none yet. Files
    /// to come have `capacity` bytes at least.
    pub(super) fn open(
        dir: &Path,
        shelf: Shelf,
        owner: u64,
        is_new: bool,
        capacity: u64,
    ) -> Result<(Self, Recovered, Repair), StorageError> {
        make_dir(&**shelf.files(), dir)?;
        let sequences = list(&**shelf.files(), dir)?;
        if sequences.is_empty() {
            if !is_new {
                let (path, reason) = (dir.to_owned(), "the log is gone".to_owned());
                return Err(StorageError::Corrupt {
                    path,
                    offset: 0,
                    reason,
                });
            }
            let wal = Self::begin(dir, shelf, owner, capacity)?;
            return Ok((wal, Recovered::default(), Repair::default()));
        }
        Self::reopen(dir, shelf, owner, capacity, &sequences)
    }

    /// The first log in this directory.
    fn begin(dir: &Path, shelf: Shelf, owner: u64, capacity: u64) -> Result<Self, StorageError> {
        let head = Head {
            owner,
            sequence: 1,
            previous_end: 0,
            capacity,
            base: 0,
        };
        shelf.keep_only(None)?;
        let (path, file, end) = lay_out(&**shelf.files(), dir, head, HardState::default())?;
        Ok(Self {
            dir: dir.to_owned(),
            head,
            path,
            file,
            end,
            hard_state: HardState::default(),
            buffer: Vec::new(),
            capacity,
            last: 0,
            files: VecDeque::from([(1, 0)]),
            shelf,
        })
    }

    fn reopen(
        dir: &Path,
        shelf: Shelf,
        owner: u64,
        capacity: u64,
        sequences: &[u64],
    ) -> Result<(Self, Recovered, Repair), StorageError> {
        let mut segments = Vec::new();
        for &sequence in sequences {
            let path = segment::path(dir, sequence);
            let bytes = shelf.files().read(&path);
            segments.push((sequence, bytes.map_err(StorageError::io("read", &path))?));
        }
        let mut replay = recover::replay(&segments, owner).map_err(|corruption| {
            let path = segment::path(dir, corruption.sequence);
            let recover::Corruption { offset, reason, .. } = corruption;
            StorageError::Corrupt {
                path,
                offset,
                reason,
            }
        })?;
        if let Some(last) = replay.snapshot {
            replay.recovered.snapshot = Some(shelf.read(last)?);
        }
        shelf.keep_only(replay.snapshot)?;
        let (sequence, bytes) = segments.pop().expect("there is a segment");
        let head = Head::decode(&bytes).expect("recovery has read this head");
        let path = segment::path(dir, sequence);
        let file = shelf.files().open(&path);
        let file = file.map_err(StorageError::io("open", &path))?;
        if replay.torn_bytes > 0 {
            let clear = file.write_at(&vec![0; replay.torn_bytes], replay.end as u64);
            clear
                .and_then(|()| file.sync_all())
                .map_err(StorageError::io("repair", &path))?;
        }
        let mut wal = Self {
            dir: dir.to_owned(),
            head,
            path,
            file,
            end: replay.end as u64,
            hard_state: replay.recovered.hard_state,
            buffer: Vec::new(),
            capacity,
            last: replay.recovered.last().index,
            files: replay.files.into(),
            shelf,
        };
        wal.settle()?;
        Ok((
            wal,
            replay.recovered,
            Repair {
                torn_bytes: replay.torn_bytes as u64,
            },
        ))
    }

    /// What was read may still be only in the page cache: the process that wrote it may have died
    /// before its sync. It is counted as durable from now on, so it has to be.
    fn settle(&mut self) -> Result<(), StorageError> {
        self.file
            .sync_all()
            .map_err(StorageError::io("sync", &self.path))?;
        if self.end + MARK_ROOM > self.head.capacity {
            return self.rotate(0);
        }
        self.mark()
    }

    /// Makes the batches durable, all with one write and one sync. Returns the last one's number.
    ///
    /// Snapshots come first: a mark in the log is a promise that its snapshot can be read. What a
    /// snapshot makes superfluous goes last, when its mark is durable.
    ///
    /// # Errors
    /// Whatever the operating system refuses; the log must not be used afterwards.
    pub(super) fn write(&mut self, batches: &[Batch]) -> Result<BatchId, StorageError> {
        for snapshot in batches.iter().filter_map(|batch| batch.snapshot.as_ref()) {
            self.shelf.write(snapshot)?;
        }
        let records: Vec<Record> = batches.iter().flat_map(records).collect();
        self.encode(&records);
        let needed = self.buffer.len() as u64 + MARK_ROOM;
        if self.end + needed > self.head.capacity {
            self.rotate(needed)?;
            self.encode(&records);
        }
        let written = self.file.write_at(&self.buffer, self.end);
        written.map_err(StorageError::io("write", &self.path))?;
        self.file
            .sync_data()
            .map_err(StorageError::io("sync", &self.path))?;
        self.end += self.buffer.len() as u64;
        if let Some(state) = batches.iter().rev().find_map(|batch| batch.hard_state) {
            self.hard_state = state;
        }
        self.mark()?;
        batches.iter().for_each(|batch| self.note_end(batch));
        let snapshots = batches
            .iter()
            .rev()
            .filter_map(|batch| batch.snapshot.as_ref());
        if let Some(snapshot) = snapshots.into_iter().next() {
            self.purge(snapshot.last)?;
        }
        Ok(batches.last().map_or(0, |batch| batch.id))
    }

    fn note_end(&mut self, batch: &Batch) {
        if let Some(first) = batch.truncate_from {
            self.last = first - 1;
        }
        if let Some(snapshot) = batch.snapshot.as_ref().filter(|_| batch.drops_log) {
            self.last = snapshot.last.index;
        }
        self.last = batch
            .append
            .last()
            .map_or(self.last, |entry| entry.id.index);
    }

    /// Removes older snapshots, and the files whose entries are all in this one. Oldest first, so
    /// that a crash in between leaves no gap.
    fn purge(&mut self, snapshot: LogId) -> Result<(), StorageError> {
        self.shelf.keep_only(Some(snapshot))?;
        while self
            .files
            .get(1)
            .is_some_and(|&(_, base)| base <= snapshot.index)
        {
            let (sequence, _) = self.files.pop_front().expect("a second was just seen");
            let path = segment::path(&self.dir, sequence);
            let files = self.shelf.files();
            files
                .remove(&path)
                .map_err(StorageError::io("remove", &path))?;
            sync_dir(&**files, &self.dir)?;
        }
        Ok(())
    }

    /// Makes the last mark durable too: the log is being closed in order.
    pub(super) fn close(self) -> Result<(), StorageError> {
        self.file
            .sync_data()
            .map_err(StorageError::io("sync", &self.path))
    }

    fn encode(&mut self, records: &[Record]) {
        self.buffer.clear();
        for record in records {
            record.encode(self.head.salt(), self.end, &mut self.buffer);
        }
    }

    /// Notes that everything so far is durable. The note itself becomes so with the next sync.
    fn mark(&mut self) -> Result<(), StorageError> {
        self.encode(&[Record::SyncMark(self.end)]);
        let written = self.file.write_at(&self.buffer, self.end);
        written.map_err(StorageError::io("write", &self.path))?;
        self.end += self.buffer.len() as u64;
        Ok(())
    }

    /// Goes on in a new file with room for `needed` bytes. The old one is made durable first: the
    /// new one says where it ends.
    fn rotate(&mut self, needed: u64) -> Result<(), StorageError> {
        self.file
            .sync_data()
            .map_err(StorageError::io("sync", &self.path))?;
        let room = HEAD as u64 + 2 * MARK_ROOM;
        let head = Head {
            owner: self.head.owner,
            sequence: self.head.sequence + 1,
            previous_end: self.end,
            capacity: self.capacity.max((needed + room).next_multiple_of(4096)),
            base: self.last,
        };
        (self.path, self.file, self.end) =
            lay_out(&**self.shelf.files(), &self.dir, head, self.hard_state)?;
        self.head = head;
        self.files.push_back((head.sequence, head.base));
        Ok(())
    }
}

/// Lays out a file under a temporary name, and gives it its own once it is durable. Returns its
/// path, the file, and where the next record belongs.
fn lay_out(
    files: &dyn Vfs,
    dir: &Path,
    head: Head,
    hard_state: HardState,
) -> Result<(PathBuf, Box<dyn VfsFile>, u64), StorageError> {
    let draft = dir.join("next.tmp");
    let path = segment::path(dir, head.sequence);
    let mut bytes = head.encode().to_vec();
    Record::HardState(hard_state).encode(head.salt(), 0, &mut bytes);
    let end = bytes.len() as u64;
    Record::SyncMark(end).encode(head.salt(), 0, &mut bytes);
    let lay_out = || -> io::Result<Box<dyn VfsFile>> {
        let file = files.create(&draft)?;
        file.allocate(head.capacity)?;
        file.write_at(&bytes, 0)?;
        file.sync_all()?;
        files.rename(&draft, &path)?;
        Ok(file)
    };
    let file = lay_out().map_err(StorageError::io("lay out", &path))?;
    sync_dir(files, dir)?;
    Ok((path, file, bytes.len() as u64))
}

fn records(batch: &Batch) -> impl Iterator<Item = Record> {
    let hard_state = batch.hard_state.map(Record::HardState);
    let truncate = batch.truncate_from.map(Record::TruncateFrom);
    let snapshot = batch.snapshot.as_ref();
    let mark = snapshot.map(|snapshot| Record::Snapshot(snapshot.last, batch.drops_log));
    let entries = batch.append.iter().cloned().map(Record::Entry);
    hard_state
        .into_iter()
        .chain(truncate)
        .chain(mark)
        .chain(entries)
}

/// The places of all segments in a directory, in order; drafts of an interrupted start are removed.
fn list(files: &dyn Vfs, dir: &Path) -> Result<Vec<u64>, StorageError> {
    let mut sequences = Vec::new();
    for name in files.list(dir).map_err(StorageError::io("list", dir))? {
        if let Some(sequence) = segment::sequence(&name) {
            sequences.push(sequence);
        } else if name == "next.tmp" {
            let path = dir.join(name);
            files
                .remove(&path)
                .map_err(StorageError::io("remove", &path))?;
        }
    }
    sequences.sort_unstable();
    Ok(sequences)
}

#[cfg(test)]
mod tests;
