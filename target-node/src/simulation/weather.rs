//! How a world is, and how bad: drawn from its seed, each thing by itself, so that some worlds
//! have only one kind of trouble and others all of them at once (swarm testing: Groce and others,
//! 2012).

use std::collections::BTreeSet;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::Plan;
use super::world::Time;
use crate::raft::{ConfChange, Config, Effect, Jitter, NodeId};

/// What decides how a world is.
#[derive(Debug)]
pub(super) struct Weather {
    /// How many vote at first.
    pub(super) size: u64,
    /// How many more wait to be taken in.
    pub(super) spares: u64,
    /// How long faults happen, in ticks.
    pub(super) fault_ticks: u64,
    /// Watches the healed cluster for as long as it may take at most, also where it is done.
    pub(super) is_thorough: bool,
    pub(super) sync_max: Time,
    pub(super) client_pause: Time,
    pub(super) fault_pause: Time,
    /// What goes wrong, each as often as it is here.
    pub(super) faults: Vec<Fault>,
    pub(super) pre_vote: Custom,
    pub(super) check_quorum: Custom,
    pub(super) jitter: Jitter,
    /// Raft promises to come back in this world once all is mended. Without jitter votes may split
    /// for ever; and who was removed and does not know it may disrupt the others without end,
    /// unless they stay with the leader that they hear.
    pub(super) is_live: bool,
    /// Leaders answer some reads from their lease: everyone checks the quorum, and clocks are good.
    pub(super) leases: bool,
    pub(super) conf_change: ConfChange,
    pub(super) conf_effective: Effect,
    pub(super) election_ticks: u32,
    pub(super) heartbeat_ticks: u32,
    pub(super) append_bytes_max: usize,
    pub(super) chunk_bytes_max: usize,
    pub(super) in_flight_max: usize,
    /// How many entries are applied from one snapshot to the next; none: there are no snapshots.
    pub(super) snapshot_entries: Option<u64>,
}

/// What can go wrong in a world, or be asked of it by those who run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Crash,
    /// All processes at once.
    PowerLoss,
    Cut,
    Pause,
    Transfer,
    /// Somebody wants a node to campaign, or a leader to step down.
    Nudge,
    Change,
}

/// How the nodes of a world set a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Custom {
    Off,
    On,
    /// Each start draws anew, as while a setting is rolled out.
    Mixed,
}

impl Custom {
    pub(super) fn draw(self, rng: &mut ChaCha8Rng) -> bool {
        match self {
            Self::Off => false,
            Self::On => true,
            Self::Mixed => rng.random(),
        }
    }
}

fn one_of<T: Copy>(rng: &mut ChaCha8Rng, choice: &[T]) -> T {
    choice[rng.random_range(0..choice.len())]
}

impl Weather {
    pub(super) fn draw(plan: &Plan, rng: &mut ChaCha8Rng) -> Self {
        let customs = [Custom::Off, Custom::On, Custom::Mixed];
        let check_quorum = match plan.clocks_drift {
            true => Custom::On,
            false => one_of(rng, &customs),
        };
        let is_sticky = check_quorum == Custom::On;
        let often = if is_sticky { 0.7 } else { 0.2 };
        let is_changing = !plan.clocks_drift && rng.random_bool(often);
        let jitters = [Jitter::Etcd, Jitter::Sofa];
        let jitter = match rng.random_bool(0.05) {
            true => Jitter::None,
            false => one_of(rng, &jitters),
        };
        Self {
            size: one_of(rng, &[1, 2, 3, 3, 3, 3, 3, 4, 5, 5]),
            spares: if is_changing { 2 } else { 0 },
            fault_ticks: one_of(rng, &[plan.ticks / 2, plan.ticks, plan.ticks * 2]),
            is_thorough: rng.random_bool(0.1),
            sync_max: one_of(rng, &[0, 5, 20, 60]),
            client_pause: one_of(rng, &[5, 20, 60]),
            fault_pause: one_of(rng, &[40, 120, 300]),
            faults: faults(rng, is_changing),
            pre_vote: one_of(rng, &customs),
            check_quorum,
            jitter,
            is_live: jitter != Jitter::None && (is_sticky || !is_changing),
            leases: plan.clocks_drift || check_quorum == Custom::On && rng.random_bool(0.7),
            conf_change: one_of(rng, &[ConfChange::Joint, ConfChange::Single]),
            conf_effective: one_of(rng, &[Effect::Append, Effect::Apply]),
            election_ticks: 10,
            heartbeat_ticks: one_of(rng, &[1, 1, 2]),
            append_bytes_max: one_of(rng, &[300, 1000, 4096]),
            chunk_bytes_max: one_of(rng, &[300, 700, 4096]),
            in_flight_max: one_of(rng, &[2, 4, 32]),
            snapshot_entries: match rng.random_range(0..4) {
                // A defect that overwrites what was committed can cut a log below its snapshot.
                _ if !plan.defects.is_empty() => None,
                0 => None,
                1 => Some(2),
                2 => Some(10),
                _ => Some(40),
            },
        }
    }

    /// Who votes at first.
    pub(super) fn initial(&self) -> BTreeSet<NodeId> {
        (1..=self.size).collect()
    }

    /// What a node is told at a start.
    pub(super) fn config(&self, plan: &Plan, id: NodeId, rng: &mut ChaCha8Rng) -> Config {
        let voters = match id <= self.size {
            true => self.initial(),
            false => BTreeSet::new(),
        };
        Config {
            pre_vote: self.pre_vote.draw(rng),
            check_quorum: self.check_quorum.draw(rng),
            leases: self.leases,
            conf_change: self.conf_change,
            conf_effective: self.conf_effective,
            jitter: self.jitter,
            election_ticks: self.election_ticks,
            heartbeat_ticks: self.heartbeat_ticks,
            append_bytes_max: self.append_bytes_max,
            chunk_bytes_max: self.chunk_bytes_max,
            in_flight_max: self.in_flight_max,
            trailing_entries: rng.random_range(0..4),
            defects: plan.defects,
            ..Config::new(id, voters)
        }
    }
}

/// Which faults there are, and how often one is another's number.
fn faults(rng: &mut ChaCha8Rng, is_changing: bool) -> Vec<Fault> {
    let kinds = [
        (Fault::Crash, 4),
        (Fault::PowerLoss, 1),
        (Fault::Cut, 5),
        (Fault::Pause, 2),
        (Fault::Transfer, 2),
        (Fault::Nudge, 1),
    ];
    let mut faults = Vec::new();
    for (fault, weight) in kinds {
        if rng.random_bool(0.7) {
            faults.extend(std::iter::repeat_n(fault, weight));
        }
    }
    if is_changing {
        faults.extend([Fault::Change; 6]);
    }
    faults
}
