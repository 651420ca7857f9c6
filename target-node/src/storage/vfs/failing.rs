//! A file system that fails where it is told to: the failpoints of the storage.
//!
//! They sit at the seam, and not in the code above it, so that what handles an error is the code
//! that would handle one of the machine.

use std::io;
use std::path::Path;

use super::{Files, Vfs, VfsFile};
use crate::failpoint::{Failpoints, Site};

/// A file system with failpoints before and after what it passes on to another one.
#[derive(Debug)]
pub(crate) struct Failing {
    files: Files,
    failpoints: Failpoints,
}

impl Failing {
    pub(crate) fn new(files: Files, failpoints: Failpoints) -> Self {
        Self { files, failpoints }
    }

    fn wrap(&self, file: Box<dyn VfsFile>, path: &Path) -> Box<dyn VfsFile> {
        Box::new(FailingFile {
            file,
            is_log: path
                .parent()
                .and_then(Path::file_name)
                .is_some_and(|dir| dir == "wal"),
            failpoints: self.failpoints.clone(),
        })
    }
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "wal")
}

fn is_snapshot(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "snap")
}

fn is_snapshot_draft(path: &Path) -> bool {
    let dir = path.parent().and_then(Path::file_name);
    dir.is_some_and(|dir| dir == "snap") && path.extension().is_some_and(|end| end == "tmp")
}

impl Vfs for Failing {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.make_dir(dir)
    }

    fn is_dir(&self, dir: &Path) -> bool {
        self.files.is_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.files.list(dir)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        if is_snapshot_draft(path) {
            self.failpoints.hit(Site::BeforeSnapshotWrite)?;
        }
        let file = self.files.create(path)?;
        Ok(self.wrap(file, path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let file = self.files.open(path)?;
        Ok(self.wrap(file, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !is_snapshot(to) {
            return self.files.rename(from, to);
        }
        self.failpoints.hit(Site::BeforeSnapshotRename)?;
        self.files.rename(from, to)?;
        self.failpoints.hit(Site::AfterSnapshotRename)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !is_log(path) {
            return self.files.remove(path);
        }
        self.failpoints.hit(Site::BeforePurge)?;
        self.files.remove(path)?;
        self.failpoints.hit(Site::AfterPurge)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.sync_dir(dir)
    }
}

#[derive(Debug)]
struct FailingFile {
    file: Box<dyn VfsFile>,
    is_log: bool,
    failpoints: Failpoints,
}

impl VfsFile for FailingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.is_log {
            self.failpoints.hit(Site::BeforeWrite)?;
        }
        self.file.write_at(bytes, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.file.allocate(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        if !self.is_log {
            return self.file.sync_data();
        }
        self.failpoints.hit(Site::BeforeSync)?;
        self.file.sync_data()?;
        self.failpoints.hit(Site::AfterSync)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}
