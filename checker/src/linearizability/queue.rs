//! Queues whose values are all distinct: decided from the order of values alone.
//!
//! ```text
//!   put 1 ├──┤                          1 went in before 2 and came out after it: no order
//!   put 2       ├──┤
//!   take → 2            ├──┤
//!   take → 1                  ├──┤
//!
//!   put 1 ├──┤       take → 1 ├──┤      1 is certainly in from the return of its put to the
//!   take → nothing    ├─┤               call of its take: nowhere to find the queue empty
//! ```
//!
//! These two, a value that comes out before it goes in, twice, or out of nowhere, are all that can
//! be wrong (Henzinger, Sezgin and Vafeiadis 2013, "Aspect-oriented linearizability proofs",
//! section 4; Bouajjani, Emmi, Enea and Hamza 2015, "On reducing linearizability to state
//! reachability", section 4).
//!
//! **Sound for invalid:** value `a` goes before `b` if its put returned before `b`'s was called, or
//! its take before `b`'s. A put takes effect before its value's take returns, and a take after its
//! put was called, so both are tightened so first. Values are taken off one at a time: any one
//! that nothing left over goes before. If there is none, look at `w`, whose put is the first to
//! return, and `u`, whose take is: `w` may be put next, so its take was called after `u`'s had
//! returned; and `u`'s put after `w`'s. Those two contradict each other by themselves.
//!
//! **Sound for valid:** the order of values gives each put the latest call up to it, and each take
//! likewise, but not before its put. That order is replayed before it is believed. To fit in takes
//! that found nothing, the values are split in those before and those after; where that does not
//! work out nothing is said, and the search decides.
//!
//! Everything is sorting and heaps: O(n log n).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rustc_hash::FxHashMap;

use super::meter::Meter;
use super::problem::Problem;
use super::zone::Zones;
use crate::model::{Model, QueueStep};

/// The call and the return of a take that never comes; the return is later.
const NEVER: (u64, u64) = (u64::MAX - 1, u64::MAX);

/// A value that was put for certain. Bounds are ranks doubled, so that there is room between.
#[derive(Clone, Copy, Debug)]
struct Item {
    put: u32,
    take: Option<u32>,
    put_call: u64,
    put_return: u64,
    take_call: u64,
    take_return: u64,
}

/// A history of a queue.
struct Queue<'p> {
    calls: &'p [u32],
    returns: &'p [u32],
    items: Vec<Item>,
    /// Takes that found nothing.
    empties: Vec<u32>,
}

/// What a value takes in all tables, about.
const BYTES: usize = 200;

/// Decides, if the model is a queue whose values are all distinct and no take is open.
pub(crate) fn decide<M: Model>(problem: &Problem<'_, M>, meter: &mut Meter) -> Zones {
    let operations = problem.operations.iter();
    let steps: Option<Vec<QueueStep>> = operations
        .map(|operation| {
            let ret = operation.outcome().ok();
            problem.model.as_queue(operation.op(), ret)
        })
        .collect();
    let Some(steps) = steps else {
        return Zones::Undecided;
    };
    let mut queue = Queue {
        calls: &problem.calls,
        returns: &problem.returns,
        items: Vec::new(),
        empties: Vec::new(),
    };
    let told = queue.fill(&steps, meter).and_then(|()| {
        let order = order_of(&queue.items, meter)?.map_err(|pair| queue.contradiction(pair))?;
        if queue.empties.is_empty() {
            return Ok(queue.write_down(&order, Vec::new()));
        }
        let moments = queue.moments(problem.events.len())?;
        queue.split(&moments);
        match order_of(&queue.items, meter)? {
            Ok(order) => Ok(queue.write_down(&order, moments)),
            Err(_) => Err(Zones::Undecided),
        }
    });
    match told {
        Ok(order) if replays(problem, &steps, &order) => Zones::Order(order),
        Ok(_) => Zones::Undecided,
        Err(told) => told,
    }
}

