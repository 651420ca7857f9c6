//! Equal operations are interchangeable: all of one kind, with one result, form a class.
//!
//! ```text
//!   p1   ├── write 1 ──────────┤        two writes of 1, both possible now:
//!   p2      ├── write 1 ──┤             use p2's, which must be done first
//! ```
//!
//! **Why that is enough.** If some order uses p1's now and p2's later, exchange the two: the steps
//! are the same; p2's was called before now; p1's returns after p2's does, so it may come where
//! p2's was. So only the first to return of each class has to be tried, and a hundred concurrent
//! writes of five values are five possibilities. An open operation returns last of all, so it comes
//! after every equal one, and among open ones the first called comes first.

use rustc_hash::FxHashMap;

use super::meter::{PIECE, table_bytes};
use super::problem::Problem;
use crate::model::Model;

/// Steps are remembered up to that many pairs of class and state.
const TABLE_MAX: usize = 1 << 22;
const UNKNOWN: u32 = u32::MAX;
const IMPOSSIBLE: u32 = u32::MAX - 1;

/// The classes of a problem, its states by number, and the steps between them.
pub(crate) struct Classes<'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    /// Per operation: its class.
    pub(crate) of: Vec<u32>,
    /// Per operation: one number for all with the same question, whatever the answer.
    pub(crate) question: Vec<u32>,
    /// Per class: true where it changes no state.
    pub(crate) is_read: Vec<bool>,
    /// Per class: true once a step of it was impossible somewhere.
    pub(crate) is_choosy: Vec<bool>,
    numbers: FxHashMap<M::State, u32>,
    states: Vec<M::State>,
    /// Per state, per class: the state after. Empty where it would be too large.
    table: Vec<u32>,
    /// What the states take beyond their own size.
    heap: usize,
}

impl<'p, 'a, M: Model> Classes<'p, 'a, M> {
    pub(crate) fn new(problem: &'p Problem<'a, M>) -> Self {
        let mut questions = FxHashMap::default();
        let mut classes = FxHashMap::default();
        let (mut of, mut question, mut is_read) = (Vec::new(), Vec::new(), Vec::new());
        for operation in problem.operations {
            let ret = operation.outcome().ok();
            let next = next_number(questions.len());
            question.push(*questions.entry(operation.op()).or_insert(next));
            let next = next_number(classes.len());
            let class = *classes.entry((operation.op(), ret)).or_insert(next);
            if class == next {
                is_read.push(problem.model.is_read(operation.op(), ret));
            }
            of.push(class);
        }
        Classes {
            problem,
            of,
            question,
            is_choosy: vec![false; is_read.len()],
            is_read,
            numbers: FxHashMap::default(),
            states: Vec::new(),
            table: Vec::new(),
            heap: 0,
        }
    }

    /// What the states and the steps between them take.
    pub(crate) fn bytes(&self) -> usize {
        let entry = size_of::<(M::State, u32)>();
        table_bytes(self.numbers.len(), self.numbers.capacity(), entry)
            + self.states.len() * size_of::<M::State>()
            + self.heap
            + self.table.len() * size_of::<u32>()
    }

    pub(crate) fn count(&self) -> usize {
        self.is_read.len()
    }

    /// The number of a state: equal numbers, equal states.
    pub(crate) fn intern(&mut self, state: M::State) -> u32 {
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        let number = next_number(self.states.len());
        // Once in the list, once in the map.
        let copy = state.clone();
        for state in [&state, &copy] {
            let bytes = self.problem.model.state_bytes(state);
            self.heap += bytes + if bytes == 0 { 0 } else { PIECE };
        }
        self.states.push(copy);
        self.numbers.insert(state, number);
        if self.states.len() * self.count() <= TABLE_MAX {
            self.table.resize(self.states.len() * self.count(), UNKNOWN);
        }
        number
    }

    /// How many states are numbered.
    pub(crate) fn states_count(&self) -> usize {
        self.states.len()
    }

    /// The state of that number.
    pub(crate) fn state(&self, number: u32) -> &M::State {
        &self.states[number as usize]
    }

    /// One operation of each class.
    pub(crate) fn examples(&self) -> Vec<u32> {
        let mut is_new = vec![true; self.count()];
        (0..)
            .zip(&self.of)
            .filter(|(_, class)| std::mem::replace(&mut is_new[**class as usize], false))
            .map(|(place, _)| place)
            .collect()
    }

    /// The state after `place`, if it is possible.
    pub(crate) fn step(&mut self, state: u32, place: u32) -> Option<u32> {
        let class = self.of[place as usize];
        let cell = state as usize * self.count() + class as usize;
        match self.table.get(cell) {
            Some(&IMPOSSIBLE) => return None,
            Some(&next) if next != UNKNOWN => return Some(next),
            _ => {}
        }
        let next = self.problem.step(&self.states[state as usize], place);
        let next = next.map(|next| self.intern(next));
        if let Some(known) = self.table.get_mut(cell) {
            *known = next.unwrap_or(IMPOSSIBLE);
        }
        if next.is_none() {
            self.is_choosy[class as usize] = true;
        }
        next
    }
}

fn next_number(count: usize) -> u32 {
    u32::try_from(count)
        .ok()
        .filter(|n| *n < IMPOSSIBLE)
        .expect("a budget is spent long before")
}

/// Per operation, the bit that stands for it while it is live: free again after its return. Open
/// operations have a sequence of their own.
pub(crate) fn slots<M: Model>(problem: &Problem<'_, M>) -> Vec<u32> {
    let mut slots = vec![0; problem.operations.len()];
    let mut free: Vec<u32> = Vec::new();
    let (mut live, mut open) = (0, 0);
    for event in &problem.events {
        let place = event.place() as usize;
        if event.is_return() {
            free.push(slots[place]);
        } else if problem.is_open(event.place()) {
            slots[place] = open;
            open += 1;
        } else {
            slots[place] = free.pop().unwrap_or_else(|| {
                live += 1;
                live - 1
            });
        }
    }
    slots
}

/// Hash of anything, for callers that need one number.
pub(crate) fn mix(value: u64) -> u128 {
    let low = scramble(value.wrapping_add(0x9E37_79B9_7F4A_7C15));
    let high = scramble(value ^ 0xD1B5_4A32_D192_ED03);
    u128::from(high) << 64 | u128::from(low)
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection without visible pattern.
fn scramble(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
