//! A script being played: what to do next, given what is seen.

use std::{collections::BTreeMap, time::Duration};

use rand::{SeedableRng, rngs::ChaCha8Rng};
use serde::{Deserialize, Serialize};

use super::{
    condition::Condition,
    duration::millis,
    script::Script,
    sight::{FaultState, Sight},
    step::{Heal, Step, Workload},
    template::{Cast, Template, Unfilled, spaced},
};
use crate::{fault::Fault, node::Node};

/// How long a step waits for somebody to lead, where it names the leader.
const LEADER_WITHIN_MS: u64 = 5_000;

/// How long a step waits for a fault to be proven; a cut is in force before a packet meets it.
const PROOF_WITHIN_MS: u64 = 1_000;

/// How long a heal may take, with all that the injector waits for.
const HEAL_WITHIN_MS: u64 = 30_000;

/// How long an operation that is under way may take, with the harness's own deadline far below.
const HOLD_WITHIN_MS: u64 = 70_000;

/// Something to be done with the levers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Inject this, and say under this id what becomes of it.
    Inject {
        /// Its id.
        id: u32,
        /// What.
        fault: Fault,
        /// When it heals by itself.
        lasts: Option<Duration>,
    },
    /// Heal these.
    Heal(Vec<u32>),
    /// Let clients begin no more operations.
    Hold,
    /// Let them go on.
    Resume,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Every step was done.
    Done,
    /// This step, counted from 1, was missed: the rest was not tried.
    Missed(usize),
}

/// A line about a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEvent {
    /// When, in nanoseconds on the harness's clock.
    pub time_ns: u64,
    /// Which, counted from 1.
    pub step: usize,
    /// What happened to it.
    pub what: StepWhat,
    /// The step in words.
    pub text: String,
    /// What was seen.
    pub message: String,
}

/// What happened to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepWhat {
    /// It is its turn.
    Begun,
    /// It is done, or came to hold.
    Met,
    /// It did not come about in time, or could not be done: the scenario ends.
    Missed,
    /// What was expected did not hold: the scenario goes on.
    Failed,
}

/// What comes of one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// What to do, in this order.
    pub acts: Vec<Act>,
    /// What to take down.
    pub told: Vec<StepEvent>,
    /// That it is over, and how.
    pub end: Option<End>,
}

/// A script, as far as it was played.
#[derive(Debug)]
pub struct Play<'a> {
    script: &'a Script,
    nodes: u16,
    rng: ChaCha8Rng,
    bound: BTreeMap<String, Vec<Node>>,
    /// The ids of the faults that have a name.
    faults: BTreeMap<String, u32>,
    injected: u32,
    /// The step whose turn it is, counted from 0.
    place: usize,
    /// What was seen when its turn came, and what it has got to.
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    then: Sight,
    /// Whom its condition is about.
    nodes: Vec<Node>,
    /// The faults it has injected or heals.
    faults: Vec<u32>,
    /// Whether its act is done.
    acted: bool,
    /// Since when its expectation has held.
    holds_since_ms: Option<u64>,
}

/// What a step has come to at one look.
enum Progress {
    Goes,
    Met(String),
    Missed(String),
    Failed(String),
}

impl<'a> Play<'a> {
    /// A script that was checked for a cluster of `nodes`; what it draws comes from `seed`.
    pub fn new(script: &'a Script, nodes: u16, seed: u64) -> Self {
        Self {
            script,
            nodes,
            rng: ChaCha8Rng::seed_from_u64(seed),
            bound: BTreeMap::new(),
            faults: BTreeMap::new(),
            injected: 0,
            place: 0,
            current: None,
        }
    }

    /// What to do, now that this is seen at `time_ns` on the harness's clock.
    pub fn look(&mut self, sight: &Sight, time_ns: u64) -> Turn {
        let mut turn = Turn::default();
        let script = self.script;
        while let Some(step) = script.steps.get(self.place) {
            let number = self.place + 1;
            let mut tell = |turn: &mut Turn, what, message: String| {
                turn.told.push(StepEvent {
                    time_ns,
                    step: number,
                    what,
                    text: step.to_string(),
                    message,
                });
            };
            if self.current.is_none() {
                tell(&mut turn, StepWhat::Begun, String::new());
            }
            let mut current = self.current.take().unwrap_or_else(|| Current {
                then: sight.clone(),
                nodes: Vec::new(),
                faults: Vec::new(),
                acted: false,
                holds_since_ms: None,
            });
            let progress = self.go_on(step, &mut current, sight, &mut turn.acts);
            match progress {
                Progress::Goes => {
                    self.current = Some(current);
                    return turn;
                }
                Progress::Met(message) => tell(&mut turn, StepWhat::Met, message),
                Progress::Failed(message) => tell(&mut turn, StepWhat::Failed, message),
                Progress::Missed(message) => {
                    tell(&mut turn, StepWhat::Missed, message);
                    turn.end = Some(End::Missed(number));
                    return turn;
                }
            }
            self.place += 1;
            // What an act has changed is seen at the next look only.
            if !turn.acts.is_empty() {
                return turn;
            }
        }
        turn.end = Some(End::Done);
        turn
    }

