//! One key's operations, as the algorithms want them: ranked on one line of events.
//!
//! ```text
//!   time        10      12      12      15      20
//!   events      call a  call b  ret a   call c  ret b     c is open: it has no return
//!   rank        0       1       2       3       4
//! ```
//!
//! At equal times calls rank before returns, so that operations which only touch are concurrent.

use crate::history::{Operation, OperationId, Outcome, Time};
use crate::model::Model;

/// The rank of a return that never comes.
pub(crate) const OPEN: u32 = u32::MAX;

/// True where the operation has to be explained, or may explain others.
pub(crate) fn counts<M: Model>(model: &M, operation: &Operation<M::Op, M::Ret>) -> bool {
    match operation.outcome() {
        Outcome::Ok(_) => true,
        Outcome::Fail(_) => false,
        Outcome::Info(_) => !model.is_read(operation.op(), None),
    }
}

/// The operations of one key. Everywhere below an operation is its *place* in `operations`.
pub(crate) struct Problem<'a, M: Model> {
    pub(crate) model: &'a M,
    /// In order of invocation.
    pub(crate) operations: &'a [&'a Operation<M::Op, M::Ret>],
    /// All events in their order.
    pub(crate) events: Vec<Event>,
    /// Per operation: the rank of its call.
    pub(crate) calls: Vec<u32>,
    /// Per operation: the rank of its return; [`OPEN`] where it has none.
    pub(crate) returns: Vec<u32>,
}

/// A call or a return, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event(u32);

impl Event {
    pub(crate) fn call(place: u32) -> Self {
        Event(place << 1)
    }

    pub(crate) fn ret(place: u32) -> Self {
        Event(place << 1 | 1)
    }

    pub(crate) fn place(self) -> u32 {
        self.0 >> 1
    }

    pub(crate) fn is_return(self) -> bool {
        self.0 & 1 == 1
    }

    /// The same, where operations are counted from that place on.
    fn moved(self, first: u32) -> Self {
        Event(self.0 - (first << 1))
    }
}

impl<'a, M: Model> Problem<'a, M> {
    /// # Panics
    /// With 2³¹ operations or more on one key.
    pub(crate) fn new(model: &'a M, operations: &'a [&'a Operation<M::Op, M::Ret>]) -> Self {
        assert!(
            operations.len() < 1 << 31,
            "an event is 31 bits of place and one of kind"
        );
        let mut returned: Vec<(Time, u32)> = (0..)
            .zip(operations)
            .filter_map(|(place, operation)| Some((operation.returned()?, place)))
            .collect();
        returned.sort_unstable();
        let total = operations.len() + returned.len();
        let mut problem = Problem {
            model,
            operations,
            events: Vec::with_capacity(total),
            calls: vec![0; operations.len()],
            returns: vec![OPEN; operations.len()],
        };
        let mut returned = returned.into_iter().peekable();
        for (place, operation) in (0..).zip(operations) {
            while let Some((_, place)) = returned.next_if(|(time, _)| *time < operation.invoked()) {
                problem.push(Event::ret(place));
            }
            problem.push(Event::call(place));
        }
        for (_, place) in returned {
            problem.push(Event::ret(place));
        }
        problem
    }

    /// The same operations with other events, in that order.
    pub(crate) fn with_events(&self, events: impl Iterator<Item = Event>) -> Self {
        let count = self.operations.len();
        let mut problem = Problem {
            model: self.model,
            operations: self.operations,
            events: Vec::with_capacity(self.events.len()),
            calls: vec![0; count],
            returns: vec![OPEN; count],
        };
        events.for_each(|event| problem.push(event));
        problem
    }

    /// A part of it, which begins and ends where nothing is in flight.
    pub(crate) fn part(&self, events: std::ops::Range<usize>) -> Self {
        let calls = events.clone().filter(|at| !self.events[*at].is_return());
        let count = calls.count();
        let first = self.events[events.start].place();
        let mut problem = Problem {
            model: self.model,
            operations: &self.operations[first as usize..][..count],
            events: Vec::with_capacity(events.len()),
            calls: vec![0; count],
            returns: vec![OPEN; count],
        };
        for event in &self.events[events] {
            problem.push(event.moved(first));
        }
        problem
    }

    fn push(&mut self, event: Event) {
        let rank = u32::try_from(self.events.len()).expect("fewer than 2^32 events, as asserted");
        self.events.push(event);
        let ranks = if event.is_return() {
            &mut self.returns
        } else {
            &mut self.calls
        };
        ranks[event.place() as usize] = rank;
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.operations.len()).expect("asserted by Problem::new")
    }

    /// True where the operation's result is unknown, so that it may be left out.
    pub(crate) fn is_open(&self, place: u32) -> bool {
        self.returns[place as usize] == OPEN
    }

    pub(crate) fn step(&self, state: &M::State, place: u32) -> Option<M::State> {
        let operation = self.operations[place as usize];
        self.model
            .step(state, operation.op(), operation.outcome().ok())
    }

    pub(crate) fn ids(&self, places: &[u32]) -> Vec<OperationId> {
        places
            .iter()
            .map(|place| self.operations[*place as usize].id())
            .collect()
    }

    /// True where the order gives every result, holds every operation that has one, and puts
    /// nothing before what preceded it.
    pub(crate) fn replays(&self, order: &[u32]) -> bool {
        let mut state = self.model.init();
        let mut latest = 0;
        let mut is_done = vec![false; self.operations.len()];
        for place in order {
            let at = *place as usize;
            match self.step(&state, *place) {
                Some(next) if !is_done[at] && self.returns[at] > latest => state = next,
                _ => return false,
            }
            is_done[at] = true;
            latest = latest.max(self.calls[at]);
        }
        (0..)
            .zip(is_done)
            .all(|(place, is_done)| is_done || self.is_open(place))
    }
}
