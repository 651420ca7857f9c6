//! The atlas: whose disks may be destroyed, so that a cluster can be expected to survive the run.
//!
//! A node whose disk was damaged may have forgotten what it had promised, and may be out for good
//! once it finds out. So over a whole run at most a minority of the nodes may meet with that,
//! however far apart in time: what every majority has acknowledged, some undamaged node has.
//! Three things destroy:
//!
//! - damage of any kind: bits flipped, a file cut, an older copy restored, a disk wiped;
//! - a lying fsync, where the same run takes the power from that node;
//! - an fsync that fails is none of them: it says so.
//!
//! Even then a protocol may need every node to remember: one node of three that forgot a vote or an
//! entry, and the one that never had it, are a majority (Alagappan et al., "Protocol-Aware Recovery
//! for Consensus-Based Storage", FAST 2018). The bound is what the cluster's size allows to be
//! asked of it, not what any protocol keeps.

use std::collections::BTreeSet;

use rand::{rngs::ChaCha8Rng, seq::SliceRandom};

use crate::{
    fault::{Ailment, DiskFault, Fault},
    node::Node,
    schedule::Schedule,
};

/// How many disks may be destroyed in a cluster of `count`: a minority.
pub fn expendable_most(count: u16) -> usize {
    usize::from(count.saturating_sub(1) / 2)
}

/// Whose they are, drawn once for a run.
pub(super) fn expendable(count: u16, rng: &mut ChaCha8Rng) -> BTreeSet<Node> {
    let mut nodes: Vec<Node> = Node::first(count).collect();
    nodes.shuffle(rng);
    nodes.into_iter().take(expendable_most(count)).collect()
}

/// Every node whose disk the schedule may destroy: a leader may be anybody.
pub fn destroyed(schedule: &Schedule, count: u16) -> BTreeSet<Node> {
    let possible = |fault: &Fault| {
        let targets = fault.targets();
        targets.map_or_else(BTreeSet::new, |targets| targets.possible(count))
    };
    let (mut destroyed, mut dark, mut lied_to) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for planned in &schedule.faults {
        let nodes = possible(&planned.fault);
        match &planned.fault {
            Fault::Damage(_) => destroyed.extend(nodes),
            Fault::PowerLoss(_) => dark.extend(nodes),
            Fault::Disk(DiskFault {
                ailment: Ailment::LyingFsync,
                ..
            }) => lied_to.extend(nodes),
            _ => {}
        }
    }
    destroyed.extend(dark.intersection(&lied_to));
    destroyed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::PlannedFault;

    fn destroyed_by(faults: &[&str]) -> String {
        let faults = (1_u32..).zip(faults).map(|(id, text)| PlannedFault {
            id,
            at_ms: u64::from(id),
            for_ms: 1,
            fault: text.parse().unwrap(),
        });
        let schedule = Schedule {
            faults: faults.collect(),
        };
        let nodes = destroyed(&schedule, 5);
        let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        names.join(" ")
    }

    #[test]
    fn damage_counts_over_the_whole_run() {
        let faults = ["damage n1: bit-flip 1", "kill n3", "damage n2: wipe"];
        assert_eq!(destroyed_by(&faults), "n1 n2");
        assert_eq!(destroyed_by(&["damage leader: truncate"]), "n1 n2 n3 n4 n5");
    }

    #[test]
    fn a_lie_destroys_only_with_a_power_loss() {
        assert_eq!(destroyed_by(&["disk all: lying-fsync"]), "");
        assert_eq!(
            destroyed_by(&["power-loss all: torn", "disk n2: fsync-error"]),
            ""
        );
        assert_eq!(
            destroyed_by(&["disk n1 n2: lying-fsync", "power-loss n2 n3"]),
            "n2"
        );
    }

    #[test]
    fn a_minority_is_expendable() {
        let most: Vec<usize> = (0..=7).map(expendable_most).collect();
        assert_eq!(most, [0, 0, 0, 1, 1, 2, 2, 3]);
    }
}
