//! What happens to disks: power lost, requests that fail or lie, bytes that are not what they were.
//!
//! | text | what happens, and what heals it |
//! |---|---|
//! | `power-loss n1` | cut off, SIGKILL, what was not fsynced is lost; started again |
//! | `power-loss leader: some` | the same, but any of the unsynced writes may have survived |
//! | `power-loss all: torn` | the same, and a write may have survived in part, by sectors |
//! | `disk n1: read-error` | every read fails with EIO; reads again |
//! | `disk n1: write-error` | every write fails with EIO; writes again |
//! | `disk n1: fsync-error` | fsync fails with EIO, what it was to write is lost; syncs again |
//! | `disk n1: full` | what needs room fails with ENOSPC; there is room again |
//! | `disk n1: full after 64kb` | the same once its files have grown by so much |
//! | `disk n1: slow-fsync 20ms` | every fsync takes so much longer; at once again |
//! | `disk n1: lying-fsync` | fsync says that it did, and does nothing; syncs again |
//! | `damage n1: bit-flip 3` | SIGKILL, so many bits of its files flip, started again |
//! | `damage n1: truncate` | SIGKILL, the last bytes of one file are gone, started again |
//! | `damage n1: restore` | SIGKILL, the disk is as it was when faults began, started again |
//! | `damage n1: wipe` | SIGKILL, the disk is empty, started again |
//!
//! Damage stays. What heals is the node: one that ended because of what it found, as a careful
//! node does, gets the damage undone and is started again.

use std::{fmt, time::Duration};

use super::{Problem, Targets, targets};

/// Power lost, by some nodes at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerLoss {
    /// By whom.
    pub targets: Targets,
    /// What of the unsynced survives.
    pub keep: Keep,
}

/// What of the unsynced a power loss lets survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keep {
    /// Nothing of it.
    Nothing,
    /// Any write, and the journal up to any point.
    Some,
    /// As `Some`, and writes in part: whole sectors of 512 bytes.
    Torn,
}

/// Requests to a disk that do not go as they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFault {
    /// On whose disk.
    pub targets: Targets,
    /// How.
    pub ailment: Ailment,
}

/// How a disk treats requests while it is ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ailment {
    /// Reads fail with EIO.
    ReadError,
    /// Writes fail with EIO.
    WriteError,
    /// Fsyncs fail with EIO, and what they were to write never will be.
    FsyncError,
    /// What needs room fails with ENOSPC.
    Full,
    /// So many kilobytes of 1024 bytes more fit on it; what needs room beyond that fails with
    /// ENOSPC. What is deleted makes room.
    FullAfter(u32),
    /// Fsyncs take so much longer.
    SlowFsync(Duration),
    /// Fsyncs say that they did, and do nothing.
    LyingFsync,
    /// Writes say that they did, and are read back as long as the machine runs; no fsync, also a
    /// later one, makes them durable.
    LyingWrite,
    /// Reads return one bit that is wrong; what is on the disk is right.
    ReadFlip,
}

impl Ailment {
    /// The first word of its text: `read-error`, `slow-fsync`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadError => "read-error",
            Self::WriteError => "write-error",
            Self::FsyncError => "fsync-error",
            Self::Full | Self::FullAfter(_) => "full",
            Self::SlowFsync(_) => "slow-fsync",
            Self::LyingFsync => "lying-fsync",
            Self::LyingWrite => "lying-write",
            Self::ReadFlip => "read-flip",
        }
    }

    /// Whether it shows only when the power goes: what was acknowledged is lost then.
    pub fn is_lie(self) -> bool {
        matches!(self, Self::LyingFsync | Self::LyingWrite)
    }

    /// Whether it takes a disk of ours: a filter of calls does not change what they do.
    pub fn takes_fuse(self) -> bool {
        matches!(self, Self::LyingWrite | Self::ReadFlip)
    }

    /// Whether it is an fsync that meets it.
    pub fn is_about_fsync(self) -> bool {
        matches!(
            self,
            Self::FsyncError | Self::SlowFsync(_) | Self::LyingFsync
        )
    }

    /// Whether it is room that it lacks, now or in the end.
    pub fn is_about_room(self) -> bool {
        matches!(self, Self::Full | Self::FullAfter(_))
    }

    /// Whether a node notices, so that ending itself is a right answer.
    pub fn is_noticed(self) -> bool {
        !self.is_lie() && !matches!(self, Self::SlowFsync(_))
    }
}

/// Bytes changed under a node's feet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamageFault {
    /// On whose disk.
    pub targets: Targets,
    /// Which.
    pub damage: Damage,
}

/// What is done to the bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// So many bits of its files flip.
    BitFlip(u16),
    /// The last bytes of one file are gone: one byte to one page.
    Truncate,
    /// The whole disk is as it was when faults began.
    Restore,
    /// The whole disk is empty.
    Wipe,
}

impl Damage {
    /// The first word of its text: `bit-flip`, `wipe`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::BitFlip(_) => "bit-flip",
            Self::Truncate => "truncate",
            Self::Restore => "restore",
            Self::Wipe => "wipe",
        }
    }
}

