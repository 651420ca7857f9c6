//! The schedule of a plan: the one in the file, or one drawn from what can be injected.
//!
//! A nemesis that is a choice of many (`mixed`, `swarm`, `flip-flop`) does without what this
//! machine cannot do and what the target does not offer; the plan says what was left out, and why.
//! What was asked for by its name is refused instead.

use super::{Plan, PlanError};
use crate::target::Target;
use ordeal_nemesis::disk::DiskWanted;
use ordeal_nemesis::doctor::Row;
use ordeal_nemesis::lever::OrderKind;
use ordeal_nemesis::planner::{self, Nemesis, PlanSpec, atlas};
use ordeal_nemesis::{FaultClass, PlannedFault, Schedule};
use std::collections::BTreeMap;

/// Classes that are not drawn, each with the reason.
pub(crate) type LeftOut = BTreeMap<FaultClass, String>;

/// The schedule of a plan: as it stands in a file, with what it says was left out, or drawn.
pub(super) fn schedule(
    plan: &Plan,
    target: &dyn Target,
    given: Option<(Vec<PlannedFault>, Option<LeftOut>)>,
) -> Result<(Schedule, LeftOut), PlanError> {
    if let Some((faults, left_out)) = given {
        let schedule = checked(plan, Schedule { faults })?;
        return Ok((schedule, left_out.unwrap_or_default()));
    }
    let left_out = match plan.nemesis {
        Nemesis::Swarm | Nemesis::FlipFlop => not_offered(plan, target),
        _ => LeftOut::new(),
    };
    Ok((draw(plan, &left_out)?, left_out))
}

fn draw(plan: &Plan, left_out: &LeftOut) -> Result<Schedule, PlanError> {
    let (time_ms, seed) = (plan.time.as_millis(), plan.seed);
    let spec = PlanSpec {
        without: left_out.keys().copied().collect(),
        ..PlanSpec::new(plan.nemesis, plan.nodes, time_ms, seed)
    };
    checked(plan, planner::plan(&spec)?)
}

fn checked(plan: &Plan, schedule: Schedule) -> Result<Schedule, PlanError> {
    schedule.validate(plan.nodes, plan.time.as_millis())?;
    if plan.unsurvivable {
        return Ok(schedule);
    }
    let destroyed = atlas::destroyed_most(&schedule, plan.nodes);
    let most = atlas::expendable_most(plan.nodes);
    if destroyed > most {
        return Err(PlanError::Unsurvivable {
            destroyed,
            nodes: plan.nodes,
            most,
        });
    }
    match atlas::too_close(&schedule, plan.nodes) {
        None => Ok(schedule),
        Some((one, other)) => Err(PlanError::TooClose {
            forgets: format!("{} (`{}`)", one.id, one.fault),
            other: format!("{} (`{}`)", other.id, other.fault),
        }),
    }
}

/// What the target takes no orders for.
fn not_offered(plan: &Plan, target: &dyn Target) -> LeftOut {
    let taken = target.orders(&plan.node_flags);
    let needed = |class| match class {
        FaultClass::Membership => vec![OrderKind::Membership],
        FaultClass::Admin => {
            let mut kinds = OrderKind::ALL.to_vec();
            kinds.retain(|kind| *kind != OrderKind::Membership);
            kinds
        }
        _ => Vec::new(),
    };
    let classes = FaultClass::ALL.into_iter().filter_map(|class| {
        let missing = needed(class)
            .into_iter()
            .find(|kind| !taken.contains(kind))?;
        let why = format!(
            "target {} takes no orders of the kind `{missing}`",
            plan.target
        );
        Some((class, why))
    });
    classes.collect()
}

impl Plan {
    /// Draws the schedule once more, without what these rows say cannot be done here. False: some
    /// of it was asked for, and nothing was changed.
    ///
    /// # Errors
    /// As when it was drawn first.
    pub(crate) fn do_without(&mut self, missing: &[&Row]) -> Result<bool, PlanError> {
        let was_asked_for = |row: &&&Row| match row.fault {
            // Without these it is another nemesis.
            FaultClass::Kill | FaultClass::Pause | FaultClass::Partition => true,
            class => class.needs_disk() && self.disk == DiskWanted::Fuse,
        };
        if !self.nemesis.is_a_choice() || missing.iter().any(|row| was_asked_for(&row)) {
            return Ok(false);
        }
        // What makes disks ill may be another one, once nothing has to be taken back.
        let takes_back = |row: &&&Row| row.fault.needs_disk() && row.fault != FaultClass::Disk;
        let first: Vec<&Row> = missing.iter().filter(takes_back).copied().collect();
        let missing = if first.is_empty() { missing } else { &first };
        for row in missing {
            let (Ok(why) | Err(why)) = &row.result;
            self.left_out.insert(row.fault, why.clone());
        }
        self.schedule = draw(self, &self.left_out)?;
        Ok(true)
    }

    /// What was left out and why, in one line a reason.
    pub(super) fn left_out_in_words(&self) -> Option<String> {
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (class, why) in &self.left_out {
            reasons.entry(why).or_default().push(class.to_string());
        }
        let words: Vec<String> = reasons
            .iter()
            .map(|(why, classes)| format!("{}: {why}", classes.join(", ")))
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}
