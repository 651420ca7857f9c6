//! The system under test: a Raft node.

pub mod defect;
pub mod protocol;
pub mod raft;