impl fmt::Display for PowerLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "power-loss {}", self.targets)?;
        match self.keep {
            Keep::Nothing => Ok(()),
            Keep::Some => f.write_str(": some"),
            Keep::Torn => f.write_str(": torn"),
        }
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disk {}: {}", self.targets, self.ailment)
    }
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::SlowFsync(late) => write!(f, " {}ms", late.as_millis()),
            Self::FullAfter(kb) => write!(f, " after {kb}kb"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for DamageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damage {}: {}", self.targets, self.damage)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::BitFlip(bits) => write!(f, " {bits}"),
            _ => Ok(()),
        }
    }
}

const POWER_LOSS: &str = "power-loss n1 n2` or `power-loss leader: some` or `power-loss all: torn";

/// Reads what follows the word `power-loss`.
pub(super) fn power_loss(text: &str) -> Result<PowerLoss, Problem> {
    let (who, keep) = text.split_once(':').unwrap_or((text, "none"));
    let keep = match keep.trim() {
        "none" => Keep::Nothing,
        "some" => Keep::Some,
        "torn" => Keep::Torn,
        _ => return Err(Problem::Form(POWER_LOSS)),
    };
    let targets = targets(who.trim(), POWER_LOSS)?;
    Ok(PowerLoss { targets, keep })
}

const DISK: &str = "disk n1: fsync-error` or `disk leader: slow-fsync 20ms` (read-error, \
                    write-error, fsync-error, full, slow-fsync, lying-fsync, lying-write, \
                    read-flip) or `disk all: full after 64kb";
const SLOW: &str = "disk n1: slow-fsync 20ms` (1ms to 2000ms) or `disk leader: slow-fsync 5ms";
const FULL: &str = "disk n1: full` or `disk n1: full after 64kb` (1kb to 4294967295kb) or \
                    `disk all: full after 1kb";

/// Reads what follows the word `disk`.
pub(super) fn disk(text: &str) -> Result<DiskFault, Problem> {
    let (who, how) = text.split_once(':').ok_or(Problem::Form(DISK))?;
    let form = match how.split_whitespace().next() {
        Some("slow-fsync") => SLOW,
        Some("full") => FULL,
        _ => DISK,
    };
    let ailment = ailment(how.trim()).ok_or(Problem::Form(form))?;
    let targets = targets(who.trim(), DISK)?;
    Ok(DiskFault { targets, ailment })
}

/// A process that waits for an fsync cannot be killed before it ends: no longer than this.
const SLOW_MS_MAX: u64 = 2000;

fn ailment(text: &str) -> Option<Ailment> {
    Some(match text.split_once(' ') {
        None => match text {
            "read-error" => Ailment::ReadError,
            "write-error" => Ailment::WriteError,
            "fsync-error" => Ailment::FsyncError,
            "full" => Ailment::Full,
            "lying-fsync" => Ailment::LyingFsync,
            "lying-write" => Ailment::LyingWrite,
            "read-flip" => Ailment::ReadFlip,
            _ => return None,
        },
        Some(("slow-fsync", late)) => {
            let late: u64 = late.trim().strip_suffix("ms")?.parse().ok()?;
            if !(1..=SLOW_MS_MAX).contains(&late) {
                return None;
            }
            Ailment::SlowFsync(Duration::from_millis(late))
        }
        Some(("full", after)) => {
            let kb = after.trim().strip_prefix("after ")?;
            let kb: u32 = kb.trim().strip_suffix("kb")?.parse().ok()?;
            if kb == 0 {
                return None;
            }
            Ailment::FullAfter(kb)
        }
        Some(_) => return None,
    })
}

const DAMAGE: &str = "damage n1: bit-flip 3` or `damage n1: truncate` or `damage n1: restore` or \
                      `damage n1: wipe";
const BIT_FLIP: &str = "damage n1: bit-flip 3` (1 to 65535 bits) or `damage leader: bit-flip 1";

/// Reads what follows the word `damage`.
pub(super) fn damage(text: &str) -> Result<DamageFault, Problem> {
    let (who, damage) = text.split_once(':').ok_or(Problem::Form(DAMAGE))?;
    let damage = match damage.trim().split_once(' ') {
        None => match damage.trim() {
            "bit-flip" => return Err(Problem::Form(BIT_FLIP)),
            "truncate" => Damage::Truncate,
            "restore" => Damage::Restore,
            "wipe" => Damage::Wipe,
            _ => return Err(Problem::Form(DAMAGE)),
        },
        Some(("bit-flip", bits)) => match bits.trim().parse() {
            Ok(bits @ 1..) => Damage::BitFlip(bits),
            _ => return Err(Problem::Form(BIT_FLIP)),
        },
        Some(_) => return Err(Problem::Form(DAMAGE)),
    };
    let targets = targets(who.trim(), DAMAGE)?;
    Ok(DamageFault { targets, damage })
}
