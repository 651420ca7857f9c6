//! Cut points: where nothing is in flight a history splits, and of its past only a few states
//! matter.
//!
//! ```text
//!   p1  ├── write 1 ──┤  ┊              before the cut: either write may be the last,
//!   p2    ├─ write 2 ──┤ ┊              so the object holds 1 or 2
//!   p1                   ┊ ├ read → 1 ┤
//!   p2                   ┊   ├ cas 2→3 no ┤   after it: all of this from 1, or all from 2
//!                       cut
//! ```
//!
//! (Horn and Kroening 2015, "Faster linearizability checking via P-compositionality", split by
//! object; this splits by time.)
//!
//! **Sound for both verdicts.** Every operation before the cut returned before every one after it
//! was called. So any order of all is an order of those before, which ends in some state, and then
//! one of those after, from that state; and any two such make one. It is enough to carry on the
//! *closed* set of end states, which [`super::frontier`] finds: its cuts drop only orders that end
//! in the same state as one that is kept.
//!
//! An operation of unknown result is in flight for ever: after it there is no cut.

use super::class::Classes;
use super::frontier::{Fate, Frontier, Scope};
use super::meter::Meter;
use super::problem::Problem;
use crate::history::Operation;
use crate::model::Model;

/// Every state that these operations can end in, begun in any of `starts`: none where no order
/// explains them. `None` if the budget ran out.
///
/// Operations that are still open may be used or not; the states are all only if there are none.
pub(super) fn ends<M: Model>(
    model: &M,
    operations: &[&Operation<M::Op, M::Ret>],
    starts: &[M::State],
    meter: &mut Meter,
) -> Option<Vec<M::State>> {
    let problem = Problem::new(model, operations);
    let mut classes = Classes::new(&problem);
    let scope = Scope {
        events: 0..problem.events.len(),
        states: starts
            .iter()
            .map(|state| classes.intern(state.clone()))
            .collect(),
        is_relaxed: false,
    };
    match Frontier::new(&problem, &mut classes, scope).run(meter) {
        Fate::Survived(_, ends) => Some(
            ends.into_iter()
                .map(|end| classes.state(end).clone())
                .collect(),
        ),
        Fate::Refuted(_) => Some(Vec::new()),
        Fate::Spent => None,
    }
}
