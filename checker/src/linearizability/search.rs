//! Depth-first search for an order (Wing and Gong 1993), remembering dead ends (Lowe 2017).
//!
//! ```text
//!            first return still to be explained: the front
//!                     ▼
//!   p1   ├── a ──┤    ┊            done: a
//!   p2      ├──── b ──┤            may come next: b, c, x
//!   p3          ├──── c ────┤      not yet: d
//!   p4        ├─ x ─ ─┊─ ─ ─ ▸     open: may come, need not
//!   p5                ┊  ├─ d ─┤
//! ```
//!
//! **Sound for valid:** what comes out is an order that replays. **For invalid only a hint:** dead
//! ends are remembered by a 128-bit hash (Zobrist 1970: the xor of a random number per operation
//! done), so that a collision, however unlikely, could hide an order. [`super::frontier`] proves
//! it.
//!
//! Cuts that lose no order:
//!
//! - An operation called after the front cannot come before the one that returns there.
//! - An operation that changes no state is put in as soon as it fits: moving it there from later
//!   in an order leaves every other step as it was.
//! - Of equal operations only the first to return is tried ([`super::class`]).
//! - An open operation is used only where it matters at once: if the next step gives the same with
//!   and without it, the order without it is as good.
//!
//! **What comes first** is what is needed just in time. Operations that fit in few states go as
//! soon as they fit; then the one that must return next; then whatever makes that one possible. A
//! *narrow* search tries nothing else: it misses orders, but it is wrong early and cheaply.

use std::cmp::Reverse;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::class::{Classes, mix};
use super::meter::{Meter, table_bytes};
use super::open_queue::OpenQueues;
use super::problem::{OPEN, Problem};
use super::unrest::Unrest;
use super::waiting::Waiting;
use crate::model::Model;

/// How a search ended. Orders are places in the problem.
pub(crate) enum Outcome {
    /// This order explains every known result.
    Order(Vec<u32>),
    /// Every branch ends dead; so far it got.
    Exhausted { deepest: Vec<u32> },
    /// The budget ran out; so far it got.
    Spent { deepest: Vec<u32> },
}

/// Which branches are left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cuts {
    /// Try only what the operation that must return next needs.
    pub(crate) is_narrow: bool,
    /// Where it does not get on, go back some way and try in another order of preference, so many
    /// times. That forgets branches, so it is only for finding an order. Zero for never.
    pub(crate) jumps_max: u32,
}

type Places = SmallVec<[u32; 4]>;

/// Rank, rank of the return, place: the best is the greatest.
type Ranked = (Reverse<u32>, Reverse<u32>, u32);

const NOWHERE: u32 = u32::MAX;

/// Where the search stands; everything older is done, everything newer is not.
#[derive(Clone, Copy)]
struct Position {
    state: u32,
    /// Directly after an open operation: the state before it. What follows must differ.
    before: u32,
    /// How many events are behind: the next is the first return still to be explained.
    front: u32,
}

struct Frame {
    position: Position,
    applied: u32,
    /// What else could be tried, best last.
    alternatives: Places,
    /// Open operations are still to be tried too.
    has_more: bool,
}

pub(crate) struct Search<'c, 'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    classes: &'c mut Classes<'p, 'a, M>,
    cuts: Cuts,
    waiting: Waiting,
    open: OpenQueues,
    is_done: Vec<bool>,
    /// Hash of the set of operations done.
    done: u128,
    dead_ends: FxHashSet<u128>,
    stack: Vec<Frame>,
    deepest: Vec<u32>,
    deepest_front: u32,
    /// How much of `deepest` is also the stack's beginning.
    shared: usize,
    unrest: Unrest,
}

impl<'c, 'p, 'a, M: Model> Search<'c, 'p, 'a, M> {
    pub(crate) fn new(
        problem: &'p Problem<'a, M>,
        classes: &'c mut Classes<'p, 'a, M>,
        cuts: Cuts,
    ) -> Self {
        let required = (0..problem.len()).filter(|place| !problem.is_open(*place));
        Search {
            waiting: Waiting::new(required, problem.len()),
            open: OpenQueues::new(problem, classes),
            is_done: vec![false; problem.operations.len()],
            problem,
            classes,
            cuts,
            done: 0,
            dead_ends: FxHashSet::default(),
            stack: Vec::new(),
            deepest: Vec::new(),
            deepest_front: 0,
            shared: 0,
            unrest: Unrest::default(),
        }
    }

