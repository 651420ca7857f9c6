//! The checker from outside: known histories, random ones against exhaustive search and other
//! people's checkers, files, and what is told.
//!
//! One program, since every model goes through all algorithms, which take long to compile.

#![allow(clippy::unwrap_used)]

#[path = "../../benches/large/transactions.rs"]
mod many;
mod support;

mod answers;
mod bounded;
mod corpus_files;
mod drawings;
mod effort;
mod exhaustive;
mod fuzz;
mod models;
mod monitor;
mod oracle;
mod reading;
mod round_trip;
mod told;
mod transaction_drawings;
mod transaction_orders;
mod transactions;
