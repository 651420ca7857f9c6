//! The system under test: a Raft node.

pub mod protocol;
