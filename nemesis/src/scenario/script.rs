//! The steps of a scenario together: what can be known of them before anything starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{SeedableRng, rngs::ChaCha8Rng};
use serde::{Deserialize, Serialize};

use super::{
    condition::Condition,
    step::{Heal, Step},
    template::{Cast, Template, Unfilled},
};
use crate::{
    fault::{Ailment, Fault},
    node::Node,
    schedule::{PlannedFault, Schedule},
};

/// Steps in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script {
    /// Counted from 1 in what is told of them.
    pub steps: Vec<Step>,
}

/// A step that cannot be done, whatever happens before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step}, `{key}`: {why}")]
pub struct ScriptError {
    /// Which, counted from 1.
    pub step: usize,
    /// Which key of it.
    pub key: &'static str,
    /// Why not.
    pub why: String,
}

/// What is known of the names while the steps are gone through.
struct Names {
    nodes: BTreeMap<String, Vec<Node>>,
    faults: BTreeSet<String>,
}

impl Script {
    /// Whether every step can be done in a cluster of `count`; the faults that it may inject, each
    /// with nodes in the places of those that are not known yet.
    ///
    /// # Errors
    /// The first step that cannot.
    pub fn check(&self, count: u16) -> Result<Schedule, ScriptError> {
        let possible = self.possible(count)?;
        match self.overlap(&possible, count) {
            Some(error) => Err(error),
            None => Ok(possible),
        }
    }

    /// The faults that it may inject, each possible by itself.
    fn possible(&self, count: u16) -> Result<Schedule, ScriptError> {
        if self.steps.is_empty() {
            let why = "a scenario has at least one step".to_owned();
            return Err(ScriptError {
                step: 1,
                key: "step",
                why,
            });
        }
        let mut names = Names {
            nodes: BTreeMap::new(),
            faults: BTreeSet::new(),
        };
        let mut faults = Vec::new();
        for (place, step) in self.steps.iter().enumerate() {
            let error = |(key, why)| ScriptError {
                step: place + 1,
                key,
                why,
            };
            let fault = names.follow(step, count).map_err(error)?;
            faults.extend(fault);
        }
        let planned = (1..).zip(faults).map(|(id, fault)| PlannedFault {
            id,
            at_ms: u64::from(id),
            for_ms: 1,
            fault,
        });
        Ok(Schedule {
            faults: planned.collect(),
        })
    }

    /// How many disks each step may destroy at most, where it may destroy any, with its number: who
    /// is meant by a name is not known, so each fault counts on its own.
    pub fn destroys(&self, count: u16) -> Vec<(usize, usize)> {
        let possible = self.check(count).unwrap_or_default();
        let nodes = |fault: &Fault| {
            let targets = fault.targets();
            targets.map_or(0, |targets| targets.most(count))
        };
        let faults = || possible.faults.iter().map(|planned| &planned.fault);
        let is_dark = faults().any(|fault| matches!(fault, Fault::PowerLoss(_)));
        let destroyed = faults().map(|whole| match whole {
            Fault::Damage(_) => nodes(whole),
            Fault::Disk(fault) if fault.ailment == Ailment::ReadFlip => nodes(whole),
            Fault::Disk(fault) if fault.ailment.is_lie() && is_dark => nodes(whole),
            _ => 0,
        });
        // Each of these has one fault, and no other step has any.
        let injects = |step: &Step| matches!(step, Step::Inject { .. } | Step::Admin(_));
        let steps = (1..).zip(&self.steps).filter(|(_, step)| injects(step));
        let each = steps.map(|(number, _)| number).zip(destroyed);
        each.filter(|(_, disks)| *disks > 0).collect()
    }

    /// How long its waits and expectations may take, all together.
    pub fn longest(&self) -> Duration {
        let times = self.steps.iter().map(|step| match step {
            Step::Wait {
                until: Condition::Passed(time),
                ..
            } => *time,
            Step::Wait { within, .. } => *within,
            Step::Expect { within, lasts, .. } => {
                within.unwrap_or_default() + lasts.unwrap_or_default()
            }
            _ => Duration::ZERO,
        });
        times.sum()
    }
}

