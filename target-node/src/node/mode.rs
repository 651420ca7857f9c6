//! The core of the mode of replication that was asked for, and a task that drives it.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::NodeError;
use crate::args::{QuorumFlags, Replication, Settings};
use crate::driver::{Driver, DriverError, Parts, QuorumDriver};
use crate::peer::Links;
use crate::primary_backup::{self, Acknowledge, PrimaryBackup};
use crate::quorum::{self, Quorum};
use crate::raft::{Config, NodeId, Raft, Recovered};
use crate::storage::Writer;

/// Makes a core of the mode that was asked for, and a task that drives it.
pub(super) fn start(
    settings: &Settings,
    recovered: Recovered,
    parts: Parts,
    writer: Writer,
    links: Links,
    stop: watch::Receiver<bool>,
) -> Result<JoinHandle<Result<(), DriverError>>, NodeError> {
    let tick_ms = settings.pace.tick.as_millis();
    Ok(match settings.replication {
        Replication::Raft => {
            let raft = raft(settings, recovered, parts.boot)?;
            tokio::spawn(Driver::new(raft, parts, writer, links).run(stop))
        }
        Replication::Quorum(flags) => {
            let core = leaderless(settings, flags, &recovered, parts.boot)?;
            let conditional = flags.conditional;
            tokio::spawn(QuorumDriver::new(core, conditional, parts, writer, links).run(stop))
        }
        mode @ (Replication::Sync | Replication::Semisync { .. } | Replication::Async) => {
            let acknowledge = mode.acknowledge(tick_ms);
            let acknowledge = acknowledge.expect("these modes have a primary");
            let core = with_primary(settings, acknowledge, recovered, parts.boot)?;
            tokio::spawn(Driver::new(core, parts, writer, links).run(stop))
        }
    })
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

fn raft(settings: &Settings, recovered: Recovered, boot: u64) -> Result<Raft, NodeError> {
    let id = settings.membership.id;
    let mut config = Config::new(id, settings.initial_voters.clone());
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
    let mut raft = Raft::new(config, recovered, jitter(settings.seed, id))?;
    hurry_first_election(&mut raft, settings.pace.election_ticks);
    Ok(raft)
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
