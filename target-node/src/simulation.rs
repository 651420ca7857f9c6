//! A whole cluster in one thread and in virtual time: the same core, on a network and disks that
//! do their worst, with the invariants checked after every step.
//!
//! A seed decides everything: the size of the cluster, how bad the network and the disks are,
//! what fails when, what clients ask. So a failing seed is a complete bug report.
//!
//! ```text
//!   faults until `Plan::ticks`         then all is healed                verdict
//!   │ loss, delay, doubles, cuts,      │ everyone runs, nothing is lost: │ converged; every write
//!   │ crashes that lose unsynced data  │ one leader, equal logs          │ acknowledged is there
//! ```

mod agenda;
mod client;
mod disk;
mod fault;
mod healing;
mod host;
mod invariant;
mod network;
mod summary;
mod weather;
mod world;

use std::fmt;

use thiserror::Error;

pub use summary::{Count, Summary};

use crate::defect::Defects;
use world::World;

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long faults happen in the middle; in one world in three half as long, in one in three
    /// twice.
    pub ticks: u64,
    /// What is deliberately wrong in every node.
    pub defects: Defects,
    /// Whether the client that sends again what it got no answer to says so, in a session.
    pub sessions: bool,
    /// Clocks differ by more than a lease allows for.
    pub clocks_drift: bool,
    /// What nodes keep their logs on.
    pub disks: Disks,
}

/// What nodes keep their logs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disks {
    /// A model of a disk: by far the fastest, and what crashes leave is worse than real.
    #[default]
    Model,
    /// The storage of the node itself, on a file system in memory that loses and tears whatever
    /// was not synced.
    Files,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            ticks: 100,
            defects: Defects::NONE,
            sessions: true,
            clocks_drift: false,
            disks: Disks::default(),
        }
    }
}

/// A broken invariant: with the same plan, the seed shows it again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("seed {seed}, time {time}: {broken}")]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// When, in tenths of a tick.
    pub time: u64,
    /// Which invariant, and how.
    pub broken: Broken,
}

/// Which invariant was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The invariant.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.detail)
    }
}

/// What must always hold (Raft paper, figure 3), and what clients are promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// At most one leader in a term.
    ElectionSafety,
    /// A node votes for one candidate in a term, across crashes.
    OneVote,
    /// A leader never drops or replaces an entry of its own log.
    LeaderAppendOnly,
    /// Two logs that have the same entry are equal up to it.
    LogMatching,
    /// A node that only asks whether it would win makes no new term, and gives no vote.
    PreVoteIsFree,
    /// With the check of the quorum, who leads has lately been heard by a majority.
    LeaderInContact,
    /// What was committed in a term is in the log of every leader of a later one.
    LeaderCompleteness,
    /// All nodes apply the same entries in the same order, and have the same state after each.
    StateMachineSafety,
    /// A snapshot is the state that applying every entry up to it leads to.
    SnapshotEquality,
    /// What a leader commits is on the disks of a majority, and ends with an entry of its term.
    CommitOnQuorum,
    /// `base <= snapshot <= applied <= commit <= last`, `applied <= durable <= last`, and in a life
    /// neither commit nor what is applied falls.
    Order,
    /// Neither a node's term nor its vote in it is ever taken back, on its disk or in a life.
    MonotonicTerm,
    /// A vote or an acknowledgement leaves only when the disk has what it says.
    PersistBeforeSend,
    /// What a leader counts on a node is in its own log, and on that node's disk.
    MatchOnDisk,
    /// What is acknowledged is what was asked, in its own entry.
    OwnEntry,
    /// After a crash a node's log is what it had synced, and perhaps a beginning of what it had
    /// not.
    Recovery,
    /// A read sees every write that was acknowledged before it began.
    FreshReads,
    /// What is sent again in a session is applied once, and each time answered with what it came
    /// to.
    ExactlyOnce,
    /// An acknowledged write is in every log in the end.
    Durability,
    /// After all is healed: one leader, equal logs, and it serves.
    Convergence,
}

/// Simulates one seed.
///
/// # Errors
/// The first broken invariant.
pub fn run(seed: u64, plan: &Plan) -> Result<Summary, Violation> {
    let mut world = World::new(seed, *plan);
    let end = world.live();
    let (summary, time) = (world.summary, world.now());
    end.map(|()| summary)
        .map_err(|broken| Violation { seed, time, broken })
}
