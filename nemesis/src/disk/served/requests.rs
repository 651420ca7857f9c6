//! One FUSE request a function: taken apart, done, answered.

use std::{ffi::OsStr, path::Path, time::SystemTime};

use fuser::{
    BsdFileFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::errno::Errno;

use super::{FOR_EVER, Served, acknowledge, introduce, maker, now, shown, time, told};
use crate::disk::{
    content::PAGE,
    unit::{CAPACITY, Unit},
    volume::Kind,
};

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        introduce(self.enter(|unit| unit.volume.find(parent.0, name)), reply);
    }

    fn forget(&self, _: &Request, number: INodeNo, times: u64) {
        // A disk without power has forgotten everything by itself.
        if let Ok(mut unit) = self.unit() {
            unit.volume.forget(number.0, times);
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let look = || Ok(shown(number.0, self.unit()?.volume.inode(number.0)?));
        match look() {
            Ok(attributes) => reply.attr(&FOR_EVER, &attributes),
            Err(errno) => reply.error(told(errno)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || {
            let mut unit = self.unit()?;
            if let Some(size) = size {
                unit.write(0, 0)?;
                unit.volume.file_mut(number.0)?.resize(size);
            }
            let inode = unit.volume.inode_mut(number.0)?;
            let attributes = &mut inode.attributes;
            attributes.changed = now();
            if let Some(mode) = mode {
                attributes.mode = u16::try_from(mode & 0o7777).expect("twelve bits");
            }
            attributes.uid = uid.unwrap_or(attributes.uid);
            attributes.gid = gid.unwrap_or(attributes.gid);
            if size.is_some() {
                attributes.modified = now();
            }
            attributes.accessed = accessed.map_or(attributes.accessed, time);
            attributes.modified = modified.map_or(attributes.modified, time);
            Ok(shown(number.0, inode))
        };
        match set() {
            Ok(attributes) => reply.attr(&FOR_EVER, &attributes),
            Err(errno) => reply.error(told(errno)),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        let read = || match &self.unit()?.volume.inode(number.0)?.kind {
            Kind::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        };
        match read() {
            Ok(target) => reply.data(target.as_os_str().as_encoded_bytes()),
            Err(errno) => reply.error(told(errno)),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        // Data directories hold files; pipes, sockets and devices are elsewhere.
        let is_file = [0, libc::S_IFREG].contains(&(mode & libc::S_IFMT));
        let make = |unit: &mut Unit| match is_file {
            true => unit
                .make()
                .and_then(|()| unit.volume.create(parent.0, name, maker(request, mode))),
            false => Err(Errno::EPERM),
        };
        introduce(self.enter(make), reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let make = |unit: &mut Unit| {
            unit.make()?;
            unit.volume.mkdir(parent.0, name, maker(request, mode))
        };
        introduce(self.enter(make), reply);
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let make = |unit: &mut Unit| {
            unit.make()?;
            let by = maker(request, 0o777);
            unit.volume.symlink(parent.0, name, target, by)
        };
        introduce(self.enter(make), reply);
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let make = |unit: &mut Unit| {
            unit.make()?;
            unit.volume.link(number.0, parent.0, name, now())?;
            Ok(number.0)
        };
        introduce(self.enter(make), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = || self.unit()?.volume.unlink(parent.0, name, now());
        acknowledge(remove(), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = || self.unit()?.volume.rmdir(parent.0, name, now());
        acknowledge(remove(), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to_parent: INodeNo,
        to_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = || {
            let mut unit = self.unit()?;
            let (from, to) = ((parent.0, name), (to_parent.0, to_name));
            if flags.contains(RenameFlags::RENAME_EXCHANGE) {
                return unit.volume.exchange(from, to, now());
            }
            let is_taken = unit.volume.find(to.0, to.1).is_ok();
            if flags.contains(RenameFlags::RENAME_NOREPLACE) && is_taken {
                return Err(Errno::EEXIST);
            }
            unit.volume.rename(from, to, now())
        };
        acknowledge(rename(), reply);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let make = |unit: &mut Unit| {
            unit.make()?;
            unit.volume.create(parent.0, name, maker(request, mode))
        };
        match self.enter(make) {
            Ok(attributes) => reply.created(
                &FOR_EVER,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_KEEP_CACHE,
            ),
            Err(errno) => reply.error(told(errno)),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let look = || self.unit()?.volume.file(number.0).map(drop);
        match look() {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(errno) => reply.error(told(errno)),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        at: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = || {
            let mut unit = self.unit()?;
            let wrong = unit.read()?;
            let size = usize::try_from(size).expect("32 bits fit");
            let mut bytes = unit.volume.file(number.0)?.current().read(at, size);
            flip(&mut bytes, wrong);
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(told(errno)),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        at: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write_at(number.0, at, bytes) {
            Ok(count) => reply.written(u32::try_from(count).expect("a request is small")),
            Err(errno) => reply.error(told(errno)),
        }
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, data: bool, reply: ReplyEmpty) {
        let done = self.sync(number.0, |volume| volume.sync(number.0, data));
        self.answer_sync(done, reply);
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let done = self.sync(number.0, |volume| volume.sync_directory(number.0));
        self.answer_sync(done, reply);
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.list(number.0) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(errno) => reply.error(told(errno)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        from: u64,
        mut reply: ReplyDirectory,
    ) {
        let listings = self.listings();
        let listing = listings.open.get(&handle.0).map_or(&[][..], Vec::as_slice);
        let rest = (1_u64..).zip(listing).filter(|(next, _)| *next > from);
        for (next, (number, kind, name)) in rest {
            if reply.add(INodeNo(*number), next, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.listings().open.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = CAPACITY / PAGE as u64;
        let (used, files) = self.unit().map_or((0, 0), |unit| {
            (
                unit.volume.stored() / PAGE as u64,
                unit.volume.inodes.len() as u64,
            )
        });
        let free = blocks.saturating_sub(used);
        let size = u32::try_from(PAGE).expect("a page is small");
        reply.statfs(blocks, free, free, files, 1 << 20, size, 255, size);
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        at: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        acknowledge(self.fallocate_at(number.0, at, length, mode), reply);
    }
}

/// Tells one bit wrongly, chosen by `wrong` out of all of them.
fn flip(bytes: &mut [u8], wrong: Option<u64>) {
    let bits = bytes.len() as u64 * 8;
    if let Some(place) = wrong.and_then(|wrong| wrong.checked_rem(bits)) {
        let byte = usize::try_from(place / 8).expect("a read is small");
        bytes[byte] ^= 1 << (place % 8);
    }
}
