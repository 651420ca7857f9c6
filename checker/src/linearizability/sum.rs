//! Counters: adds commute, so that only which of them come before a read matters.
//!
//! ```text
//!   p1  ├─ add 5 ─┤                         before the read: add 5, as it returned, and of what
//!   p2       ├── add 4 ──────────┤          else was called those that make up 12 − 5 = 7:
//!   p3   ├─ add 7 ─ ─ ─ ─ ─ ─ ─ ─ ─ ▸       add 7 alone, or add 4 and add 3
//!   p4    ├─ add 3 ─ ─ ─ ─ ─ ─ ─ ─ ─ ▸
//!   p5               ├ read → 12 ┤          (after it 4 is still to come in one of these two)
//! ```
//!
//! Just-in-time linearization (Lowe 2017) with all that lies between two reads as one step: return
//! by return it keeps every configuration that may be true, which is what is done of those in
//! flight, and how many open adds of each amount were used. To get to a read it looks for the sums
//! that are missing (subset sum, by branch and bound: Horowitz and Sahni 1974), not through all
//! orders.
//!
//! **Sound for both verdicts.** An order is taken apart at its reads. Adds between two of them may
//! change places; one that is not needed for the next read may come after it, if it has not
//! returned; and a read may come as soon as the sum is what it saw. So if there is an order there
//! is one whose steps are those tried here: at a return, any number of reads in flight, each after
//! the adds that make up its sum, and then what returns. Four things are left out:
//!
//! - Of equal open adds the later ones: once called they are the same.
//! - Open adds beyond a choice that has the sum already: they come to nothing together, and who
//!   does not use them can go on in the same way.
//! - Adds of nothing in a choice: they fit anywhere.
//! - What no later read allows. Every add that returned before a read was called is in its sum, so
//!   what it leaves for open adds is bounded, and so is what they can still become.
//!
//! Sums are exact: where all amounts together could overflow, nothing is said. An order is replayed
//! before it is believed.

mod choice;
mod room;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::meter::Meter;
use super::problem::Problem;
use crate::model::{CounterStep, Model};
use choice::{Amount, Choices, Used};
use room::{Room, room};

/// What it says.
pub(crate) enum Sums {
    /// This order explains everything.
    Order(Vec<u32>),
    /// There is none; so far an order gets.
    Refuted(Vec<u32>),
    /// It is no counter, or the budget ran out.
    Undecided,
}

/// So many operations of known result may be in flight at once.
const LIVE_MAX: u32 = 64;

/// So many may be open.
const OPEN_MAX: usize = 60_000;

/// Decides a counter.
pub(crate) fn decide<M: Model>(problem: &Problem<'_, M>, meter: &mut Meter) -> Sums {
    let Some(steps) = steps(problem) else {
        return Sums::Undecided;
    };
    let slots = super::class::slots(problem);
    let is_known = |place: &u32| !problem.is_open(*place);
    if (0..problem.len())
        .filter(is_known)
        .any(|place| slots[place as usize] >= LIVE_MAX)
    {
        return Sums::Undecided;
    }
    if (0..problem.len()).filter(|place| !is_known(place)).count() > OPEN_MAX {
        return Sums::Undecided;
    }
    Frontier::new(problem, steps, slots).run(meter)
}

/// All amounts together are less, so that no sum overflows; and what is seen is not more.
const SUM_MAX: i64 = i64::MAX / 4;

/// Every operation as one on a counter, unless their sum could overflow. What no sum can be is told
/// as the largest that is none, or the smallest.
pub(super) fn steps<M: Model>(problem: &Problem<'_, M>) -> Option<Vec<CounterStep>> {
    let steps = problem.operations.iter().map(|operation| {
        let ret = operation.outcome().ok();
        let step = problem.model.as_counter(operation.op(), ret)?;
        Some(match step {
            CounterStep::Read(seen) => CounterStep::Read(seen.clamp(-SUM_MAX, SUM_MAX)),
            CounterStep::Add(_) => step,
        })
    });
    let steps: Vec<CounterStep> = steps.collect::<Option<_>>()?;
    let amounts = steps.iter().map(|step| match step {
        CounterStep::Add(by) => i128::from(*by).abs(),
        CounterStep::Read(_) => 0,
    });
    (amounts.sum::<i128>() < i128::from(SUM_MAX)).then_some(steps)
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// By slot: what is done of those in flight.
    done: u64,
    used: Used,
}

#[derive(Clone)]
struct Configuration {
    key: Key,
    sum: i64,
    /// What the open adds came to that were used.
    lent: i64,
    /// How it came about.
    node: u32,
}

const NOWHERE: u32 = u32::MAX;

struct Frontier<'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    steps: Vec<CounterStep>,
    slots: Vec<u32>,
    /// Called and not returned, with a known result.
    live: Vec<u32>,
    /// The largest first.
    amounts: Vec<Amount>,
    /// By amount, where it stands in `amounts`.
    places: FxHashMap<i64, usize>,
    /// By rank of an event.
    room: Vec<Room>,
    /// What all open adds that are positive come to, and all that are negative.
    gains: i64,
    losses: i64,
    /// Parent, and what was done then.
    nodes: Vec<(u32, SmallVec<[u32; 2]>)>,
    bytes: usize,
}

