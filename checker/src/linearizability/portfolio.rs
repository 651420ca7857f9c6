//! The algorithms in growing slices of the budget, cheapest first, until one decides.
//!
//! ```text
//!   zones, queue, set, or bounds of a counter
//!     └─▶ what was seen is known
//!           └─▶ impossible results
//!                 └─▶ at a glance ─▶  ┌ sums, of a counter                 (both)    ┐
//!                                     │ piece by piece, if it is long      (both)    │
//!                                     │ depth-first, narrow and restless   (valid)   │
//!                                     │ frontier in windows, relaxed       (invalid) │ ×8 each
//!                                     │ frontier, relaxed                  (invalid) │  round
//!                                     │ piece by piece, if it is not       (both)    │
//!                                     │ depth-first                        (valid)   │
//!                                     └ frontier, exact                    (both)    ┘
//! ```
//!
//! Every one of them counts against the budget inside its loops: configurations, bytes, time. What
//! a slice is too small for gets a larger one in the next round; when no attempt of a round ended
//! for want of configurations, a further round would end the same way, and there is none.
//!
//! Each is sound for the verdicts beside it, and an order is replayed before it is believed, so
//! that nothing here has to be trusted to be clever.

use super::class::Classes;
use super::counter;
use super::cut::{self, Pieces};
use super::frontier::{Fate, Frontier, Scope};
use super::glance::{Glance, Sight};
use super::meter::{Limit, Meter};
use super::problem::Problem;
use super::queue;
use super::reachable::{impossible, reachable};
use super::search::{Cuts, Outcome, Search};
use super::set;
use super::sum::{self, Sums};
use super::tighten::tightened;
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
/// A history of more operations than that is long.
const LONG: u32 = 5_000;
/// How often the first restless search goes back at one place.
const FIRST_JUMPS: u32 = 24;
/// Windows before the point where a search got stuck, in events.
const WINDOWS: [usize; 5] = [16, 64, 256, 1024, 4096];

/// The answer, and what it took.
pub(crate) fn decide<M: Model>(problem: &Problem<'_, M>, mut meter: Meter) -> (Answer, Meter) {
    let answer = monitored(problem, &mut meter).unwrap_or_else(|| match tightened(problem) {
        Err(core) => Answer::refuted_by(core),
        Ok(None) => searched(problem, &mut meter),
        Ok(Some(tight)) => searched(&tight, &mut meter),
    });
    (answer, meter)
}

/// [`decide`] without any search.
pub(super) fn decide_unsearched<M: Model>(
    problem: &Problem<'_, M>,
    mut meter: Meter,
) -> (Answer, Meter) {
    let answer = monitored(problem, &mut meter).unwrap_or_else(|| match tightened(problem) {
        Err(core) => Answer::refuted_by(core),
        Ok(_) => Answer::spent(),
    });
    (answer, meter)
}

/// By the order of values in time, where the object has such a monitor.
fn monitored<M: Model>(problem: &Problem<'_, M>, meter: &mut Meter) -> Option<Answer> {
    for monitor in [zone::decide, queue::decide, set::decide, counter::decide] {
        match monitor(problem, meter) {
            Zones::Order(order) => return Some(Answer::Order(order)),
            Zones::Contradiction(core) => return Some(Answer::refuted_by(core)),
            Zones::Undecided if meter.is_spent() => return Some(Answer::spent()),
            Zones::Undecided => {}
        }
    }
    None
}

fn searched<M: Model>(problem: &Problem<'_, M>, meter: &mut Meter) -> Answer {
    let mut classes = Classes::new(problem);
    let states = reachable(problem, &mut classes);
    if let Some(place) = states
        .as_ref()
        .and_then(|states| impossible(&mut classes, states))
    {
        return Answer::refuted_by(vec![place]);
    }
    let mut portfolio = Portfolio {
        problem,
        meter,
        slice: FIRST_SLICE,
        states,
        deepest: Vec::new(),
        is_short: false,
    };
    match portfolio.glance(&mut classes) {
        Some(answer) => answer,
        None => portfolio.run(classes),
    }
}

impl Answer {
    fn refuted_by(core: Vec<u32>) -> Self {
        Answer::None {
            core: Some(core),
            deepest: Vec::new(),
        }
    }

    fn spent() -> Self {
        Answer::Spent {
            deepest: Vec::new(),
        }
    }
}

struct Portfolio<'s, 'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    meter: &'s mut Meter,
    slice: u64,
    states: Option<Vec<u32>>,
    deepest: Vec<u32>,
    /// An attempt of this round would have got further with more configurations.
    is_short: bool,
}

