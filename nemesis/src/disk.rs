//! Disks of ours under the nodes' data: in memory, served through FUSE, and at our mercy.
//!
//! ```text
//!  node ── write, fsync ──▶ kernel ── /dev/fuse ──▶ served ──▶ unit: ailments ──▶ volume
//!  injector ── lose_power, install, damage ─────────────────────┘      (a value, no I/O)
//! ```
//!
//! A disk is mounted over the node's data directory inside the sandbox, where the host does not see
//! it, and ends with it. Losing power unmounts it, drops from the volume what was not fsynced,
//! and mounts it again: whoever still has a file of the old mount open gets EIO from it.

mod backend;
mod content;
mod damage;
mod error;
mod file;
mod journal;
mod late;
mod mount;
mod reach;
mod seccomp;
mod served;
mod unit;
mod volume;

#[cfg(test)]
mod reference;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use nix::errno::Errno;
use rand::{SeedableRng, rngs::ChaCha8Rng};
use serde::{Deserialize, Serialize};

pub use self::{
    backend::{DiskBackend, DiskChoice, DiskNameError, DiskWanted},
    error::DiskError,
    seccomp::SeccompDisks,
};
use self::{
    late::Late,
    mount::Mount,
    unit::Unit,
    volume::{Kind, Maker, Volume},
};
use crate::{
    fault::{Ailment, Damage, Keep},
    node::Node,
    proof::{Damaged, Lost},
    sandbox::Sandbox,
};

/// One installed ailment. Never reused within a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AilmentId(pub u64);

/// When a name in a directory becomes durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directories {
    /// With any fsync, in the order in which names were changed: as ext4 and XFS do.
    #[default]
    Journalled,
    /// With an fsync of that directory, and not before: all that POSIX promises.
    Strict,
}

/// The disks of one deployment.
pub trait Disks: Send + Sync {
    /// Remembers every disk as it is now: what [`Damage::Restore`] brings back.
    fn remember(&self);

    /// The node's machine loses power; its process must be gone already. When it returns, the
    /// disk is mounted again and holds what survived.
    ///
    /// # Errors
    ///
    /// When the node has no disk, or it cannot be mounted again.
    fn lose_power(&self, node: Node, keep: Keep, seed: u64) -> Result<Lost, DiskError>;

    /// Makes the node's disk ill, besides whatever else ails it.
    ///
    /// # Errors
    ///
    /// When the node has no disk, or this cannot be done to it here.
    fn install(&self, node: Node, ailment: Ailment) -> Result<AilmentId, DiskError>;

    /// How many requests met it so far.
    ///
    /// # Errors
    ///
    /// When it is not installed (any more).
    fn met(&self, id: AilmentId) -> Result<u64, DiskError>;

    /// Removes one ailment and no other; returns how many requests met it.
    ///
    /// # Errors
    ///
    /// When it is not installed (any more).
    fn heal(&self, id: AilmentId) -> Result<u64, DiskError>;

    /// The ailments that are installed now; empty when all is healed.
    fn ailments(&self) -> Vec<AilmentId>;

    /// Changes bytes of the node's disk; its process must be gone already.
    ///
    /// # Errors
    ///
    /// When the node has no disk, it holds nothing to damage, or it cannot be mounted again.
    fn damage(&self, node: Node, damage: Damage, seed: u64) -> Result<Damaged, DiskError>;

    /// Undoes what the last damage changed, as far as nothing was written over it since; the
    /// node's process must be gone already.
    ///
    /// # Errors
    ///
    /// When the node has no disk, or it cannot be mounted again.
    fn repair(&self, node: Node) -> Result<(), DiskError>;