impl Names {
    /// Goes through one step; the fault that it may inject.
    fn follow(&mut self, step: &Step, count: u16) -> Result<Option<Fault>, (&'static str, String)> {
        match step {
            Step::Let { name, nodes } => {
                self.known(nodes, count).map_err(|why| ("is", why))?;
                let meant = self.stand_ins(nodes, count).map_err(|why| ("is", why))?;
                self.nodes.insert(name.clone(), meant);
            }
            Step::Inject { fault, name, .. } => {
                let fault = self.fault(fault, count).map_err(|why| ("inject", why))?;
                if let Some(name) = name
                    && !self.faults.insert(name.clone())
                {
                    let why = format!("there is another fault of the name `{name}`");
                    return Err(("as", why));
                }
                return Ok(Some(fault));
            }
            Step::Admin(order) => {
                return self
                    .order(order, count)
                    .map(Some)
                    .map_err(|why| ("admin", why));
            }
            Step::Heal(Heal::Named(name)) if !self.faults.contains(name) => {
                let known: Vec<&str> = self.faults.iter().map(String::as_str).collect();
                let known = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                let why = format!("no fault was injected as `{name}` before; there are: {known}");
                return Err(("heal", why));
            }
            Step::Wait {
                until: condition, ..
            } => {
                self.asked(condition, count).map_err(|why| ("wait", why))?;
            }
            Step::Expect { that, .. } => {
                self.asked(that, count).map_err(|why| ("expect", why))?;
            }
            Step::Heal(_) | Step::Workload(_) => {}
        }
        Ok(None)
    }

    fn asked(&self, condition: &Condition, count: u16) -> Result<(), String> {
        match condition.nodes() {
            Some(nodes) => self.known(nodes, count),
            None => Ok(()),
        }
    }

    fn fault(&self, template: &Template, count: u16) -> Result<Fault, String> {
        self.bound(template)?;
        let text = self.fill(template, count)?;
        let fault: Fault = text.parse().map_err(|error| format!("{error}"))?;
        let spares = match &fault {
            Fault::Member(fault) => fault.joining(),
            _ => BTreeSet::new(),
        };
        exist(template, count, &spares)?;
        let alone = PlannedFault {
            id: 1,
            at_ms: 0,
            for_ms: 1,
            fault,
        };
        let alone = Schedule {
            faults: vec![alone],
        };
        alone
            .validate(count, 1)
            .map_err(|error| format!("{error}"))?;
        let [planned] = <[PlannedFault; 1]>::try_from(alone.faults).expect("it has one");
        Ok(planned.fault)
    }

    fn order(&self, template: &Template, count: u16) -> Result<Fault, String> {
        let fault = self.fault(template, count)?;
        if fault.class().is_offered_by_target() {
            return Ok(fault);
        }
        Err(format!(
            "`{fault}` is no order of an administrator; inject it"
        ))
    }

    /// Whether every name means something, and every node exists.
    fn known(&self, template: &Template, count: u16) -> Result<(), String> {
        self.bound(template)?;
        exist(template, count, &BTreeSet::new())
    }

    /// Whether every name means something.
    fn bound(&self, template: &Template) -> Result<(), String> {
        let mut names = template.bound_names();
        match names.find(|name| !self.nodes.contains_key(*name)) {
            Some(name) => Err(format!("no step before binds `${name}` with `let`")),
            None => Ok(()),
        }
    }

    /// The text with nodes in the places of names, different ones as far as they go.
    fn fill(&self, template: &Template, count: u16) -> Result<String, String> {
        let used: Vec<Node> = template.literals().collect();
        let leader = Node::first(count).find(|node| !used.contains(node));
        // A few draws: that a role and a name happen to be the same node is not their fault.
        let mut last = String::new();
        for (seed, leader) in (0_u64..64).zip(leader.into_iter().chain(Node::first(count)).cycle())
        {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let bound = self.shuffled(count, &mut rng);
            let mut cast = Cast {
                count,
                leader: Some(leader),
                bound: &bound,
                rng: &mut rng,
            };
            last = template.fill(&mut cast).map_err(nobody)?;
            if last.parse::<Fault>().is_ok() {
                break;
            }
        }
        Ok(last)
    }

    /// What `let` has bound, with other nodes in as many places.
    fn shuffled(&self, count: u16, rng: &mut ChaCha8Rng) -> BTreeMap<String, Vec<Node>> {
        use rand::seq::SliceRandom;
        let mut order: Vec<Node> = Node::first(count).collect();
        order.shuffle(rng);
        let mut next = order.iter().cycle().copied();
        let bound = self.nodes.iter().map(|(name, nodes)| {
            let mut nodes: Vec<Node> = next.by_ref().take(nodes.len()).collect();
            nodes.sort();
            (name.clone(), nodes)
        });
        bound.collect()
    }

