//! The scenario of a plan: what it shows, how it is to end, and its steps.

use super::{Plan, PlanError};
use crate::verdict::Exit;
use ordeal_nemesis::planner::Nemesis;
use ordeal_nemesis::planner::atlas::{self, CATCH_UP_MS};
use ordeal_nemesis::scenario::{Script, StepDraft};
use ordeal_nemesis::{PlannedFault, Schedule};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use toml::Spanned;

/// A scenario, checked against the plan that it stands in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Scenario {
    /// Its name.
    pub(crate) name: String,
    /// What it shows, in one line.
    pub(crate) summary: String,
    /// The exit code that it announces.
    pub(crate) exit: u8,
    /// What is done, in order.
    #[serde(rename = "step")]
    pub(crate) script: Script,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, summary, steps) = (&self.name, &self.summary, self.script.steps.len());
        write!(
            f,
            "{name}: {summary}; {steps} steps, ends with {}",
            self.exit
        )
    }
}

/// A scenario as it was read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScenarioDraft {
    name: String,
    summary: String,
    #[serde(default)]
    exit: u8,
    #[serde(default)]
    step: Vec<Spanned<StepDraft>>,
    /// Which file it stands in, and in which of its lines each step does.
    #[serde(skip)]
    origin: (String, Vec<usize>),
}

/// Something wrong with a scenario, and where.
#[derive(Debug, thiserror::Error)]
#[error("{file}, line {line}: {why}")]
pub(crate) struct ScenarioError {
    file: String,
    line: usize,
    why: String,
}

/// How many steps are enough for anything that is looked at from beginning to end.
const STEPS_MAX: usize = 1000;

impl ScenarioDraft {
    /// Remembers where each step stands.
    pub(super) fn locate(&mut self, file: &str, text: &str) {
        let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let lines = self.step.iter().map(|step| line(step.span().start));
        self.origin = (file.to_owned(), lines.collect());
    }

    /// The scenario, in the place of every other way to plan faults.
    ///
    /// # Errors
    /// The first thing that cannot be, with its line.
    pub(super) fn check(
        self,
        plan: &Plan,
        faults: Option<&[PlannedFault]>,
    ) -> Result<Scenario, PlanError> {
        if plan.nemesis != Nemesis::None {
            return Err(PlanError::TwoNemeses("nemesis"));
        }
        if faults.is_some_and(|faults| !faults.is_empty()) {
            return Err(PlanError::TwoNemeses("[[fault]]"));
        }
        let (nodes, unsurvivable) = (plan.nodes, plan.unsurvivable);
        let (file, lines) = self.origin;
        let error = |step: usize, why: String| {
            let line = lines.get(step.saturating_sub(1)).copied().unwrap_or(1);
            PlanError::Scenario(ScenarioError {
                file: file.clone(),
                line,
                why,
            })
        };
        if self.exit > Exit::NoProgress.code() {
            let why = format!("exit = {}: a run ends with 0, 1, 2 or 3", self.exit);
            return Err(error(0, why));
        }
        if self.step.len() > STEPS_MAX {
            let why = format!("it has {} steps, more than {STEPS_MAX}", self.step.len());
            return Err(error(STEPS_MAX, why));
        }
        let steps = (1..).zip(self.step).map(|(number, step)| {
            let wrong = |why| error(number, format!("step {number}: {why}"));
            step.into_inner().step().map_err(wrong)
        });
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        let script = Script { steps };
        if let Err(wrong) = script.check(nodes) {
            return Err(error(wrong.step, wrong.to_string()));
        }
        if let Some((step, wrong)) = too_many(&script, nodes).filter(|_| !unsurvivable) {
            return Err(error(step, format!("step {step}: {wrong}")));
        }
        if let Some(close) = script.too_close(nodes).filter(|_| !unsurvivable) {
            let [(step, forgets), (other_step, other)] = close;
            return Err(error(
                step,
                too_close((step, &forgets), (other_step, &other)),
            ));
        }
        Ok(Scenario {
            name: self.name,
            summary: self.summary,
            exit: self.exit,
            script,
        })
    }
}

/// The step with which more disks are destroyed than a cluster of this size can be expected to
/// survive, and how many those are all together.
fn too_many(script: &Script, nodes: u16) -> Option<(usize, PlanError)> {
    let most = atlas::expendable_most(nodes);
    let destroys = script.destroys(nodes);
    let all: usize = destroys.iter().map(|(_, disks)| disks).sum();
    let mut so_far = 0;
    let (step, _) = destroys.into_iter().find(|(_, disks)| {
        so_far += disks;
        so_far > most
    })?;
    let wrong = PlanError::Unsurvivable {
        destroyed: all.min(usize::from(nodes)),
        nodes,
        most,
    };
    Some((step, wrong))
}

fn too_close((step, forgets): (usize, &str), (other_step, other): (usize, &str)) -> String {
    let seconds = CATCH_UP_MS / 1000;
    format!(
        "step {step}, `{forgets}`, makes a node forget what it acknowledged, and step \
         {other_step}, `{other}`, may keep others from having it: nothing that stops, slows or \
         separates nodes may be in force from {seconds} s before until {seconds} s after; heal \
         the one and let {seconds} s pass (`wait = \"{seconds}s\"`: a condition may hold at \
         once), or add `unsurvivable = true`"
    )
}

/// Beyond the waits of a scenario: what its injections and heals may take.
const SLACK: Duration = Duration::from_secs(60);

impl Scenario {
    /// The faults that it may inject, with nodes in the places of those that are not known yet.
    pub(super) fn possible(&self, nodes: u16) -> Schedule {
        self.script
            .check(nodes)
            .expect("it was checked when the plan was made")
    }

    /// How long it is given, unless the plan says otherwise.
    pub(super) fn longest(script: &Script) -> Duration {
        script.longest() + SLACK
    }
}

impl ScenarioDraft {
    /// How long it is given, unless the plan says otherwise.
    pub(super) fn longest(&self) -> Duration {
        // What is no step is refused by the check.
        let steps = self
            .step
            .iter()
            .filter_map(|step| step.get_ref().clone().step().ok());
        let steps = steps.collect();
        Scenario::longest(&Script { steps })
    }
}
