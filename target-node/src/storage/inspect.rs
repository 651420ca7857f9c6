//! What is in a data directory, told as JSON without changing a byte of it.
//!
//! It works on the directory of a node that is stopped, killed or refuses to start, and says what
//! the next start would find. Of a running node's directory it may see a write in its middle.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::identity::Identity;
use super::recover::{self, Corruption, Replay};
use super::segment::{self, Head};
use super::snapshot::Shelf;
use super::vfs::{self, Files};
use super::{StorageError, wal};
use crate::raft::{Entry, HardState, LogId, Payload, Recovered};

/// A place in a file at which something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Damage {
    /// The file, below the data directory.
    file: PathBuf,
    /// The byte.
    offset: u64,
    /// What is wrong there.
    reason: String,
}

/// What the next start would make of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    /// It would start, with everything that was written.
    Sound,
    /// It would start, and drop the end of a write that a crash cut short.
    TornTail,
    /// It would start from an older snapshot, and lose nothing.
    SnapshotUnreadable,
    /// It would refuse to start.
    Corrupt,
}

/// A file of the log.
#[derive(Debug, Serialize)]
struct SegmentReport {
    file: PathBuf,
    sequence: u64,
    /// Where the log ended when the file was begun.
    base: u64,
    bytes: u64,
}

/// A snapshot's file.
#[derive(Debug, Serialize)]
struct SnapshotReport {
    file: PathBuf,
    last: LogId,
    /// How long its state is; none where it cannot be read.
    state_bytes: Option<usize>,
    /// The log says that it can be relied on.
    is_named: bool,
}

/// An entry.
#[derive(Debug, Serialize)]
struct EntryReport {
    index: u64,
    term: u64,
    kind: &'static str,
    /// A command, as text where it is text, and in hexadecimal digits otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

/// Everything about a directory.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    dir: PathBuf,
    condition: Condition,
    /// A process has the directory open.
    is_in_use: bool,
    cluster: Option<String>,
    node: Option<u64>,
    /// Who voted at first; empty for a node that waited to be taken in.
    founders: Option<BTreeSet<u64>>,
    hard_state: HardState,
    /// The entry before the first.
    base: LogId,
    last: LogId,
    entry_count: usize,
    /// The last snapshot that the log names.
    snapshot: Option<LogId>,
    /// Bytes of a write that a crash cut short.
    torn_bytes: usize,
    segments: Vec<SegmentReport>,
    snapshots: Vec<SnapshotReport>,
    damage: Vec<Damage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<EntryReport>>,
}

impl Report {
    /// What the next start would make of it.
    pub(crate) fn condition(&self) -> Condition {
        self.condition
    }
}

/// Reads a data directory.
///
/// # Errors
/// Where it cannot be read, or was never a node's.
pub(crate) fn inspect(dir: &Path, with_entries: bool) -> Result<Report, StorageError> {
    let files = vfs::direct();
    let mut damage = Vec::new();
    let identity = match Identity::read(&*files, dir) {
        Ok(Some(identity)) => Some(identity),
        Ok(None) if wal::sequences(&*files, &dir.join("wal")).is_ok_and(|all| !all.is_empty()) => {
            None
        }
        Ok(None) => {
            let reason = "is no data directory: it has no identity".to_owned();
            return Err(StorageError::Foreign {
                path: dir.to_owned(),
                reason,
            });
        }
        Err(StorageError::Corrupt {
            path,
            offset,
            reason,
        }) => {
            damage.push(Damage {
                file: below(dir, &path),
                offset,
                reason,
            });
            None
        }
        Err(error) => return Err(error),
    };
    let (segments, owner) = read_segments(&files, dir, identity.as_ref())?;
    let (mut replay, corruption) = recover::survey(&segments, owner);
    damage.extend(corruption.map(|corruption| in_log(dir, corruption)));
    damage.extend(log_gone(&segments, identity.as_ref()));
    damage.extend(identity_gone(&replay, identity.as_ref(), damage.is_empty()));
    if damage.is_empty() {
        let shelf = Shelf::at(&files, dir.join("snap"), owner);
        damage.extend(
            shelf
                .lost_end(&replay)?
                .map(|corruption| in_log(dir, corruption)),
        );
    }
    let is_log_corrupt = !damage.is_empty();
    let snapshots = read_snapshots(&files, dir, owner, &replay, &mut damage)?;
    let entries = with_entries.then(|| replay.recovered.entries.iter().map(describe).collect());
    replay.recovered.entries.shrink_to_fit();
    Ok(Report {
        dir: dir.to_owned(),
        condition: condition(&replay, &snapshots, is_log_corrupt),
        is_in_use: is_in_use(dir),
        cluster: identity.as_ref().map(|identity| identity.cluster.clone()),
        node: identity.as_ref().map(|identity| identity.node),
        founders: identity.map(|identity| identity.founders),
        hard_state: replay.recovered.hard_state,
        base: replay.recovered.base,
        last: replay.recovered.last(),
        entry_count: replay.recovered.entries.len(),
        snapshot: replay.snapshot,
        torn_bytes: replay.torn_bytes,
        segments: segments
            .iter()
            .map(|segment| describe_segment(dir, segment))
            .collect(),
        snapshots,
        damage,
        entries,
    })
}