impl Queue<'_> {
    /// Puts every value with its take.
    fn fill(&mut self, steps: &[QueueStep], meter: &mut Meter) -> Result<(), Zones> {
        let mut values: FxHashMap<i64, (u32, Option<u32>)> = FxHashMap::default();
        for (place, step) in (0..).zip(steps) {
            if !meter.tick(BYTES * values.len()) {
                return Err(Zones::Undecided);
            }
            if let QueueStep::Put(value) = step
                && values.insert(*value, (place, None)).is_some()
            {
                return Err(Zones::Undecided);
            }
        }
        let mut puts: Vec<u32> = Vec::with_capacity(values.len());
        let mut takes: FxHashMap<u32, u32> = FxHashMap::default();
        for (place, step) in (0..).zip(steps) {
            match step {
                QueueStep::Put(_) => puts.push(place),
                QueueStep::Empty => self.empties.push(place),
                QueueStep::Taken(value) => match values.get_mut(value) {
                    None => return Err(Zones::Contradiction(vec![place])),
                    Some((put, Some(first))) => {
                        return Err(Zones::Contradiction(vec![*put, *first, place]));
                    }
                    Some((put, take)) => {
                        *take = Some(place);
                        takes.insert(*put, place);
                    }
                },
            }
        }
        for put in puts {
            self.items.extend(self.item(put, takes.get(&put).copied())?);
        }
        Ok(())
    }

    /// Nothing for an open put whose value was never seen: it may be left out.
    fn item(&self, put: u32, take: Option<u32>) -> Result<Option<Item>, Zones> {
        let at = |ranks: &[u32], place: u32| 2 * u64::from(ranks[place as usize]);
        let is_open = self.returns[put as usize] == super::problem::OPEN;
        let (take_call, take_return) = match take {
            None if is_open => return Ok(None),
            None => NEVER,
            Some(take) => (at(self.calls, take), at(self.returns, take)),
        };
        let put_call = at(self.calls, put);
        if take_return < put_call {
            return Err(Zones::Contradiction(
                [put].into_iter().chain(take).collect(),
            ));
        }
        Ok(Some(Item {
            put,
            take,
            put_call,
            put_return: at(self.returns, put).min(take_return),
            take_call: take_call.max(put_call),
            take_return,
        }))
    }

    /// What the operations of these values say by themselves.
    fn contradiction(&self, values: impl IntoIterator<Item = usize>) -> Zones {
        let items = values.into_iter().map(|value| &self.items[value]);
        Zones::Contradiction(items.flat_map(Item::places).collect())
    }

    /// For every take that found nothing: right after which event the queue may be empty.
    fn moments(&self, events: usize) -> Result<Vec<(u64, u32)>, Zones> {
        let mut entered: Vec<i64> = vec![0; events + 1];
        let place = |bound: u64| usize::try_from(bound / 2).map_or(events, |at| at.min(events));
        for item in &self.items {
            if item.put_return < item.take_call {
                entered[place(item.put_return)] += 1;
                entered[place(item.take_call)] -= 1;
            }
        }
        let mut inside = 0;
        let is_free: Vec<bool> = entered
            .iter()
            .map(|change| {
                inside += change;
                inside == 0
            })
            .collect();
        let mut next_free = vec![u32::MAX; events + 1];
        let mut next = u32::MAX;
        for (at, is_free) in (0..).zip(is_free).collect::<Vec<_>>().into_iter().rev() {
            next = if is_free { at } else { next };
            next_free[at as usize] = next;
        }
        let mut moments = Vec::with_capacity(self.empties.len());
        for empty in &self.empties {
            let free = next_free[self.calls[*empty as usize] as usize];
            if free >= self.returns[*empty as usize] {
                return Err(self.covered(*empty));
            }
            moments.push((2 * u64::from(free) + 1, *empty));
        }
        moments.sort_unstable();
        Ok(moments)
    }

    /// A chain of values, each in before the one before it may be out, all along that take.
    fn covered(&self, empty: u32) -> Zones {
        let bound = |ranks: &[u32]| 2 * u64::from(ranks[empty as usize]);
        let (mut reached, end) = (bound(self.calls), bound(self.returns));
        let mut by_entry: Vec<usize> = (0..self.items.len()).collect();
        by_entry.sort_unstable_by_key(|value| self.items[*value].put_return);
        let mut by_entry = by_entry.into_iter().peekable();
        let (mut chain, mut longest) = (Vec::new(), None);
        while reached < end {
            let is_in = |value: &usize| self.items[*value].put_return <= reached;
            while let Some(value) = by_entry.next_if(is_in) {
                longest = longest.max(Some((self.items[value].take_call, value)));
            }
            match longest {
                Some((out, value)) if out > reached => {
                    chain.push(value);
                    reached = out;
                }
                _ => return Zones::Undecided,
            }
        }
        let Zones::Contradiction(mut core) = self.contradiction(chain) else {
            return Zones::Undecided;
        };
        core.push(empty);
        Zones::Contradiction(core)
    }

    /// What certainly went in before an empty moment is out by then; the rest comes after it.
    fn split(&mut self, moments: &[(u64, u32)]) {
        for item in &mut self.items {
            let later = moments.partition_point(|(moment, _)| *moment < item.put_return);
            if let Some((moment, _)) = moments.get(later) {
                item.take_return = item.take_return.min(*moment);
            }
            if let Some((moment, _)) = later.checked_sub(1).map(|before| moments[before]).as_ref() {
                item.put_call = item.put_call.max(*moment);
            }
            item.put_return = item.put_return.min(item.take_return);
            item.take_call = item.take_call.max(item.put_call);
        }
    }

    /// Every operation at its moment: at the same one what found nothing, then puts, then takes.
    fn write_down(&self, order: &[usize], moments: Vec<(u64, u32)>) -> Vec<u32> {
        let (mut put_at, mut take_at) = (0, 0);
        let mut puts = Vec::with_capacity(order.len());
        let mut takes = Vec::with_capacity(order.len());
        for value in order {
            let item = &self.items[*value];
            put_at = put_at.max(item.put_call);
            puts.push((put_at, 1, item.put));
            if let Some(take) = item.take {
                take_at = take_at.max(item.take_call).max(put_at);
                takes.push((take_at, 2, take));
            }
        }
        let empties = moments.into_iter().map(|(at, place)| (at, 0, place));
        let mut all: Vec<(u64, u8, u32)> = empties.chain(puts).chain(takes).collect();
        // Stable: values at the same moment stay in their order.
        all.sort_by_key(|(at, kind, _)| (*at, *kind));
        all.into_iter().map(|(.., place)| place).collect()
    }
}

