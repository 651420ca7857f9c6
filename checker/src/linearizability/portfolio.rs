//! The algorithms in growing slices of the budget, cheapest first, until one decides.
//!
//! ```text
//!   zones, queue or set
//!     └─▶ impossible results ────▶ ┌ depth-first, narrow and restless   (valid)   ┐
//!                                  │ frontier in windows, relaxed       (invalid) │ ×8 each round
//!                                  │ frontier, relaxed                  (invalid) │
//!                                  │ depth-first                        (valid)   │
//!                                  └ frontier, exact                    (both)    ┘
//! ```
//!
//! Each is sound for the verdicts beside it, and an order is replayed before it is believed, so
//! that nothing here has to be trusted to be clever.

use super::class::Classes;
use super::frontier::{Fate, Frontier, Scope};
use super::meter::Meter;
use super::problem::Problem;
use super::queue;
use super::search::{Cuts, Outcome, Search};
use super::set;
use super::zone::{self, Zones};
use crate::model::Model;

/// The answer for one key. Orders are places in the problem.
pub(crate) enum Answer {
    /// This order explains every known result.
    Order(Vec<u32>),
    /// There is none, as these operations alone show, if they are known.
    None {
        core: Option<Vec<u32>>,
        deepest: Vec<u32>,
    },
    /// The budget ran out.
    Spent { deepest: Vec<u32> },
}

/// Configurations in the first slice of each algorithm, and the factor from round to round.
const FIRST_SLICE: u64 = 4_000;
const GROWTH: u64 = 8;
/// How often the first restless search goes back at one place.
const FIRST_JUMPS: u32 = 24;
/// A model with more states than that is not searched from the middle.
const STATES_MAX: usize = 64;
/// Windows before the point where a search got stuck, in events.
const WINDOWS: [usize; 5] = [16, 64, 256, 1024, 4096];

pub(crate) fn decide<M: Model>(problem: &Problem<'_, M>, meter: Meter) -> (Answer, u64) {
    let told = match zone::decide(problem) {
        Zones::Undecided => match queue::decide(problem) {
            Zones::Undecided => set::decide(problem),
            told => told,
        },
        told => told,
    };
    match told {
        Zones::Order(order) => return (Answer::Order(order), 0),
        Zones::Contradiction(core) => {
            return (
                Answer::None {
                    core: Some(core),
                    deepest: Vec::new(),
                },
                0,
            );
        }
        Zones::Undecided => {}
    }
    let mut classes = Classes::new(problem);
    let states = reachable(problem, &mut classes);
    if let Some(place) = states
        .as_ref()
        .and_then(|states| impossible(&mut classes, states))
    {
        return (
            Answer::None {
                core: Some(vec![place]),
                deepest: Vec::new(),
            },
            0,
        );
    }
    let mut portfolio = Portfolio {
        problem,
        meter,
        slice: FIRST_SLICE,
        states,
        deepest: Vec::new(),
    };
    let answer = portfolio.run(classes);
    (answer, portfolio.meter.states())
}

struct Portfolio<'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    meter: Meter,
    slice: u64,
    states: Option<Vec<u32>>,
    deepest: Vec<u32>,
}

impl<'p, 'a, M: Model> Portfolio<'p, 'a, M> {
    fn run(&mut self, mut classes: Classes<'p, 'a, M>) -> Answer {
        let mut jumps_max = FIRST_JUMPS;
        loop {
            let decided = self
                .search(
                    &mut classes,
                    Cuts {
                        is_narrow: true,
                        jumps_max,
                    },
                )
                .or_else(|| self.windows(&mut classes))
                .or_else(|| self.frontier(&mut classes, true))
                .or_else(|| self.search(&mut classes, Cuts::default()))
                .or_else(|| self.frontier(&mut classes, false));
            if let Some(answer) = decided {
                return answer;
            }
            if self.meter.is_spent() {
                return Answer::Spent {
                    deepest: std::mem::take(&mut self.deepest),
                };
            }
            self.slice = self.slice.saturating_mul(GROWTH);
            jumps_max = jumps_max.saturating_mul(4);
        }
    }

    fn refuted(&mut self) -> Answer {
        Answer::None {
            core: None,
            deepest: std::mem::take(&mut self.deepest),
        }
    }

