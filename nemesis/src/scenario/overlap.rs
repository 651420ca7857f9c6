//! Which faults of a script may not be in force at the same time.
//!
//! Who is healed first takes the other along: a clock is set to one time, and the members are
//! those of one change. When each is in force is what [`super::timeline`] knows of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    duration::millis,
    script::{Script, ScriptError},
    step::{Heal, Step},
    template::Template,
};
use crate::{
    fault::Fault,
    node::Node,
    schedule::{PlannedFault, Schedule},
};

/// How a fault of a script ends: by a step, by itself, or with the script.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    step: Option<u32>,
    lasts_ms: Option<u64>,
}

impl End {
    /// Whether the first fault is over in any case when the second one begins.
    fn is_over(self, first: &PlannedFault, second: &PlannedFault) -> bool {
        let by_itself = |lasts| first.at_ms.saturating_add(lasts) <= second.at_ms;
        self.step.is_some_and(|step| step < second.id) || self.lasts_ms.is_some_and(by_itself)
    }
}

impl Script {
    /// The first step that may set a clock, or change the members, while an earlier one has it.
    pub(super) fn overlap(&self, possible: &Schedule, count: u16) -> Option<ScriptError> {
        let schedule = self.soonest(possible.clone());
        let clocks = self.clocks(&schedule, count);
        let ends = self.ends();
        let faults = schedule.faults.iter().zip(&clocks);
        for (later, (second, its_clocks)) in faults.clone().enumerate() {
            for (first, clocks) in faults.clone().take(later) {
                if ends[&first.id].is_over(first, second) {
                    continue;
                }
                let both = match (&first.fault, &second.fault) {
                    (Fault::Member(_), Fault::Member(_)) => "both change the members".to_owned(),
                    _ => match clocks.intersection(its_clocks).next() {
                        Some(node) => format!("both may set the clock of {node}"),
                        None => continue,
                    },
                };
                return Some(self.refusal(first, second, &both));
            }
        }
        None
    }

    fn refusal(&self, first: &PlannedFault, second: &PlannedFault, both: &str) -> ScriptError {
        let step = |planned: &PlannedFault| usize::try_from(planned.id).expect("steps are few");
        let text = |planned| match &self.steps[step(planned) - 1] {
            Step::Inject { fault, .. } | Step::Admin(fault) => fault.to_string(),
            _ => planned.fault.to_string(),
        };
        let (earlier, its_text) = (step(first), text(first));
        let (heal, wait) = match &self.steps[earlier - 1] {
            Step::Inject { name, lasts, .. } => (name.clone(), lasts.is_some()),
            _ => (None, false),
        };
        let heal = heal.unwrap_or_else(|| "all".to_owned());
        let wait = if wait {
            ", or let its time pass (a condition may hold at once)"
        } else {
            ""
        };
        ScriptError {
            step: step(second),
            key: match &self.steps[step(second) - 1] {
                Step::Admin(_) => "admin",
                _ => "inject",
            },
            why: format!(
                "`{}` while step {earlier}, `{its_text}`, may be in force: {both}, and the heal \
                 of one undoes the other; heal that first (`heal = \"{heal}\"`){wait}",
                text(second)
            ),
        }
    }

    /// How each fault ends, by its step.
    fn ends(&self) -> BTreeMap<u32, End> {
        let mut ends: BTreeMap<u32, End> = BTreeMap::new();
        let mut named = BTreeMap::new();
        for (id, step) in (1..).zip(&self.steps) {
            match step {
                Step::Inject { name, lasts, .. } => {
                    let lasts_ms = lasts.map(millis);
                    ends.insert(
                        id,
                        End {
                            step: None,
                            lasts_ms,
                        },
                    );
                    named.extend(name.as_deref().map(|name| (name, id)));
                }
                Step::Admin(_) => drop(ends.insert(id, End::default())),
                Step::Heal(heal) => {
                    let healed = |of: u32| match heal {
                        Heal::All => true,
                        Heal::Named(name) => named.get(name.as_str()) == Some(&of),
                    };
                    for (_, end) in ends.iter_mut().filter(|(of, _)| healed(**of)) {
                        end.step.get_or_insert(id);
                    }
                }
                _ => {}
            }
        }
        ends
    }

    /// Whose clock each fault may set: by what a name means where that is known before.
    fn clocks(&self, schedule: &Schedule, count: u16) -> Vec<BTreeSet<Node>> {
        let mut known: BTreeMap<&str, Option<BTreeSet<Node>>> = BTreeMap::new();
        let mut clocks = BTreeMap::new();
        let faults: BTreeMap<u32, &Fault> = schedule
            .faults
            .iter()
            .map(|planned| (planned.id, &planned.fault))
            .collect();
        for (id, step) in (1..).zip(&self.steps) {
            match (step, faults.get(&id)) {
                (Step::Let { name, nodes }, _) => {
                    let nodes = meant(nodes, &known);
                    known.insert(name, nodes);
                }
                (Step::Inject { fault, .. }, Some(Fault::Clock(filled))) => {
                    let nodes = match fault.names().next() {
                        Some(_) => meant(fault, &known),
                        None => Some(filled.targets.possible(count)),
                    };
                    clocks.insert(id, nodes.unwrap_or_else(|| Node::first(count).collect()));
                }
                _ => {}
            }
        }
        let of = |planned: &PlannedFault| clocks.remove(&planned.id).unwrap_or_default();
        schedule.faults.iter().map(of).collect()
    }
}