fn condition(replay: &Replay, snapshots: &[SnapshotReport], is_log_corrupt: bool) -> Condition {
    let is_readable = |last: LogId| {
        snapshots
            .iter()
            .any(|found| found.last == last && found.state_bytes.is_some())
    };
    let is_newest_readable = replay.snapshot.is_none_or(is_readable);
    let fallback = replay.fallback();
    if is_log_corrupt {
        Condition::Corrupt
    } else if !is_newest_readable {
        match fallback.is_some_and(|older| older.is_none_or(is_readable)) {
            true => Condition::SnapshotUnreadable,
            false => Condition::Corrupt,
        }
    } else if replay.torn_bytes > 0 {
        Condition::TornTail
    } else {
        Condition::Sound
    }
}

type Segments = Vec<(u64, Vec<u8>)>;

fn in_log(dir: &Path, corruption: Corruption) -> Damage {
    let Corruption {
        sequence,
        offset,
        reason,
    } = corruption;
    Damage {
        file: below(dir, &segment::path(&dir.join("wal"), sequence)),
        offset,
        reason,
    }
}

/// A log is somebody's, unless the first start was cut short before the identity was written.
fn identity_gone(replay: &Replay, identity: Option<&Identity>, is_sound: bool) -> Option<Damage> {
    let is_new = replay.recovered == Recovered::default();
    (identity.is_none() && is_sound && !is_new).then(|| Damage {
        file: PathBuf::from("identity"),
        offset: 0,
        reason: "there is a log, but nothing tells whose it is".to_owned(),
    })
}

/// A directory that is somebody's has a log.
fn log_gone(segments: &Segments, identity: Option<&Identity>) -> Option<Damage> {
    (segments.is_empty() && identity.is_some()).then(|| Damage {
        file: PathBuf::from("wal"),
        offset: 0,
        reason: "the log is gone".to_owned(),
    })
}

/// All files of the log, and the number of their owner: where the identity is damaged or gone, the
/// one that the first of them tells.
fn read_segments(
    files: &Files,
    dir: &Path,
    identity: Option<&Identity>,
) -> Result<(Segments, u64), StorageError> {
    let dir = dir.join("wal");
    let mut segments = Vec::new();
    for sequence in wal::sequences(&**files, &dir)? {
        let path = segment::path(&dir, sequence);
        let bytes = files.read(&path).map_err(StorageError::io("read", &path))?;
        segments.push((sequence, bytes));
    }
    let owner = match identity {
        Some(identity) => identity.owner(),
        None => segments
            .iter()
            .find_map(|(_, bytes)| Head::decode(bytes))
            .map_or(0, |h| h.owner),
    };
    Ok((segments, owner))
}

fn read_snapshots(
    files: &Files,
    dir: &Path,
    owner: u64,
    replay: &Replay,
    damage: &mut Vec<Damage>,
) -> Result<Vec<SnapshotReport>, StorageError> {
    let shelf = Shelf::at(files, dir.join("snap"), owner);
    let named: Vec<LogId> = replay.older.into_iter().chain(replay.snapshot).collect();
    let mut found = shelf.list()?;
    found.extend(
        named
            .iter()
            .filter(|last| !found.contains(last))
            .copied()
            .collect::<Vec<_>>(),
    );
    let mut reports = Vec::new();
    for last in found {
        let file = below(dir, &shelf.path(last));
        let is_named = named.contains(&last);
        let state_bytes = match shelf.read(last) {
            Ok(snapshot) => Some(snapshot.state.as_bytes().len()),
            Err(StorageError::Corrupt { offset, reason, .. }) => {
                damage.push(Damage {
                    file: file.clone(),
                    offset,
                    reason,
                });
                None
            }
            Err(error) => return Err(error),
        };
        reports.push(SnapshotReport {
            file,
            last,
            state_bytes,
            is_named,
        });
    }
    Ok(reports)
}

fn describe_segment(dir: &Path, (sequence, bytes): &(u64, Vec<u8>)) -> SegmentReport {
    SegmentReport {
        file: below(dir, &segment::path(&dir.join("wal"), *sequence)),
        sequence: *sequence,
        base: Head::decode(bytes).map_or(0, |head| head.base),
        bytes: bytes.len() as u64,
    }
}

fn describe(entry: &Entry) -> EntryReport {
    let (kind, command) = match &entry.payload {
        Payload::Noop => ("noop", None),
        Payload::Command(command) => ("command", Some(text(command.as_bytes()))),
        Payload::Members(members) => ("members", Some(members.to_string())),
    };
    EntryReport {
        index: entry.id.index,
        term: entry.id.term,
        kind,
        command,
    }
}

fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn below(dir: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(dir).unwrap_or(path).to_owned()
}

/// A shared lock cannot be had while a node holds its own; asking for it changes nothing.
fn is_in_use(dir: &Path) -> bool {
    File::open(dir.join("lock")).is_ok_and(|lock| lock.try_lock_shared().is_err())
}
