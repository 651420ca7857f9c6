//! Ill disks without disks of ours: calls that concern the node's data wait for an answer, by a
//! seccomp filter.
//!
//! ```text
//!  node ── fsync(fd) ──▶ kernel: filter ──▶ listener ──▶ a thread of ours: whose file is fd?
//!                            ▲                                │  goes on, fails, waits, or lies
//!                            └────────────── answer ──────────┘
//! ```
//!
//! It takes no root, no device and no mount, and works for any program. What it cannot do: take
//! back what is on the disk, so no power loss and no damage, and what an fsync that fails was to
//! write stays; a write of a file that is opened with `O_DSYNC` goes through a lying fsync, since
//! no filter does the half of a call; and sync(2), which tells of no error, through one that fails.
//! What is read and written through mapped memory, or through another's descriptor of a socket,
//! meets no filter. Only calls that some planned fault is about wait at all: each costs about 5 µs
//! then, also while nothing is ill; for what ails an fsync that is every write too.

mod call;
mod growth;
mod place;
mod serve;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use self::call::Kind;
use super::{AilmentId, DiskError, Disks, lock};
use crate::{
    fault::{Ailment, Damage, Keep},
    node::Node,
    proof::{Damaged, Lost},
    sys,
};

const NO_POWER: &str = "a filter of calls cannot take back what is on a disk; it takes FUSE";

/// Disks of the machine, and a filter between them and the nodes.
pub struct SeccompDisks {
    disks: BTreeMap<Node, Arc<Watched>>,
    kinds: BTreeSet<Kind>,
    next: AtomicU64,
}

/// What ails one node's disk.
struct Watched {
    path: PathBuf,
    ailments: Mutex<BTreeMap<AilmentId, Installed>>,
}

struct Installed {
    ailment: Ailment,
    /// How many calls met it.
    met: u64,
    /// How long the files may be, all together, where it is about that.
    capacity: u64,
}

impl SeccompDisks {
    /// Watches over these directories, for these ailments and no others.
    ///
    /// # Errors
    ///
    /// When a directory is not there, or no filter can be made for this processor.
    pub fn new(
        paths: BTreeMap<Node, PathBuf>,
        ailments: &BTreeSet<Ailment>,
    ) -> Result<Self, DiskError> {
        if !sys::can_filter_calls() {
            return Err(DiskError::Unsupported {
                what: "a filter of calls".to_owned(),
                why: "it is made for x86_64 and aarch64 only; use FUSE",
            });
        }
        let mut disks = BTreeMap::new();
        for (node, path) in paths {
            // A descriptor leads to the real path, whatever links the path goes through.
            let real = fs::canonicalize(&path).map_err(|source| DiskError::Call {
                path,
                call: "find its real path",
                source,
            })?;
            let watched = Watched {
                path: real,
                ailments: Mutex::default(),
            };
            disks.insert(node, Arc::new(watched));
        }
        Ok(Self {
            disks,
            kinds: ailments
                .iter()
                .flat_map(|ailment| Kind::met_by(*ailment).iter().copied())
                .collect(),
            next: AtomicU64::new(1),
        })
    }

    /// Puts the filter on a command that starts a node, and starts the thread that answers.
    ///
    /// # Errors
    ///
    /// When there are no sockets or threads to be had.
    pub fn filter(&self, node: Node, command: &mut Command) -> io::Result<()> {
        let Some(watched) = self.disks.get(&node) else {
            return Ok(());
        };
        let (ours, theirs) = UnixStream::pair()?;
        let (ours, watched) = (OwnedFd::from(ours), Arc::clone(watched));
        // Before the command starts: what it does between the filter and its program waits too.
        thread::Builder::new()
            .name(format!("calls of {node}"))
            .spawn(move || serve::serve(&ours, &watched))?;
        let calls: BTreeSet<i64> = self.kinds.iter().flat_map(|kind| kind.calls()).collect();
        let calls: Vec<i64> = calls.into_iter().collect();
        sys::filter_before_exec(command, &calls, theirs.into());
        Ok(())
    }

    fn of(&self, id: AilmentId) -> Result<&Watched, DiskError> {
        let mut disks = self.disks.values();
        let found = disks.find(|disk| lock(&disk.ailments).contains_key(&id));
        found.map(AsRef::as_ref).ok_or(DiskError::NoSuchAilment(id))
    }
}

impl Disks for SeccompDisks {
    fn remember(&self) {}

    fn lose_power(&self, _: Node, _: Keep, _: u64) -> Result<Lost, DiskError> {
        Err(unsupported("a power loss"))
    }

    fn install(&self, node: Node, ailment: Ailment) -> Result<AilmentId, DiskError> {
        let disk = self.disks.get(&node).ok_or(DiskError::NoDisk(node))?;
        if ailment.takes_fuse() {
            return Err(unsupported(ailment.name()));
        }
        if !Kind::met_by(ailment)
            .iter()
            .all(|kind| self.kinds.contains(kind))
        {
            return Err(DiskError::Unsupported {
                what: ailment.to_string(),
                why: "the nodes were started with a filter that is not about it",
            });
        }
        let id = AilmentId(self.next.fetch_add(1, Relaxed));
        let capacity = match ailment {
            Ailment::FullAfter(kb) => call::length(&disk.path).saturating_add(u64::from(kb) << 10),
            _ => 0,
        };
        let installed = Installed {
            ailment,
            met: 0,
            capacity,
        };
        lock(&disk.ailments).insert(id, installed);
        Ok(id)
    }

    fn met(&self, id: AilmentId) -> Result<u64, DiskError> {
        let met = lock(&self.of(id)?.ailments).get(&id).map(|one| one.met);
        met.ok_or(DiskError::NoSuchAilment(id))
    }

    fn heal(&self, id: AilmentId) -> Result<u64, DiskError> {
        let removed = lock(&self.of(id)?.ailments).remove(&id);
        removed
            .map(|one| one.met)
            .ok_or(DiskError::NoSuchAilment(id))
    }

    fn ailments(&self) -> Vec<AilmentId> {
        let all = self.disks.values().flat_map(|disk| {
            let ids: Vec<AilmentId> = lock(&disk.ailments).keys().copied().collect();
            ids
        });
        all.collect()
    }

    fn damage(&self, _: Node, damage: Damage, _: u64) -> Result<Damaged, DiskError> {
        Err(unsupported(damage.name()))
    }

    fn repair(&self, _: Node) -> Result<(), DiskError> {
        Err(unsupported("undoing damage"))
    }
}

fn unsupported(what: &str) -> DiskError {
    DiskError::Unsupported {
        what: what.to_owned(),
        why: NO_POWER,
    }
}
