//! When the faults of a script are in force, as far as that is known before it is played.
//!
//! Waits for a condition, heals and injections may be over at once: so the least that can pass
//! between two steps is what `wait = "2s"` and `for = "2s"` say. What is too close by that may
//! turn out to be too close.

use std::{collections::BTreeMap, time::Duration};

use super::{
    condition::Condition,
    duration::millis,
    script::Script,
    step::{Heal, Step},
};
use crate::{
    fault::Fault,
    planner::atlas,
    schedule::{PlannedFault, Schedule},
};

/// Two steps, counted from 1, and their faults.
pub type Close = [(usize, String); 2];

impl Script {
    /// Two steps that are too close, as [`atlas::too_close`] has it: the first makes nodes forget,
    /// while the second may keep others from having what those forgot.
    pub fn too_close(&self, count: u16) -> Option<Close> {
        let schedule = self.soonest(self.check(count).unwrap_or_default());
        let (one, other) = atlas::too_close(&schedule, count)?;
        Some([one, other].map(|planned| {
            let step = usize::try_from(planned.id).expect("steps are few");
            (step, planned.fault.to_string())
        }))
    }

    /// Its faults, each by the number of its step, with as little time between them as there can
    /// be. One that no step heals is in force until the end, and so are other members.
    pub(super) fn soonest(&self, possible: Schedule) -> Schedule {
        let mut possible = possible.faults.into_iter();
        let mut schedule = Schedule::default();
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        // Where in the schedule those are that nothing has ended yet.
        let mut lasting: Vec<usize> = Vec::new();
        let mut now_ms = 0;
        for (id, step) in (1..).zip(&self.steps) {
            match step {
                Step::Inject { name, lasts, .. } => {
                    let place = schedule.faults.len();
                    let for_ms = lasts.map_or(u64::MAX, millis);
                    schedule
                        .faults
                        .extend(possible.next().map(|planned| PlannedFault {
                            id,
                            at_ms: now_ms,
                            for_ms,
                            ..planned
                        }));
                    lasting.push(place);
                    named.extend(name.as_deref().map(|name| (name, place)));
                }
                Step::Admin(_) => {
                    let place = schedule.faults.len();
                    schedule.faults.extend(possible.next().map(|planned| {
                        let lasts = matches!(planned.fault, Fault::Member(_));
                        lasting.extend(lasts.then_some(place));
                        PlannedFault {
                            id,
                            at_ms: now_ms,
                            for_ms: if lasts { u64::MAX } else { 0 },
                            ..planned
                        }
                    }));
                }
                Step::Heal(heal) => {
                    let healed = match heal {
                        Heal::All => std::mem::take(&mut lasting),
                        Heal::Named(name) => {
                            named.get(name.as_str()).copied().into_iter().collect()
                        }
                    };
                    for place in healed {
                        let fault = &mut schedule.faults[place];
                        fault.for_ms = fault.for_ms.min(now_ms - fault.at_ms);
                    }
                }
                Step::Wait { .. } | Step::Expect { .. } => now_ms += millis(least(step)),
                Step::Let { .. } | Step::Workload(_) => {}
            }
        }
        schedule
    }
}

/// The time that a step takes in any case.
fn least(step: &Step) -> Duration {
    match step {
        Step::Wait {
            until: Condition::Passed(time),
            ..
        } => *time,
        Step::Expect { lasts, .. } => lasts.unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(steps: &[&str]) -> Option<(usize, usize)> {
        let text: String = steps
            .iter()
            .map(|step| format!("[[step]]\n{step}\n"))
            .collect();
        #[derive(serde::Deserialize)]
        struct File {
            step: Script,
        }
        let file: File = toml::from_str(&text).unwrap();
        file.step.check(3).unwrap();
        let [one, other] = file.step.too_close(3)?;
        Some((one.0, other.0))
    }

    const KILL: &str = "inject = \"kill n2\"\nas = \"kill\"";
    const WIPE: &str = "inject = \"damage n1: wipe\"\nas = \"wipe\"";
    const WAIT: &str = "wait = \"4s\"";

    #[test]
    fn what_makes_nodes_forget_stands_alone_by_the_time_that_passes_in_any_case() {
        assert_eq!(close(&[WIPE]), None);
        assert_eq!(close(&[KILL, WIPE]), Some((2, 1)));
        // Never healed.
        assert_eq!(close(&[KILL, WAIT, WAIT, WIPE]), Some((4, 1)));
        let heal = "heal = \"kill\"";
        assert_eq!(close(&[KILL, heal, WAIT, WIPE]), None);
        assert_eq!(close(&[KILL, "heal = \"all\"", WAIT, WIPE]), None);
        // A condition may hold at once.
        let serves = "wait = \"serves $all\"\nwithin = \"9s\"";
        assert_eq!(close(&[KILL, heal, serves, WIPE]), Some((4, 1)));
        let stays = "expect = \"serves $all\"\nfor = \"4s\"";
        assert_eq!(close(&[KILL, heal, stays, WIPE]), None);
        // Afterwards.
        assert_eq!(close(&[WIPE, "heal = \"wipe\"", KILL]), Some((1, 3)));
        assert_eq!(close(&[WIPE, "heal = \"wipe\"", WAIT, KILL]), None);
        // By itself.
        let short = "inject = \"kill n2\"\nfor = \"1s\"";
        assert_eq!(close(&[short, WAIT, WIPE]), Some((3, 1)));
        assert_eq!(close(&[short, "wait = \"5s\"", WIPE]), None);
        assert_eq!(close(&["admin = \"transfer n2\"", WIPE]), Some((2, 1)));
        assert_eq!(close(&["admin = \"snapshot n2\"", WIPE]), None);
    }

    #[test]
    fn a_lie_and_a_power_loss_make_nodes_forget_together() {
        let lie = "inject = \"disk n1: lying-fsync\"";
        let dark = "inject = \"power-loss n1\"\nfor = \"1s\"";
        assert_eq!(close(&[lie, dark]), None);
        assert_eq!(close(&[lie, KILL, dark]), Some((3, 2)));
        assert_eq!(close(&[KILL, dark]), None);
    }
}
