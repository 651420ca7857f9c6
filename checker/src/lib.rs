//! Is this history right? Pure: no clock but the budget's, no I/O beyond parsing, no async.
//!
//! A [`history::History`] is what clients saw, a [`model::Model`] what the object could do.
//! [`linearizability::check`] looks for an order that joins them; [`anomaly`] has checks that need
//! no search. A [`verdict::Finding`] is what can be said, with its evidence.

pub mod anomaly;
pub mod budget;
pub mod format;
pub mod history;
pub mod judge;
pub mod linearizability;
pub mod model;
pub mod transaction;
pub mod verdict;
