//! Which changes of the members can be.

use super::{PlannedFault, ScheduleError};
use crate::{fault::MemberFault, network::NODES_MAX};

/// Whoever joins must be a spare, and somebody must stay.
pub(super) fn validate(
    planned: &PlannedFault,
    fault: &MemberFault,
    count: u16,
) -> Result<(), ScheduleError> {
    let joining = fault.joining();
    let leaving = fault.leaving().map_or(0, |old| old.most(count));
    let wrong = |why| ScheduleError::Members {
        id: planned.id,
        fault: planned.fault.to_string(),
        why,
        count,
    };
    if joining.iter().any(|node| node.0 <= count) {
        return Err(wrong(
            "whoever joins must be a spare, numbered above the cluster's nodes",
        ));
    }
    if joining.iter().any(|node| node.0 > NODES_MAX) {
        return Err(wrong("there is no room for so many nodes"));
    }
    if leaving >= usize::from(count) + joining.len() {
        return Err(wrong("nobody would be left"));
    }
    Ok(())
}
