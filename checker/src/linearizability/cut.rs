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
//! An operation of unknown result is in flight for ever: after it there is no cut. What was seen is
//! known, though ([`super::tighten`]).
//!
//! Pieces are short, so that what is hard costs only there: each has a budget of its own, and what
//! was tried is forgotten at its end. A cut at which too many states are possible is none.

use super::class::Classes;
use super::frontier::{Fate, Frontier, Scope};
use super::meter::Meter;
use super::problem::{Event, Problem};
use crate::history::Operation;
use crate::model::Model;

/// A piece has at least so many operations, but the last.
pub(super) const PIECE_MIN: u32 = 32;
/// With more end states than that, a cut point is none.
pub(super) const STATES_MAX: usize = 64;

/// What the pieces say, one after the other.
pub(super) enum Pieces {
    /// This order explains everything.
    Order(Vec<u32>),
    /// A piece is explained from no state that could be true at its beginning; so far an order
    /// gets.
    Refuted(Vec<u32>),
    /// There is no cut, or a piece is too hard.
    Undecided,
}

/// Decides piece by piece, each of at least `piece_min` operations and with `slice` configurations
/// at most.
pub(super) fn decide<M: Model>(
    problem: &Problem<'_, M>,
    piece_min: u32,
    meter: &mut Meter,
    slice: u64,
) -> Pieces {
    let cuts = cuts(&problem.events, piece_min, |place| problem.is_open(place));
    if cuts.len() < 3 {
        return Pieces::Undecided;
    }
    let mut chain = Chain {
        problem,
        links: Vec::new(),
        starts: vec![problem.model.init()],
        bytes: 0,
    };
    let (mut at, mut width) = (0, 1);
    while at + 1 < cuts.len() {
        let to = (at + width).min(cuts.len() - 1);
        let piece = problem.part(cuts[at]..cuts[to]);
        let first = problem.events[cuts[at]].place();
        let mut attempt = meter.slice(slice);
        let told = from(&piece, &chain.starts, &mut attempt);
        meter.add(&attempt);
        let is_last = to + 1 == cuts.len();
        match told {
            Told::Spent => return Pieces::Undecided,
            Told::Refuted(order) => return Pieces::Refuted(chain.order(order, first)),
            Told::Ends(ends) if is_last => {
                let (_, order) = ends.into_iter().next().expect("it ends somewhere");
                return Pieces::Order(chain.order(order, first));
            }
            Told::Ends(ends) if ends.len() <= STATES_MAX => {
                chain.push(ends, first);
                (at, width) = (to, 1);
            }
            Told::Ends(_) => width *= 2,
        }
        if !meter.tick(chain.bytes) || meter.is_spent() {
            return Pieces::Undecided;
        }
    }
    Pieces::Undecided
}

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
    match from(&Problem::new(model, operations), starts, meter) {
        Told::Ends(ends) => Some(ends.into_iter().map(|(state, _)| state).collect()),
        Told::Refuted(_) => Some(Vec::new()),
        Told::Spent => None,
    }
}

/// What one piece says.
enum Told<S> {
    /// It can end in these states, each by that order.
    Ends(Vec<(S, Vec<u32>)>),
    Refuted(Vec<u32>),
    Spent,
}

fn from<M: Model>(
    problem: &Problem<'_, M>,
    starts: &[M::State],
    meter: &mut Meter,
) -> Told<M::State> {
    let mut classes = Classes::new(problem);
    let scope = Scope {
        events: 0..problem.events.len(),
        states: starts
            .iter()
            .map(|state| classes.intern(state.clone()))
            .collect(),
        is_relaxed: false,
    };
    match Frontier::new(problem, &mut classes, scope).run(meter) {
        Fate::Survived(survivors) => {
            let states = survivors.states().enumerate();
            let ends = states
                .map(|(rank, end)| (classes.state(end).clone(), survivors.order(rank)))
                .collect();
            Told::Ends(ends)
        }
        Fate::Refuted(deepest) => Told::Refuted(deepest),
        Fate::Spent => Told::Spent,
    }
}

