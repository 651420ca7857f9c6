//! Snapshot files.
//!
//! ```text
//! snap/{index:016x}-{term:016x}.snap
//! 0        8       16      24     32       40    44
//! │ magic  │ owner │ index │ term │ length │ crc │ crc, 64 KiB │ crc, 64 KiB │ … crc, the rest │
//! ```
//!
//! The chunks are the configuration, with its length in 8 bytes before it, and the state.
//!
//! A file is written under a temporary name and gets its own once it is durable; it counts only
//! when the log has a mark that names it, and it is removed when the log has a later one. Numbers
//! are little-endian.

use std::path::PathBuf;

use super::vfs::Files;
use super::{StorageError, make_dir, sync_dir};
use crate::raft::{LogId, Members, Opaque, Snapshot};

const MAGIC: &[u8; 8] = b"TNSNAP\0\x02";

/// Length of the head.
const HEAD: usize = 44;

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
        let files = Files::clone(files);
        make_dir(&*files, &dir)?;
        Ok(Self { files, dir, owner })
    }

    /// The file system that it is on.
    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    fn path(&self, last: LogId) -> PathBuf {
        self.dir
            .join(format!("{:016x}-{:016x}.snap", last.index, last.term))
    }

    /// Makes a snapshot durable.
    pub(super) fn write(&self, snapshot: &Snapshot) -> Result<(), StorageError> {
        let (draft, path) = (self.dir.join("next.tmp"), self.path(snapshot.last));
        let lay_out = || {
            let file = self.files.create(&draft)?;
            file.write_at(&encode(snapshot, self.owner), 0)?;
            file.sync_all()?;
            self.files.rename(&draft, &path)
        };
        lay_out().map_err(StorageError::io("write", &path))?;
        sync_dir(&*self.files, &self.dir)
    }

    /// Reads the snapshot that the log names.
    pub(super) fn read(&self, last: LogId) -> Result<Snapshot, StorageError> {
        let path = self.path(last);
        let bytes = self
            .files
            .read(&path)
            .map_err(StorageError::io("read", &path))?;
        let corrupt = |(offset, reason): (usize, &str)| StorageError::Corrupt {
            path: path.clone(),
            offset: offset as u64,
            reason: reason.to_owned(),
        };
        let snapshot = decode(&bytes, self.owner).map_err(corrupt)?;
        match snapshot.last == last {
            true => Ok(snapshot),
            false => Err(corrupt((
                0,
                "the file is another snapshot than its name says",
            ))),
        }
    }

    /// Removes everything but the snapshot that the log names.
    pub(super) fn keep_only(&self, last: Option<LogId>) -> Result<(), StorageError> {
        let kept = last.map(|last| self.path(last));
        let names = self.files.list(&self.dir);
        for name in names.map_err(StorageError::io("list", &self.dir))? {
            let path = self.dir.join(name);
            let is_ours = path
                .extension()
                .is_some_and(|end| end == "snap" || end == "tmp");
            if is_ours && Some(&path) != kept.as_ref() {
                self.files
                    .remove(&path)
                    .map_err(StorageError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn encode(snapshot: &Snapshot, owner: u64) -> Vec<u8> {
    let Snapshot {
        last,
        members,
        state,
    } = snapshot;
    let members = members.encode();
    let length = (members.len() as u64).to_le_bytes();
    let body = [&length[..], &members, state.as_bytes()].concat();
    let mut bytes = MAGIC.to_vec();
    for number in [owner, last.index, last.term, body.len() as u64] {
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

/// Reads a whole file; never panics, whatever the bytes are.
fn decode(bytes: &[u8], owner: u64) -> Result<Snapshot, Damage> {
    let (head, mut rest) = bytes
        .split_at_checked(HEAD)
        .ok_or((0, "the file is too short"))?;
    let word = |at: usize| {
        let bytes = head[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    };
    if head[..8] != MAGIC[..] || head[40..] != crc32fast::hash(&head[..40]).to_le_bytes() {
        return Err((0, "the head of the file is damaged"));
    }
    if word(8) != owner {
        return Err((8, "the file belongs to another node"));
    }
    let length = usize::try_from(word(32)).map_err(|_| (32, "the state cannot be so long"))?;
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
            let last = LogId::new(word(24), word(16));
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
            shelf.write(&snapshot(length)).unwrap();
            assert_eq!(shelf.read(LogId::new(3, 9)).unwrap(), snapshot(length));
        }
    }

    #[test]
    fn a_file_cut_or_changed_at_any_byte_is_refused() {
        let bytes = encode(&snapshot(90), OWNER);
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

    #[test]
    fn only_the_snapshot_that_the_log_names_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(&vfs::direct(), dir.path().to_owned(), OWNER).unwrap();
        let older = Snapshot {
            last: LogId::new(1, 4),
            ..snapshot(5)
        };
        shelf.write(&older).unwrap();
        shelf.write(&snapshot(5)).unwrap();
        fs::write(dir.path().join("next.tmp"), "half").unwrap();
        shelf.keep_only(Some(older.last)).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(shelf.read(older.last).unwrap(), older);
        assert!(shelf.read(LogId::new(3, 9)).is_err());
    }
}
