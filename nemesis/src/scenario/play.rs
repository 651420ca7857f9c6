//! A script being played: what to do next, given what is seen.

mod progress;

use std::{collections::BTreeMap, time::Duration};

use rand::{SeedableRng, rngs::ChaCha8Rng};
use serde::{Deserialize, Serialize};

use self::progress::{Current, Progress, done, healed, in_force, unknown};
use super::{
    condition::Condition,
    duration::millis,
    script::Script,
    sight::{FaultState, Sight},
    step::{Heal, Step, Workload},
    template::{Cast, Template, Unfilled, spaced},
};
use crate::{fault::Fault, node::Node};

/// How long an operation that is under way may take, with the harness's own deadline far below.
const HOLD_WITHIN_MS: u64 = 70_000;

/// How long an order may take to show, unless the step says otherwise.
const ORDER_LASTS: Duration = Duration::from_secs(5);

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
            let tell = |turn: &mut Turn, what, message: String| {
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
            let has_acted = current.acted || !turn.acts.is_empty();
            if has_acted && self.place < script.steps.len() {
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
            Step::Workload(Workload::Hold) => hold(current, sight, acts),
            Step::Wait { until, within } => match self.find_nodes(until, current, sight) {
                Err(progress) => progress,
                Ok(()) => current.wait(until, millis(*within), sight),
            },
            Step::Expect {
                that,
                within,
                lasts,
            } => {
                let (within, lasts) = (within.map(millis), lasts.map(millis));
                match self.find_nodes(that, current, sight) {
                    Err(progress) => progress,
                    Ok(()) => {
                        let (within, lasts) = (within.unwrap_or(0), lasts.unwrap_or(0));
                        current.expect(that, within, lasts, sight).blaming(sight)
                    }
                }
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
        // There is nothing of an order to keep in force until the end.
        let lasts = lasts.or(matches!(fault, Fault::Admin(_)).then_some(ORDER_LASTS));
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
}

/// Holds the workload, and waits until no operation is under way.
fn hold(current: &mut Current, sight: &Sight, acts: &mut Vec<Act>) -> Progress {
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

#[cfg(test)]
mod tests {
    use super::super::sight::Seen;
    use super::progress::LEADER_WITHIN_MS;
    use super::*;

    /// A cluster of three that n1 leads, at that time.
    fn sight(now_ms: u64) -> Sight {
        let node = |_| Seen {
            runs: true,
            answers: true,
            term: 1,
            applied: Some(now_ms),
            installed: Some(0),
            ok: now_ms,
        };
        Sight {
            now_ms,
            leaders: vec![Node(1)],
            nodes: (0..3).map(node).collect(),
            ..Sight::default()
        }
    }

    fn script(steps: &[&str]) -> Script {
        let steps = steps.iter().map(|step| toml::from_str(step).unwrap());
        Script {
            steps: steps.collect(),
        }
    }

    /// Plays against these sights; what was told and done, one line each.
    fn conversation(script: &Script, sights: Vec<Sight>) -> Vec<String> {
        let mut play = Play::new(script, 3, 1);
        let mut lines = Vec::new();
        for sight in sights {
            let turn = play.look(&sight, 0);
            for event in turn
                .told
                .iter()
                .filter(|event| event.what != StepWhat::Begun)
            {
                let StepEvent {
                    step,
                    what,
                    text,
                    message,
                    ..
                } = event;
                lines.push(format!(
                    "{} {step} {what:?} {text}: {message}",
                    sight.now_ms
                ));
            }
            lines.extend(
                turn.acts
                    .iter()
                    .map(|act| format!("{} {act:?}", sight.now_ms)),
            );
            if let Some(end) = turn.end {
                lines.push(format!("{} {end:?}", sight.now_ms));
                break;
            }
        }
        lines
    }

    fn with(mut sight: Sight, id: u32, state: FaultState) -> Sight {
        sight.faults.insert(id, state);
        sight
    }

    fn over(proven: bool, healed: bool) -> FaultState {
        FaultState::Over {
            proven,
            healed,
            words: "it is over".to_owned(),
        }
    }

    #[test]
    fn a_fault_is_injected_where_the_leader_is_at_that_moment_and_healed_by_name() {
        let script = script(&[
            "let = 'old'\nis = '$leader'",
            "inject = 'kill $old'\nas = 'crash'",
            "wait = 'leader is not $old'\nwithin = '2s'",
            "heal = 'crash'",
        ]);
        let moved = |now_ms| Sight {
            leaders: vec![Node(2)],
            ..sight(now_ms)
        };
        let lines = conversation(
            &script,
            vec![
                sight(0),
                with(sight(10), 1, FaultState::Begun),
                with(sight(20), 1, FaultState::Installed),
                with(moved(30), 1, FaultState::Installed),
                with(moved(40), 1, FaultState::Installed),
                with(moved(50), 1, over(true, true)),
            ],
        );
        assert_eq!(
            lines,
            [
                "0 1 Met let $old be $leader: $old is n1",
                "0 Inject { id: 1, fault: Kill(Nodes({Node(1)})), lasts: None }",
                "20 2 Met inject kill $old as crash: fault 1 is in force",
                "30 3 Met wait until leader is not $old within 2s: after 0 ms: n2 leads",
                "30 Heal([1])",
                "50 4 Met heal crash: fault 1",
                "50 Done",
            ]
        );
    }

    #[test]
    fn a_deadline_that_passes_ends_the_scenario_and_a_failed_expectation_does_not() {
        let steps = script(&[
            "expect = 'no leader'",
            "wait = 'no leader'\nwithin = '1s'",
            "wait = '1s'",
        ]);
        let lines = conversation(&steps, vec![sight(0), sight(500), sight(1000)]);
        assert_eq!(
            lines,
            [
                "0 1 Failed expect no leader: n1 leads",
                "1000 2 Missed wait until no leader within 1s: not within 1000 ms: n1 leads",
                "1000 Missed(2)",
            ]
        );
        let held = script(&["expect = 'leader is n1'\nfor = '1s'"]);
        let moved = Sight {
            leaders: vec![Node(2)],
            ..sight(700)
        };
        let lines = conversation(&held, vec![sight(0), moved]);
        assert_eq!(
            lines[0],
            "700 1 Failed expect leader is n1 for 1s: held for 700 ms only: n2 leads"
        );
    }

    #[test]
    fn a_fault_that_could_not_be_done_or_undone_ends_the_scenario() {
        let script = script(&["inject = 'kill n1'", "heal = 'all'"]);
        for (states, end) in [
            ([over(false, true), over(false, true)], "10 Missed(1)"),
            ([FaultState::Installed, over(true, false)], "30 Missed(2)"),
            ([FaultState::Installed, over(true, true)], "30 Done"),
        ] {
            let [first, second] = states;
            let sights = vec![
                sight(0),
                with(sight(10), 1, first.clone()),
                with(sight(20), 1, first),
                with(sight(30), 1, second),
            ];
            assert_eq!(conversation(&script, sights).last().unwrap(), end);
        }
    }

    #[test]
    fn what_fails_while_a_fault_is_left_that_could_not_be_healed_is_not_the_targets_fault() {
        let steps = script(&["expect = 'no leader'", "wait = '1s'"]);
        let healed = with(sight(0), 1, over(true, true));
        let left = with(sight(0), 1, over(false, false));
        assert_eq!(
            conversation(&steps, vec![healed]),
            ["0 1 Failed expect no leader: n1 leads"]
        );
        assert_eq!(
            conversation(&steps, vec![left]),
            [
                "0 1 Missed expect no leader: n1 leads; but fault 1 could not be healed",
                "0 Missed(1)",
            ]
        );
    }

    #[test]
    fn nobody_to_do_it_to_is_missed_and_never_done() {
        let leaderless = |now_ms| Sight {
            leaders: Vec::new(),
            ..sight(now_ms)
        };
        let steps = script(&["inject = 'kill $leader'"]);
        let sights = vec![leaderless(0), leaderless(LEADER_WITHIN_MS)];
        let lines = conversation(&steps, sights);
        assert_eq!(
            lines,
            [
                "5000 1 Missed inject kill $leader: nobody led for 5000 ms",
                "5000 Missed(1)",
            ]
        );
    }

    #[test]
    fn the_same_seed_draws_the_same_nodes() {
        let steps = script(&["inject = 'kill $follower'", "inject = 'pause $minority'"]);
        let sights = || vec![sight(0), with(sight(9), 1, FaultState::Installed)];
        assert_eq!(
            conversation(&steps, sights()),
            conversation(&steps, sights())
        );
    }

    #[test]
    fn an_order_is_done_when_it_is_proven_and_missed_when_it_was_for_nothing() {
        let script = script(&["admin = 'transfer $follower'"]);
        for (state, end) in [
            (FaultState::Installed, "20 Done"),
            (over(true, true), "20 Done"),
            (over(false, true), "20 Missed(1)"),
        ] {
            let begun = with(sight(10), 1, FaultState::Begun);
            let lines = conversation(&script, vec![sight(0), begun, with(sight(20), 1, state)]);
            assert!(lines[0].starts_with("0 Inject { id: 1, fault: Admin(Transfer"));
            assert!(lines[0].ends_with("lasts: Some(5s) }"), "{lines:?}");
            assert_eq!(lines.last().unwrap(), end);
        }
    }

    #[test]
    fn a_held_workload_is_waited_for() {
        let steps = script(&["workload = 'hold'", "workload = 'resume'"]);
        let busy = |now_ms| Sight {
            under_way: 3,
            ..sight(now_ms)
        };
        let lines = conversation(&steps, vec![busy(0), busy(10), sight(20), sight(30)]);
        assert_eq!(
            lines,
            [
                "0 Hold",
                "20 1 Met hold the workload: no operation is under way",
                "30 2 Met resume the workload: ",
                "30 Resume",
                "30 Done",
            ]
        );
    }
}
