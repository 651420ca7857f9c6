//! What a search has spent of its budget.

use std::time::Instant;

use crate::budget::Budget;

/// Counts configurations and bytes against a [`Budget`].
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    budget: Budget,
    started: Instant,
    states: u64,
    is_spent: bool,
}

impl Meter {
    /// The wall clock runs from `started` on, which several meters can share.
    pub(crate) fn new(budget: Budget, started: Instant) -> Self {
        Meter {
            budget,
            started,
            states: 0,
            is_spent: false,
        }
    }

    /// A meter for one attempt among several: that many configurations at most, and no more than
    /// what is left.
    pub(crate) fn slice(&self, states_max: u64) -> Meter {
        let mut budget = self.budget;
        budget.states_max = states_max.min(budget.states_max.saturating_sub(self.states));
        Meter {
            budget,
            started: self.started,
            states: 0,
            is_spent: false,
        }
    }

    /// Adds what an attempt spent.
    pub(crate) fn add(&mut self, attempt: &Meter) {
        self.states += attempt.states;
        self.is_spent = self.is_over(0);
    }

    pub(crate) fn states(&self) -> u64 {
        self.states
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Counts one configuration, with so many bytes in use; false when the budget is spent.
    pub(crate) fn visit(&mut self, bytes: usize) -> bool {
        self.states += 1;
        if self.states.is_multiple_of(256) || self.states >= self.budget.states_max {
            self.is_spent = self.is_over(bytes);
        }
        !self.is_spent
    }

    fn is_over(&self, bytes: usize) -> bool {
        self.states >= self.budget.states_max
            || bytes as u64 >= self.budget.bytes_max
            || self
                .budget
                .wall_max
                .is_some_and(|wall| self.started.elapsed() >= wall)
    }
}
