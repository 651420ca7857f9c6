//! The files of the log: append, sync, rotate.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::record::{Chain, Record};
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
    /// The chain of all records before that.
    chain: Chain,
    /// Encoded records, to be written at `end`, and the chain with them.
    buffer: Vec<u8>,
    buffer_chain: Chain,
    /// The size of files to come.
    capacity: u64,
    /// Where the log ends.
    last: Index,
    /// Every file with the end of the log when it was begun, oldest first.
    files: VecDeque<(u64, Index)>,
    shelf: Shelf,
    /// The newest snapshot, and before it the one that would do in its place.
    snapshots: Vec<LogId>,
    /// What the older of them ends with: see [`recover::Replay::floor`].
    floor: Index,
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
            chain: Chain::default(),
        };
        shelf.keep_only(&[])?;
        let (path, file, end, chain) = lay_out(&**shelf.files(), dir, head, HardState::default())?;
        Ok(Self {
            dir: dir.to_owned(),
            head,
            path,
            file,
            end,
            chain,
            hard_state: HardState::default(),
            buffer: Vec::new(),
            buffer_chain: chain,
            capacity,
            last: 0,
            files: VecDeque::from([(1, 0)]),
            shelf,
            snapshots: Vec::new(),
            floor: 0,
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
        let mut replay =
            recover::replay(&segments, owner).map_err(|corruption| corruption.into_error(dir))?;
        if let Some(corruption) = shelf.lost_end(&replay)? {
            return Err(corruption.into_error(dir));
        }
        let mut repair = Repair {
            torn_bytes: replay.torn_bytes as u64,
            unreadable: None,
        };
        let snapshots = shelf.restore(&mut replay, &mut repair)?;
        shelf.keep_only(&snapshots)?;
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
            chain: replay.chain,
            hard_state: replay.recovered.hard_state,
            buffer: Vec::new(),
            buffer_chain: replay.chain,
            capacity,
            last: replay.recovered.last().index,
            files: replay.files.into(),
            shelf,
            snapshots,
            floor: replay.floor,
        };
        wal.settle()?;
        Ok((wal, replay.recovered, repair))
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
        for batch in batches {
            if let Some(snapshot) = &batch.snapshot {
                let is_own = !batch.drops_log;
                let held = if is_own {
                    self.last.min(snapshot.last.index)
                } else {
                    0
                };
                self.shelf.write(snapshot, held)?;
            }
        }
        let records: Vec<Record> = batches.iter().flat_map(records).collect();
        self.encode(&records);
        let needed = self.buffer.len() as u64 + MARK_ROOM;
        if self.end + needed > self.head.capacity {
            self.rotate(needed)?;
            self.encode(&records);
        }
        self.append()?;
        self.file
            .sync_data()
            .map_err(StorageError::io("sync", &self.path))?;
        if let Some(state) = batches.iter().rev().find_map(|batch| batch.hard_state) {
            self.hard_state = state;
        }
        self.mark()?;
        batches.iter().for_each(|batch| self.note_end(batch));
        for batch in batches {
            if let Some(snapshot) = &batch.snapshot {
                self.note_snapshot(snapshot.last, batch.drops_log);
            }
        }
        if batches.iter().any(|batch| batch.snapshot.is_some()) {
            self.purge()?;
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

    /// A snapshot's mark is durable. The one before will do in its place as long as the entries
    /// between the two are there; one that stands for the whole log has no such entries.
    fn note_snapshot(&mut self, last: LogId, drops_log: bool) {
        self.snapshots.retain(|&older| older != last && !drops_log);
        self.snapshots.push(last);
        let superfluous = self.snapshots.len().saturating_sub(2);
        self.snapshots.drain(..superfluous);
        self.floor = match self.snapshots[..] {
            [older, _] => older.index,
            _ if drops_log => last.index,
            _ => 0,
        };
    }

    /// Removes older snapshots, and the files whose entries are all below the floor. Oldest first,
    /// so that a crash in between leaves no gap.
    fn purge(&mut self) -> Result<(), StorageError> {
        self.shelf.keep_only(&self.snapshots)?;
        while self
            .files
            .get(1)
            .is_some_and(|&(_, base)| base <= self.floor)
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
        self.buffer_chain = self.chain;
        for record in records {
            let start = self.buffer.len();
            record.encode(self.head.salt(), self.end, &mut self.buffer);
            self.buffer_chain = self.buffer_chain.extended(&self.buffer, start);
        }
    }

    /// Writes what was encoded.
    fn append(&mut self) -> Result<(), StorageError> {
        let written = self.file.write_at(&self.buffer, self.end);
        written.map_err(StorageError::io("write", &self.path))?;
        self.end += self.buffer.len() as u64;
        self.chain = self.buffer_chain;
        Ok(())
    }

    /// Notes that everything so far is durable. The note itself becomes so with the next sync.
    fn mark(&mut self) -> Result<(), StorageError> {
        self.encode(&[Record::SyncMark(self.end, self.chain)]);
        self.append()
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
            chain: self.chain,
        };
        let (path, file, end, chain) =
            lay_out(&**self.shelf.files(), &self.dir, head, self.hard_state)?;
        self.leave(head.sequence)?;
        (self.path, self.file, self.end, self.chain) = (path, file, end, chain);
        self.head = head;
        self.files.push_back((head.sequence, head.base));
        Ok(())
    }
}

impl Wal {
    /// Notes in the file that is left that the log goes on: else nobody would miss the files after
    /// it.
    fn leave(&mut self, next: u64) -> Result<(), StorageError> {
        let mut note = Vec::new();
        Record::GoesOn(next).encode(self.head.salt(), self.end, &mut note);
        if self.end + note.len() as u64 > self.head.capacity {
            return Ok(());
        }
        let write = || {
            self.file.write_at(&note, self.end)?;
            self.file.sync_data()
        };
        write().map_err(StorageError::io("leave", &self.path))
    }
}

/// Lays out a file under a temporary name, and gives it its own once it is durable. Returns its
/// path, the file, where the next record belongs, and the chain up to there.
fn lay_out(
    files: &dyn Vfs,
    dir: &Path,
    head: Head,
    hard_state: HardState,
) -> Result<(PathBuf, Box<dyn VfsFile>, u64, Chain), StorageError> {
    let draft = dir.join("next.tmp");
    let path = segment::path(dir, head.sequence);
    let mut bytes = head.encode().to_vec();
    Record::HardState(hard_state).encode(head.salt(), 0, &mut bytes);
    let chain = head.chain.extended(&bytes, HEAD);
    let end = bytes.len();
    Record::SyncMark(end as u64, chain).encode(head.salt(), 0, &mut bytes);
    let chain = chain.extended(&bytes, end);
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
    Ok((path, file, bytes.len() as u64, chain))
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
    let draft = dir.join("next.tmp");
    match files.remove(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", &draft)(error))
        }
        _ => sequences(files, dir),
    }
}

/// The places of all segments in a directory, in order.
pub(super) fn sequences(files: &dyn Vfs, dir: &Path) -> Result<Vec<u64>, StorageError> {
    let names = files.list(dir).map_err(StorageError::io("list", dir))?;
    let sequences = names.iter().filter_map(|name| segment::sequence(name));
    let mut sequences: Vec<u64> = sequences.collect();
    sequences.sort_unstable();
    Ok(sequences)
}

#[cfg(test)]
mod tests;
