//! For each defect the workload, the nemesis and the switches that bring it to light.

use ordeal_nemesis::planner::Nemesis;
use ordeal_workloads::Name as WorkloadName;

/// What finds a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attack {
    pub(crate) workload: WorkloadName,
    pub(crate) nemesis: Nemesis,
    /// Flags for every node, where a defect hides behind a default.
    pub(crate) node_flags: &'static [&'static str],
}

/// What finds a defect of the bundled node; `None` for one without a recipe.
///
/// - `read_leader_local`: a leader that is cut off goes on answering its clients, while the others
///   elect another one and write. With the check of its quorum it would soon step down.
/// - `ack_on_append`: a leader that is cut off goes on acknowledging what nobody else has; so, too.
/// - `no_log_check_in_vote`: a node that was cut off comes back with a short log and a high term,
///   and is elected. With a pre-vote its term would not rise, and with the leader's lease nobody
///   would listen to it.
pub(crate) fn attack(defect: &str) -> Option<Attack> {
    let (workload, nemesis, node_flags): (_, _, &[&str]) = match defect {
        "read_leader_local" => (WorkloadName::Register, Nemesis::IsolateLeader, STUBBORN),
        "ack_on_append" => (WorkloadName::Set, Nemesis::IsolateLeader, STUBBORN),
        "no_log_check_in_vote" => (WorkloadName::Set, Nemesis::Isolate, RESTLESS),
        _ => return None,
    };
    Some(Attack {
        workload,
        nemesis,
        node_flags,
    })
}

/// A leader that is cut off leads on.
const STUBBORN: &[&str] = &["--check-quorum=off"];

/// Whoever comes back from a cut has a high term, and is listened to.
const RESTLESS: &[&str] = &["--pre-vote=off", "--check-quorum=off"];

#[cfg(test)]
mod tests {
    use super::*;
    use target_node::defect::Defect;

    #[test]
    fn every_defect_that_shows_by_chance_has_a_recipe() {
        let by_chance = Defect::ALL
            .iter()
            .filter(|defect| !Defect::SCRIPTED.contains(defect));
        for defect in by_chance {
            assert!(
                attack(defect.name()).is_some(),
                "{} has none",
                defect.name()
            );
        }
    }
}
