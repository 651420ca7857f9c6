//! Frontier search: all ways that the past can have gone, kept up to date return by return.
//!
//! ```text
//!   returns in order of time       r1        r2        r3
//!                                   │         │         │
//!   what may be true then    { 1 ⟶ ●━━━━━━━━━●━━━━━━━━━○  dead: nothing leads on
//!                            { 2 ⟶ ●━━┓      ╷
//!                            { 2′ ─ ●──┛ same configuration, or a worse one: dropped
//! ```
//!
//! (Lowe 2017, "just-in-time linearization"; Knossos does the same.) At each return every
//! configuration is extended, in all ways, until the returning operation is done. A configuration
//! is the state, the live operations that are done, and how many open operations of each class were
//! used: its size depends on concurrency, and so does the cost, not on the length of the history.
//!
//! **Sound for both verdicts:** configurations are compared exactly, and the cuts are those of
//! [`super::search`]. One more: of two configurations with the same state and the same live
//! operations done, the one that used no more open operations of any class can do whatever the
//! other can (*dominance*), and the other is dropped.
//!
//! Two relaxations, **sound for invalid only**, because they allow every order and some more:
//! open operations may be used any number of times; and a search may begin in the middle, at any
//! state that could ever be reached, where the operations that were live may be done or not.

mod configuration;

use smallvec::SmallVec;

use super::class::Classes;
use super::meter::Meter;
use super::problem::{OPEN, Problem};
use crate::model::Model;
use configuration::{Antichains, Bits, Configuration, NOWHERE, Used, clear, count_up, has, set};

/// How a frontier search ended.
pub(crate) enum Fate {
    /// Every return was explained.
    Survived(Survivors),
    /// No way leads past a return. The longest of them.
    Refuted(Vec<u32>),
    /// The budget ran out.
    Spent,
}

/// Every state that the operations can end in, each with an order that leads there.
pub(crate) struct Survivors {
    nodes: Vec<(u32, u32)>,
    /// State and last node.
    ends: Vec<(u32, u32)>,
}

impl Survivors {
    pub(crate) fn states(&self) -> impl Iterator<Item = u32> + '_ {
        self.ends.iter().map(|(state, _)| *state)
    }

    /// An order that leads to the state of that rank.
    pub(crate) fn order(&self, rank: usize) -> Vec<u32> {
        order(&self.nodes, self.ends[rank].1)
    }
}

/// What to search.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Events from here to there.
    pub(crate) events: std::ops::Range<usize>,
    /// States that may be true at the beginning.
    pub(crate) states: Vec<u32>,
    /// Open operations can be used again.
    pub(crate) is_relaxed: bool,
}

pub(crate) struct Frontier<'c, 'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    classes: &'c mut Classes<'p, 'a, M>,
    scope: Scope,
    slots: Vec<u32>,
    /// Called and not returned, with a result, by return.
    live: Vec<u32>,
    /// Live at the beginning of a scope that begins in the middle: may be done before.
    is_optional: Vec<bool>,
    /// Open operations that were called, by class.
    open: Vec<(u32, Vec<u32>)>,
    /// Parent and operation.
    nodes: Vec<(u32, u32)>,
}

impl<'c, 'p, 'a, M: Model> Frontier<'c, 'p, 'a, M> {
    pub(crate) fn new(
        problem: &'p Problem<'a, M>,
        classes: &'c mut Classes<'p, 'a, M>,
        scope: Scope,
    ) -> Self {
        let mut frontier = Frontier {
            slots: super::class::slots(problem),
            is_optional: vec![false; problem.operations.len()],
            problem,
            classes,
            live: Vec::new(),
            open: Vec::new(),
            nodes: Vec::new(),
            scope,
        };
        for place in 0..problem.len() {
            let (call, ret) = (
                problem.calls[place as usize],
                problem.returns[place as usize],
            );
            if (call as usize) < frontier.scope.events.start
                && ret as usize >= frontier.scope.events.start
            {
                frontier.is_optional[place as usize] = ret != OPEN;
                frontier.call(place);
            }
        }
        frontier
    }

    pub(crate) fn run(mut self, meter: &mut Meter) -> Fate {
        let fresh = |state| Configuration {
            state,
            before: NOWHERE,
            done: Bits::new(),
            used: Used::new(),
            node: NOWHERE,
        };
        let mut frontier: Vec<_> = self.scope.states.iter().copied().map(fresh).collect();
        for rank in self.scope.events.clone() {
            let event = self.problem.events[rank];
            let place = event.place();
            if !event.is_return() {
                self.call(place);
                continue;
            }
            let deepest = frontier
                .iter()
                .map(|configuration| configuration.node)
                .max();
            let Some(next) = self.past(place, frontier, meter) else {
                return Fate::Spent;
            };
            if next.is_empty() {
                return Fate::Refuted(order(&self.nodes, deepest.unwrap_or(NOWHERE)));
            }
            self.live.retain(|live| *live != place);
            frontier = next;
        }
        let mut ends: Vec<(u32, u32)> = Vec::new();
        let mut is_known = rustc_hash::FxHashSet::default();
        for end in frontier {
            if is_known.insert(end.state) {
                ends.push((end.state, end.node));
            }
        }
        Fate::Survived(Survivors {
            nodes: self.nodes,
            ends,
        })
    }

