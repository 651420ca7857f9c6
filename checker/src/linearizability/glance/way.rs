//! What may be true at one moment of a look, in few words.
//!
//! ```text
//!   used   …|0010|0001     a field of three bits and a guard for each class that is counted:
//!   and    …|0011|0001     each guard set before, and left after subtracting, nothing more in one
//! ```

/// Bits of a word: for live operations, and for states.
pub(super) const WORD: usize = 64;
/// How often a counted class was used takes three bits of a word, with one to compare them all at
/// once.
pub(super) const FIELD: u32 = 4;
pub(super) const GUARDS: u64 = 0x8888_8888_8888_8888;
pub(super) const USED_MAX: u64 = 7;
pub(super) const NOWHERE: u32 = u32::MAX;

#[derive(Clone, Copy)]
pub(super) struct Live {
    pub(super) place: u32,
    pub(super) class: u32,
    pub(super) bit: u64,
    /// Those of its class that return before it.
    pub(super) same: u64,
    pub(super) is_read: bool,
    /// Of one that changes no state: the states in which it fits.
    pub(super) reads: u64,
}

/// A class of open operations, and how many of it were called.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    pub(super) class: u32,
    pub(super) called: u64,
    /// One of them.
    pub(super) place: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) state: u32,
    /// Directly after an open operation: the state before it. What follows must differ.
    pub(super) before: u32,
    pub(super) done: u64,
    /// How often what is counted was used.
    pub(super) used: u64,
    /// How it came about.
    pub(super) node: u32,
    /// How many open operations it used.
    pub(super) opens: u32,
}

/// By what a way goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Known(u32),
    /// An open operation that leads to the state, and is not counted.
    Open,
    /// One of that class.
    Counted(u32),
}

/// One step of a way.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) parent: u32,
    pub(super) by: By,
    pub(super) state: u32,
    /// How many open operations had been called.
    pub(super) called: u32,
}

/// True where nothing was used more often in `one`: no guard had to lend to its field.
pub(super) fn is_within(one: u64, other: u64) -> bool {
    ((other | GUARDS) - one) & GUARDS == GUARDS
}
