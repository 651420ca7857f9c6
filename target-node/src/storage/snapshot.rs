//! Snapshot files.
//!
//! ```text
//! snap/{index:016x}-{term:016x}.snap
//! 0        8       16      24     32       40     48    52
//! │ magic  │ owner │ index │ term │ length │ held │ crc │ crc, 64 KiB │ … crc, the rest │
//! ```
//!
//! `held` is up to where the log was durable, of what the snapshot stands for, when the file was
//! written; 0 for a leader's snapshot, which stands for entries that this log may never have had.
//! So a log that ends before has lost its end, and not just the last write before a crash.
//!
//! The chunks are the configuration, with its length in 8 bytes before it, and the state.
//!
//! A file is written under a temporary name and gets its own once it is durable; it counts only
//! when the log has a mark that names it. The one before is kept too, with the entries that lead
//! from it to the newest: where that cannot be read, nothing is lost. The length in the head does
//! what a footer would: a file that ends early, or goes on, is damaged. Numbers are little-endian.

use std::io;
use std::path::PathBuf;

use super::recover::{Corruption, Repair, Replay};
use super::vfs::Files;
use super::{StorageError, make_dir, sync_dir};
use crate::raft::{Index, LogId, Members, Opaque, Snapshot};

const MAGIC: &[u8; 8] = b"TNSNAP\0\x03";

/// Length of the head.
const HEAD: usize = 52;

/// How many bytes of the state one checksum covers.
const CHUNK: usize = 64 * 1024;

/// The directory with the snapshots.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    files: Files,
    dir: PathBuf,
    owner: u64,
}

impl Shelf {
    /// Opens the directory, making it where there is none.
    pub(super) fn open(files: &Files, dir: PathBuf, owner: u64) -> Result<Self, StorageError> {
        make_dir(&**files, &dir)?;
        Ok(Self::at(files, dir, owner))
    }

    /// The directory as it is, if it is.
    pub(super) fn at(files: &Files, dir: PathBuf, owner: u64) -> Self {
        let files = Files::clone(files);
        Self { files, dir, owner }
    }

    /// What the names of the files tell, oldest first.
    pub(super) fn list(&self) -> Result<Vec<LogId>, StorageError> {
        if !self.files.is_dir(&self.dir) {
            return Ok(Vec::new());
        }
        let names = self.files.list(&self.dir);
        let names = names.map_err(StorageError::io("list", &self.dir))?;
        let mut found: Vec<LogId> = names.iter().filter_map(|name| named(name)).collect();
        found.sort_unstable_by_key(|last| (last.index, last.term));
        Ok(found)
    }

    /// The file system that it is on.
    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn path(&self, last: LogId) -> PathBuf {
        self.dir
            .join(format!("{:016x}-{:016x}.snap", last.index, last.term))
    }

    /// Makes a snapshot durable, and with it that the log held all entries up to `held`.
    pub(super) fn write(&self, snapshot: &Snapshot, held: Index) -> Result<(), StorageError> {
        let (draft, path) = (self.dir.join("next.tmp"), self.path(snapshot.last));
        let lay_out = || {
            let file = self.files.create(&draft)?;
            file.write_at(&encode(snapshot, held, self.owner), 0)?;
            file.sync_all()?;
            self.files.rename(&draft, &path)
        };
        lay_out().map_err(StorageError::io("write", &path))?;
        sync_dir(&*self.files, &self.dir)
    }

