//! The atlas: whose disks may be destroyed, and when, so that a cluster can be expected to survive.
//!
//! A node whose disk was damaged may have forgotten what it had acknowledged and whom it had voted
//! for, and may be out for good once it finds out. These destroy:
//!
//! - damage of any kind: bits flipped, a file cut, an older copy restored, a disk wiped; the one
//!   flipped bit that no checksum finds is as bad as an empty disk, and a log that is cut short
//!   after a broken record is a log that has forgotten its end;
//! - reads that return what is not on the disk: who starts from them may cut its log short;
//! - a lying fsync or write, where the same run takes the power from that node;
//! - an fsync that fails is none of them: it says so.
//!
//! Two rules. **Over a whole run at most a minority** of the nodes may meet with it, however far
//! apart in time: what every majority has acknowledged, some undamaged node has.
//!
//! **It stands alone in time.** The first rule is not enough where a node comes back and votes. Of
//! three nodes, a and b have acknowledged an entry, and c is behind, cut off or down. b's disk is
//! wiped: b and c are a majority without the entry, and elect c. One wipe is enough in any cluster
//! of an odd size: an entry on a bare majority q is left on q - 1 nodes, and the other n - q + 1
//! are q. So a damaged node counts as a vote that is lost until it has caught up, and while it is,
//! nothing may keep any other node from having all that was acknowledged:
//!
//! 1. It is killed, and stays away until the others have a leader (the injector sees to that).
//!    Those who are left are a majority at least, and have the entry among them; whoever leads them
//!    has it (Raft, 5.4.1, with a node that is merely down), and all of them are up and hear each
//!    other, so all of them get it.
//! 2. Only then it comes back, with an empty memory. Any majority has one of those who were left in
//!    it, and without the votes of those nobody without the entry is elected. No election is under
//!    way in which it could vote a second time.
//! 3. It acknowledges nothing new before it has all that is old, since logs are filled in order.
//!
//! For this no other fault that stops, slows or separates nodes, or moves the leadership, may be in
//! force from [`CATCH_UP_MS`] before the damage until as long after its heal. What leaves the nodes
//! and the edges between them alone may: cuts of clients, snapshots.
//!
//! Even then a protocol may need every node to remember (Alagappan et al., "Protocol-Aware Recovery
//! for Consensus-Based Storage", FAST 2018). The rules are what can be asked of a cluster, not what
//! any protocol keeps. They speak of the times that are planned: a node that takes longer to come
//! back than planned shortens the distance.

use std::collections::BTreeSet;

use rand::{rngs::ChaCha8Rng, seq::SliceRandom};

use crate::{
    fault::{AdminFault, Ailment, Fault, Shape, Targets},
    node::Node,
    schedule::{PlannedFault, Schedule},
};

/// How long every node is given, after a fault has healed, to have what the others have.
pub const CATCH_UP_MS: u64 = 4000;

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

/// The nodes that a fault may be about: a leader may be anybody.
fn possible(fault: &Fault, count: u16) -> BTreeSet<Node> {
    let targets = fault.targets();
    targets.map_or_else(BTreeSet::new, |targets| targets.possible(count))
}

/// Every node whose disk the schedule may destroy: a leader may be anybody.
pub fn destroyed(schedule: &Schedule, count: u16) -> BTreeSet<Node> {
    let (mut destroyed, mut dark, mut lied_to) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for planned in &schedule.faults {
        let nodes = possible(&planned.fault, count);
        match &planned.fault {
            Fault::Damage(_) => destroyed.extend(nodes),
            Fault::PowerLoss(_) => dark.extend(nodes),
            Fault::Disk(fault) if fault.ailment.is_lie() => lied_to.extend(nodes),
            // A node that starts may cut its log where it reads what cannot be.
            Fault::Disk(fault) if fault.ailment == Ailment::ReadFlip => destroyed.extend(nodes),
            _ => {}
        }
    }
    destroyed.extend(dark.intersection(&lied_to));
    destroyed
}

/// Whether a fault leaves alone who has which copy, and who leads: it may come with damage.
pub(super) fn is_beside(fault: &Fault) -> bool {
    match fault {
        Fault::Partition(Shape::ClientCut(_)) => true,
        Fault::Admin(AdminFault::Snapshot(_) | AdminFault::Compact(_)) => true,
        // What a lie does shows only where the power goes.
        Fault::Disk(fault) => fault.ailment.is_lie(),
        _ => false,
    }
}

/// Two faults that are too close: the first makes nodes forget, while the second may keep others
/// from having what those forgot.
pub fn too_close(schedule: &Schedule, count: u16) -> Option<(&PlannedFault, &PlannedFault)> {
    let lies = schedule.faults.iter().filter(|planned| {
        let Fault::Disk(fault) = &planned.fault else {
            return false;
        };
        fault.ailment.is_lie()
    });
    let lies: Vec<_> = lies
        .map(|lie| (lie.at_ms, possible(&lie.fault, count)))
        .collect();
    let forgets = |planned: &PlannedFault| match &planned.fault {
        Fault::Damage(_) => true,
        Fault::Disk(fault) => fault.ailment == Ailment::ReadFlip,
        Fault::PowerLoss(_) => {
            let dark = possible(&planned.fault, count);
            let mut lies = lies.iter();
            lies.any(|(at_ms, nodes)| *at_ms <= planned.heal_ms() && !nodes.is_disjoint(&dark))
        }
        _ => false,
    };
    let away_until = |planned: &PlannedFault| planned.heal_ms().saturating_add(CATCH_UP_MS);
    let faults = &schedule.faults;
    faults.iter().filter(|one| forgets(one)).find_map(|one| {
        let close = faults.iter().find(|other| {
            let overlap = other.at_ms < away_until(one) && one.at_ms < away_until(other);
            other.id != one.id && overlap && !is_beside(&other.fault)
        });
        close.map(|other| (one, other))
    })
}

