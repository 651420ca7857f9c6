//! Is this history right? Pure: no clock, no I/O beyond parsing, no async.
//!
//! A [`history::History`] is what clients saw. A [`verdict::Finding`] is what can be said about it.

pub mod history;
pub mod verdict;
