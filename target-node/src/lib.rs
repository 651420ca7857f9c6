//! The system under test: a Raft node.

mod args;
mod command;
mod console;
mod driver;
mod failpoint;
mod failure;
mod machine;
mod node;
mod peer;
mod server;
mod storage;

pub mod defect;
pub mod primary_backup;
pub mod protocol;
pub mod quorum;
pub mod raft;
pub mod simulation;
pub mod trace;

pub use args::NodeArgs;
pub use command::{NodeCommand, run};