    /// Ends a script whose time is up.
    pub fn give_up(&self, time_ns: u64, why: &str) -> Turn {
        let (place, step) = match self.script.steps.get(self.place) {
            Some(step) => (self.place, step.to_string()),
            None => {
                return Turn {
                    end: Some(End::Done),
                    ..Turn::default()
                };
            }
        };
        let event = StepEvent {
            time_ns,
            step: place + 1,
            what: StepWhat::Missed,
            text: step,
            message: why.to_owned(),
        };
        Turn {
            acts: Vec::new(),
            told: vec![event],
            end: Some(End::Missed(place + 1)),
        }
    }

    fn go_on(
        &mut self,
        step: &Step,
        current: &mut Current,
        sight: &Sight,
        acts: &mut Vec<Act>,
    ) -> Progress {
        match step {
            Step::Let { name, nodes } => match self.nodes(nodes, sight) {
                Ok(nodes) => {
                    let words = format!("${name} is {}", spaced(&nodes));
                    self.bound.insert(name.clone(), nodes);
                    Progress::Met(words)
                }
                Err(unfilled) => unknown(unfilled, current, sight),
            },
            Step::Inject { fault, name, lasts } => {
                if current.acted {
                    return in_force(current, sight);
                }
                self.inject(fault, name.as_deref(), *lasts, current, sight, acts)
            }
            Step::Admin(order) => {
                if current.acted {
                    return done(current, sight);
                }
                self.inject(order, None, None, current, sight, acts)
            }
            Step::Heal(what) => {
                if !current.acted {
                    current.acted = true;
                    current.faults = self.meant(what, sight);
                    acts.push(Act::Heal(current.faults.clone()));
                    return Progress::Goes;
                }
                healed(current, sight)
            }
            Step::Workload(Workload::Resume) => {
                acts.push(Act::Resume);
                Progress::Met(String::new())
            }
            Step::Workload(Workload::Hold) => {
                if !current.acted {
                    current.acted = true;
                    acts.push(Act::Hold);
                    return Progress::Goes;
                }
                match sight.under_way {
                    0 => Progress::Met("no operation is under way".to_owned()),
                    open if current.waited(sight) > HOLD_WITHIN_MS => {
                        Progress::Missed(format!("{open} operations are still under way"))
                    }
                    _ => Progress::Goes,
                }
            }
            Step::Wait { until, within } => self.wait(until, millis(*within), current, sight),
            Step::Expect {
                that,
                within,
                lasts,
            } => {
                let (within, lasts) = (within.map(millis), lasts.map(millis));
                self.expect(
                    that,
                    within.unwrap_or(0),
                    lasts.unwrap_or(0),
                    current,
                    sight,
                )
            }
        }
    }

    fn inject(
        &mut self,
        template: &Template,
        name: Option<&str>,
        lasts: Option<Duration>,
        current: &mut Current,
        sight: &Sight,
        acts: &mut Vec<Act>,
    ) -> Progress {
        let mut cast = Cast {
            count: self.nodes,
            leader: sight.leader(),
            bound: &self.bound,
            rng: &mut self.rng,
        };
        let text = match template.fill(&mut cast) {
            Ok(text) => text,
            Err(unfilled) => return unknown(unfilled, current, sight),
        };
        let fault: Fault = match text.parse() {
            Ok(fault) => fault,
            Err(error) => return Progress::Missed(format!("{error}")),
        };
        self.injected += 1;
        let id = self.injected;
        if let Some(name) = name {
            self.faults.insert(name.to_owned(), id);
        }
        current.acted = true;
        current.faults = vec![id];
        acts.push(Act::Inject { id, fault, lasts });
        Progress::Goes
    }

    /// The faults that a heal is about: those that are over need none.
    fn meant(&self, what: &Heal, sight: &Sight) -> Vec<u32> {
        match what {
            Heal::Named(name) => self.faults.get(name).copied().into_iter().collect(),
            Heal::All => {
                let is_over =
                    |id: &u32| matches!(sight.faults.get(id), Some(FaultState::Over { .. }));
                (1..=self.injected).filter(|id| !is_over(id)).collect()
            }
        }
    }

    fn nodes(&mut self, template: &Template, sight: &Sight) -> Result<Vec<Node>, Unfilled> {
        template.nodes(&mut Cast {
            count: self.nodes,
            leader: sight.leader(),
            bound: &self.bound,
            rng: &mut self.rng,
        })
    }

    /// Finds out, once, whom the step's condition is about.
    fn find_nodes(
        &mut self,
        condition: &Condition,
        current: &mut Current,
        sight: &Sight,
    ) -> Result<(), Progress> {
        if let Some(template) = condition.nodes()
            && current.nodes.is_empty()
        {
            let found = self.nodes(template, sight);
            current.nodes = found.map_err(|unfilled| unknown(unfilled, current, sight))?;
        }
        Ok(())
    }

