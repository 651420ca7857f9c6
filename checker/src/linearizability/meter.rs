//! What a search has spent of its budget.

use std::time::Instant;

use crate::budget::Budget;

/// So many configurations are visited between two looks at the clock.
const VISITS: u64 = 256;
/// So many cheap steps likewise.
const TICKS: u64 = 4096;

/// Counts configurations and bytes against a [`Budget`].
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    budget: Budget,
    started: Instant,
    states: u64,
    ticks: u64,
    spent: Option<Limit>,
    /// Some attempt would have got further with more bytes.
    is_short_of_bytes: bool,
}

/// What ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    States,
    Bytes,
    Wall,
}

/// What a hash table takes: its buckets, and a byte each to find them by. Where it will have to
/// grow before anybody looks again, the table of twice the size counts too, which is filled beside
/// it.
pub(crate) fn table_bytes(len: usize, capacity: usize, entry: usize) -> usize {
    let buckets = (capacity + capacity / 7).next_power_of_two();
    let will_grow = capacity.saturating_sub(len) as u64 <= VISITS;
    let tables = if will_grow { 3 } else { 1 };
    tables * buckets * (entry + 1)
}

/// What the allocator adds to each piece.
pub(crate) const PIECE: usize = 16;

impl Meter {
    /// The wall clock runs from `started` on, which several meters can share.
    pub(crate) fn new(budget: Budget, started: Instant) -> Self {
        Meter {
            budget,
            started,
            states: 0,
            ticks: 0,
            spent: None,
            is_short_of_bytes: false,
        }
    }

    /// A meter for one attempt among several: that many configurations at most, and no more than
    /// what is left.
    pub(crate) fn slice(&self, states_max: u64) -> Meter {
        let mut budget = self.budget;
        budget.states_max = states_max.min(budget.states_max.saturating_sub(self.states));
        Meter::new(budget, self.started)
    }

    /// Adds what an attempt spent.
    pub(crate) fn add(&mut self, attempt: &Meter) {
        self.states += attempt.states;
        self.is_short_of_bytes |= attempt.spent == Some(Limit::Bytes);
        self.spent = self.spent.or_else(|| self.limit(0));
    }

    /// The budget, and when its clock began.
    pub(crate) fn terms(&self) -> (Budget, Instant) {
        (self.budget, self.started)
    }

    pub(crate) fn states(&self) -> u64 {
        self.states
    }

    /// True where more bytes might have led to another answer.
    pub(crate) fn is_short_of_bytes(&self) -> bool {
        self.is_short_of_bytes || self.spent == Some(Limit::Bytes)
    }

    /// The same with one part in so many of the bytes.
    pub(crate) fn share(&self, parts: u64) -> Meter {
        let mut budget = self.budget;
        budget.bytes_max /= parts;
        Meter::new(budget, self.started)
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.spent.is_some()
    }

    /// What ran out, if anything did.
    pub(crate) fn spent(&self) -> Option<Limit> {
        self.spent
    }

    /// Counts one configuration, with so many bytes in use; false when the budget is spent.
    pub(crate) fn visit(&mut self, bytes: usize) -> bool {
        self.states += 1;
        let is_due = self.states.is_multiple_of(VISITS);
        let is_over = self.states >= self.budget.states_max || self.is_full(bytes);
        if is_due || is_over {
            self.spent = self.spent.or_else(|| self.limit(bytes));
        }
        !self.is_spent()
    }

    /// Counts a step that visits no configuration, and of which there are only so many as the
    /// history is long; false when the budget is spent.
    pub(crate) fn tick(&mut self, bytes: usize) -> bool {
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS) {
            self.spent = self.spent.or_else(|| self.limit(bytes));
        }
        !self.is_spent()
    }

    fn is_full(&self, bytes: usize) -> bool {
        bytes as u64 >= self.budget.bytes_max
    }

    fn limit(&self, bytes: usize) -> Option<Limit> {
        let wall = self.budget.wall_max;
        if self.states >= self.budget.states_max {
            Some(Limit::States)
        } else if self.is_full(bytes) {
            Some(Limit::Bytes)
        } else if wall.is_some_and(|wall| self.started.elapsed() >= wall) {
            Some(Limit::Wall)
        } else {
            None
        }
    }
}
