//! One key's operations, as the search wants them: ranked on one line of events.
//!
//! ```text
//!   time        10      12      12      15      20
//!   events      call a  call b  ret a   call c  ret b     c is open: it has no return
//!   rank        0       1       2       3       4
//! ```
//!
//! At equal times calls rank before returns, so that operations which only touch are concurrent.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::history::{Operation, OperationId, Outcome, Time};
use crate::model::Model;

/// True where the operation has to be explained, or may explain others.
pub(super) fn counts<M: Model>(model: &M, operation: &Operation<M::Op, M::Ret>) -> bool {
    match operation.outcome() {
        Outcome::Ok(_) => true,
        Outcome::Fail(_) => false,
        Outcome::Info(_) => !model.is_read(operation.op(), None),
    }
}

/// The rank of a return that never comes.
pub(super) const OPEN: u32 = u32::MAX;

/// The operations of one key.
pub(super) struct Problem<'a, M: Model> {
    pub(super) model: &'a M,
    pub(super) operations: &'a [&'a Operation<M::Op, M::Ret>],
    /// All events in their order.
    pub(super) events: Vec<Event>,
    /// Per operation: the bit that stands for it while it is live, reused after its return.
    pub(super) slots: Vec<u32>,
    /// Per open operation: the equal open one called before it, if any. Equal ones are
    /// interchangeable, so the earlier one is used first.
    pub(super) twins: Vec<Option<u32>>,
    /// Per operation: true where it changes no state.
    pub(super) reads: Vec<bool>,
    /// Per operation: the rank of its call.
    pub(super) calls: Vec<u32>,
    /// Per operation: the rank of its return; [`OPEN`] where it has none.
    pub(super) returns: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Call(u32),
    Return(u32),
}

impl<'a, M: Model> Problem<'a, M> {
    pub(super) fn new(model: &'a M, operations: &'a [&'a Operation<M::Op, M::Ret>]) -> Self {
        let mut timed: Vec<(Time, Event)> = Vec::with_capacity(operations.len() * 2);
        let mut reads = Vec::with_capacity(operations.len());
        for (place, operation) in operations.iter().enumerate() {
            let place = u32::try_from(place).expect("fewer than 2^32 operations fit in memory");
            timed.push((operation.invoked(), Event::Call(place)));
            if let Some(returned) = operation.returned() {
                timed.push((returned, Event::Return(place)));
            }
            reads.push(model.is_read(operation.op(), operation.outcome().ok()));
        }
        timed.sort_unstable();
        let events: Vec<Event> = timed.into_iter().map(|(_, event)| event).collect();
        let (mut calls, mut returns) = (vec![0; operations.len()], vec![OPEN; operations.len()]);
        for (rank, event) in (0..).zip(&events) {
            match event {
                Event::Call(place) => calls[*place as usize] = rank,
                Event::Return(place) => returns[*place as usize] = rank,
            }
        }
        Problem {
            model,
            operations,
            slots: slots(&events, operations),
            twins: twins(&events, operations),
            reads,
            calls,
            returns,
            events,
        }
    }

    /// True where the operation's result is unknown, so that it may be left out.
    pub(super) fn is_open(&self, place: u32) -> bool {
        self.returns[place as usize] == OPEN
    }

    pub(super) fn step(&self, state: &M::State, place: u32) -> Option<M::State> {
        let operation = self.operations[place as usize];
        self.model
            .step(state, operation.op(), operation.outcome().ok())
    }

    pub(super) fn ids(&self, places: &[u32]) -> Vec<OperationId> {
        places
            .iter()
            .map(|place| self.operations[*place as usize].id())
            .collect()
    }
}

fn twins<O: Eq + Hash, R>(events: &[Event], operations: &[&Operation<O, R>]) -> Vec<Option<u32>> {
    let mut twins = vec![None; operations.len()];
    let mut last = FxHashMap::default();
    for event in events {
        if let Event::Call(place) = event {
            let operation = operations[*place as usize];
            if operation.returned().is_none() {
                twins[*place as usize] = last.insert(operation.op(), *place);
            }
        }
    }
    twins
}

/// Gives every operation with a return the lowest number that is free at its call, and every open
/// one a number of its own sequence.
fn slots<O, R>(events: &[Event], operations: &[&Operation<O, R>]) -> Vec<u32> {
    let mut slots = vec![0; operations.len()];
    let mut free: Vec<u32> = Vec::new();
    let (mut live, mut open) = (0, 0);
    for event in events {
        match event {
            Event::Call(place) if operations[*place as usize].returned().is_none() => {
                slots[*place as usize] = open;
                open += 1;
            }
            Event::Call(place) => {
                slots[*place as usize] = free.pop().unwrap_or_else(|| {
                    live += 1;
                    live - 1
                });
            }
            Event::Return(place) => free.push(slots[*place as usize]),
        }
    }
    slots
}