impl Item {
    fn places(&self) -> impl Iterator<Item = u32> + use<> {
        [self.put].into_iter().chain(self.take)
    }
}

/// An order of the values, or two that contradict each other.
///
/// # Errors
/// Undecided, if the budget is spent.
fn order_of(items: &[Item], meter: &mut Meter) -> Result<Result<Vec<usize>, [usize; 2]>, Zones> {
    let sorted = |key: fn(&Item) -> u64| {
        let mut values: Vec<usize> = (0..items.len()).collect();
        values.sort_by_key(|value| key(&items[*value]));
        values
    };
    let by_call = sorted(|item| item.put_call);
    let (by_put, by_take) = (
        sorted(|item| item.put_return),
        sorted(|item| item.take_return),
    );
    let mut order = Vec::with_capacity(items.len());
    let mut is_done = vec![false; items.len()];
    let (mut called, mut put, mut take) = (0, 0, 0);
    // May be put next; the first that may be taken on top.
    let mut ready = BinaryHeap::new();
    while order.len() < items.len() {
        if !meter.tick(BYTES * items.len()) {
            return Err(Zones::Undecided);
        }
        while is_done[by_put[put]] {
            put += 1;
        }
        while is_done[by_take[take]] {
            take += 1;
        }
        let (first_put, first_take) = (&items[by_put[put]], &items[by_take[take]]);
        while let Some(value) = by_call.get(called)
            && items[*value].put_call < first_put.put_return
        {
            ready.push(Reverse((items[*value].take_call, *value)));
            called += 1;
        }
        match ready.pop() {
            Some(Reverse((take_call, value))) if take_call < first_take.take_return => {
                is_done[value] = true;
                order.push(value);
            }
            _ => return Ok(Err([by_put[put], by_take[take]])),
        }
    }
    Ok(Ok(order))
}

/// As [`Problem::replays`], on one queue in place of a copy for each step.
fn replays<M: Model>(problem: &Problem<'_, M>, steps: &[QueueStep], order: &[u32]) -> bool {
    let mut held = VecDeque::new();
    let mut latest = 0;
    let mut is_done = vec![false; steps.len()];
    for place in order {
        let at = *place as usize;
        let fits = match steps[at] {
            QueueStep::Put(value) => {
                held.push_back(value);
                true
            }
            QueueStep::Taken(value) => held.pop_front() == Some(value),
            QueueStep::Empty => held.is_empty(),
        };
        if !fits || is_done[at] || problem.returns[at] <= latest {
            return false;
        }
        is_done[at] = true;
        latest = latest.max(problem.calls[at]);
    }
    let mut places = (0..).zip(is_done);
    places.all(|(place, is_done)| is_done || problem.is_open(place))
}

#[cfg(test)]
mod tests {
    use super::super::class::Classes;
    use super::super::frontier::{Fate, Frontier, Scope};
    use super::super::meter::Meter;
    use super::super::problem::counts;
    use super::*;
    use crate::budget::Budget;
    use crate::history::{History, HistoryBuilder, Operation, Outcome, Process, Reason, Time};
    use crate::model::{FifoQueue, SequenceOp, SequenceRet};
    use std::time::Instant;

    type Operations = History<SequenceOp, SequenceRet>;

