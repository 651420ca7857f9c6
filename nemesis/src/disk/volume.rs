//! A file system as a value: what is there, what would be there after a power loss, no I/O.
//!
//! Files keep their unsynced changes apart (`file.rs`), directories theirs in one journal
//! (`journal.rs`). Owners, modes, times and the targets of symbolic links are durable at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::errno::Errno;

use super::{
    Directories,
    file::File,
    journal::{Edit, Journal},
};

/// The number of the top directory.
pub(super) const ROOT: u64 = 1;

/// Names → numbers.
pub(super) type Entries = BTreeMap<OsString, u64>;

#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) journal: Journal,
    next: u64,
    /// What no directory names any more, and is there for those who have it open or for the
    /// journal.
    pub(super) nameless: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub(super) kind: Kind,
    pub(super) attributes: Attributes,
    /// How many names it has.
    pub(super) links: u32,
    /// How often the kernel was told of it and has not forgotten it.
    pub(super) lookups: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    File(File),
    Directory(Directory),
    Symlink(PathBuf),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    pub(super) current: Entries,
    pub(super) durable: Entries,
    pub(super) parent: u64,
}

/// What `stat` shows besides kind and size. Times count from 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) accessed: Duration,
    pub(super) modified: Duration,
    pub(super) changed: Duration,
}

/// Who makes something, and when.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Maker {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) now: Duration,
}

impl Volume {
    /// With nothing in it but its top directory.
    pub(super) fn new(directories: Directories, maker: Maker) -> Self {
        let mut volume = Self {
            inodes: BTreeMap::new(),
            journal: Journal::new(directories),
            next: ROOT,
            nameless: BTreeSet::new(),
        };
        let top = Directory {
            parent: ROOT,
            ..Directory::default()
        };
        volume.add(Kind::Directory(top), maker);
        volume.nameless.clear();
        volume
    }

    fn add(&mut self, kind: Kind, maker: Maker) -> u64 {
        let number = self.next;
        self.next += 1;
        let Maker {
            mode,
            uid,
            gid,
            now,
        } = maker;
        let attributes = Attributes {
            mode,
            uid,
            gid,
            accessed: now,
            modified: now,
            changed: now,
        };
        let inode = Inode {
            kind,
            attributes,
            links: 0,
            lookups: 0,
        };
        self.inodes.insert(number, inode);
        self.nameless.insert(number);
        number
    }

    pub(super) fn inode(&self, number: u64) -> Result<&Inode, Errno> {
        self.inodes.get(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn inode_mut(&mut self, number: u64) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn file(&self, number: u64) -> Result<&File, Errno> {
        match &self.inode(number)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Directory(_) => Err(Errno::EISDIR),
            Kind::Symlink(_) => Err(Errno::EINVAL),
        }
    }

    pub(super) fn file_mut(&mut self, number: u64) -> Result<&mut File, Errno> {
        match &mut self.inode_mut(number)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Directory(_) => Err(Errno::EISDIR),
            Kind::Symlink(_) => Err(Errno::EINVAL),
        }
    }