    pub(crate) fn run(mut self, meter: &mut Meter) -> Outcome {
        let state = self.classes.intern(self.problem.model.init());
        let mut here = Position {
            state,
            before: NOWHERE,
            front: 0,
        };
        self.advance(&mut here);
        let (mut alternatives, mut has_more) = (self.known(here), true);
        loop {
            if here.front as usize == self.problem.events.len() {
                return Outcome::Order(self.order());
            }
            if alternatives.is_empty() && has_more {
                has_more = false;
                alternatives = self.open_ones(here);
            } else if let Some(place) = alternatives.pop() {
                let Some(next) = self.apply(here, place) else {
                    continue;
                };
                self.stack.push(Frame {
                    position: here,
                    applied: place,
                    alternatives,
                    has_more,
                });
                here = next;
                if self.cuts.jumps_max > 0 {
                    here = self.perhaps_go_back(here);
                }
                if !meter.visit(self.bytes()) || self.unrest.salt > self.cuts.jumps_max {
                    self.keep_deepest();
                    return Outcome::Spent {
                        deepest: self.deepest,
                    };
                }
                (alternatives, has_more) = (self.known(here), true);
                if alternatives.len() == 1 && self.is_read(alternatives[0]) {
                    has_more = false;
                }
            } else {
                self.keep_deepest();
                self.dead_ends.insert(self.key(here));
                let Some(frame) = self.stack.pop() else {
                    return Outcome::Exhausted {
                        deepest: self.deepest,
                    };
                };
                self.shared = self.shared.min(self.stack.len());
                self.undo(frame.applied);
                (here, alternatives) = (frame.position, frame.alternatives);
                has_more = frame.has_more;
            }
        }
    }

    fn is_read(&self, place: u32) -> bool {
        self.classes.is_read[self.classes.of[place as usize] as usize]
    }

    /// Operations of known result that may come next, the best last. One that changes no state
    /// comes alone.
    fn known(&mut self, here: Position) -> Places {
        let mut firsts: SmallVec<[(u32, u32); 8]> = SmallVec::new();
        let mut at = self.waiting.after(None);
        while let Some(place) = at.filter(|place| self.problem.calls[*place as usize] < here.front)
        {
            at = self.waiting.after(Some(place));
            let Some(after) = self.fits(here, place) else {
                continue;
            };
            let class = self.classes.of[place as usize];
            if self.classes.is_read[class as usize] {
                return std::iter::once(place).collect();
            }
            let same = |first: &&mut (u32, u32)| self.classes.of[first.0 as usize] == class;
            match firsts.iter_mut().find(same) {
                Some((first, _))
                    if self.problem.returns[place as usize]
                        < self.problem.returns[*first as usize] =>
                {
                    *first = place;
                }
                Some(_) => {}
                None => firsts.push((place, after)),
            }
        }
        self.ranked(here, &firsts)
    }

    /// Open operations that may come next, where no equal one of known result may.
    fn open_ones(&mut self, here: Position) -> Places {
        let mut firsts: SmallVec<[(u32, u32); 8]> = SmallVec::new();
        let known = self.questions(here);
        for queue in 0..self.open.len() {
            let Some(place) = self.open.first(queue) else {
                continue;
            };
            if self.problem.calls[place as usize] > here.front {
                continue;
            }
            if let Some(after) = self.fits(here, place).filter(|after| *after != here.state)
                && !known.contains(&(self.classes.question[place as usize], after))
            {
                firsts.push((place, after));
            }
        }
        self.ranked(here, &firsts)
    }

    /// What operations of known result ask and bring about here.
    fn questions(&mut self, here: Position) -> SmallVec<[(u32, u32); 8]> {
        let mut known = SmallVec::new();
        let mut at = self.waiting.after(None);
        while let Some(place) = at.filter(|place| self.problem.calls[*place as usize] < here.front)
        {
            at = self.waiting.after(Some(place));
            if let Some(after) = self.fits(here, place) {
                known.push((self.classes.question[place as usize], after));
            }
        }
        known
    }

