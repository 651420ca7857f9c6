//! Checks that need no search: each looks for one kind of thing that must not happen.

pub mod lost_write;
