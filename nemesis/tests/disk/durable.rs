//! Which calls make bytes durable on a disk of ours.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, OpenOptionsExt},
    },
};

use ordeal_nemesis::{Keep, disk::Disks, sandbox::Sandbox};

use super::{N1, rig};

type Write = fn(&File) -> io::Result<()>;

fn write(file: &File) -> io::Result<()> {
    file.write_all_at(b"new", 0)
}

fn known(result: i64) -> io::Result<()> {
    match result {
        ..0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn write_with_a_flag(file: &File) -> io::Result<()> {
    let piece = libc::iovec {
        iov_base: b"new".as_ptr().cast_mut().cast(),
        iov_len: 3,
    };
    let fd = file.as_raw_fd();
    // SAFETY: one piece of memory that lives as long as the program, and is only read.
    known(unsafe { libc::pwritev2(fd, &raw const piece, 1, 0, libc::RWF_DSYNC) } as i64)
}

fn write_in_memory(file: &File) -> io::Result<()> {
    let (protection, length) = (libc::PROT_READ | libc::PROT_WRITE, 4096);
    // SAFETY: a fresh mapping of a file of three bytes, which nobody else uses, and which is gone
    // when this returns.
    unsafe {
        let (nowhere, fd) = (std::ptr::null_mut(), file.as_raw_fd());
        let map = libc::mmap(nowhere, length, protection, libc::MAP_SHARED, fd, 0);
        assert_ne!(map, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        std::slice::from_raw_parts_mut(map.cast::<u8>(), 3).copy_from_slice(b"new");
        let synced = known(libc::msync(map, length, libc::MS_SYNC).into());
        assert_eq!(libc::munmap(map, length), 0);
        synced
    }
}

fn sync_the_file_system(file: &File) -> io::Result<()> {
    // SAFETY: an open descriptor.
    known(unsafe { libc::syncfs(file.as_raw_fd()) }.into())
}

/// The kernel tells a file system of FUSE about none but fsync(2) and what is made of it: sync(2)
/// and syncfs(2) ask it for nothing, unless it is one of virtiofs or of a block device.
pub(crate) fn fsync_and_what_is_made_of_it_make_bytes_durable_and_nothing_else(inside: &Sandbox) {
    let calls: [(&str, i32, bool, Write); 8] = [
        ("fsync", 0, true, |file| {
            write(file).and_then(|()| file.sync_all())
        }),
        ("fdatasync", 0, true, |file| {
            write(file).and_then(|()| file.sync_data())
        }),
        ("O_DSYNC", libc::O_DSYNC, true, write),
        ("O_SYNC", libc::O_SYNC, true, write),
        ("RWF_DSYNC", 0, true, write_with_a_flag),
        ("msync", 0, true, write_in_memory),
        ("nothing", 0, false, write),
        ("syncfs", 0, false, |file| {
            write(file).and_then(|()| sync_the_file_system(file))
        }),
    ];
    let rig = rig(inside);
    let mut open = Vec::new();
    for (call, flags, _, write) in calls {
        drop(rig.synced(call, b"old"));
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).custom_flags(flags);
        let file = options.open(rig.at(call)).unwrap();
        write(&file).unwrap_or_else(|error| panic!("{call}: {error}"));
        // Closing would not make it durable either; what is open then is dead.
        open.push(file);
    }
    let _ = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    for (call, _, is_durable, _) in calls {
        let left = fs::read_to_string(rig.at(call)).unwrap();
        let bytes = if is_durable { "new" } else { "old" };
        assert_eq!(left, bytes, "{call}");
    }
}
