//! The states of an object that has few.

use super::class::Classes;
use super::problem::Problem;
use crate::model::Model;

/// A model with more states than that is not searched from the middle.
const STATES_MAX: usize = 64;

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
