//! The system under test: a Raft node.

mod args;
mod console;
mod driver;
mod failure;
mod machine;
mod node;
mod peer;
mod server;
mod storage;

pub mod defect;
pub mod protocol;
pub mod raft;
pub mod simulation;

pub use args::NodeArgs;
pub use node::run;
