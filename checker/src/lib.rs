//! Is this history right? Pure: no clock but the budget's, no I/O beyond parsing, no async.
//!
//! Read it as a book:
//!
//! 1. [`history`]: what clients saw. Operations with one of three outcomes, well-formed by
//!    construction. [`format`](mod@format) reads other tools' files.
//! 2. [`model`]: what the object could do, one operation at a time.
//! 3. [`linearizability`]: the search for an order that joins the two, within a [`budget`];
//!    [`linearizability::Monitor`], which takes events while a run goes on; and
//!    [`transaction`], where dependencies between transactions take the place of search.
//! 4. [`verdict`]: what can be said, with its evidence. [`anomaly`] has checks that need no search;
//!    [`judge`] goes from a file to a verdict in one call.

pub mod anomaly;
pub mod budget;
pub mod format;
pub mod history;
pub mod judge;
pub mod linearizability;
pub mod model;
pub mod transaction;
pub mod verdict;

/// The README's examples, so that they are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
