//! From a way to an order: each use of an open operation is matched with one of its own.
//!
//! ```text
//!   way     write 1 · open → 2 · read → 2 · open → 2          open: write 2, once
//!                     write 2               nothing is left   so that writes of 2 are counted
//! ```

use smallvec::SmallVec;

use super::Glance;
use super::way::{By, Counted, FIELD, NOWHERE, Node, WORD, Way};
use crate::linearizability::class::Classes;
use crate::model::Model;

/// How many ways that are left are matched with open operations before some are counted.
const MATCHED_MAX: usize = 8;
const COUNTED_MAX: usize = WORD / FIELD as usize;

/// What more must be counted.
pub(super) type Overused = SmallVec<[u32; 2]>;

impl Glance {
    /// The order of the first of these ways that has one, or what the first uses too often.
    pub(super) fn first_matched<M: Model>(
        &self,
        ways: &[Way],
        classes: &mut Classes<'_, '_, M>,
    ) -> Result<Vec<u32>, Overused> {
        let mut first = None;
        for way in ways.iter().take(MATCHED_MAX) {
            match self.matched(way, classes) {
                Ok(order) => return Ok(order),
                Err(overused) => first = first.or(Some(overused)),
            }
        }
        Err(first.unwrap_or_default())
    }

    /// The order of that way, each use of an open operation matched with one of its own; or the
    /// classes of which there are too few.
    fn matched<M: Model>(
        &self,
        way: &Way,
        classes: &mut Classes<'_, '_, M>,
    ) -> Result<Vec<u32>, Overused> {
        let mut steps: SmallVec<[Node; 32]> = SmallVec::new();
        let mut at = way.node;
        while let Some(node) = self.nodes.get(at as usize) {
            steps.push(*node);
            at = node.parent;
        }
        let mut is_used = vec![false; self.open.len()];
        let mut order = Vec::with_capacity(steps.len());
        let mut state = self.init;
        for step in steps.iter().rev() {
            if let By::Known(place) = step.by {
                order.push(place);
            } else {
                let mut called = 0..step.called as usize;
                let free = called.find(|at| !is_used[*at] && self.fits(*at, state, step, classes));
                let Some(free) = free else {
                    return Err(self.overused(state, step, classes));
                };
                is_used[free] = true;
                order.push(self.open[free]);
            }
            state = step.state;
        }
        Ok(order)
    }

    /// True where that open operation may be the one of the step.
    fn fits<M: Model>(
        &self,
        open: usize,
        state: u32,
        step: &Node,
        classes: &mut Classes<'_, '_, M>,
    ) -> bool {
        let place = self.open[open];
        let class = classes.of[place as usize];
        match step.by {
            By::Counted(of) => class == of,
            _ if self.counted.iter().any(|counted| counted.class == class) => false,
            _ => classes.step(state, place) == Some(step.state),
        }
    }

    /// The classes of all that may be the one of the step.
    fn overused<M: Model>(
        &self,
        state: u32,
        step: &Node,
        classes: &mut Classes<'_, '_, M>,
    ) -> Overused {
        let called = 0..step.called as usize;
        let few = called.filter(|at| self.fits(*at, state, step, classes));
        let few: SmallVec<[usize; 8]> = few.collect();
        few.into_iter()
            .map(|at| classes.of[self.open[at] as usize])
            .collect()
    }

    /// Counts those classes from now on; false where none is new, or that is too many.
    pub(super) fn count(&mut self, overused: &[u32]) -> bool {
        let before = self.counted.len();
        for class in overused {
            if self.counted.iter().any(|counted| counted.class == *class) {
                continue;
            }
            if self.counted.len() == COUNTED_MAX {
                return false;
            }
            self.counted.push(Counted {
                class: *class,
                called: 0,
                place: NOWHERE,
            });
        }
        self.counted.len() > before
    }
}
