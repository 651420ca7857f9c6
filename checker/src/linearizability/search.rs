//! Depth-first search for an order (Wing and Gong 1993), remembering what was tried (Lowe 2017).
//!
//! ```text
//!            first return still to be explained
//!                     ▼
//!   p1   ├── a ──┤    ┊            done: a                 A configuration is
//!   p2      ├──── b ──┤            candidates: b, c, x     (that return, which live operations
//!   p3          ├──── c ────┤      not yet: d              are done, which open ones were used,
//!   p4        ├─ x ─ ─┊─ ─ ─ ▸                             the state): of constant size, because
//!   p5                ┊  ├─ d ─┤                           everything older is done and
//!                                                          everything newer is not.
//! ```
//!
//! **Sound and complete.** Every branch that is cut leads nowhere new:
//! - An operation called after the first return cannot come before the one that returns there.
//! - A configuration that was seen before would be continued in the same way again. Configurations
//!   are compared exactly, not by a hash.
//! - An operation that changes no state is put in as soon as it fits: moving it there from later in
//!   an order leaves every other step as it was.
//! - An open operation is used only where it matters at once: if the next step gives the same with
//!   and without it, the order without it is as good. So what follows it must differ.
//! - Equal open operations are interchangeable: the one called first is used first.
//!
//! **Relaxed**, open operations may be used any number of times. Then which were used need not be
//! remembered, and there are few configurations. Every order is also a relaxed one, so that where
//! there is no relaxed order there is none; a relaxed order that repeats nothing is one.

use std::hash::Hash;
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::problem::{Event, Problem};
use crate::budget::Budget;
use crate::model::Model;

/// How a search ended. Orders are places in the problem.
pub(super) enum Answer {
    /// This order explains every known result.
    Order(Vec<u32>),
    /// There is none.
    None { deepest: Vec<u32> },
    /// The budget ran out.
    Spent { deepest: Vec<u32> },
}

/// A short exact search, a relaxed one to refute, and exact again with what is left: most histories
/// are decided by the first; most wrong ones, if they have many open operations, by the second.
pub(super) fn portfolio<M: Model>(problem: &Problem<'_, M>, budget: &Budget) -> (Answer, u64) {
    let started = Instant::now();
    let mut spent = 0;
    let mut attempt = |share: u64, is_relaxed: bool| {
        let rest = Budget {
            states_max: (budget.states_max - spent).div_ceil(share),
            bytes_max: budget.bytes_max,
            wall_max: budget
                .wall_max
                .map(|wall| wall.saturating_sub(started.elapsed())),
        };
        let mut search = Search::new(problem, rest, is_relaxed);
        let answer = search.run();
        spent += search.visited();
        (answer, spent)
    };
    let (answer, states) = attempt(16, false);
    let Answer::Spent { deepest } = answer else {
        return (answer, states);
    };
    let has_open = (0..)
        .zip(&problem.returns)
        .any(|(place, _)| problem.is_open(place));
    if has_open && let (Answer::None { .. }, states) = attempt(2, true) {
        return (Answer::None { deepest }, states);
    }
    attempt(1, false)
}

type Bits = SmallVec<[u64; 2]>;
type Places = SmallVec<[u32; 6]>;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration {
    /// How many events are behind: the next one is the first return still to be explained.
    front: u32,
    /// Live operations that are done, by slot.
    done: Bits,
    /// Open operations that were used, by slot.
    used: Bits,
    state: u32,
    /// Directly after an open operation: the state before it, plus one. What follows must differ.
    before: u32,
}

struct Frame {
    /// Where the search stood before `applied`.
    configuration: Configuration,
    applied: u32,
    /// What else could be tried there, last first.
    alternatives: Places,
}

pub(super) struct Search<'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    budget: Budget,
    /// Open operations can be used again.
    is_relaxed: bool,
    started: Instant,
    states: Interner<M::State>,
    waiting: Waiting,
    /// Open operations, by call.
    open: Vec<u32>,
    seen: FxHashSet<Configuration>,
    stack: Vec<Frame>,
    deepest: Vec<u32>,
}