/// The nodes that a text means at any time; `None` where who they are shows only then.
fn meant(
    template: &Template,
    known: &BTreeMap<&str, Option<BTreeSet<Node>>>,
) -> Option<BTreeSet<Node>> {
    let mut nodes: BTreeSet<Node> = template.literals().collect();
    for name in template.names() {
        nodes.extend(known.get(name)?.as_ref()?);
    }
    Some(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(steps: &[&str]) -> Option<(usize, String)> {
        let text: String = steps
            .iter()
            .map(|step| format!("[[step]]\n{step}\n"))
            .collect();
        #[derive(serde::Deserialize)]
        struct File {
            step: Script,
        }
        let file: File = toml::from_str(&text).unwrap();
        let error = file.step.check(3).err()?;
        Some((error.step, error.to_string()))
    }

    fn step(steps: &[&str]) -> Option<usize> {
        refused(steps).map(|(step, _)| step)
    }

    const FIRST: &str = "inject = \"clock n1: +10s\"\nas = \"c\"";
    const SECOND: &str = "inject = \"clock n1: -5s\"";
    const SHORT: &str = "inject = \"clock n1: +10s\"\nfor = \"2s\"";
    const WAIT: &str = "wait = \"2s\"";

    #[test]
    fn a_clock_that_is_set_already_is_not_set_again() {
        let (step_, why) = refused(&[FIRST, WAIT, SECOND, "heal = \"c\""]).unwrap();
        assert_eq!(step_, 3);
        assert_eq!(
            why,
            "step 3, `inject`: `clock n1: -5s` while step 1, `clock n1: +10s`, may be in force: \
             both may set the clock of n1, and the heal of one undoes the other; heal that first \
             (`heal = \"c\"`)"
        );
        assert_eq!(step(&[FIRST, "heal = \"c\"", SECOND]), None);
        assert_eq!(step(&[FIRST, SECOND, "heal = \"all\""]), Some(2));
        assert_eq!(step(&[SHORT, SECOND, "heal = \"all\""]), Some(2));
        assert_eq!(step(&[FIRST, "heal = \"all\"", SECOND]), None);
        assert_eq!(step(&[FIRST, "inject = \"clock n2 n3: -5s\""]), None);
        assert_eq!(step(&[FIRST, "inject = \"kill n1\""]), None);
        // By itself, but a condition may hold at once.
        assert_eq!(step(&[SHORT, WAIT, SECOND]), None);
        assert_eq!(step(&[SHORT, "wait = \"leader\"", SECOND]), Some(3));
        assert_eq!(step(&[SHORT, "wait = \"1s\"", SECOND]), Some(3));
    }

    #[test]
    fn who_is_named_later_may_be_anybody() {
        let leader = "inject = \"clock $leader: -5s\"";
        assert_eq!(step(&[FIRST, leader]), Some(2));
        assert_eq!(step(&[FIRST, "inject = \"clock leader: rate 2\""]), Some(2));
        let role = [
            "let = \"x\"\nis = \"$leader\"",
            FIRST,
            "inject = \"clock $x: -5s\"",
        ];
        assert_eq!(step(&role), Some(3));
        let other = [
            "let = \"x\"\nis = \"n2\"",
            FIRST,
            "inject = \"clock $x: -5s\"",
        ];
        assert_eq!(step(&other), None);
        let same = [
            "let = \"x\"\nis = \"n1\"",
            FIRST,
            "inject = \"clock $x n2: -5s\"",
        ];
        assert_eq!(step(&same), Some(3));
    }

    #[test]
    fn members_are_changed_once_at_a_time() {
        let grow = "inject = \"grow n4\"\nas = \"a\"";
        let shrink = "inject = \"shrink n2\"\nas = \"b\"";
        let (_, why) = refused(&[grow, shrink]).unwrap();
        assert!(why.contains("both change the members"), "{why}");
        assert_eq!(step(&[grow, "heal = \"a\"", shrink]), None);
        let ordered = [
            "admin = \"grow n4\"",
            "admin = \"transfer n2\"",
            "admin = \"shrink n2\"",
        ];
        assert_eq!(step(&ordered), Some(3));
        assert_eq!(
            step(&["admin = \"grow n4\"", "heal = \"all\"", shrink]),
            None
        );
    }
}
