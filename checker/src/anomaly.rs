//! Checks that need no search: each looks for one kind of thing that must not happen.
//!
//! They are the appendix to the [book](crate): what they find a search would find too, but they are
//! linear, they speak in the terms of their anomaly, and they need nothing but what they look for.

pub mod lost_write;