    fn next(draw: &mut u64, below: u64) -> u64 {
        *draw = draw
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*draw >> 33) % below
    }

    /// `count` operations by up to `clients`, each at once at the object, some with wrong results.
    fn random_history(seed: u64, count: u64, clients: usize, honest: u64) -> Operations {
        let mut draw = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xBF58_476D_1CE4_E5B9;
        let mut held: VecDeque<i64> = VecDeque::new();
        let mut builder = HistoryBuilder::new();
        let mut open: Vec<(u64, SequenceOp, Option<SequenceRet>)> = Vec::new();
        let mut begun = 0;
        for now in 0.. {
            if begun < count && open.len() < clients && (open.is_empty() || next(&mut draw, 2) > 0)
            {
                let op = match next(&mut draw, 2) {
                    0 => SequenceOp::Put(i64::try_from(begun).unwrap()),
                    _ => SequenceOp::Take,
                };
                builder.invoke(Process(begun), Time(now), op).unwrap();
                open.push((begun, op, None));
                begun += 1;
                continue;
            }
            if open.is_empty() {
                break;
            }
            let place = usize::try_from(next(&mut draw, open.len() as u64)).unwrap();
            let lies = next(&mut draw, honest) == 0;
            let (process, op, ret) = &mut open[place];
            if ret.is_none() {
                *ret = Some(match op {
                    SequenceOp::Put(value) if lies => {
                        held.push_front(*value);
                        SequenceRet::Done
                    }
                    SequenceOp::Put(value) => {
                        held.push_back(*value);
                        SequenceRet::Done
                    }
                    SequenceOp::Take if lies => SequenceRet::Taken(None),
                    SequenceOp::Take => SequenceRet::Taken(held.pop_front()),
                });
                continue;
            }
            let is_lost = matches!(op, SequenceOp::Put(_)) && next(&mut draw, 8) == 0;
            let outcome = match ret.take() {
                Some(ret) if !is_lost => Outcome::Ok(ret),
                _ => Outcome::Info(Reason::default()),
            };
            builder
                .complete(Process(*process), Time(now), outcome)
                .unwrap();
            open.swap_remove(place);
        }
        builder.finish()
    }

    fn told(history: &Operations, then: impl Fn(&Problem<'_, FifoQueue>, &Zones)) -> Zones {
        let operations: Vec<_> = history.operations().iter().collect();
        let operations: Vec<&Operation<_, _>> = operations
            .into_iter()
            .filter(|operation| counts(&FifoQueue, operation))
            .collect();
        let problem = Problem::new(&FifoQueue, &operations);
        let mut meter = Meter::new(Budget::default(), Instant::now());
        let told = decide(&problem, &mut meter);
        then(&problem, &told);
        told
    }

    fn is_linearizable(problem: &Problem<'_, FifoQueue>) -> bool {
        let mut classes = Classes::new(problem);
        let states = vec![classes.intern(VecDeque::new())];
        let scope = Scope {
            events: 0..problem.events.len(),
            states,
            is_relaxed: false,
        };
        let mut meter = Meter::new(Budget::default(), Instant::now());
        match Frontier::new(problem, &mut classes, scope).run(&mut meter) {
            Fate::Survived(..) => true,
            Fate::Refuted(_) => false,
            Fate::Spent => panic!("so few operations"),
        }
    }

    #[test]
    fn the_order_of_values_agrees_with_the_exact_search() {
        let mut seen = [0_u32; 3];
        for seed in 0..20_000 {
            let history = random_history(seed, 4 + seed % 9, 5, 7);
            let told = told(&history, |problem, told| {
                let is_valid = is_linearizable(problem);
                match told {
                    Zones::Order(order) => {
                        assert!(
                            is_valid && problem.replays(order),
                            "seed {seed}: {history:?}"
                        );
                    }
                    Zones::Contradiction(core) => {
                        assert!(!is_valid, "seed {seed}: {history:?}");
                        let alone: Vec<_> = core
                            .iter()
                            .map(|place| problem.operations[*place as usize])
                            .collect();
                        let alone = Problem::new(&FifoQueue, &alone);
                        assert!(!is_linearizable(&alone), "seed {seed}: the core alone");
                    }
                    Zones::Undecided => {}
                }
            });
            seen[match told {
                Zones::Order(_) => 0,
                Zones::Contradiction(_) => 1,
                Zones::Undecided => 2,
            }] += 1;
        }
        let [orders, contradictions, undecided] = seen;
        assert!(orders > 5_000 && contradictions > 2_000, "{seen:?}");
        assert!(undecided < 20, "{seen:?}");
    }

    #[test]
    fn a_long_history_is_decided_without_a_search() {
        let history = random_history(1, 100_000, 30, u64::MAX);
        assert!(matches!(told(&history, |_, _| ()), Zones::Order(_)));
        let history = random_history(1, 100_000, 30, 50_000);
        assert!(matches!(told(&history, |_, _| ()), Zones::Contradiction(_)));
    }
}