impl<'p, 'a, M: Model> Search<'p, 'a, M> {
    pub(super) fn new(problem: &'p Problem<'a, M>, budget: Budget, is_relaxed: bool) -> Self {
        let (open, required) = (0..problem.returns.len())
            .map(|place| u32::try_from(place).expect("checked by Problem::new"))
            .partition(|place| problem.is_open(*place));
        Search {
            problem,
            budget,
            is_relaxed,
            started: Instant::now(),
            states: Interner::default(),
            waiting: Waiting::new(required, problem.returns.len()),
            open,
            seen: FxHashSet::default(),
            stack: Vec::new(),
            deepest: Vec::new(),
        }
    }

    /// Configurations visited so far.
    pub(super) fn visited(&self) -> u64 {
        self.seen.len() as u64
    }

    pub(super) fn run(&mut self) -> Answer {
        let mut here = Configuration {
            front: 0,
            done: Bits::new(),
            used: Bits::new(),
            state: self.states.intern(self.problem.model.init()),
            before: 0,
        };
        self.advance(&mut here);
        let mut alternatives = self.candidates(&here);
        loop {
            if here.front as usize == self.problem.events.len() {
                return Answer::Order(self.order());
            }
            if self.is_spent() {
                self.keep_deepest();
                let deepest = std::mem::take(&mut self.deepest);
                return Answer::Spent { deepest };
            }
            if let Some(place) = alternatives.pop() {
                let Some(next) = self.apply(&here, place) else {
                    continue;
                };
                let configuration = std::mem::replace(&mut here, next);
                let left = std::mem::replace(&mut alternatives, self.candidates(&here));
                self.stack.push(Frame {
                    configuration,
                    applied: place,
                    alternatives: left,
                });
            } else {
                self.keep_deepest();
                let Some(frame) = self.stack.pop() else {
                    let deepest = std::mem::take(&mut self.deepest);
                    return Answer::None { deepest };
                };
                self.waiting.restore(frame.applied);
                here = frame.configuration;
                alternatives = frame.alternatives;
            }
        }
    }

    /// What may come next, the best last: first to return first, open ones after all others. One
    /// that changes no state and fits comes alone.
    fn candidates(&self, here: &Configuration) -> Places {
        let problem = self.problem;
        let mut live = Places::new();
        for place in self.waiting.iter() {
            if problem.calls[place as usize] > here.front {
                break;
            }
            if problem.reads[place as usize] && self.fits(here, place) {
                return std::iter::once(place).collect();
            }
            live.push(place);
        }
        live.sort_unstable_by_key(|place| std::cmp::Reverse(problem.returns[*place as usize]));
        let mut candidates: Places = self
            .open
            .iter()
            .copied()
            .take_while(|place| problem.calls[*place as usize] < here.front)
            .filter(|place| {
                let is_used = |place: u32| has(&here.used, problem.slots[place as usize]);
                !is_used(*place) && problem.twins[*place as usize].is_none_or(is_used)
            })
            .collect();
        candidates.extend(live);
        candidates
    }

    /// True where the operation is possible here and, after an open one, shows that it was needed.
    fn fits(&self, here: &Configuration, place: u32) -> bool {
        let Some(after) = self.problem.step(self.states.get(here.state), place) else {
            return false;
        };
        match here.before.checked_sub(1) {
            None => true,
            Some(before) => {
                self.problem.step(self.states.get(before), place).as_ref() != Some(&after)
            }
        }
    }

    /// The configuration after `place`, unless it is impossible or was visited before.
    fn apply(&mut self, here: &Configuration, place: u32) -> Option<Configuration> {
        if !self.fits(here, place) {
            return None;
        }
        let state = self.problem.step(self.states.get(here.state), place)?;
        let mut next = here.clone();
        next.state = self.states.intern(state);
        let slot = self.problem.slots[place as usize];
        if self.problem.is_open(place) {
            next.before = here.state + 1;
            if !self.is_relaxed {
                set(&mut next.used, slot);
            }
        } else {
            next.before = 0;
            set(&mut next.done, slot);
            self.waiting.remove(place);
            self.advance(&mut next);
        }
        if self.seen.insert(next.clone()) {
            return Some(next);
        }
        if !self.problem.is_open(place) {
            self.waiting.restore(place);
        }
        None
    }