    pub(super) fn directory(&self, number: u64) -> Result<&Directory, Errno> {
        match &self.inode(number)?.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn directory_mut(&mut self, number: u64) -> Result<&mut Directory, Errno> {
        match &mut self.inode_mut(number)?.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn find(&self, parent: u64, name: &OsStr) -> Result<u64, Errno> {
        let found = self.directory(parent)?.current.get(name);
        found.copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn create(&mut self, parent: u64, name: &OsStr, by: Maker) -> Result<u64, Errno> {
        self.make(parent, name, Kind::File(File::default()), by)
    }

    pub(super) fn mkdir(&mut self, parent: u64, name: &OsStr, by: Maker) -> Result<u64, Errno> {
        let directory = Directory {
            parent,
            ..Directory::default()
        };
        self.make(parent, name, Kind::Directory(directory), by)
    }

    pub(super) fn symlink(
        &mut self,
        parent: u64,
        name: &OsStr,
        target: &Path,
        by: Maker,
    ) -> Result<u64, Errno> {
        self.make(parent, name, Kind::Symlink(target.to_owned()), by)
    }

    fn make(&mut self, parent: u64, name: &OsStr, kind: Kind, by: Maker) -> Result<u64, Errno> {
        check_length(name)?;
        if self.directory(parent)?.current.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let number = self.add(kind, by);
        self.edit(vec![Edit::put(parent, name, number)], by.now);
        Ok(number)
    }

    pub(super) fn link(
        &mut self,
        number: u64,
        parent: u64,
        name: &OsStr,
        now: Duration,
    ) -> Result<(), Errno> {
        check_length(name)?;
        if matches!(self.inode(number)?.kind, Kind::Directory(_)) {
            return Err(Errno::EPERM);
        }
        if self.directory(parent)?.current.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.edit(vec![Edit::put(parent, name, number)], now);
        Ok(())
    }

    pub(super) fn unlink(&mut self, parent: u64, name: &OsStr, now: Duration) -> Result<(), Errno> {
        let number = self.find(parent, name)?;
        if matches!(self.inode(number)?.kind, Kind::Directory(_)) {
            return Err(Errno::EISDIR);
        }
        self.edit(vec![Edit::remove(parent, name)], now);
        Ok(())
    }

    pub(super) fn rmdir(&mut self, parent: u64, name: &OsStr, now: Duration) -> Result<(), Errno> {
        let number = self.find(parent, name)?;
        if !self.directory(number)?.current.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.edit(vec![Edit::remove(parent, name)], now);
        Ok(())
    }

    /// Moves `from` to `to`, in one step of the journal, over what was there.
    pub(super) fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        now: Duration,
    ) -> Result<(), Errno> {
        check_length(to.1)?;
        let number = self.find(from.0, from.1)?;
        self.directory(to.0)?;
        if let Ok(over) = self.find(to.0, to.1) {
            if over == number {
                return Ok(());
            }
            self.may_replace(number, over)?;
        }
        if self.is_within(to.0, number) {
            return Err(Errno::EINVAL);
        }
        let edits = vec![Edit::remove(from.0, from.1), Edit::put(to.0, to.1, number)];
        self.edit(edits, now);
        Ok(())
    }

    fn may_replace(&self, number: u64, over: u64) -> Result<(), Errno> {
        let moved = matches!(self.inode(number)?.kind, Kind::Directory(_));
        match (&self.inode(over)?.kind, moved) {
            (Kind::Directory(there), true) if there.current.is_empty() => Ok(()),
            (Kind::Directory(_), true) => Err(Errno::ENOTEMPTY),
            (Kind::Directory(_), false) => Err(Errno::EISDIR),
            (_, true) => Err(Errno::ENOTDIR),
            (_, false) => Ok(()),
        }
    }

    /// Whether the directory `which` is `top` or lies somewhere below it.
    fn is_within(&self, which: u64, top: u64) -> bool {
        let mut here = which;
        while here != top && here != ROOT {
            let Ok(directory) = self.directory(here) else {
                return false;
            };
            here = directory.parent;
        }
        here == top
    }

    /// Swaps what two names stand for, in one step of the journal.
    pub(super) fn exchange(
        &mut self,
        one: (u64, &OsStr),
        other: (u64, &OsStr),
        now: Duration,
    ) -> Result<(), Errno> {
        let (first, second) = (self.find(one.0, one.1)?, self.find(other.0, other.1)?);
        if self.is_within(other.0, first) || self.is_within(one.0, second) {
            return Err(Errno::EINVAL);
        }
        let edits = vec![
            Edit::put(one.0, one.1, second),
            Edit::put(other.0, other.1, first),
        ];
        self.edit(edits, now);
        Ok(())
    }

    /// Changes what names stand for, now, and after a power loss as soon as the journal is
    /// committed.
    fn edit(&mut self, edits: Vec<Edit>, now: Duration) {
        for Edit { parent, name, to } in &edits {
            let directory = self.directory_mut(*parent).expect("looked at before");
            let before = match to {
                Some(number) => directory.current.insert(name.clone(), *number),
                None => directory.current.remove(name),
            };
            let above = self.inode_mut(*parent).expect("looked at before");
            (above.attributes.modified, above.attributes.changed) = (now, now);
            if let Some(number) = before {
                self.count(number, false, now);
            }
            if let Some(number) = to {
                self.count(*number, true, now);
                if let Ok(directory) = self.directory_mut(*number) {
                    directory.parent = *parent;
                }
            }
        }
        self.journal.append(edits);
    }

    fn count(&mut self, number: u64, more: bool, now: Duration) {
        let inode = self
            .inodes
            .get_mut(&number)
            .expect("a name stands for something");
        inode.links = if more {
            inode.links + 1
        } else {
            inode.links - 1
        };
        inode.attributes.changed = now;
        if inode.links == 0 {
            self.nameless.insert(number);
        } else {
            self.nameless.remove(&number);
        }
    }
}

fn check_length(name: &OsStr) -> Result<(), Errno> {
    const MAX: usize = 255;
    if name.len() <= MAX {
        Ok(())
    } else {
        Err(Errno::ENAMETOOLONG)
    }
}
