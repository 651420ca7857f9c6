//! What the analysis may spend, and what it has spent.
//!
//! Everything but the search for *short* cycles is linear, and costs bytes and time. States are the
//! transactions that this search comes across: without any left, the cycles told are not the
//! shortest, and the verdict is the same.

use std::cell::Cell;
use std::time::Instant;

use crate::budget::Budget;

/// So many cheap steps are taken between two looks at the clock.
const TICKS: u64 = 4096;

/// Counts against a [`Budget`]. What looks on while petgraph walks has it shared, hence the cells.
pub(super) struct Effort {
    budget: Budget,
    started: Instant,
    ticks: Cell<u64>,
    states: Cell<u64>,
    bytes: Cell<u64>,
    spent: Cell<Option<&'static str>>,
}

impl Effort {
    pub(super) fn new(budget: Budget) -> Self {
        Effort {
            budget,
            started: Instant::now(),
            ticks: Cell::new(0),
            states: Cell::new(0),
            bytes: Cell::new(0),
            spent: Cell::new(None),
        }
    }

    /// What ran out, if anything did.
    pub(super) fn spent(&self) -> Option<&'static str> {
        self.spent.get()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.spent.get().is_some()
    }

    pub(super) fn states(&self) -> u64 {
        self.states.get()
    }

    /// Counts a step of which there are only so many as the history is long.
    pub(super) fn tick(&self) -> bool {
        self.ticks.set(self.ticks.get() + 1);
        if self.ticks.get().is_multiple_of(TICKS) {
            self.look();
        }
        !self.is_spent()
    }

    /// Counts a transaction that a search for shorter cycles comes across; false when there is to
    /// be no more of that, which leaves everything else as it is.
    pub(super) fn visit(&self) -> bool {
        self.states.set(self.states.get() + 1);
        self.tick() && self.states.get() < self.budget.states_max
    }

    /// So many bytes more are in use.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        self.bytes.set(self.bytes.get() + bytes as u64);
        if self.bytes.get() >= self.budget.bytes_max {
            self.spend("bytes");
        }
        !self.is_spent()
    }

    /// So many of them are in use no more.
    pub(super) fn release(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() - bytes as u64);
    }

    /// Looks at the clock.
    pub(super) fn look(&self) -> bool {
        let wall = self.budget.wall_max;
        if wall.is_some_and(|wall| self.started.elapsed() >= wall) {
            self.spend("time");
        }
        !self.is_spent()
    }

    fn spend(&self, what: &'static str) {
        self.spent.set(self.spent.get().or(Some(what)));
    }
}
