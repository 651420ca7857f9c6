//! The file system as the storage sees it: the seam at which a test can lose, tear and fail what
//! was written.
//!
//! What the storage may rely on is what POSIX promises, and no more:
//!
//! - Bytes are safe after `sync_data` or `sync_all` of their file; before that any part of them
//!   may be lost, sector by sector.
//! - A name is safe after `sync_dir` of its directory; before that any of the changes may be
//!   lost, each for itself. A rename happens whole or not at all.
//! - After an error of a sync nobody knows what of the file is on the disk, and asking again says
//!   nothing about it.
//!
//! [`Direct`] is the file system of the machine; [`memory::Memory`] keeps exactly these promises
//! and breaks every other hope.

pub(crate) mod memory;

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::posix_fallocate;

/// A file system, shared by all who use it.
pub(crate) type Files = Arc<dyn Vfs>;

/// What the storage asks of a file system.
pub(crate) trait Vfs: Debug + Send + Sync {
    /// Makes one directory, whose parent exists.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// True where there is such a directory.
    fn is_dir(&self, dir: &Path) -> bool;
    /// The names in a directory, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Everything in a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// A new, empty file; one of that name is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>>;
    /// A file that exists, for writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>>;
    /// Gives a file another name, in the place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file that is open for writing.
pub(crate) trait VfsFile: Debug + Send {
    /// Writes all of `bytes` at an offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Gives the file this size at least, with zeros, and the room for it.
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Makes the bytes durable, and what is needed to read them.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes everything about the file durable but its name.
    fn sync_all(&self) -> io::Result<()>;
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direct;

/// The file system of the machine, to be shared.
pub(crate) fn direct() -> Files {
    Arc::new(Direct)
}

impl Vfs for Direct {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir(dir)
    }

    fn is_dir(&self, dir: &Path) -> bool {
        dir.is_dir()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        fs::read_dir(dir)?.map(name).collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl VfsFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let size = i64::try_from(size).map_err(io::Error::other)?;
        Ok(posix_fallocate(self, 0, size)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        Self::sync_all(self)
    }
}
