//! A file system in memory that forgets, at a crash, what was not synced.
//!
//! ```text
//!   live     what the process sees                 write, rename, remove …
//!   synced   what a crash leaves for certain       ◀── sync_data, sync_all, sync_dir
//!   pending  the changes in between                each may survive a crash, or not
//! ```
//!
//! Bytes survive by sectors, names one by one, in whatever choice the generator makes. Every
//! change and every sync is an operation with a number, and the operation of a given number can
//! be made to fail, or to be the last before the power goes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::{Vfs, VfsFile};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// How an operation goes wrong.
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the simulation only cuts the power; the tests fail the rest"
    )
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It and all later ones fail and change nothing: the process is about to lose its disk.
    PowerLoss,
    /// It fails with `EIO`. A sync that fails has lost what it should have synced.
    Eio,
    /// It fails with `ENOSPC`; a write was made in part.
    NoSpace,
}

/// A file system in memory; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
}

type Id = usize;

#[derive(Debug)]
struct State {
    files: Vec<Bytes>,
    names: Names,
    /// Changes of names since their directory was synced, oldest first.
    pending: Vec<NameChange>,
    synced: Names,
    dirs: Vec<PathBuf>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    is_dead: bool,
    rng: ChaCha8Rng,
}

type Names = BTreeMap<PathBuf, Id>;

#[derive(Clone, Debug)]
enum NameChange {
    Create(PathBuf, Id),
    Rename(PathBuf, PathBuf, Id),
    Remove(PathBuf),
}

/// A file's bytes.
#[derive(Debug, Default)]
struct Bytes {
    live: Vec<u8>,
    synced: Vec<u8>,
    /// Ranges written since the last sync, oldest first, each cut at the borders of sectors.
    pending: Vec<(usize, Vec<u8>)>,
}

impl NameChange {
    fn is_in(&self, dir: &Path) -> bool {
        let (Self::Create(path, _) | Self::Rename(_, path, _) | Self::Remove(path)) = self;
        path.parent() == Some(dir)
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Self::Create(path, id) => {
                names.insert(path.clone(), *id);
            }
            Self::Rename(from, to, id) => {
                names.remove(from);
                names.insert(to.clone(), *id);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl Bytes {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        put(&mut self.live, bytes, offset);
        let mut place = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (sector, behind) = rest.split_at(rest.len().min(SECTOR - place % SECTOR));
            self.pending.push((place, sector.to_vec()));
            place += sector.len();
            rest = behind;
        }
    }

    /// What an earlier sync has failed to keep stays lost.
    fn sync(&mut self) {
        self.synced.resize(self.live.len(), 0);
        for (place, sector) in self.pending.drain(..) {
            put(&mut self.synced, &sector, place);
        }
    }

    /// Of what was not synced only a choice is left.
    fn crash(&mut self, rng: &mut ChaCha8Rng) {
        let luck = rng.random_range(0..=4);
        for (place, sector) in self.pending.drain(..) {
            if rng.random_range(0..4) < luck {
                put(&mut self.synced, &sector, place);
            }
        }
        self.live.clone_from(&self.synced);
    }
}

fn put(bytes: &mut Vec<u8>, new: &[u8], offset: usize) {
    let end = offset + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(new);
}

impl Memory {
    /// An empty file system; the seed decides what crashes leave.
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            files: Vec::new(),
            names: Names::new(),
            pending: Vec::new(),
            synced: Names::new(),
            dirs: vec![PathBuf::from("/")],
            operations: 0,
            fault: None,
            is_dead: false,
            rng: ChaCha8Rng::seed_from_u64(seed),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The operation after so many more goes wrong.
    pub(crate) fn fail_after(&self, operations: u64, fault: Fault) {
        let mut state = self.lock();
        state.fault = Some((state.operations + operations, fault));
    }

    /// How many operations there were so far.
    #[cfg(test)]
    pub(crate) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// The power fails and comes back.
    pub(crate) fn crash(&self) {
        let mut state = self.lock();
        let State {
            files,
            names,
            pending,
            synced,
            rng,
            ..
        } = &mut *state;
        for change in pending.drain(..) {
            if rng.random() {
                change.apply(synced);
            }
        }
        names.clone_from(synced);
        files.iter_mut().for_each(|file| file.crash(rng));
        state.fault = None;
        state.is_dead = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl State {
    /// Counts an operation that changes something or makes it durable.
    fn operate(&mut self) -> Result<(), Fault> {
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            _ if self.is_dead => Err(Fault::PowerLoss),
            Some((at, fault)) if at == number => {
                self.fault = None;
                self.is_dead = fault == Fault::PowerLoss;
                Err(fault)
            }
            _ => Ok(()),
        }
    }

    fn id(&self, path: &Path) -> io::Result<Id> {
        let id = self.names.get(path).copied();
        id.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn change(&mut self, change: NameChange) -> io::Result<()> {
        self.operate()?;
        change.apply(&mut self.names);
        self.pending.push(change);
        Ok(())
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::PowerLoss => Self::other("the power is gone"),
            Fault::Eio => Self::from_raw_os_error(nix::libc::EIO),
            Fault::NoSpace => Self::from_raw_os_error(nix::libc::ENOSPC),
        }
    }
}

impl Vfs for Memory {
    /// Directories are few and made once: they are durable at once.
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.operate()?;
        state.dirs.push(dir.to_owned());
        Ok(())
    }