    fn stand_ins(&self, template: &Template, count: u16) -> Result<Vec<Node>, String> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut cast = Cast {
            count,
            leader: Some(Node(1)),
            bound: &self.nodes,
            rng: &mut rng,
        };
        template.nodes(&mut cast).map_err(nobody)
    }
}

/// Whether every node that it names is one of the cluster, or of these spares.
fn exist(template: &Template, count: u16, spares: &BTreeSet<Node>) -> Result<(), String> {
    let is_odd = |node: &Node| node.0 > count && !spares.contains(node);
    match template.literals().find(is_odd) {
        Some(node) => Err(format!("{node} is no node of a cluster of {count}")),
        None => Ok(()),
    }
}

fn nobody(unfilled: Unfilled) -> String {
    match unfilled {
        Unfilled::NoLeader => "nobody leads".to_owned(),
        Unfilled::Nobody(why) => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        #[derive(Deserialize)]
        struct File {
            step: Script,
        }
        toml::from_str::<File>(text).unwrap().step
    }

    fn error(steps: &[&str]) -> String {
        let text: Vec<String> = steps
            .iter()
            .map(|step| format!("[[step]]\n{step}\n"))
            .collect();
        script(&text.concat()).check(3).unwrap_err().to_string()
    }

    #[test]
    fn a_step_that_cannot_be_done_is_refused_before_anything_starts() {
        for (steps, why) in [
            (
                &["inject = \"kill $old\""][..],
                "step 1, `inject`: no step before binds `$old`",
            ),
            (
                &["heal = \"x\""],
                "step 1, `heal`: no fault was injected as `x` before",
            ),
            (
                &["inject = \"kill n7\""],
                "step 1, `inject`: n7 is no node of a cluster of 3",
            ),
            (&["inject = \"shoot $leader\""], "`shoot` is no fault"),
            (&["inject = \"halves $all | $rest\""], "`$rest` is nobody"),
            (
                &["inject = \"ring $all\""],
                "would change nothing in a cluster of 3",
            ),
            (
                &["wait = \"down $ghost\""],
                "step 1, `wait`: no step before binds `$ghost`",
            ),
            (
                &["admin = \"kill $leader\""],
                "is no order of an administrator",
            ),
            (
                &[
                    "inject = \"kill n1\"\nas = \"x\"",
                    "inject = \"kill n2\"\nas = \"x\"",
                ],
                "step 2, `as`: there is another fault of the name `x`",
            ),
        ] {
            let error = error(steps);
            assert!(error.contains(why), "{steps:?}: {error}");
        }
        assert!(Script::default().check(3).is_err());
    }

    #[test]
    fn an_administrator_may_be_asked_for_whatever_a_target_offers() {
        let orders = [
            "transfer $follower",
            "transfer any: isolated",
            "campaign n2",
            "step-down",
            "snapshot $all",
            "compact $leader",
            "grow n4",
            "shrink $follower",
            "replace $leader -> n4",
        ];
        let steps: Vec<String> = orders
            .iter()
            .map(|order| format!("[[step]]\nadmin = \"{order}\"\n[[step]]\nheal = \"all\"\n"))
            .collect();
        let script = script(&steps.concat());
        let possible = script.check(3).unwrap();
        assert_eq!(possible.faults.len(), orders.len());
        assert_eq!(possible.spares(3), 1, "n4 runs from the start");
    }

    #[test]
    fn what_may_be_injected_is_known_before() {
        let script = script(
            "[[step]]\nlet = \"old\"\nis = \"$leader\"\n\
             [[step]]\nlet = \"new\"\nis = \"$follower\"\n\
             [[step]]\ninject = \"halves $old $new | $rest\"\n\
             [[step]]\ninject = \"damage $minority: wipe\"\n[[step]]\nwait = \"3s\"\n\
             [[step]]\nexpect = \"ok 5\"\nwithin = \"2s\"\n",
        );
        let possible = script.check(5).unwrap();
        assert_eq!(possible.faults.len(), 2);
        assert_eq!(script.destroys(5), [(4, 2)]);
        assert_eq!(script.longest(), Duration::from_secs(5));
    }
}