/// How many disks the schedule may destroy at most: where a word stands for nodes that are known
/// only when the time has come, each fault may find others.
pub fn destroyed_most(schedule: &Schedule, count: u16) -> usize {
    let (mut named, mut unnamed, mut others) = (Schedule::default(), 0, Schedule::default());
    for planned in &schedule.faults {
        match (&planned.fault, planned.fault.targets()) {
            (Fault::Damage(_), Some(Targets::Nodes(_))) => named.faults.push(planned.clone()),
            (Fault::Damage(_), Some(targets)) => unnamed += targets.most(count),
            _ => others.faults.push(planned.clone()),
        }
    }
    named.faults.append(&mut others.faults);
    let named = destroyed(&named, count).len();
    usize::from(count).min(named + unnamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::PlannedFault;

    fn schedule(faults: &[&str]) -> Schedule {
        let faults = (1_u32..).zip(faults).map(|(id, text)| PlannedFault {
            id,
            at_ms: u64::from(id),
            for_ms: 1,
            fault: text.parse().unwrap(),
        });
        Schedule {
            faults: faults.collect(),
        }
    }

    fn destroyed_by(faults: &[&str]) -> String {
        let nodes = destroyed(&schedule(faults), 5);
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
    fn a_word_may_mean_others_each_time_but_no_more_than_it_says() {
        let most = |faults: &[&str]| destroyed_most(&schedule(faults), 5);
        assert_eq!(most(&["damage leader: truncate"]), 1);
        assert_eq!(most(&["damage leader: truncate", "damage one: wipe"]), 2);
        assert_eq!(
            most(&["damage n1: wipe", "damage n1 n2: wipe", "damage one: wipe"]),
            3
        );
        assert_eq!(most(&["damage minority: wipe", "damage all: wipe"]), 5);
        assert_eq!(most(&["disk one: lying-fsync", "power-loss n1"]), 1);
        assert_eq!(most(&["disk all: lying-fsync", "power-loss leader"]), 5);
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

    /// The ids of those that are too close, in a cluster of three; each as when, how long and what.
    fn close(faults: &[(u64, u64, &str)]) -> Option<(u32, u32)> {
        let faults = (1..)
            .zip(faults)
            .map(|(id, (at_ms, for_ms, text))| PlannedFault {
                id,
                at_ms: *at_ms,
                for_ms: *for_ms,
                fault: text.parse().unwrap(),
            });
        let schedule = Schedule {
            faults: faults.collect(),
        };
        too_close(&schedule, 3).map(|(one, other)| (one.id, other.id))
    }

    #[test]
    fn who_forgets_does_so_while_all_others_can_have_everything() {
        let wipe = (10_000, 2000, "damage n1: wipe");
        assert_eq!(close(&[wipe]), None);
        for other in [
            "power-loss n2",
            "kill n2",
            "pause leader",
            "isolate n3",
            "packets n3: loss 5%",
            "slow-cpu n2: 20%",
            "disk n2: slow-fsync 20ms",
            "campaign any",
            "shrink n3",
            "damage n2: bit-flip 1",
        ] {
            assert!(close(&[(9000, 2000, other), wipe]).is_some(), "{other}");
            // Not yet healed so long that everybody has caught up, or not yet caught up itself.
            assert!(close(&[(5000, 2000, other), wipe]).is_some(), "{other}");
            assert!(close(&[wipe, (15_000, 1000, other)]).is_some(), "{other}");
            assert_eq!(close(&[(3000, 2999, other), wipe]), None, "{other}");
            assert_eq!(close(&[wipe, (16_000, 1000, other)]), None, "{other}");
        }
        for beside in ["clients n1 n2", "snapshot all", "compact n2"] {
            assert_eq!(close(&[(9000, 2000, beside), wipe]), None, "{beside}");
        }
    }

    #[test]
    fn a_lie_is_forgotten_when_the_power_goes() {
        let (lie, dark) = ("disk n1: lying-fsync", "power-loss n1");
        assert_eq!(close(&[(0, 20_000, lie), (9000, 1000, dark)]), None);
        assert_eq!(
            close(&[(0, 20_000, lie), (8000, 900, "kill n2"), (9000, 1000, dark)]),
            Some((3, 2))
        );
        let other = "power-loss n3";
        assert_eq!(
            close(&[
                (0, 20_000, lie),
                (8000, 900, "kill n2"),
                (9000, 1000, other)
            ]),
            None
        );
    }

    #[test]
    fn a_minority_is_expendable() {
        let most: Vec<usize> = (0..=7).map(expendable_most).collect();
        assert_eq!(most, [0, 0, 0, 1, 1, 2, 2, 3]);
    }
}
