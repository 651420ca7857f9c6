//! Which calls there are, which ailments they meet, and whose file they are about.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{fault::Ailment, sys::Call};

/// What a call wants of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Read,
    Write,
    /// Room, ahead of a write.
    Room,
    Sync,
}

impl Kind {
    const ALL: [Kind; 4] = [Self::Read, Self::Write, Self::Room, Self::Sync];

    /// The kinds of calls that an ailment is about.
    pub(super) fn met_by(ailment: Ailment) -> &'static [Kind] {
        match ailment {
            Ailment::ReadError => &[Self::Read],
            Ailment::WriteError => &[Self::Write],
            Ailment::Full | Ailment::FullAfter(_) => &[Self::Write, Self::Room],
            Ailment::FsyncError | Ailment::SlowFsync(_) | Ailment::LyingFsync => &[Self::Sync],
            // A filter does not change what a call does: see [`Ailment::takes_fuse`].
            Ailment::LyingWrite | Ailment::ReadFlip => &[],
        }
    }

    pub(super) fn calls(self) -> Vec<i64> {
        match self {
            Self::Read => vec![
                libc::SYS_read,
                libc::SYS_pread64,
                libc::SYS_readv,
                libc::SYS_preadv,
                libc::SYS_preadv2,
            ],
            Self::Write => vec![
                libc::SYS_write,
                libc::SYS_pwrite64,
                libc::SYS_writev,
                libc::SYS_pwritev,
                libc::SYS_pwritev2,
            ],
            Self::Room => vec![libc::SYS_fallocate],
            Self::Sync => vec![libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_syncfs],
        }
    }

    pub(super) fn of(call: &Call) -> Option<Kind> {
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.calls().contains(&call.number))
    }
}

/// Where the first argument of a call, a descriptor, leads to.
pub(super) fn file(call: &Call) -> Option<PathBuf> {
    fs::read_link(in_proc(call, "fd")).ok()
}

fn in_proc(call: &Call, folder: &str) -> PathBuf {
    // A descriptor is an int: what is above it in the register does not count.
    let descriptor = call.args[0] & 0xffff_ffff;
    Path::new("/proc").join(format!("{}/{folder}/{descriptor}", call.thread))
}

/// How much longer a call makes its file: what a write goes beyond its end, or the room that it
/// asks for. One of several pieces counts as one byte: how long they are together is in the
/// caller's memory.
pub(super) fn growth(call: &Call) -> u64 {
    let length = fs::metadata(in_proc(call, "fd")).map(|file| file.size());
    let Ok(length) = length else {
        return u64::MAX;
    };
    if call.number == libc::SYS_fallocate {
        let end = call.args[2].saturating_add(call.args[3]);
        return end.saturating_sub(length).max(1);
    }
    let position = position(call);
    let count = match call.number {
        libc::SYS_write | libc::SYS_pwrite64 => call.args[2],
        _ => 1,
    };
    let at = match call.number {
        libc::SYS_pwrite64 | libc::SYS_pwritev => Some(call.args[3]),
        // -1 stands for the file's own position.
        libc::SYS_pwritev2 => Some(call.args[3]).filter(|at| *at != u64::MAX).or(position),
        _ => position,
    };
    // What is appended adds all of it.
    let at = at.unwrap_or(length);
    at.saturating_add(count).saturating_sub(length)
}

/// How long the files below a directory are, all together.
pub(super) fn length(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let lengths = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => length(&entry.path()),
        Ok(about) => about.len(),
        // Gone since: it takes no room.
        Err(_) => 0,
    });
    lengths.sum()
}

/// Where the next write goes; `None` where it is appended.
fn position(call: &Call) -> Option<u64> {
    let about = fs::read_to_string(in_proc(call, "fdinfo")).ok()?;
    let value = |name: &str| {
        let line = about.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
    };
    let flags = u32::from_str_radix(value("flags:")?, 8).ok()?;
    let appends = flags & u32::try_from(libc::O_APPEND).ok()? != 0;
    if appends {
        return None;
    }
    value("pos:")?.parse().ok()
}