    /// Moves the front to the first return that is still to be explained. The slots of those that
    /// it passes are free for others from then on.
    fn advance(&self, here: &mut Configuration) {
        while let Some(event) = self.problem.events.get(here.front as usize) {
            if let Event::Return(place) = event {
                let slot = self.problem.slots[*place as usize];
                if !has(&here.done, slot) {
                    return;
                }
                clear(&mut here.done, slot);
            }
            here.front += 1;
        }
    }

    fn is_spent(&self) -> bool {
        let states = self.visited();
        let bytes = states * (size_of::<Configuration>() as u64 + 1)
            + (self.stack.len() * size_of::<Frame>()) as u64;
        states >= self.budget.states_max
            || bytes >= self.budget.bytes_max
            || (states.is_multiple_of(1024)
                && self
                    .budget
                    .wall_max
                    .is_some_and(|wall| self.started.elapsed() >= wall))
    }

    fn order(&self) -> Vec<u32> {
        self.stack.iter().map(|frame| frame.applied).collect()
    }

    fn keep_deepest(&mut self) {
        if self.stack.len() > self.deepest.len() {
            self.deepest = self.order();
        }
    }
}

/// Operations with a return that are still to be done: a list in order of call from which any can
/// be taken out, and put back in reverse order of taking, each in constant time.
struct Waiting {
    next: Vec<u32>,
    previous: Vec<u32>,
    is_in: Vec<bool>,
}

impl Waiting {
    fn new(places: Vec<u32>, total: usize) -> Self {
        let end = u32::try_from(total).expect("checked by Problem::new");
        let mut list = Waiting {
            next: vec![end; total + 1],
            previous: vec![end; total + 1],
            is_in: vec![false; total],
        };
        let mut last = end;
        for place in places {
            list.next[last as usize] = place;
            list.previous[place as usize] = last;
            list.is_in[place as usize] = true;
            last = place;
        }
        list.previous[end as usize] = last;
        list
    }

    fn remove(&mut self, place: u32) {
        let (previous, next) = (self.previous[place as usize], self.next[place as usize]);
        self.next[previous as usize] = next;
        self.previous[next as usize] = previous;
    }

    /// Puts back the last one taken; nothing where it is an open operation, which is never in.
    fn restore(&mut self, place: u32) {
        if self.is_in[place as usize] {
            let (previous, next) = (self.previous[place as usize], self.next[place as usize]);
            self.next[previous as usize] = place;
            self.previous[next as usize] = place;
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let end = self.is_in.len();
        let mut at = self.next[end];
        std::iter::from_fn(move || {
            let place = at;
            ((place as usize) < end).then(|| {
                at = self.next[place as usize];
                place
            })
        })
    }
}

/// States by number: equal numbers, equal states.
struct Interner<S> {
    numbers: FxHashMap<S, u32>,
    states: Vec<S>,
}

impl<S> Default for Interner<S> {
    fn default() -> Self {
        Interner {
            numbers: FxHashMap::default(),
            states: Vec::new(),
        }
    }
}

impl<S: Clone + Eq + Hash> Interner<S> {
    fn intern(&mut self, state: S) -> u32 {
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        let number = u32::try_from(self.states.len()).expect("the budget is spent long before");
        self.states.push(state.clone());
        self.numbers.insert(state, number);
        number
    }

    fn get(&self, number: u32) -> &S {
        &self.states[number as usize]
    }
}

fn has(bits: &Bits, slot: u32) -> bool {
    bits.get(slot as usize / 64)
        .is_some_and(|word| word >> (slot % 64) & 1 == 1)
}

fn set(bits: &mut Bits, slot: u32) {
    let word = slot as usize / 64;
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    bits[word] |= 1 << (slot % 64);
}

/// Equal sets must be equal bits, so trailing zeros go.
fn clear(bits: &mut Bits, slot: u32) {
    bits[slot as usize / 64] &= !(1 << (slot % 64));
    while bits.last() == Some(&0) {
        bits.pop();
    }
}