impl<'p, 'a, M: Model> Portfolio<'_, 'p, 'a, M> {
    fn run(mut self, mut classes: Classes<'p, 'a, M>) -> Answer {
        let mut jumps_max = FIRST_JUMPS;
        loop {
            self.is_short = false;
            let narrow = Cuts {
                is_narrow: true,
                jumps_max,
            };
            let decided = self
                .sums()
                .or_else(|| self.pieces(true))
                .or_else(|| self.search(&mut classes, narrow))
                .or_else(|| self.windows(&mut classes))
                .or_else(|| self.frontier(&mut classes, true))
                .or_else(|| self.pieces(false))
                .or_else(|| self.search(&mut classes, Cuts::default()))
                .or_else(|| self.frontier(&mut classes, false));
            if let Some(answer) = decided {
                return answer;
            }
            if self.meter.is_spent() || !self.is_short {
                return Answer::Spent {
                    deepest: self.deepest,
                };
            }
            self.slice = self.slice.saturating_mul(GROWTH);
            jumps_max = jumps_max.saturating_mul(4);
        }
    }

    /// A meter for an attempt with so many configurations more than the slice.
    fn attempt(&self, more: u64) -> Meter {
        self.meter.slice(self.slice.saturating_add(more))
    }

    fn spend(&mut self, attempt: &Meter) {
        self.meter.add(attempt);
        self.is_short |= attempt.spent() == Some(Limit::States);
    }

    /// Short histories of few states.
    fn glance(&mut self, classes: &mut Classes<'p, 'a, M>) -> Option<Answer> {
        if self.states.is_none() || self.problem.len() > LONG {
            return None;
        }
        let events = self.problem.events.iter().copied();
        let mut attempt = self.attempt(0);
        let sight = Glance::default().look(self.problem, classes, &events, &mut attempt);
        self.spend(&attempt);
        match sight {
            Sight::Order(order) => {
                assert!(
                    self.problem.replays(&order),
                    "a glance only takes possible steps, and open operations that there are"
                );
                Some(Answer::Order(order))
            }
            Sight::Refuted(_) => Some(self.refuted()),
            Sight::Unclear => None,
        }
    }

    /// Counters.
    fn sums(&mut self) -> Option<Answer> {
        let mut attempt = self.attempt(2 * u64::from(self.problem.len()));
        let told = sum::decide(self.problem, &mut attempt);
        self.spend(&attempt);
        match told {
            Sums::Order(order) => {
                assert!(
                    self.problem.replays(&order),
                    "sums are made up of adds that were called, and before each read"
                );
                Some(Answer::Order(order))
            }
            Sums::Refuted(deepest) => {
                self.deepest = deepest;
                Some(self.refuted())
            }
            Sums::Undecided => None,
        }
    }

    /// At first or later: a search through a long history meets many hard places, and most short
    /// histories have none.
    fn pieces(&mut self, is_first: bool) -> Option<Answer> {
        if self.meter.is_spent() || is_first != (self.problem.len() > LONG) {
            return None;
        }
        let through = 4 * u64::from(self.problem.len());
        let mut attempt = self.attempt(through);
        let told = cut::decide(self.problem, cut::PIECE_MIN, &mut attempt, self.slice);
        self.spend(&attempt);
        match told {
            Pieces::Order(order) => {
                assert!(
                    self.problem.replays(&order),
                    "the frontier only takes possible steps, and a piece begins where one ended"
                );
                Some(Answer::Order(order))
            }
            Pieces::Refuted(deepest) => {
                self.deepest = deepest;
                Some(self.refuted())
            }
            Pieces::Undecided => None,
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
        let mut attempt = self.attempt(through);
        let outcome = Search::new(self.problem, classes, cuts).run(&mut attempt);
        self.spend(&attempt);
        // It went back as often as it may, which is more often in the next round.
        let is_tired = matches!(outcome, Outcome::Spent { .. }) && !attempt.is_spent();
        self.is_short |= is_tired;
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
            Fate::Survived(survivors) => {
                let order = survivors.order(0);
                let fits = self.problem.replays(&order);
                assert!(
                    fits || is_relaxed,
                    "the exact frontier only takes possible steps"
                );
                fits.then_some(Answer::Order(order))
            }
            Fate::Refuted(deepest) => {
                if !is_relaxed && deepest.len() > self.deepest.len() {
                    self.deepest = deepest;
                }
                Some(self.refuted())
            }
            Fate::Spent => None,
        }
    }

    fn scope(&mut self, classes: &mut Classes<'p, 'a, M>, scope: Scope) -> Fate {
        let mut attempt = self.attempt(0);
        let fate = Frontier::new(self.problem, classes, scope).run(&mut attempt);
        self.spend(&attempt);
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
