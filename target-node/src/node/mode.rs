//! The core of the mode of replication that was asked for, and a task that drives it.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::NodeError;
use crate::args::{Conditional, QuorumFlags, Replication, Settings};
use crate::driver::{Driver, DriverError, Parts, QuorumDriver, machine_of};
use crate::machine::Machine;
use crate::peer::Links;
use crate::primary_backup::{self, Acknowledge, PrimaryBackup};
use crate::quorum::{self, Quorum};
use crate::raft::{Config, NodeId, Raft, Recovered};
use crate::storage::Writer;

/// A core with all that the disk holds, and the state machine that its newest snapshot makes.
pub(super) enum Core {
    Raft(Box<Raft>, Box<Machine>),
    PrimaryBackup(Box<PrimaryBackup>, Box<Machine>),
    Quorum(Box<Quorum>, Conditional),
}

/// Makes a core of the mode that was asked for; `founders` vote at first, where that is Raft.
pub(super) fn core(
    settings: &Settings,
    founders: &BTreeSet<NodeId>,
    recovered: Recovered,
    boot: u64,
) -> Result<Core, NodeError> {
    let tick_ms = settings.pace.tick.as_millis();
    Ok(match settings.replication {
        Replication::Raft => {
            let machine = machine_of(recovered.snapshot.as_ref())?;
            let raft = raft(settings, founders, recovered, boot)?;
            Core::Raft(Box::new(raft), Box::new(machine))
        }
        Replication::Quorum(flags) => {
            let core = leaderless(settings, flags, &recovered, boot)?;
            Core::Quorum(Box::new(core), flags.conditional)
        }
        mode @ (Replication::Sync | Replication::Semisync { .. } | Replication::Async) => {
            let acknowledge = mode.acknowledge(tick_ms);
            let acknowledge = acknowledge.expect("these modes have a primary");
            let machine = machine_of(recovered.snapshot.as_ref())?;
            let core = with_primary(settings, acknowledge, recovered, boot)?;
            Core::PrimaryBackup(Box::new(core), Box::new(machine))
        }
    })
}

impl Core {
    /// Starts a task that drives it.
    pub(super) fn start(
        self,
        parts: Parts,
        writer: Writer,
        links: Links,
        stop: watch::Receiver<bool>,
    ) -> JoinHandle<Result<(), DriverError>> {
        match self {
            Self::Raft(mut raft, machine) => {
                hurry_first_election(&mut raft, parts.election_ticks);
                tokio::spawn(Driver::new(*raft, *machine, parts, writer, links).run(stop))
            }
            Self::PrimaryBackup(core, machine) => {
                tokio::spawn(Driver::new(*core, *machine, parts, writer, links).run(stop))
            }
            Self::Quorum(core, conditional) => {
                tokio::spawn(QuorumDriver::new(*core, conditional, parts, writer, links).run(stop))
            }
        }
    }
}

fn members(settings: &Settings) -> BTreeSet<NodeId> {
    settings.membership.addresses.keys().copied().collect()
}

fn with_primary(
    settings: &Settings,
    acknowledge: Acknowledge,
    recovered: Recovered,
    boot: u64,
) -> Result<PrimaryBackup, NodeError> {
    let id = settings.membership.id;
    let mut config = primary_backup::Config::new(id, members(settings), acknowledge);
    config.heartbeat_ticks = settings.pace.heartbeat_ticks;
    config.resend_ticks = settings.pace.election_ticks;
    config.trailing_entries = settings.snapshot_trailing;
    config.first_read = boot;
    Ok(PrimaryBackup::new(config, recovered)?)
}

fn leaderless(
    settings: &Settings,
    flags: QuorumFlags,
    recovered: &Recovered,
    boot: u64,
) -> Result<Quorum, NodeError> {
    let mut config = quorum::Config::new(settings.membership.id, members(settings));
    config.replicas = flags.replicas;
    config.writes = flags.writes;
    config.reads = flags.reads;
    config.repair = flags.repair;
    config.resend_ticks = settings.pace.election_ticks;
    config.patience_ticks = settings.pace.election_ticks.saturating_mul(5);
    config.snapshot_entries = settings.snapshot_entries;
    config.life = boot;
    Ok(Quorum::new(config, recovered)?)
}

fn raft(
    settings: &Settings,
    founders: &BTreeSet<NodeId>,
    recovered: Recovered,
    boot: u64,
) -> Result<Raft, NodeError> {
    let id = settings.membership.id;
    let mut config = Config::new(id, founders.clone());
    config.conf_change = settings.conf_change;
    config.conf_effective = settings.conf_effective;
    config.heartbeat_ticks = settings.pace.heartbeat_ticks;
    config.election_ticks = settings.pace.election_ticks;
    config.jitter = settings.jitter;
    config.pre_vote = settings.pre_vote;
    config.check_quorum = settings.check_quorum;
    config.trailing_entries = settings.snapshot_trailing;
    config.first_read = boot;
    config.defects = settings.defects;
    Ok(Raft::new(config, recovered, jitter(settings.seed, id))?)
}

/// A node that was never in any term begins as if it had waited for half an election time-out
/// already: most likely its whole cluster is as new, and nobody leads it. etcd does the like
/// (`--initial-election-tick-advance`); how long anybody waits is no matter of safety.
fn hurry_first_election(raft: &mut Raft, election_ticks: u32) {
    if raft.term() == 0 {
        for _ in 0..election_ticks / 2 {
            raft.tick();
        }
    }
}

/// The generator of election time-outs: another stream for each node of a seed.
fn jitter(seed: u64, node: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(node);
    rng
}
