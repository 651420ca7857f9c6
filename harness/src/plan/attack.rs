//! For each defect the workload and the nemesis that bring it to light.

use ordeal_nemesis::planner::Nemesis;
use ordeal_workloads::Name as WorkloadName;

/// What finds a defect of the bundled node; `None` for one without a recipe.
///
/// - `read_leader_local`: a leader that is cut off goes on answering its clients, while the others
///   elect another one and write.
/// - `ack_on_append`: a leader that is cut off goes on acknowledging what nobody else has.
/// - `no_log_check_in_vote`: a node that was cut off comes back with a short log and a high term,
///   and is elected.
pub(crate) fn attack(defect: &str) -> Option<(WorkloadName, Nemesis)> {
    Some(match defect {
        "read_leader_local" => (WorkloadName::Register, Nemesis::IsolateLeader),
        "ack_on_append" => (WorkloadName::Set, Nemesis::IsolateLeader),
        "no_log_check_in_vote" => (WorkloadName::Set, Nemesis::Isolate),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use target_node::defect::Defect;

    #[test]
    fn every_defect_of_the_bundled_node_has_a_recipe() {
        for defect in Defect::ALL {
            assert!(
                attack(defect.name()).is_some(),
                "{} has none",
                defect.name()
            );
        }
    }
}