    /// Puts the best last; a narrow search drops what the front does not need.
    fn ranked(&mut self, here: Position, firsts: &[(u32, u32)]) -> Places {
        let Some(urgent) = self.problem.events.get(here.front as usize) else {
            return Places::new();
        };
        let urgent = urgent.place();
        let mut ranked: SmallVec<[Ranked; 8]> = SmallVec::new();
        for (place, after) in firsts {
            let is_choosy = self.classes.is_choosy[self.classes.of[*place as usize] as usize];
            let rank = if *place == urgent || is_choosy && !self.problem.is_open(*place) {
                u32::from(*place == urgent && !is_choosy)
            } else if self.classes.step(*after, urgent).is_some() {
                2
            } else {
                3
            };
            let returns = self.problem.returns[*place as usize];
            let (rank, returns) = self.unrest.twist(*place, rank, returns);
            ranked.push((Reverse(rank), Reverse(returns), *place));
        }
        let is_wide = self.unrest.salt % 2 == 1;
        if self.cuts.is_narrow && !is_wide && ranked.iter().any(|(Reverse(rank), ..)| *rank < 3) {
            ranked.retain(|(Reverse(rank), ..)| *rank < 3);
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(.., place)| place).collect()
    }

    /// The state after `place`, if it is possible here and, after an open one, shows that the open
    /// one was needed.
    fn fits(&mut self, here: Position, place: u32) -> Option<u32> {
        let after = self.classes.step(here.state, place)?;
        let matters =
            here.before == NOWHERE || self.classes.step(here.before, place) != Some(after);
        matters.then_some(after)
    }

    /// The position after `place`, unless it is a dead end.
    fn apply(&mut self, here: Position, place: u32) -> Option<Position> {
        let state = self.classes.step(here.state, place)?;
        self.done ^= mix(u64::from(place));
        let mut next = Position {
            state,
            before: NOWHERE,
            front: here.front,
        };
        if self.problem.returns[place as usize] == OPEN {
            next.before = here.state;
            self.open.take(place);
        } else {
            self.waiting.remove(place);
            self.is_done[place as usize] = true;
            self.advance(&mut next);
        }
        if self.dead_ends.contains(&self.key(next)) {
            self.undo(place);
            return None;
        }
        Some(next)
    }

    fn undo(&mut self, place: u32) {
        self.done ^= mix(u64::from(place));
        if self.problem.returns[place as usize] == OPEN {
            self.open.put_back(place);
        } else {
            self.waiting.restore(place);
            self.is_done[place as usize] = false;
        }
    }

    /// After long without progress, a position further back, with other preferences from there on.
    fn perhaps_go_back(&mut self, here: Position) -> Position {
        let unrest = &mut self.unrest;
        if here.front > self.deepest_front {
            if unrest.salt > 0 && here.front - self.deepest_front > super::unrest::PATIENCE {
                *unrest = Unrest::default();
            }
            if unrest.salt == 0 {
                self.deepest_front = here.front;
            }
            unrest.visits = 0;
        }
        let Some(distance) = unrest.visit() else {
            return here;
        };
        let keep = self.stack.len().saturating_sub(distance);
        self.dead_ends.clear();
        let mut here = here;
        while self.stack.len() > keep {
            let frame = self.stack.pop().expect("it is longer");
            self.undo(frame.applied);
            here = frame.position;
        }
        self.shared = self.shared.min(keep);
        here
    }

    /// Moves the front to the first return that is still to be explained.
    fn advance(&self, here: &mut Position) {
        while let Some(event) = self.problem.events.get(here.front as usize) {
            if event.is_return() && !self.is_done[event.place() as usize] {
                return;
            }
            here.front += 1;
        }
    }

    /// The set of operations done determines the front.
    fn key(&self, here: Position) -> u128 {
        let states = u64::from(here.state) << 32 | u64::from(here.before);
        self.done ^ mix(states).rotate_left(64)
    }

    fn bytes(&self) -> usize {
        self.classes.bytes()
            + table_bytes(
                self.dead_ends.len(),
                self.dead_ends.capacity(),
                size_of::<u128>(),
            )
            + self.stack.len() * size_of::<Frame>()
    }

    fn order(&self) -> Vec<u32> {
        self.stack.iter().map(|frame| frame.applied).collect()
    }

    /// Remembers how far the search got: to the latest front, by the longest way.
    fn keep_deepest(&mut self) {
        let front = self.stack.last().map_or(0, |frame| frame.position.front);
        if (front, self.stack.len()) > (self.deepest_front, self.deepest.len()) {
            self.deepest_front = front;
            self.deepest.truncate(self.shared);
            self.deepest
                .extend(self.stack[self.shared..].iter().map(|frame| frame.applied));
            self.shared = self.stack.len();
        }
    }
}