    fn is_dir(&self, dir: &Path) -> bool {
        self.lock().dirs.iter().any(|known| known == dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        let names = state.names.keys().chain(&state.dirs);
        let names = names.filter(|path| path.parent() == Some(dir));
        let names = names.filter_map(|path| path.file_name());
        Ok(names
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let id = state.id(path)?;
        Ok(state.files[id].live.clone())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let mut state = self.lock();
        let id = state.files.len();
        state.change(NameChange::Create(path.to_owned(), id))?;
        state.files.push(Bytes::default());
        drop(state);
        Ok(Box::new(Handle {
            disk: self.clone(),
            id,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let id = self.lock().id(path)?;
        Ok(Box::new(Handle {
            disk: self.clone(),
            id,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let id = state.id(from)?;
        state.change(NameChange::Rename(from.to_owned(), to.to_owned(), id))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.id(path)?;
        state.change(NameChange::Remove(path.to_owned()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.operate()?;
        let State {
            pending, synced, ..
        } = &mut *state;
        let (ours, others) = pending.drain(..).partition(|change| change.is_in(dir));
        *pending = others;
        let ours: Vec<NameChange> = ours;
        ours.iter().for_each(|change| change.apply(synced));
        Ok(())
    }
}

/// A file that is open.
#[derive(Debug)]
struct Handle {
    disk: Memory,
    id: Id,
}

impl Handle {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let outcome = state.operate();
        let State { files, rng, .. } = &mut *state;
        let file = &mut files[self.id];
        match outcome {
            Ok(()) => file.sync(),
            // The kernel takes the pages for clean after a failed write-back: what the process
            // still reads is on no disk, and no later sync brings it there.
            Err(Fault::Eio | Fault::NoSpace) => {
                let live = file.live.clone();
                file.crash(rng);
                file.live = live;
            }
            Err(Fault::PowerLoss) => {}
        }
        Ok(outcome?)
    }
}

impl VfsFile for Handle {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let outcome = state.operate();
        let written = match outcome {
            Ok(()) => bytes.len(),
            Err(Fault::NoSpace) => bytes.len() / 2,
            Err(Fault::Eio | Fault::PowerLoss) => 0,
        };
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        state.files[self.id].write(&bytes[..written], offset);
        Ok(outcome?)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.operate()?;
        let size = usize::try_from(size).map_err(io::Error::other)?;
        let file = &mut state.files[self.id];
        if file.live.len() < size {
            // Room without bytes: nothing of it is on the disk before the next sync.
            file.live.resize(size, 0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> PathBuf {
        Path::new("/d").join(name)
    }

    /// A file with its name and these bytes safe.
    fn kept(disk: &Memory, name: &str, bytes: &[u8]) -> Box<dyn VfsFile> {
        let file = disk.create(&at(name)).unwrap();
        file.write_at(bytes, 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file
    }

    #[test]
    fn what_was_synced_survives_and_the_rest_survives_by_chance() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let disk = Memory::new(seed);
            let file = kept(&disk, "a", b"safe");
            file.write_at(&[7; 4 * SECTOR], 512).unwrap();
            disk.crash();
            let bytes = disk.read(&at("a")).unwrap();
            assert!(bytes.starts_with(b"safe"));
            assert!(bytes.len() == 4 || bytes[4..512].iter().all(|&byte| byte == 0));
            lengths.insert(bytes.iter().filter(|&&byte| byte == 7).count());
        }
        let sectors: Vec<usize> = (0..=4).map(|count| count * SECTOR).collect();
        assert!(lengths.into_iter().eq(sectors), "torn in every way");
    }

    #[test]
    fn a_name_is_safe_only_once_its_directory_is_synced() {
        let survivors = (0..50).map(|seed| {
            let disk = Memory::new(seed);
            let file = disk.create(&at("draft")).unwrap();
            file.write_at(b"x", 0).unwrap();
            file.sync_all().unwrap();
            disk.rename(&at("draft"), &at("final")).unwrap();
            disk.crash();
            let names = disk.list(Path::new("/d")).unwrap();
            assert!(names.len() <= 1, "a rename leaves one name: {names:?}");
            names.concat()
        });
        let survivors: std::collections::BTreeSet<String> = survivors.collect();
        let all = ["", "draft", "final"].map(str::to_owned);
        assert!(survivors.into_iter().eq(all));
    }

    #[test]
    fn a_failed_sync_has_lost_what_it_should_have_kept_and_a_second_one_does_not_help() {
        let is_lost = |seed| {
            let disk = Memory::new(seed);
            let file = kept(&disk, "a", b"old");
            file.write_at(b"new", 0).unwrap();
            disk.fail_after(0, Fault::Eio);
            let error = file.sync_data().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(nix::libc::EIO));
            assert_eq!(
                disk.read(&at("a")).unwrap(),
                b"new",
                "the page cache has it"
            );
            file.sync_data().unwrap();
            disk.crash();
            disk.read(&at("a")).unwrap() == b"old"
        };
        assert!((0..20).any(is_lost));
    }

    #[test]
    fn a_full_disk_takes_a_part_of_a_write() {
        let disk = Memory::new(1);
        let file = kept(&disk, "a", b"");
        disk.fail_after(0, Fault::NoSpace);
        let error = file.write_at(b"abcd", 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.read(&at("a")).unwrap(), b"ab");
    }
}
