//! The edge to the kernel: FUSE requests become calls of the volume, and nothing else.
//!
//! Pages are cached by the kernel, so that files can be mapped; writes go through at once, so that
//! what a process wrote is known here even if it is killed in the same moment. Locks are the
//! kernel's own.
#![allow(
    clippy::disallowed_types,
    reason = "files have times of the wall clock; nothing here depends on them"
)]

mod requests;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuser::{FileAttr, FileType, Generation, INodeNo, ReplyEmpty, ReplyEntry, Request, TimeOrNow};
use nix::errno::Errno;

use super::{
    content::PAGE,
    late::Late,
    unit::Unit,
    volume::{Inode, Kind, Maker, Volume},
};

/// Nobody but the kernel changes anything while it is mounted.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// One mount of a disk, until the power is lost.
pub(super) struct Served {
    unit: Arc<Mutex<Unit>>,
    power: u64,
    late: Arc<Late>,
    listings: Mutex<Listings>,
}

/// Directories as they were when they were opened: a listing is not torn by what goes on.
#[derive(Default)]
struct Listings {
    open: BTreeMap<u64, Vec<(u64, FileType, OsString)>>,
    next: u64,
}

impl Served {
    pub(super) fn new(unit: Arc<Mutex<Unit>>, power: u64, late: Arc<Late>) -> Self {
        let listings = Mutex::default();
        Self {
            unit,
            power,
            late,
            listings,
        }
    }

    /// The disk, unless the power was lost since this was mounted.
    fn unit(&self) -> Result<MutexGuard<'_, Unit>, Errno> {
        let unit = self.unit.lock().unwrap_or_else(PoisonError::into_inner);
        if unit.power == self.power {
            Ok(unit)
        } else {
            Err(Errno::EIO)
        }
    }

    /// Does something that gives the kernel a file to know.
    fn enter(&self, find: impl FnOnce(&mut Unit) -> Result<u64, Errno>) -> Result<FileAttr, Errno> {
        let mut unit = self.unit()?;
        let number = find(&mut unit)?;
        unit.volume.look_up(number);
        Ok(shown(number, unit.volume.inode(number)?))
    }

    fn listings(&self) -> MutexGuard<'_, Listings> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, number: u64) -> Result<u64, Errno> {
        let unit = self.unit()?;
        let directory = unit.volume.directory(number)?;
        let kind = |number: u64| {
            unit.volume
                .inode(number)
                .map_or(FileType::RegularFile, file_type)
        };
        let mut listing = vec![
            (number, FileType::Directory, ".".into()),
            (directory.parent, FileType::Directory, "..".into()),
        ];
        let entries = directory.current.iter();
        listing.extend(entries.map(|(name, below)| (*below, kind(*below), name.clone())));
        let mut listings = self.listings();
        listings.next += 1;
        let handle = listings.next;
        listings.open.insert(handle, listing);
        Ok(handle)
    }

    /// Returns how many of the bytes were written.
    fn write_at(&self, number: u64, at: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let mut unit = self.unit()?;
        let (length, count) = (
            unit.volume.file(number)?.current().len(),
            bytes.len() as u64,
        );
        let grows = at.saturating_add(count).saturating_sub(length);
        let fits = unit.write(count, grows)?;
        let bytes = &bytes[..usize::try_from(fits).expect("no more than there are")];
        let lies = unit.lies_about_writes();
        let file = unit.volume.file_mut(number)?;
        match lies {
            true => file.write_in_vain(at, bytes),
            false => file.write(at, bytes),
        }
        let attributes = &mut unit.volume.inode_mut(number)?.attributes;
        (attributes.modified, attributes.changed) = (now(), now());
        Ok(bytes.len())
    }

    /// Returns how much later the answer is to come, and which.
    fn sync(
        &self,
        number: u64,
        make_durable: impl FnOnce(&mut Volume) -> Result<(), Errno>,
    ) -> (Duration, Result<(), Errno>) {
        let mut unit = match self.unit() {
            Ok(unit) => unit,
            Err(errno) => return (Duration::ZERO, Err(errno)),
        };
        let fate = unit.sync();
        let answer = if fate.fails {
            if let Ok(file) = unit.volume.file_mut(number) {
                file.give_up_pending();
            }
            Err(Errno::EIO)
        } else if fate.lies {
            Ok(())
        } else {
            make_durable(&mut unit.volume)
        };
        (fate.late, answer)
    }

    fn answer_sync(&self, (late, answer): (Duration, Result<(), Errno>), reply: ReplyEmpty) {
        self.late.answer(late, move || acknowledge(answer, reply));
    }

    fn fallocate_at(&self, number: u64, at: u64, length: u64, mode: i32) -> Result<(), Errno> {
        const KEEP_SIZE: i32 = libc::FALLOC_FL_KEEP_SIZE;
        const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | KEEP_SIZE;
        const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE;
        let mut unit = self.unit()?;
        let end = at.checked_add(length).ok_or(Errno::EFBIG)?;
        let there = unit.volume.file(number)?.current().len();
        // A file system keeps some room for itself whenever it is asked for any.
        match mode & PUNCH == PUNCH {
            true => drop(unit.write(0, 0)?),
            false => unit.allocate(end.saturating_sub(there).max(1))?,
        }
        let file = unit.volume.file_mut(number)?;
        if ![0, KEEP_SIZE, PUNCH, ZERO, ZERO | KEEP_SIZE].contains(&mode) {
            return Err(Errno::EOPNOTSUPP);
        }
        if mode & KEEP_SIZE == 0 {
            file.resize(end.max(file.current().len()));
        }
        if mode != 0 && mode != KEEP_SIZE {
            file.zero(at..end);
        }
        Ok(())
    }
}

fn now() -> Duration {
    since_epoch(SystemTime::now())
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn maker(request: &Request, mode: u32) -> Maker {
    Maker {
        mode: u16::try_from(mode & 0o7777).expect("twelve bits"),
        uid: request.uid(),
        gid: request.gid(),
        now: now(),
    }
}

fn file_type(inode: &Inode) -> FileType {
    match inode.kind {
        Kind::File(_) => FileType::RegularFile,
        Kind::Directory(_) => FileType::Directory,
        Kind::Symlink(_) => FileType::Symlink,
    }
}

/// What `stat` shows.
fn shown(number: u64, inode: &Inode) -> FileAttr {
    let (size, stored) = match &inode.kind {
        Kind::File(file) => (file.current().len(), file.current().stored()),
        Kind::Directory(_) => (PAGE as u64, PAGE as u64),
        Kind::Symlink(target) => (target.as_os_str().len() as u64, 0),
    };
    let attributes = inode.attributes;
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: stored / 512,
        atime: UNIX_EPOCH + attributes.accessed,
        mtime: UNIX_EPOCH + attributes.modified,
        ctime: UNIX_EPOCH + attributes.changed,
        crtime: UNIX_EPOCH,
        kind: file_type(inode),
        perm: attributes.mode,
        nlink: inode.links.max(1),
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn told(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno as i32)
}

fn acknowledge(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(told(errno)),
    }
}

fn introduce(result: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match result {
        Ok(attributes) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
        Err(errno) => reply.error(told(errno)),
    }
}

fn time(given: TimeOrNow) -> Duration {
    match given {
        TimeOrNow::SpecificTime(time) => since_epoch(time),
        TimeOrNow::Now => now(),
    }
}
