//! A first look: a frontier that fits in machine words, for short histories of few states.
//!
//! ```text
//!   p1   ├── a ──┤                      a way   state 3, done 0b0101, x used once
//!   p2      ├──── b ──┤                         bit 0: a, bit 2: c
//!   p3          ├──── c ────┤           open    from 3: to 1, to 7        one word a state
//!   p4        ├─ x ─ ─ ─ ─ ─ ▸
//! ```
//!
//! The same as [`super::frontier`], made small: at most 64 operations are live at once, and at most
//! 64 states can be reached, so that what is done is one word, and so is where open operations lead
//! from a state. Nothing is allocated for a way, and all buffers are used again for the next look:
//! an explanation takes some dozen looks at one history.
//!
//! At first open operations may be used any number of times. If the way that is left uses one more
//! often than there are equal ones, those are *counted*, and it is looked again (refinement by
//! counterexamples: Clarke and others 2000).
//!
//! **Sound for invalid:** using open operations more often than there are allows every order, and
//! some more; the other cuts are those of [`super::search`] and the dominance of
//! [`super::frontier`]. **Sound for valid:** each use of an open operation in the way that is left
//! is matched with one of its own that was called by then.

mod matching;
mod way;

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::class::Classes;
use super::meter::Meter;
use super::problem::{Event, Problem};
use crate::model::Model;
use way::{By, Counted, FIELD, Live, NOWHERE, Node, USED_MAX, WORD, Way, is_within};

/// What was seen.
pub(super) enum Sight {
    /// This order explains everything.
    Order(Vec<u32>),
    /// No way leads past the return of that operation.
    Refuted(u32),
    /// Too much is live, or there are too many ways.
    Unclear,
}

/// The buffers of a look, and the classes that have to be counted.
#[derive(Default)]
pub(super) struct Glance {
    init: u32,
    /// Called and not returned, with a result, by return.
    live: Vec<Live>,
    /// Which bits they use.
    taken: u64,
    /// Open operations that were called.
    open: Vec<u32>,
    counted: Vec<Counted>,
    /// By state: where open operations lead that are not counted.
    edges: Vec<u64>,
    /// By class: its edges are there.
    has_edges: Vec<bool>,
    /// By class, of one that changes no state: the states in which it fits, once that was asked.
    fits_in: Vec<Option<u64>>,
    /// What may be true before the next return.
    ways: Vec<Way>,
    /// What was tried at the last return.
    tried: Vec<Way>,
    left: VecDeque<Way>,
    /// By state: what is done, and how often what is counted was used.
    seen: Vec<Vec<(u64, u64)>>,
    nodes: Vec<Node>,
}