    fn wait(
        &mut self,
        until: &Condition,
        within_ms: u64,
        current: &mut Current,
        sight: &Sight,
    ) -> Progress {
        if let Err(progress) = self.find_nodes(until, current, sight) {
            return progress;
        }
        let (holds, seen) = until.holds(sight, &current.then, &current.nodes);
        let waited = current.waited(sight);
        if holds {
            return Progress::Met(format!("after {waited} ms: {seen}"));
        }
        if waited >= within_ms {
            return Progress::Missed(format!("not within {within_ms} ms: {seen}"));
        }
        Progress::Goes
    }

    fn expect(
        &mut self,
        that: &Condition,
        within_ms: u64,
        for_ms: u64,
        current: &mut Current,
        sight: &Sight,
    ) -> Progress {
        if let Err(progress) = self.find_nodes(that, current, sight) {
            return progress;
        }
        let (holds, seen) = that.holds(sight, &current.then, &current.nodes);
        let waited = current.waited(sight);
        if that.adds_up() {
            // What adds up over a time is looked at when the time is over.
            let limit = within_ms.max(for_ms);
            return match (holds, waited >= limit) {
                (true, _) if for_ms == 0 => Progress::Met(format!("after {waited} ms: {seen}")),
                (true, true) => Progress::Met(seen),
                (false, true) => Progress::Failed(format!("not within {limit} ms: {seen}")),
                (_, false) => Progress::Goes,
            };
        }
        match (holds, current.holds_since_ms) {
            (true, None) => current.holds_since_ms = Some(sight.now_ms),
            (false, Some(since)) => {
                let held = sight.now_ms.saturating_sub(since);
                return Progress::Failed(format!("held for {held} ms only: {seen}"));
            }
            (false, None) if waited >= within_ms => {
                let words = match within_ms {
                    0 => seen,
                    _ => format!("not within {within_ms} ms: {seen}"),
                };
                return Progress::Failed(words);
            }
            _ => {}
        }
        match current.holds_since_ms {
            Some(since) if sight.now_ms.saturating_sub(since) >= for_ms => Progress::Met(seen),
            _ => Progress::Goes,
        }
    }
}

impl Current {
    fn waited(&self, sight: &Sight) -> u64 {
        sight.now_ms.saturating_sub(self.then.now_ms)
    }
}

/// A name that means nobody now: a leader may yet be found, the rest may not.
fn unknown(unfilled: Unfilled, current: &Current, sight: &Sight) -> Progress {
    match unfilled {
        Unfilled::NoLeader if current.waited(sight) < LEADER_WITHIN_MS => Progress::Goes,
        Unfilled::NoLeader => Progress::Missed(format!("nobody led for {LEADER_WITHIN_MS} ms")),
        Unfilled::Nobody(why) => Progress::Missed(why),
    }
}

fn in_force(current: &Current, sight: &Sight) -> Progress {
    let id = current.faults[0];
    match sight.faults.get(&id) {
        Some(FaultState::Installed) => Progress::Met(format!("fault {id} is in force")),
        Some(FaultState::Over {
            proven: true,
            words,
            ..
        }) => Progress::Met(words.clone()),
        Some(FaultState::Over { words, .. }) => Progress::Missed(words.clone()),
        Some(FaultState::Begun) if current.waited(sight) >= PROOF_WITHIN_MS => {
            Progress::Met(format!("fault {id} is not proven yet"))
        }
        _ if current.waited(sight) >= HEAL_WITHIN_MS => {
            Progress::Missed(format!("fault {id} was not injected"))
        }
        _ => Progress::Goes,
    }
}

/// An order is done when it is over: there is nothing to heal.
fn done(current: &Current, sight: &Sight) -> Progress {
    let id = current.faults[0];
    match sight.faults.get(&id) {
        Some(FaultState::Installed) => Progress::Met(format!("order {id} is taken")),
        Some(FaultState::Over {
            proven: true,
            words,
            ..
        }) => Progress::Met(words.clone()),
        Some(FaultState::Over { words, .. }) => Progress::Missed(words.clone()),
        _ if current.waited(sight) >= HEAL_WITHIN_MS => {
            Progress::Missed(format!("order {id} was not taken"))
        }
        _ => Progress::Goes,
    }
}

fn healed(current: &Current, sight: &Sight) -> Progress {
    let mut words = Vec::new();
    for id in &current.faults {
        match sight.faults.get(id) {
            Some(FaultState::Over { healed: true, .. }) => words.push(format!("fault {id}")),
            Some(FaultState::Over { words, .. }) => return Progress::Missed(words.clone()),
            _ if current.waited(sight) >= HEAL_WITHIN_MS => {
                return Progress::Missed(format!("fault {id} is not healed"));
            }
            _ => return Progress::Goes,
        }
    }
    let words = if words.is_empty() {
        "there was nothing".to_owned()
    } else {
        words.join(", ")
    };
    Progress::Met(words)
}