/// Where to cut, in events: the beginning, then after every so many operations the next point at
/// which nothing is in flight, and the end.
fn cuts(events: &[Event], piece_min: u32, is_open: impl Fn(u32) -> bool) -> Vec<usize> {
    let mut cuts = vec![0];
    let (mut in_flight, mut called) = (0_u32, 0);
    for (at, event) in events.iter().enumerate() {
        if !event.is_return() && is_open(event.place()) {
            break;
        }
        if event.is_return() {
            in_flight -= 1;
        } else {
            in_flight += 1;
            called += 1;
        }
        if in_flight == 0 && called >= piece_min && at + 1 < events.len() {
            cuts.push(at + 1);
            called = 0;
        }
    }
    cuts.push(events.len());
    cuts
}

/// Pieces that are over: how each state at the end of one came about.
struct Chain<'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    links: Vec<Link<M::State>>,
    /// The states that are possible where the next piece begins.
    starts: Vec<M::State>,
    /// What the links take.
    bytes: usize,
}

struct Link<S> {
    starts: Vec<S>,
    ends: Vec<(S, Vec<u32>)>,
}

impl<M: Model> Chain<'_, '_, M> {
    /// Adds a piece, whose operations are counted from `first` on.
    fn push(&mut self, mut ends: Vec<(M::State, Vec<u32>)>, first: u32) {
        for (state, order) in &mut ends {
            order.iter_mut().for_each(|place| *place += first);
            self.bytes += order.len() * size_of::<u32>();
            self.bytes += 2 * (size_of::<M::State>() + self.problem.model.state_bytes(state));
        }
        let next = ends.iter().map(|(state, _)| state.clone()).collect();
        let starts = std::mem::replace(&mut self.starts, next);
        self.links.push(Link { starts, ends });
    }

    /// An order of all, up to and with that of a piece that comes next.
    fn order(&self, mut last: Vec<u32>, first: u32) -> Vec<u32> {
        last.iter_mut().for_each(|place| *place += first);
        let mut starts = &self.starts;
        let mut parts = vec![&last];
        let mut target = None;
        for link in self.links.iter().rev() {
            let start = self.start(starts, parts[parts.len() - 1], target);
            let by = link.ends.iter().find(|(state, _)| state == start);
            let (state, order) = by.expect("the next piece began where one ended");
            parts.push(order);
            (starts, target) = (&link.starts, Some(state));
        }
        parts.into_iter().rev().flatten().copied().collect()
    }

    /// From which state that order leads to the target, or anywhere.
    fn start<'s>(
        &self,
        starts: &'s [M::State],
        order: &[u32],
        target: Option<&M::State>,
    ) -> &'s M::State {
        let leads = |start: &&M::State| {
            let mut places = order.iter();
            let end = places.try_fold((*start).clone(), |state, place| {
                self.problem.step(&state, *place)
            });
            end.is_some_and(|end| target.is_none_or(|target| *target == end))
        };
        let mut starts = starts.iter();
        starts
            .find(leads)
            .expect("the frontier began at one of them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_where_nothing_is_in_flight() {
        let pair = |place| [Event::call(place), Event::ret(place)];
        let one_by_one: Vec<Event> = (0..100).flat_map(pair).collect();
        assert_eq!(cuts(&one_by_one, 32, |_| false), [0, 64, 128, 192, 200]);
        assert_eq!(cuts(&one_by_one, 32, |place| place == 40), [0, 64, 200]);
        let overlapping: Vec<Event> = [Event::call(0), Event::call(1)]
            .into_iter()
            .chain((2..100).flat_map(|place| [Event::ret(place - 2), Event::call(place)]))
            .chain([Event::ret(98), Event::ret(99)])
            .collect();
        assert_eq!(cuts(&overlapping, 32, |_| false), [0, 200]);
    }
}
