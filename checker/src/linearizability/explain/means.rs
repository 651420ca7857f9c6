//! What an explanation may spend: what judging left of its budget, and only a small share of it.
//!
//! Most of an explanation is the same question asked again and again of a little less. What one
//! such question costs is known before it is asked, from how many operations there are, how many of
//! them may come next, and how large a state gets; what is too large is not asked. All questions
//! draw on one account, in configurations and in steps, so that the same history with the same
//! budget is always explained in the same words. Only where a budget has a clock, that counts too.

use std::cell::Cell;
use std::time::Instant;

use rustc_hash::FxHashSet;

use crate::budget::Budget;
use crate::linearizability::meter::Meter;
use crate::linearizability::problem::Problem;
use crate::model::Model;

/// Work for all of one explanation: about as many nanoseconds.
const WORK_MAX: u64 = 1_500_000_000;
/// Bytes that a search of an explanation may take.
const BYTES_MAX: u64 = 48 << 20;
/// What is larger one step on from a configuration is not searched, in bytes.
const VISIT_BYTES_MAX: u64 = 4 << 20;
/// Work to take one operation into a problem, one mark of it, and one step.
const OPERATION_WORK: u64 = 300;
const MARK_WORK: u64 = 16;
const STEP_WORK: u64 = 64;

/// What is left to one explanation.
pub(in crate::linearizability) struct Means {
    budget: Budget,
    started: Instant,
    states: Cell<u64>,
    work: Cell<u64>,
}

impl Means {
    /// What judging left of its budget.
    pub(in crate::linearizability) fn after(spent: &Meter) -> Self {
        let (mut budget, started) = spent.terms();
        budget.bytes_max = budget.bytes_max.min(BYTES_MAX);
        Means {
            budget,
            started,
            states: Cell::new(budget.states_max.saturating_sub(spent.states())),
            work: Cell::new(WORK_MAX),
        }
    }

    /// A meter for one search.
    pub(super) fn meter(&self, states_max: u64) -> Meter {
        let mut budget = self.budget;
        budget.states_max = states_max.min(self.states.get());
        Meter::new(budget, self.started)
    }

    pub(super) fn spend(&self, states: u64, work: u64) {
        self.states.set(self.states.get().saturating_sub(states));
        self.work.set(self.work.get().saturating_sub(work));
    }

    pub(super) fn is_spent(&self) -> bool {
        let wall = self.budget.wall_max;
        self.states.get() == 0
            || self.work.get() == 0
            || wall.is_some_and(|wall| self.started.elapsed() >= wall)
    }

    /// Pays for going through the operations once, and says what each configuration of a search
    /// will cost; nothing where that is too much.
    pub(super) fn open<M: Model>(&self, problem: &Problem<'_, M>) -> Option<Search> {
        let count = u64::from(problem.len());
        let mut marks = 0;
        for op in problem.operations {
            let ret = op.outcome().ok();
            problem.model.marks(op.op(), ret, &mut |_| marks += 1);
        }
        self.spend(0, OPERATION_WORK * count + MARK_WORK * marks);
        let (breadth, width) = (breadth(problem), width(problem)?);
        // A model's fold goes through all operations.
        let visit = breadth * (STEP_WORK + width + count);
        (breadth * width <= VISIT_BYTES_MAX).then_some(Search { visit })
    }
}

/// A search that can be afforded.
#[derive(Clone, Copy)]
pub(super) struct Search {
    /// Work for one configuration.
    visit: u64,
}

impl Search {
    /// A meter for it: so many configurations at most.
    pub(super) fn meter(self, means: &Means, states_max: u64) -> Meter {
        means.meter(states_max.min(means.work.get() / self.visit))
    }

    /// Pays for so many configurations.
    pub(super) fn pay(self, means: &Means, states: u64) {
        means.spend(states, states.saturating_mul(self.visit));
    }
}

/// How many operations may come next at most: those in flight, and of each open question one.
fn breadth<M: Model>(problem: &Problem<'_, M>) -> u64 {
    let mut open = FxHashSet::default();
    let (mut live, mut most) = (0_u64, 0);
    for event in &problem.events {
        let place = event.place();
        if event.is_return() {
            live -= 1;
        } else if problem.is_open(place) {
            open.insert(problem.operations[place as usize].op());
        } else {
            live += 1;
            most = most.max(live);
        }
    }
    most + open.len() as u64
}

/// How large a state gets, in bytes, if all that can grow it does; nothing where that is too much
/// to find out.
fn width<M: Model>(problem: &Problem<'_, M>) -> Option<u64> {
    let bytes = |state: &M::State| problem.model.state_bytes(state) as u64;
    let mut state = problem.model.init();
    let (mut width, mut copied) = (bytes(&state), 0);
    for op in problem.operations {
        let next = problem.model.step(&state, op.op(), op.outcome().ok());
        let next = next.or_else(|| problem.model.step(&state, op.op(), None));
        copied += width;
        if copied > VISIT_BYTES_MAX {
            return None;
        }
        if let Some(next) = next.filter(|next| bytes(next) >= width) {
            (width, state) = (bytes(&next), next);
        }
    }
    Some(width)
}
