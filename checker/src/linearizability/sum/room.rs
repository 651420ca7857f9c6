//! What later reads leave for open adds.
//!
//! ```text
//!   p1  ├─ add 5 ─┤                    of the 12 that were seen 5 are sure and 4 may be in it, so
//!   p2                ├─ add 4 ─┤      that all open adds before it come to 3 at least and 7 at
//!   p3             ├─ read → 12 ─┤     most
//! ```

use crate::linearizability::problem::Problem;
use crate::model::{CounterStep, Model};

/// What all later reads leave for open adds: at least and at most.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) least: i64,
    pub(super) most: i64,
}

/// By rank of an event: what the reads that are called after it leave for open adds.
pub(super) fn room<M: Model>(problem: &Problem<'_, M>, steps: &[CounterStep]) -> Vec<Room> {
    let mut room = vec![
        Room {
            least: i64::MIN / 4,
            most: i64::MAX / 4,
        };
        problem.events.len()
    ];
    // What returned before, and what is in flight and may be negative or positive.
    let (mut sure, mut least, mut most) = (0, 0, 0);
    let mut bounds: Vec<Option<Room>> = vec![None; problem.operations.len()];
    let mut begun: Vec<(u32, i64, i64, i64)> = Vec::new();
    for event in &problem.events {
        let place = event.place();
        match (steps[place as usize], event.is_return()) {
            _ if problem.is_open(place) => {}
            (CounterStep::Add(by), false) => {
                least += by.min(0);
                most += by.max(0);
                for (_, _, low, high) in &mut begun {
                    *low += by.min(0);
                    *high += by.max(0);
                }
            }
            (CounterStep::Add(by), true) => {
                least -= by.min(0);
                most -= by.max(0);
                sure += by;
            }
            (CounterStep::Read(_), false) => begun.push((place, sure, least, most)),
            (CounterStep::Read(seen), true) => {
                let at = begun.iter().position(|one| one.0 == place);
                let (_, sure, low, high) = begun.swap_remove(at.expect("it was called"));
                bounds[place as usize] = Some(Room {
                    least: seen - sure - high,
                    most: seen - sure - low,
                });
            }
        }
    }
    let mut later = room.last().copied();
    for (at, event) in problem.events.iter().enumerate().rev() {
        let Some(later) = &mut later else { break };
        room[at] = *later;
        if let Some(bound) = bounds[event.place() as usize].filter(|_| !event.is_return()) {
            later.least = later.least.max(bound.least);
            later.most = later.most.min(bound.most);
        }
    }
    room
}
