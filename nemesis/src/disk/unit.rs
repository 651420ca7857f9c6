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
    /// How many bytes were on the disk when it began.
    began_with: u64,
}

impl Installed {
    /// How many bytes the disk has room for, if it is this that limits it.
    fn capacity(&self) -> Option<u64> {
        match self.ailment {
            Ailment::Full => Some(0),
            Ailment::FullAfter(kb) => Some(self.began_with.saturating_add(u64::from(kb) << 10)),
            _ => None,
        }
    }
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
        let installed = Installed {
            ailment,
            met: 0,
            began_with: self.volume.length(),
        };
        self.ailments.insert(id, installed);
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
        self.meet_installed(|installed| concerns(installed.ailment))
    }

    fn meet_installed(&mut self, concerns: impl Fn(&Installed) -> bool) -> Vec<Ailment> {
        let mut met = self.ailments.values_mut().collect::<Vec<_>>();
        met.retain(|installed| concerns(installed));
        let met = met.into_iter();
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

    /// A write of `bytes` bytes that makes its file longer by `grows`, a hole before them included;
    /// returns how many of them there is room for. One that goes beyond the room is cut short, and
    /// the next one refused.
    pub(super) fn write(&mut self, bytes: u64, grows: u64) -> Result<u64, Errno> {
        if !self
            .meet(|ailment| ailment == Ailment::WriteError)
            .is_empty()
        {
            return Err(Errno::EIO);
        }
        let short = grows - self.room_for(grows);
        match bytes.saturating_sub(short) {
            0 if short > 0 => Err(Errno::ENOSPC),
            fits => Ok(fits),
        }
    }

    /// Room that is asked for as a whole: all of it, or nothing.
    pub(super) fn allocate(&mut self, bytes: u64) -> Result<(), Errno> {
        if !self
            .meet(|ailment| ailment == Ailment::WriteError)
            .is_empty()
        {
            return Err(Errno::EIO);
        }
        match self.room_for(bytes) >= bytes {
            true => Ok(()),
            false => Err(Errno::ENOSPC),
        }
    }

    /// How many of `bytes` more bytes there is room for; what lacks room for all of them is met.
    fn room_for(&mut self, bytes: u64) -> u64 {
        if bytes == 0 || self.volume.stored() >= CAPACITY {
            return 0;
        }
        let Some(length) = self.length_where_it_counts() else {
            return bytes;
        };
        let left = |installed: &Installed| {
            let capacity = installed.capacity();
            capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(length))
        };
        let room = self.ailments.values().map(left).min();
        let _ = self.meet_installed(|installed| left(installed) < bytes);
        bytes.min(room.unwrap_or(u64::MAX))
    }

    /// How long all files are together, where something limits that.
    fn length_where_it_counts(&self) -> Option<u64> {
        let mut ailments = self.ailments.values();
        let counts = ailments.any(|installed| installed.ailment.is_about_room());
        counts.then(|| self.volume.length())
    }

    /// A new name, and what it is to stand for: takes no bytes, where there is any room.
    pub(super) fn make(&mut self) -> Result<(), Errno> {
        let Some(length) = self.length_where_it_counts() else {
            return Ok(());
        };
        let is_full =
            |installed: &Installed| installed.capacity().is_some_and(|most| most <= length);
        match self.meet_installed(is_full).is_empty() {
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
                Ailment::FullAfter(_) | Ailment::LyingWrite | Ailment::ReadFlip => {}
            }
        }
        fate
    }
}