    /// Takes the disks away and leaves in the directories beneath what was on them, durable or not,
    /// for whoever wants to look at it. Every process must have ended.
    ///
    /// # Errors
    ///
    /// When a directory cannot be written.
    fn unload(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// Disks in memory, served through FUSE by threads of this process.
///
/// Whoever serves must not use: no thread that holds up an answer may touch these directories.
pub struct FuseDisks {
    disks: BTreeMap<Node, Disk>,
    next: AtomicU64,
}

struct Disk {
    path: PathBuf,
    unit: Arc<Mutex<Unit>>,
    late: Arc<Late>,
    /// Empty only while the power is off.
    mount: Mutex<Option<Mount>>,
    /// The last damage.
    undo: Mutex<Option<damage::Undo>>,
}

impl FuseDisks {
    /// Mounts an empty disk over each of these directories.
    ///
    /// # Errors
    ///
    /// When FUSE is not to be had here, with what helps.
    pub fn mount(
        _inside: &Sandbox,
        paths: BTreeMap<Node, PathBuf>,
        directories: Directories,
    ) -> Result<Self, DiskError> {
        let mut disks = BTreeMap::new();
        for (node, path) in paths {
            disks.insert(node, Disk::mount(path, directories)?);
        }
        let next = AtomicU64::new(1);
        Ok(Self { disks, next })
    }

    fn disk(&self, node: Node) -> Result<&Disk, DiskError> {
        self.disks.get(&node).ok_or(DiskError::NoDisk(node))
    }

    fn of(&self, id: AilmentId) -> Result<&Disk, DiskError> {
        let mut disks = self.disks.values();
        disks
            .find(|disk| disk.unit().met(id).is_some())
            .ok_or(DiskError::NoSuchAilment(id))
    }
}

impl Disks for FuseDisks {
    fn remember(&self) {
        for disk in self.disks.values() {
            let mut unit = disk.unit();
            let mut older = unit.volume.clone();
            // What a backup of a machine that has power holds is what is durable.
            let _ = older.lose_power(Keep::Nothing, &mut ChaCha8Rng::seed_from_u64(0));
            unit.older = Some(older);
        }
    }

    fn lose_power(&self, node: Node, keep: Keep, seed: u64) -> Result<Lost, DiskError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        self.disk(node)?
            .without_power(|unit| unit.volume.lose_power(keep, &mut rng))
    }

    fn install(&self, node: Node, ailment: Ailment) -> Result<AilmentId, DiskError> {
        let disk = self.disk(node)?;
        let id = AilmentId(self.next.fetch_add(1, Relaxed));
        let files: Vec<u64> = {
            let mut unit = disk.unit();
            unit.install(id, ailment);
            unit.volume.inodes.keys().copied().collect()
        };
        if matches!(ailment, Ailment::ReadError | Ailment::ReadFlip)
            && let Some(mount) = &*lock(&disk.mount)
        {
            // What the kernel has cached would be read without asking us.
            mount.forget_pages(&files);
        }
        Ok(id)
    }

    fn met(&self, id: AilmentId) -> Result<u64, DiskError> {
        let met = self.of(id)?.unit().met(id);
        met.ok_or(DiskError::NoSuchAilment(id))
    }

    fn heal(&self, id: AilmentId) -> Result<u64, DiskError> {
        let disk = self.of(id)?;
        let (met, files) = {
            let mut unit = disk.unit();
            let files: Vec<u64> = unit.volume.inodes.keys().copied().collect();
            (unit.remove(id), files)
        };
        // What was told wrongly is not to be read again.
        if let Some(mount) = &*lock(&disk.mount) {
            mount.forget_pages(&files);
        }
        disk.late.hurry();
        met.ok_or(DiskError::NoSuchAilment(id))
    }

    fn ailments(&self) -> Vec<AilmentId> {
        let mut all = Vec::new();
        for disk in self.disks.values() {
            all.extend(disk.unit().ailments());
        }
        all
    }

    fn damage(&self, node: Node, damage: Damage, seed: u64) -> Result<Damaged, DiskError> {
        let disk = self.disk(node)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let done = disk.without_power(|unit| damage::damage(unit, damage, &mut rng))?;
        let (damaged, undo) = done.ok_or(DiskError::Nothing { node, damage })?;
        *lock(&disk.undo) = Some(undo);
        Ok(damaged)
    }

    fn repair(&self, node: Node) -> Result<(), DiskError> {
        let disk = self.disk(node)?;
        let Some(undo) = lock(&disk.undo).take() else {
            return Ok(());
        };
        disk.without_power(|unit| undo.apply(unit))
    }

    fn unload(&self) -> Result<(), DiskError> {
        self.disks.values().try_for_each(Disk::unload)
    }
}

impl Disk {
    fn mount(path: PathBuf, directories: Directories) -> Result<Self, DiskError> {
        let call = |call| {
            let path = path.clone();
            move |source| DiskError::Call { path, call, source }
        };
        let top = fs::metadata(&path).map_err(call("stat"))?.permissions();
        let maker = Maker {
            mode: u16::try_from(top.mode() & 0o7777).expect("twelve bits"),
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            ..Maker::default()
        };
        let volume = Volume::new(directories, maker);
        let disk = Self {
            unit: Arc::new(Mutex::new(Unit::new(volume))),
            late: Arc::new(Late::start("late answers").map_err(call("start a thread"))?),
            mount: Mutex::new(None),
            undo: Mutex::new(None),
            path,
        };
        disk.switch_on()?;
        Ok(disk)
    }

    fn unit(&self) -> MutexGuard<'_, Unit> {
        lock(&self.unit)
    }

    fn switch_on(&self) -> Result<(), DiskError> {
        let power = self.unit().power;
        let served = served::Served::new(Arc::clone(&self.unit), power, Arc::clone(&self.late));
        *lock(&self.mount) = Some(Mount::new(&self.path, served)?);
        Ok(())
    }

    /// Takes the disk away from the kernel, does something to it, and gives it back.
    fn without_power<T>(&self, work: impl FnOnce(&mut Unit) -> T) -> Result<T, DiskError> {
        let done = {
            let mut unit = self.unit();
            unit.power += 1;
            work(&mut unit)
        };
        self.late.hurry();
        drop(lock(&self.mount).take());
        self.switch_on()?;
        Ok(done)
    }

    fn unload(&self) -> Result<(), DiskError> {
        drop(lock(&self.mount).take());
        let volume = self.unit().volume.clone();
        for (path, number) in volume.walk() {
            let path = self.path.join(path);
            let failed = |source| DiskError::Call {
                path: path.clone(),
                call: "copy what was on it",
                source,
            };
            copy_out(&volume, number, &path).map_err(failed)?;
        }
        Ok(())
    }
}

fn copy_out(volume: &Volume, number: u64, path: &Path) -> io::Result<()> {
    let inode = volume.inode(number).map_err(io::Error::from)?;
    match &inode.kind {
        Kind::Directory(_) => fs::create_dir_all(path),
        Kind::Symlink(target) => symlink(target, path),
        Kind::File(file) => {
            use std::os::unix::fs::FileExt;
            let target = fs::File::create(path)?;
            target.set_len(file.current().len())?;
            for (at, bytes) in file.current().pieces() {
                target.write_all_at(bytes, at)?;
            }
            Ok(())
        }
    }
}

/// No holder of these locks leaves anything half done, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What to do where `/dev/fuse` cannot be opened.
fn advice(source: &io::Error) -> &'static str {
    match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EACCES | Errno::EPERM) => {
            "run as root, or `sudo chmod 666 /dev/fuse`; in a container, start it with \
             `--device /dev/fuse`; where both are so, it is on a mount with `nodev`, which \
             `findmnt -T /dev/fuse` tells"
        }
        _ => {
            "load the module (`sudo modprobe fuse`), or start the container with \
             `--device /dev/fuse`"
        }
    }
}
