//! Is this history right? Pure: no clock but the budget's, no I/O beyond parsing, no async.
//!
//! Clients talked to a replicated object while things broke. Each wrote down what it asked, what
//! came back, and when. Could one object, doing one thing at a time, have given those answers? If
//! so, the clients cannot tell the cluster from it, and it kept its word. If not, somebody was
//! told something untrue, and this crate says who, what and why.
//!
//! ```
//! use ordeal_checker::budget::Budget;
//! use ordeal_checker::history::{HistoryBuilder, Outcome, Process, Time};
//! use ordeal_checker::linearizability::check;
//! use ordeal_checker::model::{Counter, CounterOp, CounterRet};
//! use ordeal_checker::verdict::Validity;
//!
//! let mut history = HistoryBuilder::new();
//! history.invoke(Process(1), Time(10), CounterOp::Add(2))?;
//! history.complete(Process(1), Time(20), Outcome::Ok(CounterRet::Added))?;
//! history.invoke(Process(2), Time(30), CounterOp::Read)?;
//! history.complete(Process(2), Time(40), Outcome::Ok(CounterRet::Value(0)))?;
//!
//! let verdict = check(&Counter, &history.finish(), &Budget::default());
//! assert_eq!(verdict.validity(), Validity::Invalid); // the 2 was acknowledged, and not counted
//! # Ok::<(), ordeal_checker::history::MalformedHistory>(())
//! ```
//!
//! # The book
//!
//! Read it from the top, or begin where you need to; each chapter leads to the next.
//!
//! 1. **History.** [`history`]: what clients saw. Operations with one of three outcomes,
//!    well-formed by construction.
//! 2. **Model.** [`model`]: what the object could do, one operation at a time; those that are
//!    there, and how to write one.
//! 3. **Search.** [`linearizability`]: is there an order that joins the two? Many algorithms behind
//!    one function, within a [`budget`].
//! 4. **Explanation.** [`verdict`]: valid, invalid or unknown, and the evidence for each: the
//!    witness, the operations that contradict each other, how far an order got.
//! 5. **Transactions.** [`transaction`]: where dependencies take the place of search.
//! 6. **Formats.** [`format`](mod@format) reads other tools' files; [`judge`] goes from a file to a
//!    verdict in one call.
//! 7. **Watching.** [`linearizability::Monitor`] takes events while a run goes on, and tells a
//!    violation as soon as it is certain.
//!
//! [`anomaly`] is the appendix: checks for one thing that must not happen, which need no search.
//!
//! The README measures all that; `examples/` has a program for chapters 2, 5, 6 and 7.

// Tests here and in `tests/` share their generators, which name the crate.
#[cfg(test)]
extern crate self as ordeal_checker;

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