impl<'p, 'a, M: Model> Frontier<'p, 'a, M> {
    fn new(problem: &'p Problem<'a, M>, steps: Vec<CounterStep>, slots: Vec<u32>) -> Self {
        let open = (0..problem.len()).filter(|place| problem.is_open(*place));
        let open = open.filter_map(|place| match steps[place as usize] {
            CounterStep::Add(by) if by != 0 => Some(by),
            _ => None,
        });
        let open: Vec<i64> = open.collect();
        let mut amounts = open.clone();
        amounts.sort_unstable_by_key(|by| (std::cmp::Reverse(by.unsigned_abs()), *by));
        amounts.dedup();
        let room = room(problem, &steps);
        Frontier {
            problem,
            steps,
            slots,
            live: Vec::new(),
            places: amounts.iter().copied().zip(0..).collect(),
            amounts: amounts
                .into_iter()
                .map(|by| Amount {
                    by,
                    called: Vec::new(),
                })
                .collect(),
            room,
            gains: open.iter().filter(|by| **by > 0).sum(),
            losses: open.iter().filter(|by| **by < 0).sum(),
            nodes: Vec::new(),
            bytes: 0,
        }
    }

    fn run(mut self, meter: &mut Meter) -> Sums {
        let mut frontier = vec![Configuration {
            key: Key {
                done: 0,
                used: Used::from_elem(0, self.amounts.len()),
            },
            sum: 0,
            lent: 0,
            node: NOWHERE,
        }];
        for rank in 0..self.problem.events.len() {
            let event = self.problem.events[rank];
            let place = event.place();
            if !event.is_return() {
                self.call(place, &mut frontier);
                continue;
            }
            let before = frontier[0].node;
            let Some(next) = self.returned(rank, place, frontier, meter) else {
                return Sums::Undecided;
            };
            if next.is_empty() {
                return Sums::Refuted(self.order(before));
            }
            frontier = next;
            self.live.retain(|live| *live != place);
        }
        Sums::Order(self.order(frontier[0].node))
    }

    fn bit(&self, place: u32) -> u64 {
        1 << self.slots[place as usize]
    }

    fn call(&mut self, place: u32, frontier: &mut [Configuration]) {
        match self.steps[place as usize] {
            CounterStep::Add(by) if self.problem.is_open(place) => {
                if let Some(at) = self.places.get(&by) {
                    self.amounts[*at].called.push(place);
                }
            }
            CounterStep::Add(_) => self.live.push(place),
            CounterStep::Read(_) => {
                self.live.push(place);
                frontier.iter_mut().for_each(|one| self.read(one));
            }
        }
    }

    /// Reads in flight that see the sum there is.
    fn read(&mut self, one: &mut Configuration) {
        let mut seen = SmallVec::new();
        for place in &self.live {
            let is_seen = self.steps[*place as usize] == CounterStep::Read(one.sum);
            if is_seen && one.key.done & self.bit(*place) == 0 {
                one.key.done |= self.bit(*place);
                seen.push(*place);
            }
        }
        if !seen.is_empty() {
            one.node = self.node(one.node, seen);
        }
    }

    fn node(&mut self, parent: u32, done: SmallVec<[u32; 2]>) -> u32 {
        let node = u32::try_from(self.nodes.len()).expect("the budget of bytes is spent before");
        self.bytes += size_of::<(u32, SmallVec<[u32; 2]>)>() + 4 * done.len();
        self.nodes.push((parent, done));
        node
    }

    fn order(&self, mut node: u32) -> Vec<u32> {
        let mut order = Vec::new();
        while node != NOWHERE {
            let (parent, done) = &self.nodes[node as usize];
            order.extend(done.iter().rev());
            node = *parent;
        }
        order.reverse();
        order
    }

    /// All that may be true once `place` has returned; `None` if the budget ran out.
    fn returned(
        &mut self,
        rank: usize,
        place: u32,
        frontier: Vec<Configuration>,
        meter: &mut Meter,
    ) -> Option<Vec<Configuration>> {
        let bit = self.bit(place);
        let (mut next, mut is_next) = (Vec::new(), FxHashSet::default());
        let (mut todo, mut is_known) = (frontier, FxHashSet::default());
        while let Some(one) = todo.pop() {
            if !meter.visit(self.bytes + 160 * (next.len() + is_known.len())) {
                return None;
            }
            if one.key.done & bit != 0 {
                let mut one = one;
                one.key.done &= !bit;
                if self.has_room(rank, &one) && is_next.insert(one.key.clone()) {
                    next.push(one);
                }
                continue;
            }
            let mut found = Vec::new();
            if let CounterStep::Add(by) = self.steps[place as usize] {
                let mut added = one.clone();
                added.sum += by;
                added.key.done |= bit;
                added.node = self.node(one.node, SmallVec::from_slice(&[place]));
                self.read(&mut added);
                found.push(added);
            }
            self.reach_reads(rank, &one, &mut found, meter)?;
            found.retain(|one| is_known.insert(one.key.clone()));
            todo.append(&mut found);
        }
        // An order that depends on nothing but what they are.
        Some(next)
    }