    fn call(&mut self, place: u32) {
        if self.problem.is_open(place) {
            let class = self.classes.of[place as usize];
            match self.open.iter_mut().find(|(of, _)| *of == class) {
                Some((_, places)) => places.push(place),
                None => self.open.push((class, vec![place])),
            }
        } else {
            let ret = |place: &u32| self.problem.returns[*place as usize];
            let at = self.live.partition_point(|live| ret(live) < ret(&place));
            self.live.insert(at, place);
        }
    }

    /// Every configuration after `place` returned; `None` if the budget ran out.
    fn past(
        &mut self,
        place: u32,
        frontier: Vec<Configuration>,
        meter: &mut Meter,
    ) -> Option<Vec<Configuration>> {
        let (mut here, mut next) = (Antichains::default(), Antichains::default());
        let mut left: Vec<Configuration> = Vec::new();
        let is_optional = self.is_optional[place as usize];
        let before = frontier.capacity() * size_of::<Configuration>();
        for mut configuration in frontier {
            self.read(&mut configuration);
            if here.insert(&configuration) {
                left.push(configuration);
            }
            let waiting = before + left.len() * size_of::<Configuration>();
            if !meter.tick(self.bytes(&here, &next) + waiting) {
                return None;
            }
        }
        while let Some(configuration) = left.pop() {
            let waiting = left.capacity() * configuration.bytes() + next.bytes_in_order();
            if !meter.tick(self.bytes(&here, &next) + waiting) {
                return None;
            }
            let is_done = has(&configuration.done, self.slots[place as usize]);
            if is_done || is_optional {
                let mut past = configuration.clone();
                clear(&mut past.done, self.slots[place as usize]);
                next.insert(&past);
            }
            // An optional operation that is not done by now never will be: this is its last chance.
            if is_done {
                continue;
            }
            for mut successor in self.successors(&configuration) {
                self.read(&mut successor);
                if !here.insert(&successor) {
                    continue;
                }
                if !meter.visit(self.bytes(&here, &next) + waiting) {
                    return None;
                }
                left.push(successor);
            }
        }
        drop((here, left));
        Some(next.into_configurations())
    }

    fn bytes(&self, here: &Antichains, next: &Antichains) -> usize {
        self.classes.bytes()
            + here.bytes()
            + next.bytes()
            + self.nodes.len() * size_of::<(u32, u32)>()
    }

    /// Puts in every operation that fits and changes no state.
    fn read(&mut self, configuration: &mut Configuration) {
        loop {
            let fitting = self.live.iter().copied().find(|place| {
                let class = self.classes.of[*place as usize];
                self.classes.is_read[class as usize]
                    && !has(&configuration.done, self.slots[*place as usize])
                    && fits(self.classes, configuration, *place).is_some()
            });
            let Some(place) = fitting else {
                return;
            };
            configuration.before = NOWHERE;
            self.mark(configuration, place);
        }
    }

    fn mark(&mut self, configuration: &mut Configuration, place: u32) {
        set(&mut configuration.done, self.slots[place as usize]);
        self.link(configuration, place);
    }

    fn link(&mut self, configuration: &mut Configuration, place: u32) {
        let node = u32::try_from(self.nodes.len()).expect("the budget is spent long before");
        self.nodes.push((configuration.node, place));
        configuration.node = node;
    }

    /// One step on, by one operation that changes the state, in all ways worth trying.
    fn successors(&mut self, from: &Configuration) -> Vec<Configuration> {
        let mut successors = Vec::new();
        let mut tried: SmallVec<[(u32, bool); 8]> = SmallVec::new();
        let mut asked: SmallVec<[(u32, u32); 8]> = SmallVec::new();
        for at in 0..self.live.len() {
            let place = self.live[at];
            let kind = (
                self.classes.of[place as usize],
                self.is_optional[place as usize],
            );
            if has(&from.done, self.slots[place as usize]) || tried.contains(&kind) {
                continue;
            }
            let Some(state) = fits(self.classes, from, place) else {
                continue;
            };
            tried.push(kind);
            if !kind.1 {
                asked.push((self.classes.question[place as usize], state));
            }
            let mut successor = Configuration {
                state,
                before: NOWHERE,
                ..from.clone()
            };
            self.mark(&mut successor, place);
            successors.push(successor);
        }
        for at in 0..self.open.len() {
            let (class, places) = &self.open[at];
            let class = *class;
            let known = from.used.iter().find(|(of, _)| *of == class);
            let count = known.map_or(0, |(_, count)| *count);
            let Some(place) = places.get(count as usize).copied() else {
                continue;
            };
            let Some(state) = fits(self.classes, from, place) else {
                continue;
            };
            if state == from.state
                || asked.contains(&(self.classes.question[place as usize], state))
            {
                continue;
            }
            let mut successor = Configuration {
                state,
                before: from.state,
                ..from.clone()
            };
            if !self.scope.is_relaxed {
                count_up(&mut successor.used, class);
            }
            self.link(&mut successor, place);
            successors.push(successor);
        }
        successors
    }
}

/// The operations up to that node.
fn order(nodes: &[(u32, u32)], mut node: u32) -> Vec<u32> {
    let mut order = Vec::new();
    while let Some((parent, place)) = nodes.get(node as usize) {
        order.push(*place);
        node = *parent;
    }
    order.reverse();
    order
}

/// The state after `place`, if it is possible and, after an open one, shows that it was needed.
fn fits<M: Model>(
    classes: &mut Classes<'_, '_, M>,
    from: &Configuration,
    place: u32,
) -> Option<u32> {
    let after = classes.step(from.state, place)?;
    let matters = from.before == NOWHERE || classes.step(from.before, place) != Some(after);
    matters.then_some(after)
}
