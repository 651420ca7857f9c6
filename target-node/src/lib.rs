//! The system under test: a Raft node.

mod kv;
mod storage;

pub mod defect;
pub mod protocol;
pub mod raft;