    /// What every later read leaves for open adds can still be met.
    fn has_room(&self, rank: usize, one: &Configuration) -> bool {
        let mut left = [self.losses, self.gains];
        for (amount, used) in self.amounts.iter().zip(&one.key.used) {
            left[usize::from(amount.by > 0)] -= amount.by * i64::from(*used);
        }
        let room = self.room[rank];
        one.lent + left[0] <= room.most && one.lent + left[1] >= room.least
    }

    /// Each read in flight, after each choice of adds that makes up what it saw.
    fn reach_reads(
        &mut self,
        rank: usize,
        from: &Configuration,
        found: &mut Vec<Configuration>,
        meter: &mut Meter,
    ) -> Option<()> {
        let is_left = |place: &u32| from.key.done & self.bit(*place) == 0;
        let left: Vec<u32> = self.live.iter().copied().filter(is_left).collect();
        let mut values: Vec<i64> = Vec::new();
        let mut adds: Vec<(u32, i64)> = Vec::new();
        for place in left {
            match self.steps[place as usize] {
                CounterStep::Read(seen) if !values.contains(&seen) => values.push(seen),
                CounterStep::Add(by) if by != 0 => adds.push((place, by)),
                _ => {}
            }
        }
        for value in values {
            let mut choices = Choices {
                amounts: &self.amounts,
                used: &from.key.used,
                adds: &adds,
                chosen: SmallVec::new(),
                more: Used::from_elem(0, self.amounts.len()),
                found: Vec::new(),
            };
            choices.choose(0, value - from.sum, meter)?;
            for (chosen, more) in choices.found {
                let one = self.at_read(from, &chosen, &more, value);
                if self.has_room(rank, &one) {
                    found.push(one);
                }
            }
        }
        Some(())
    }

    /// After those adds, and so many more open ones.
    fn at_read(
        &mut self,
        from: &Configuration,
        chosen: &[u32],
        more: &Used,
        value: i64,
    ) -> Configuration {
        let mut one = from.clone();
        let mut places: SmallVec<[u32; 2]> = SmallVec::from_slice(chosen);
        for place in chosen {
            one.key.done |= self.bit(*place);
        }
        for (at, amount) in self.amounts.iter().enumerate() {
            let (first, count) = (usize::from(from.key.used[at]), usize::from(more[at]));
            places.extend_from_slice(&amount.called[first..first + count]);
            one.key.used[at] += more[at];
            one.lent += amount.by * i64::from(more[at]);
        }
        one.sum = value;
        one.node = self.node(from.node, places);
        self.read(&mut one);
        one
    }
}

#[cfg(test)]
mod tests {
    use crate::budget::Budget;
    use crate::history::{History, HistoryBuilder, Outcome, Process, Time};
    use crate::linearizability::{Linearizability, check};
    use crate::model::{Counter, CounterOp, CounterRet};
    use crate::verdict::Validity;

    /// Forty adds of different amounts that nobody knows of, every fourth of which took effect; and
    /// a client that adds and reads, and is `off` in its last read but one.
    fn history(off: i64) -> History<CounterOp, CounterRet> {
        let (mut builder, mut now, mut sum) = (HistoryBuilder::new(), 0, 0);
        let open: Vec<i64> = (0..40).map(|number| 1_000_000 + 7_919 * number).collect();
        for (process, by) in (100..).zip(&open) {
            let add = CounterOp::Add(*by);
            builder
                .invoke(Process(process), Time(0), add)
                .expect("a new process");
        }
        for (at, by) in open.iter().enumerate() {
            let by = if at % 4 == 0 { *by } else { 0 };
            sum += by + 3;
            let seen = sum + if at == 38 { off } else { 0 };
            for (op, ret) in [
                (CounterOp::Add(3), CounterRet::Added),
                (CounterOp::Read, CounterRet::Value(seen)),
            ] {
                now += 10;
                builder
                    .invoke(Process(1), Time(now), op)
                    .expect("it is idle");
                let end = builder.complete(Process(1), Time(now + 5), Outcome::Ok(ret));
                end.expect("it is busy");
            }
        }
        builder.finish()
    }

    fn judged(off: i64) -> Linearizability {
        check(&Counter, &history(off), &Budget::states(20_000))
    }

    #[test]
    fn forty_adds_of_unknown_result_take_few_configurations() {
        assert_eq!(judged(0).validity(), Validity::Valid);
        assert_eq!(judged(1).validity(), Validity::Invalid);
        // It would have to be taken back.
        assert_eq!(judged(1_007_919).validity(), Validity::Invalid);
    }
}