    fn search(&mut self, classes: &mut Classes<'p, 'a, M>, cuts: Cuts) -> Option<Answer> {
        if self.meter.is_spent() {
            return None;
        }
        // To get through at all it takes one configuration for each operation.
        let through = 2 * u64::from(self.problem.len()) * u64::from(1 + cuts.jumps_max);
        let mut attempt = self.meter.slice(self.slice.saturating_add(through));
        let outcome = Search::new(self.problem, classes, cuts).run(&mut attempt);
        self.meter.add(&attempt);
        match outcome {
            Outcome::Order(order) => {
                assert!(
                    self.problem.replays(&order),
                    "the search only takes possible steps"
                );
                Some(Answer::Order(order))
            }
            Outcome::Exhausted { deepest } | Outcome::Spent { deepest } => {
                if deepest.len() > self.deepest.len() {
                    self.deepest = deepest;
                }
                None
            }
        }
    }

    /// The whole history.
    fn frontier(&mut self, classes: &mut Classes<'p, 'a, M>, is_relaxed: bool) -> Option<Answer> {
        let has_open = (0..self.problem.len()).any(|place| self.problem.is_open(place));
        // Where there is no end of states, there is none of using an open operation again.
        let is_worth_it = !is_relaxed || has_open && self.states.is_some();
        if self.meter.is_spent() || !is_worth_it {
            return None;
        }
        let init = classes.intern(self.problem.model.init());
        let events = 0..self.problem.events.len();
        let fate = self.scope(
            classes,
            Scope {
                events,
                states: vec![init],
                is_relaxed,
            },
        );
        match fate {
            Fate::Survived(order, _) if self.problem.replays(&order) => Some(Answer::Order(order)),
            Fate::Refuted(deepest) => {
                if !is_relaxed && deepest.len() > self.deepest.len() {
                    self.deepest = deepest;
                }
                Some(self.refuted())
            }
            Fate::Survived(..) | Fate::Spent => None,
        }
    }

    fn scope(&mut self, classes: &mut Classes<'p, 'a, M>, scope: Scope) -> Fate {
        let mut attempt = self.meter.slice(self.slice);
        let fate = Frontier::new(self.problem, classes, scope).run(&mut attempt);
        self.meter.add(&attempt);
        fate
    }

    /// Around the point where the search got stuck, from where little was going on.
    fn windows(&mut self, classes: &mut Classes<'p, 'a, M>) -> Option<Answer> {
        let states = self.states.clone()?;
        let stuck = self.stuck_at();
        let live = live_counts(self.problem);
        let mut last_start = usize::MAX;
        for window in WINDOWS {
            let calmest = (stuck.saturating_sub(window)..=stuck).min_by_key(|at| live[*at]);
            let start = calmest.unwrap_or(stuck);
            if self.meter.is_spent() || start == last_start {
                continue;
            }
            last_start = start;
            let end = (stuck + 2 * WINDOWS[0]).min(self.problem.events.len());
            let scope = Scope {
                events: start..end,
                states: states.clone(),
                is_relaxed: true,
            };
            if matches!(self.scope(classes, scope), Fate::Refuted(_)) {
                return Some(self.refuted());
            }
        }
        None
    }

    /// The first return that the deepest order does not explain.
    fn stuck_at(&self) -> usize {
        let mut is_done = vec![false; self.problem.operations.len()];
        for place in &self.deepest {
            is_done[*place as usize] = true;
        }
        let unexplained = self
            .problem
            .events
            .iter()
            .position(|event| event.is_return() && !is_done[event.place() as usize]);
        unexplained.unwrap_or(0)
    }
}

/// Before each event: how many operations of known result are live.
fn live_counts<M: Model>(problem: &Problem<'_, M>) -> Vec<u32> {
    let mut live = 0;
    let mut counts = Vec::with_capacity(problem.events.len() + 1);
    for event in &problem.events {
        counts.push(live);
        if event.is_return() {
            live -= 1;
        } else {
            live += u32::from(!problem.is_open(event.place()));
        }
    }
    counts.push(live);
    counts
}

/// Every state that the operations could lead to in any order and number, if there are few.
pub(super) fn reachable<'p, M: Model>(
    problem: &'p Problem<'_, M>,
    classes: &mut Classes<'p, '_, M>,
) -> Option<Vec<u32>> {
    let examples = classes.examples();
    if examples.len() > STATES_MAX * STATES_MAX {
        return None;
    }
    let mut states = vec![classes.intern(problem.model.init())];
    let mut at = 0;
    while at < states.len() {
        for place in &examples {
            if let Some(next) = classes.step(states[at], *place)
                && !states.contains(&next)
            {
                states.push(next);
            }
            if states.len() > STATES_MAX {
                return None;
            }
        }
        at += 1;
    }
    Some(states)
}

/// An operation of known result that is possible in no state.
pub(super) fn impossible<M: Model>(
    classes: &mut Classes<'_, '_, M>,
    states: &[u32],
) -> Option<u32> {
    let examples = classes.examples();
    examples.into_iter().find(|place| {
        states
            .iter()
            .all(|state| classes.step(*state, *place).is_none())
    })
}
