//! Which calls there are, which ailments they meet, and what of a disk each is about.

use std::{fs, path::Path};

use super::place;
use crate::{fault::Ailment, sys::Call};

/// What a call wants of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Read,
    Write,
    /// Room, ahead of a write or for a name.
    Room,
    Sync,
    /// A write that is one with its fsync: of a file opened so, or asked for so.
    SyncedWrite,
}

/// Where it says in a call's arguments what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The file of this descriptor.
    Descriptor(usize),
    /// The file of this name, seen from the folder of this descriptor, or from where it works.
    Name(Option<usize>, usize),
    /// The same, where there is none of this name yet.
    NewName(Option<usize>, usize),
    /// The same for whoever opens a file and makes it, with flags in this argument.
    Opened(Option<usize>, usize, usize),
    /// What is mapped from this address on, for so many bytes.
    Mapped(usize, usize),
    /// Every file there is.
    Everything,
}

use About::{Descriptor, Everything, Mapped, Name, NewName, Opened};

const READS: [(i64, About); 8] = [
    (libc::SYS_read, Descriptor(0)),
    (libc::SYS_pread64, Descriptor(0)),
    (libc::SYS_readv, Descriptor(0)),
    (libc::SYS_preadv, Descriptor(0)),
    (libc::SYS_preadv2, Descriptor(0)),
    (libc::SYS_sendfile, Descriptor(1)),
    (libc::SYS_copy_file_range, Descriptor(0)),
    (libc::SYS_splice, Descriptor(0)),
];

const WRITES: [(i64, About); 8] = [
    (libc::SYS_write, Descriptor(0)),
    (libc::SYS_pwrite64, Descriptor(0)),
    (libc::SYS_writev, Descriptor(0)),
    (libc::SYS_pwritev, Descriptor(0)),
    (libc::SYS_pwritev2, Descriptor(0)),
    (libc::SYS_sendfile, Descriptor(0)),
    (libc::SYS_copy_file_range, Descriptor(2)),
    (libc::SYS_splice, Descriptor(2)),
];

const ROOM: [(i64, About); 9] = [
    (libc::SYS_fallocate, Descriptor(0)),
    (libc::SYS_ftruncate, Descriptor(0)),
    (libc::SYS_truncate, Name(None, 0)),
    (libc::SYS_openat, Opened(Some(0), 1, 2)),
    (libc::SYS_openat2, Opened(Some(0), 1, 2)),
    (libc::SYS_mkdirat, NewName(Some(0), 1)),
    (libc::SYS_mknodat, NewName(Some(0), 1)),
    (libc::SYS_symlinkat, NewName(Some(1), 2)),
    (libc::SYS_linkat, NewName(Some(2), 3)),
];

/// The same of calls that newer processors do without.
#[cfg(target_arch = "x86_64")]
const OLDER_ROOM: [(i64, About); 6] = [
    (libc::SYS_open, Opened(None, 0, 1)),
    (libc::SYS_creat, NewName(None, 0)),
    (libc::SYS_mkdir, NewName(None, 0)),
    (libc::SYS_mknod, NewName(None, 0)),
    (libc::SYS_symlink, NewName(None, 1)),
    (libc::SYS_link, NewName(None, 1)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_ROOM: [(i64, About); 0] = [];

const SYNCS: [(i64, About); 5] = [
    (libc::SYS_fsync, Descriptor(0)),
    (libc::SYS_fdatasync, Descriptor(0)),
    (libc::SYS_syncfs, Descriptor(0)),
    (libc::SYS_msync, Mapped(0, 1)),
    (libc::SYS_sync, Everything),
];

impl Kind {
    /// The kinds of calls that an ailment is about.
    pub(super) fn met_by(ailment: Ailment) -> &'static [Kind] {
        match ailment {
            Ailment::ReadError => &[Self::Read],
            Ailment::WriteError => &[Self::Write],
            Ailment::Full | Ailment::FullAfter(_) => &[Self::Write, Self::Room],
            Ailment::FsyncError | Ailment::SlowFsync(_) => &[Self::Sync, Self::SyncedWrite],
            // What is written is on the disk: no filter does the half of a call.
            Ailment::LyingFsync => &[Self::Sync],
            // A filter does not change what a call does: see [`Ailment::takes_fuse`].
            Ailment::LyingWrite | Ailment::ReadFlip => &[],
        }
    }

    fn table(self) -> impl Iterator<Item = (i64, About)> {
        let (calls, older): (&[_], &[_]) = match self {
            Self::Read => (&READS, &[]),
            Self::Write | Self::SyncedWrite => (&WRITES, &[]),
            Self::Room => (&ROOM, &OLDER_ROOM),
            Self::Sync => (&SYNCS, &[]),
        };
        calls.iter().chain(older).copied()
    }

    pub(super) fn calls(self) -> impl Iterator<Item = i64> {
        self.table().map(|(number, _)| number)
    }

    /// What a call is about, as one of this kind; `None` where it is none.
    pub(super) fn about(self, call: &Call) -> Option<About> {
        let mut table = self.table();
        let (_, about) = table.find(|(number, _)| *number == call.number)?;
        let is_one = match (self, about) {
            (Self::SyncedWrite, Descriptor(arg)) => place::is_synced(call, arg),
            (_, Mapped(..)) => call.args[2] & word(libc::MS_SYNC) != 0,
            (_, Opened(_, _, flags)) => place::makes(call, flags),
            _ => true,
        };
        is_one.then_some(about)
    }
}

/// A flag as it stands in a register.
pub(super) fn word(flag: i32) -> u64 {
    u64::from(flag.cast_unsigned())
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
