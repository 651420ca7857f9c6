//! One node's disk, as its file system and its faults find it: what every request must pass.

use std::{collections::BTreeMap, time::Duration};

use nix::errno::Errno;

use super::{AilmentId, volume::Volume};
use crate::fault::Ailment;

/// More than any run needs; a node that fills it finds the disk full, not the machine's memory.
pub(super) const CAPACITY: u64 = 4 << 30;

#[derive(Debug)]
pub(super) struct Unit {
    pub(super) volume: Volume,
    /// As it was when faults began: what `restore` brings back.
    pub(super) older: Option<Volume>,
    /// Counts how often it was switched on. A file system that was mounted before is dead.
    pub(super) power: u64,
    /// How many bits were told wrongly so far.
    flips: u64,
    ailments: BTreeMap<AilmentId, Installed>,
}

#[derive(Debug)]
struct Installed {
    ailment: Ailment,
    /// How many requests met it.
    met: u64,
}

/// What becomes of an fsync.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SyncFate {
    pub(super) fails: bool,
    /// It says that it did, and does nothing.
    pub(super) lies: bool,
    /// Its answer comes so much later.
    pub(super) late: Duration,
}

impl Unit {
    pub(super) fn new(volume: Volume) -> Self {
        Self {
            volume,
            older: None,
            power: 0,
            flips: 0,
            ailments: BTreeMap::new(),
        }
    }

    pub(super) fn install(&mut self, id: AilmentId, ailment: Ailment) {
        self.ailments.insert(id, Installed { ailment, met: 0 });
    }

    /// Removes one ailment; returns how many requests met it.
    pub(super) fn remove(&mut self, id: AilmentId) -> Option<u64> {
        self.ailments.remove(&id).map(|installed| installed.met)
    }

    pub(super) fn met(&self, id: AilmentId) -> Option<u64> {
        self.ailments.get(&id).map(|installed| installed.met)
    }

    pub(super) fn ailments(&self) -> impl Iterator<Item = AilmentId> {
        self.ailments.keys().copied()
    }

    /// Counts the request at each ailment that `concerns` it; returns those.
    fn meet(&mut self, concerns: impl Fn(Ailment) -> bool) -> Vec<Ailment> {
        let met = self
            .ailments
            .values_mut()
            .filter(|installed| concerns(installed.ailment));
        met.map(|installed| {
            installed.met += 1;
            installed.ailment
        })
        .collect()
    }

    /// A read: of which bit of what it reads the wrong value is told, if of any.
    pub(super) fn read(&mut self) -> Result<Option<u64>, Errno> {
        let concerns = |ailment| matches!(ailment, Ailment::ReadError | Ailment::ReadFlip);
        let met = self.meet(concerns);
        if met.contains(&Ailment::ReadError) {
            return Err(Errno::EIO);
        }
        Ok(met.contains(&Ailment::ReadFlip).then(|| {
            self.flips += 1;
            // Another place each time, and the same ones again with the same reads.
            self.flips.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
        }))
    }

    /// Whether the medium gets nothing of a write that was taken.
    pub(super) fn lies_about_writes(&mut self) -> bool {
        !self
            .meet(|ailment| ailment == Ailment::LyingWrite)
            .is_empty()
    }

    /// A write that may need room.
    pub(super) fn write(&mut self, grows: bool) -> Result<(), Errno> {
        let met = self.meet(|ailment| match ailment {
            Ailment::WriteError => true,
            Ailment::Full => grows,
            _ => false,
        });
        if met.contains(&Ailment::WriteError) {
            return Err(Errno::EIO);
        }
        let is_full = met.contains(&Ailment::Full) || grows && self.volume.stored() >= CAPACITY;
        if is_full { Err(Errno::ENOSPC) } else { Ok(()) }
    }

    /// A new name, and what it is to stand for.
    pub(super) fn make(&mut self) -> Result<(), Errno> {
        match self.meet(|ailment| ailment == Ailment::Full).is_empty() {
            true => Ok(()),
            false => Err(Errno::ENOSPC),
        }
    }

    pub(super) fn sync(&mut self) -> SyncFate {
        let mut fate = SyncFate::default();
        for ailment in self.meet(Ailment::is_about_fsync) {
            match ailment {
                Ailment::FsyncError => fate.fails = true,
                Ailment::LyingFsync => fate.lies = true,
                Ailment::SlowFsync(late) => fate.late += late,
                // No fsync meets any of these.
                Ailment::ReadError | Ailment::WriteError | Ailment::Full => {}
                Ailment::LyingWrite | Ailment::ReadFlip => {}
            }
        }
        fate
    }
}
