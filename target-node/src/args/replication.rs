//! The flags of the modes of replication.

use clap::ValueEnum;

use super::ArgsError;
use crate::primary_backup::Acknowledge;
use crate::quorum::Repair;

/// How the nodes keep copies of each other's data.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ReplicationArgs {
    /// Who decides what is written, and how many nodes must have it
    #[arg(long, value_enum, default_value_t = Kind::Raft)]
    replication: Kind,
    /// semisync: go on without the backups when none answers in this time [default: 500]
    #[arg(long, value_name = "MS")]
    semisync_timeout_ms: Option<u64>,
    /// quorum: how many replicas a key has [default: all nodes]
    #[arg(long, value_name = "N")]
    n: Option<usize>,
    /// quorum: how many replicas must have stored a write [default: a majority of the replicas]
    #[arg(long, value_name = "W")]
    w: Option<usize>,
    /// quorum: how many replicas must have answered a read [default: a majority of the replicas]
    #[arg(long, value_name = "R")]
    r: Option<usize>,
    /// quorum: what a read does about replicas that are behind [default: none]
    #[arg(long, value_enum)]
    read_repair: Option<ReadRepair>,
    /// quorum: what to do with operations that depend on the present value [default: refuse]
    #[arg(long, value_enum)]
    conditional: Option<Conditional>,
}

/// A mode of replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A majority elects a leader, which orders everything
    Raft,
    /// A primary; a write must be on all backups
    Sync,
    /// A primary; a write must be on one backup, or none where none answers in time
    Semisync,
    /// A primary; backups get writes later
    Async,
    /// No leader; a write asks W of N replicas, a read R
    Quorum,
}

/// What a read does about replicas that are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReadRepair {
    /// Nothing
    None,
    /// Tells them, and does not wait
    Async,
    /// Answers once W of them have what it found
    Abd,
}

/// What a node without a common order does with an operation that needs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Conditional {
    /// Refuses it, in words
    Refuse,
    /// Reads, decides and writes; what others write in between is lost
    Unsafe,
}

/// The mode, with what it needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replication {
    Raft,
    Sync,
    Semisync { timeout_ms: u64 },
    Async,
    Quorum(QuorumFlags),
}

/// What a leaderless node needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuorumFlags {
    pub(crate) replicas: usize,
    pub(crate) writes: usize,
    pub(crate) reads: usize,
    pub(crate) repair: Repair,
    pub(crate) conditional: Conditional,
}

impl ReplicationArgs {
    /// Refuses flags of a mode that is not chosen: they would be without effect.
    pub(super) fn into_mode(self, nodes: usize) -> Result<Replication, ArgsError> {
        let is_semisync = self.replication == Kind::Semisync;
        if self.semisync_timeout_ms.is_some() && !is_semisync {
            return Err(ArgsError::OtherMode("--semisync-timeout-ms", "semisync"));
        }
        let strangers = [
            ("--n", self.n.is_some()),
            ("--w", self.w.is_some()),
            ("--r", self.r.is_some()),
            ("--read-repair", self.read_repair.is_some()),
            ("--conditional", self.conditional.is_some()),
        ];
        let stranger = strangers.into_iter().find(|&(_, is_given)| is_given);
        if let Some((flag, _)) = stranger.filter(|_| self.replication != Kind::Quorum) {
            return Err(ArgsError::OtherMode(flag, "quorum"));
        }
        Ok(match self.replication {
            Kind::Raft => Replication::Raft,
            Kind::Sync => Replication::Sync,
            Kind::Semisync => Replication::Semisync {
                timeout_ms: self.semisync_timeout_ms.unwrap_or(500),
            },
            Kind::Async => Replication::Async,
            Kind::Quorum => Replication::Quorum(self.quorum(nodes)),
        })
    }

    fn quorum(self, nodes: usize) -> QuorumFlags {
        let replicas = self.n.unwrap_or(nodes);
        let majority = replicas / 2 + 1;
        QuorumFlags {
            replicas,
            writes: self.w.unwrap_or(majority),
            reads: self.r.unwrap_or(majority),
            repair: match self.read_repair.unwrap_or(ReadRepair::None) {
                ReadRepair::None => Repair::None,
                ReadRepair::Async => Repair::Async,
                ReadRepair::Abd => Repair::Abd,
            },
            conditional: self.conditional.unwrap_or(Conditional::Refuse),
        }
    }
}

impl Replication {
    /// Its name, as the flag spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Sync => "sync",
            Self::Semisync { .. } => "semisync",
            Self::Async => "async",
            Self::Quorum(_) => "quorum",
        }
    }

    /// What it was told, as the flags spell it.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Raft | Self::Sync | Self::Async => String::new(),
            Self::Semisync { timeout_ms } => format!("timeout {timeout_ms} ms"),
            Self::Quorum(QuorumFlags {
                replicas,
                writes,
                reads,
                repair,
                conditional,
            }) => format!(
                "n {replicas}, w {writes}, r {reads}, read-repair {}, conditional {}",
                format!("{repair:?}").to_lowercase(),
                format!("{conditional:?}").to_lowercase()
            ),
        }
    }

    /// Whose data it can read: what one family writes means nothing to another. The three modes
    /// with a primary are one.
    pub(crate) const fn family(self) -> Option<&'static str> {
        match self {
            Self::Raft => None,
            Self::Sync | Self::Semisync { .. } | Self::Async => Some("primary-backup"),
            Self::Quorum(_) => Some("quorum"),
        }
    }

    /// Whose disks must hold a write; none where it is not a primary's to say.
    pub(crate) fn acknowledge(self, tick_ms: u128) -> Option<Acknowledge> {
        match self {
            Self::Raft | Self::Quorum(_) => None,
            Self::Sync => Some(Acknowledge::All),
            Self::Async => Some(Acknowledge::Own),
            Self::Semisync { timeout_ms } => {
                let ticks = u128::from(timeout_ms).div_ceil(tick_ms.max(1));
                let patience_ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
                Some(Acknowledge::One { patience_ticks })
            }
        }
    }
}