impl Glance {
    /// Looks at these events of the problem, of which no more than 64 states can be reached: those
    /// that `classes` interned first.
    pub(super) fn look<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        classes: &mut Classes<'_, '_, M>,
        events: &(impl Iterator<Item = Event> + Clone),
        meter: &mut Meter,
    ) -> Sight {
        loop {
            if let Some(refuted) = self.once(problem, classes, events.clone(), meter) {
                return refuted;
            }
            self.ways.sort_by_key(|way| way.opens);
            match self.first_matched(&self.ways, classes) {
                Ok(order) => return Sight::Order(order),
                Err(overused) if self.count(&overused) => {}
                Err(_) => return Sight::Unclear,
            }
        }
    }

    /// Of events that are refuted: an order that gets as far as any, if one can be seen.
    pub(super) fn furthest<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        classes: &mut Classes<'_, '_, M>,
        events: &(impl Iterator<Item = Event> + Clone),
        meter: &mut Meter,
    ) -> Option<Vec<u32>> {
        loop {
            match self.once(problem, classes, events.clone(), meter) {
                Some(Sight::Refuted(_)) => {}
                _ => return None,
            }
            let mut tried = std::mem::take(&mut self.tried);
            tried.sort_by_key(|way| (Reverse(way.done.count_ones()), way.opens));
            match self.first_matched(&tried, classes) {
                Ok(order) => return Some(order),
                Err(overused) if self.count(&overused) => {}
                Err(_) => return None,
            }
        }
    }

    /// One look with what is counted by now: nothing if some way is left.
    fn once<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        classes: &mut Classes<'_, '_, M>,
        events: impl Iterator<Item = Event>,
        meter: &mut Meter,
    ) -> Option<Sight> {
        self.init = classes.intern(problem.model.init());
        self.begin(classes.states_count().min(WORD), classes.count());
        for event in events {
            let place = event.place();
            if event.is_return() {
                match self.past(place, classes, meter) {
                    Some(true) => {}
                    Some(false) => return Some(Sight::Refuted(place)),
                    None => return Some(Sight::Unclear),
                }
            } else if problem.is_open(place) {
                self.open(place, classes);
            } else if !self.call(problem, classes, place) {
                return Some(Sight::Unclear);
            }
        }
        None
    }

    fn begin(&mut self, states: usize, classes: usize) {
        self.live.clear();
        self.open.clear();
        self.nodes.clear();
        self.ways.clear();
        self.tried.clear();
        self.taken = 0;
        self.edges.clear();
        self.edges.resize(states, 0);
        self.has_edges.clear();
        self.has_edges.resize(classes, false);
        self.fits_in.resize(classes, None);
        self.seen.resize(states, Vec::new());
        self.counted.iter_mut().for_each(|class| class.called = 0);
        self.ways.push(Way {
            state: self.init,
            before: NOWHERE,
            done: 0,
            used: 0,
            node: NOWHERE,
            opens: 0,
        });
    }

    /// False where no bit is left.
    fn call<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        classes: &mut Classes<'_, '_, M>,
        place: u32,
    ) -> bool {
        if self.live.len() == WORD {
            return false;
        }
        let bit = 1 << self.taken.trailing_ones();
        self.taken |= bit;
        let ret = |place: u32| problem.returns[place as usize];
        let at = self
            .live
            .partition_point(|live| ret(live.place) < ret(place));
        let class = classes.of[place as usize];
        let is_read = classes.is_read[class as usize];
        let reads = match is_read {
            true => self.fits_in(place, class, classes),
            false => 0,
        };
        let (earlier, later) = self.live.split_at_mut(at);
        let same = earlier.iter().filter(|live| live.class == class);
        let same = same.fold(0, |same, live| same | live.bit);
        let later = later.iter_mut().filter(|live| live.class == class);
        later.for_each(|live| live.same |= bit);
        let live = Live {
            place,
            class,
            bit,
            same,
            is_read,
            reads,
        };
        self.live.insert(at, live);
        true
    }

    fn fits_in<M: Model>(
        &mut self,
        place: u32,
        class: u32,
        classes: &mut Classes<'_, '_, M>,
    ) -> u64 {
        if let Some(known) = self.fits_in[class as usize] {
            return known;
        }
        let states = (0..).take(self.edges.len());
        let fitting = states.filter(|state| classes.step(*state, place).is_some());
        let fitting = fitting.fold(0, |fitting, state| fitting | 1 << state);
        self.fits_in[class as usize] = Some(fitting);
        fitting
    }

    fn open<M: Model>(&mut self, place: u32, classes: &mut Classes<'_, '_, M>) {
        self.open.push(place);
        let class = classes.of[place as usize];
        if std::mem::replace(&mut self.has_edges[class as usize], true) {
            return;
        }
        let mut counted = self.counted.iter_mut();
        if let Some(counted) = counted.find(|counted| counted.class == class) {
            (counted.called, counted.place) = (counted.called + 1, place);
            self.has_edges[class as usize] = false;
            return;
        }
        for (from, edges) in (0..).zip(&mut self.edges) {
            match classes.step(from, place) {
                Some(to) if to != from => *edges |= 1 << to,
                _ => {}
            }
        }
    }

    /// Extends every way until that operation is done; false where none leads past its return,
    /// `None` if the budget ran out.
    fn past<M: Model>(
        &mut self,
        place: u32,
        classes: &mut Classes<'_, '_, M>,
        meter: &mut Meter,
    ) -> Option<bool> {
        let at = self.live.iter().position(|live| live.place == place)?;
        let bit = self.live[at].bit;
        self.seen.iter_mut().for_each(Vec::clear);
        self.tried.clear();
        self.left.clear();
        let mut ways = std::mem::take(&mut self.ways);
        ways.sort_unstable_by_key(|way| (way.opens, way.node));
        for way in ways.drain(..) {
            self.reach(way, None);
        }
        while let Some(way) = self.left.pop_front() {
            if !meter.visit(self.bytes()) {
                return None;
            }
            self.tried.push(way);
            if way.done & bit != 0 {
                let done = way.done & !bit;
                ways.push(Way { done, ..way });
            } else {
                self.extend(way, classes);
            }
        }
        self.live.remove(at);
        self.live.iter_mut().for_each(|live| live.same &= !bit);
        self.taken &= !bit;
        self.ways = ways;
        Some(!self.ways.is_empty())
    }

    fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node>() + self.tried.len() * 3 * size_of::<Way>()
    }

    /// One step on, by one operation that changes the state.
    fn extend<M: Model>(&mut self, way: Way, classes: &mut Classes<'_, '_, M>) {
        let mut leads = |from: u32, place: u32| match from {
            NOWHERE => None,
            _ => classes.step(from, place),
        };
        for at in 0..self.live.len() {
            let live = self.live[at];
            // Of equal ones the first to return is tried.
            let is_first = live.same & !way.done == 0;
            if way.done & live.bit != 0 || live.is_read || !is_first {
                continue;
            }
            let state = leads(way.state, live.place);
            if let Some(state) = state.filter(|_| state != leads(way.before, live.place)) {
                let (before, done) = (NOWHERE, way.done | live.bit);
                let next = Way {
                    state,
                    before,
                    done,
                    ..way
                };
                self.reach(next, Some(By::Known(live.place)));
            }
        }
        let (before, opens) = (way.state, way.opens + 1);
        let mut edges = self.edges[way.state as usize];
        if way.before != NOWHERE {
            edges &= !(self.edges[way.before as usize] | 1 << way.before);
        }
        while edges != 0 {
            let state = edges.trailing_zeros();
            edges &= edges - 1;
            let next = Way {
                state,
                before,
                opens,
                ..way
            };
            self.reach(next, Some(By::Open));
        }
        for at in 0..self.counted.len() {
            let Counted {
                class,
                called,
                place,
            } = self.counted[at];
            let shift = FIELD * u32::try_from(at).expect("there are few");
            let used = way.used >> shift & USED_MAX;
            if used == called {
                continue;
            }
            // Beyond what can be counted it may be used any number of times.
            let one = u64::from(used < USED_MAX) << shift;
            let state = leads(way.state, place);
            let is_new = |to: &u32| *to != way.state && state != leads(way.before, place);
            if let Some(state) = state.filter(is_new) {
                let used = way.used + one;
                let next = Way {
                    state,
                    before,
                    used,
                    opens,
                    ..way
                };
                self.reach(next, Some(By::Counted(class)));
            }
        }
    }

    /// Takes note of a way, by that operation if any, with every operation that fits there and
    /// changes no state.
    fn reach(&mut self, mut way: Way, by: Option<By>) {
        let before = way.done;
        for live in &self.live {
            way.done |= live.bit & (live.reads >> way.state & 1).wrapping_neg();
        }
        let seen = &mut self.seen[way.state as usize];
        let mut same = seen.iter().filter(|(done, _)| *done == way.done);
        if same.any(|(_, used)| is_within(*used, way.used)) {
            return;
        }
        seen.push((way.done, way.used));
        if let Some(by) = by {
            self.link(&mut way, by);
        }
        let mut read = way.done & !before;
        if read != 0 {
            way.before = NOWHERE;
        }
        while read != 0 {
            let bit = read & read.wrapping_neg();
            read &= read - 1;
            let live = self.live.iter().find(|live| live.bit == bit);
            let place = live.expect("its bit was set just now").place;
            self.link(&mut way, By::Known(place));
        }
        match by {
            Some(By::Known(_)) => self.left.push_front(way),
            _ => self.left.push_back(way),
        }
    }

    fn link(&mut self, way: &mut Way, by: By) {
        let node = u32::try_from(self.nodes.len()).expect("the budget is spent long before");
        self.nodes.push(Node {
            parent: way.node,
            by,
            state: way.state,
            called: u32::try_from(self.open.len()).expect("places are 32 bits"),
        });
        way.node = node;
    }
}