    /// Reads the snapshot that the log names.
    pub(super) fn read(&self, last: LogId) -> Result<Snapshot, StorageError> {
        let path = self.path(last);
        let corrupt = |(offset, reason): (usize, &str)| StorageError::Corrupt {
            path: path.clone(),
            offset: offset as u64,
            reason: reason.to_owned(),
        };
        let bytes = self.files.read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => corrupt((0, "the file is gone")),
            _ => StorageError::io("read", &path)(error),
        })?;
        let snapshot = decode(&bytes, self.owner).map_err(corrupt)?;
        match snapshot.last == last {
            true => Ok(snapshot),
            false => Err(corrupt((
                0,
                "the file is another snapshot than its name says",
            ))),
        }
    }

    /// What is wrong with a log that seems whole, and was once longer.
    pub(super) fn lost_end(&self, replay: &Replay) -> Result<Option<Corruption>, StorageError> {
        let last = replay.recovered.last().index;
        let proof = self.proof_of_more(last)?;
        Ok(proof.map(|(snapshot, held)| Corruption {
            sequence: replay.files.last().map_or(1, |&(sequence, _)| sequence),
            offset: replay.end as u64,
            reason: format!(
                "the log ends with entry {last} here, but the snapshot at {snapshot} shows that it \
                 was durable up to entry {held}"
            ),
        }))
    }

    /// A snapshot which shows that a log that ends at `last` was durable further than that, and up
    /// to which entry. The log names none that is beyond its end; so what is found here was
    /// written right before a crash, or the log has lost its end.
    pub(super) fn proof_of_more(
        &self,
        last: Index,
    ) -> Result<Option<(LogId, Index)>, StorageError> {
        for beyond in self.list()?.into_iter().filter(|found| found.index > last) {
            let path = self.path(beyond);
            let bytes = self.files.read(&path);
            let bytes = bytes.map_err(StorageError::io("read", &path))?;
            // Where the file itself is damaged it proves nothing.
            if let Ok(head) = Head::decode(&bytes, self.owner)
                && head.held > last
            {
                return Ok(Some((beyond, head.held)));
            }
        }
        Ok(None)
    }

    /// Reads the newest snapshot that the log names, or what will do in its place. Returns those
    /// that may be relied on from now on, the newest last.
    pub(super) fn restore(
        &self,
        replay: &mut Replay,
        repair: &mut Repair,
    ) -> Result<Vec<LogId>, StorageError> {
        let Some(newest) = replay.snapshot else {
            return Ok(Vec::new());
        };
        let error = match self.read(newest) {
            Ok(snapshot) => {
                replay.recovered.snapshot = Some(snapshot);
                return Ok(replay.older.into_iter().chain([newest]).collect());
            }
            Err(error) => error,
        };
        let is_damage = matches!(error, StorageError::Corrupt { .. });
        let Some(older) = replay.fallback().filter(|_| is_damage) else {
            return Err(error);
        };
        // Where the older one cannot be read either, the newest is what should be restored.
        let snapshot = older.map(|older| self.read(older).map_err(|_| error));
        replay.recovered.snapshot = snapshot.transpose()?;
        replay.floor = older.map_or(0, |older| older.index);
        self.set_aside(newest)?;
        repair.unreadable = Some(newest);
        Ok(older.into_iter().collect())
    }

    /// Gives a file that cannot be read another name, for whoever wants to know why; a file that
    /// is missing has none.
    pub(super) fn set_aside(&self, last: LogId) -> Result<(), StorageError> {
        let path = self.path(last);
        match self
            .files
            .rename(&path, &path.with_extension("snap.broken"))
        {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::io("set aside", &path)(error)),
            Ok(()) => sync_dir(&*self.files, &self.dir),
        }
    }

    /// Removes all snapshots and drafts but these.
    pub(super) fn keep_only(&self, kept: &[LogId]) -> Result<(), StorageError> {
        let kept: Vec<PathBuf> = kept.iter().map(|&last| self.path(last)).collect();
        let names = self.files.list(&self.dir);
        for name in names.map_err(StorageError::io("list", &self.dir))? {
            let path = self.dir.join(name);
            let is_ours = path
                .extension()
                .is_some_and(|end| end == "snap" || end == "tmp");
            if is_ours && !kept.contains(&path) {
                self.files
                    .remove(&path)
                    .map_err(StorageError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// What a snapshot's name tells; none where it is not such a name.
fn named(name: &str) -> Option<LogId> {
    let (index, term) = name.strip_suffix(".snap")?.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    let last = LogId::new(number(term)?, number(index)?);
    (name == format!("{:016x}-{:016x}.snap", last.index, last.term)).then_some(last)
}

fn encode(snapshot: &Snapshot, held: Index, owner: u64) -> Vec<u8> {
    let Snapshot {
        last,
        members,
        state,
    } = snapshot;
    let members = members.encode();
    let length = (members.len() as u64).to_le_bytes();
    let body = [&length[..], &members, state.as_bytes()].concat();
    let mut bytes = MAGIC.to_vec();
    for number in [owner, last.index, last.term, body.len() as u64, held] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    for chunk in body.chunks(CHUNK) {
        bytes.extend_from_slice(&crc32fast::hash(chunk).to_le_bytes());
        bytes.extend_from_slice(chunk);
    }
    bytes
}

/// The configuration, and the state.
fn split_body(body: &[u8]) -> Option<(Members, Opaque)> {
    let (length, rest) = body.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (members, state) = rest.split_at_checked(length)?;
    Some((Members::decode(members)?, Opaque::from(state)))
}

/// What is wrong, and where.
type Damage = (usize, &'static str);

/// What the head of a file tells.
struct Head {
    last: LogId,
    /// How long the body is.
    length: usize,
    /// Up to where the log was durable.
    held: Index,
}

impl Head {
    fn decode(bytes: &[u8], owner: u64) -> Result<Self, Damage> {
        let head = bytes.get(..HEAD).ok_or((0, "the file is too short"))?;
        let word = |at: usize| {
            let bytes = head[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        let (content, sum) = head.split_at(HEAD - 4);
        if content[..8] != MAGIC[..] || *sum != crc32fast::hash(content).to_le_bytes() {
            return Err((0, "the head of the file is damaged"));
        }
        if word(8) != owner {
            return Err((8, "the file belongs to another node"));
        }
        Ok(Self {
            last: LogId::new(word(24), word(16)),
            length: usize::try_from(word(32)).map_err(|_| (32, "the state cannot be so long"))?,
            held: word(40),
        })
    }
}

/// Reads a whole file; never panics, whatever the bytes are.
fn decode(bytes: &[u8], owner: u64) -> Result<Snapshot, Damage> {
    let Head { last, length, .. } = Head::decode(bytes, owner)?;
    let mut rest = &bytes[HEAD..];
    let mut body = Vec::new();
    while body.len() < length {
        let offset = bytes.len() - rest.len();
        let size = (length - body.len()).min(CHUNK);
        let (sum, behind) = rest
            .split_first_chunk()
            .ok_or((offset, "the file ends too early"))?;
        let chunk = behind
            .get(..size)
            .ok_or((offset, "the file ends too early"))?;
        if crc32fast::hash(chunk).to_le_bytes() != *sum {
            return Err((offset, "the checksum does not match"));
        }
        body.extend_from_slice(chunk);
        rest = &behind[size..];
    }
    match rest.is_empty() {
        true => {
            let (members, state) =
                split_body(&body).ok_or((HEAD, "the configuration cannot be read"))?;
            Ok(Snapshot {
                last,
                members,
                state,
            })
        }
        false => Err((
            bytes.len() - rest.len(),
            "there is something behind the end",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::super::vfs;
    use super::*;

    const OWNER: u64 = 7;

    fn snapshot(length: usize) -> Snapshot {
        let state: Vec<u8> = (0..=250).cycle().take(length).collect();
        Snapshot {
            last: LogId::new(3, 9),
            members: Members::of([1, 2].into()),
            state: Opaque::from(state),
        }
    }

    #[test]
    fn what_was_written_is_read_back_whatever_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(&vfs::direct(), dir.path().join("snap"), OWNER).unwrap();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            shelf.write(&snapshot(length), 0).unwrap();
            assert_eq!(shelf.read(LogId::new(3, 9)).unwrap(), snapshot(length));
        }
    }

    #[test]
    fn a_file_cut_or_changed_at_any_byte_is_refused() {
        let bytes = encode(&snapshot(90), 8, OWNER);
        assert_eq!(decode(&bytes, OWNER), Ok(snapshot(90)));
        for place in 0..bytes.len() {
            assert!(decode(&bytes[..place], OWNER).is_err(), "cut at {place}");
            for flip in [0x01, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[place] ^= flip;
                assert!(decode(&bad, OWNER).is_err(), "changed at {place}");
            }
        }
        assert!(decode(&[&bytes[..], &[0]].concat(), OWNER).is_err());
        assert!(decode(&bytes, OWNER + 1).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            tail in any::<prop::sample::Index>(),
        ) {
            prop_assert!(decode(&bytes, OWNER).is_err());
            let whole = snapshot(90);
            let mut mutated = encode(&whole, 9, OWNER);
            for (place, byte) in edits {
                let place = place.index(mutated.len());
                mutated[place] = byte;
            }
            if let Ok(read) = decode(&mutated, OWNER) {
                prop_assert_eq!(read, whole, "the edits changed nothing");
            }
            mutated.truncate(tail.index(mutated.len()));
            prop_assert!(decode(&mutated, OWNER).is_err());
            // Behind checksums that hold: whatever a snapshot's body is.
            let _ = split_body(&bytes);
        }
    }

    #[test]
    fn an_own_snapshot_proves_how_far_the_log_went_and_a_leaders_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(&vfs::direct(), dir.path().to_owned(), OWNER).unwrap();
        let last = snapshot(5).last;
        shelf.write(&snapshot(5), 0).unwrap();
        assert_eq!(shelf.proof_of_more(2).unwrap(), None);
        shelf.write(&snapshot(5), 7).unwrap();
        assert_eq!(shelf.proof_of_more(6).unwrap(), Some((last, 7)));
        assert_eq!(shelf.proof_of_more(7).unwrap(), None);
        fs::write(shelf.path(last), "damaged").unwrap();
        assert_eq!(shelf.proof_of_more(6).unwrap(), None);
    }

    #[test]
    fn only_the_snapshots_that_the_log_names_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(&vfs::direct(), dir.path().to_owned(), OWNER).unwrap();
        let older = Snapshot {
            last: LogId::new(1, 4),
            ..snapshot(5)
        };
        shelf.write(&older, 4).unwrap();
        shelf.write(&snapshot(5), 9).unwrap();
        fs::write(dir.path().join("next.tmp"), "half").unwrap();
        shelf.keep_only(&[older.last]).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(shelf.read(older.last).unwrap(), older);
        assert!(shelf.read(LogId::new(3, 9)).is_err());
    }
}
