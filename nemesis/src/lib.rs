//! Break it, knowingly: fault plans as pure data, levers that pull them, a proof of each.
//!
//! ```text
//!  Nemesis + seed ──planner──▶ Schedule ──injector──▶ Levers ──▶ Effect (with its Proof)
//!     (pure)                    (data)                  │
//!                                                       ├─ process::Processes  SIGKILL, SIGSTOP
//!                                                       ├─ network::Network    cuts (Switch)
//!                                                       ├─ disk::Disks         power, errors
//!                                                       ├─ clock::Clocks       wrong wall clocks
//!                                                       └─ lever::Admin        orders (the target)
//!                                sandbox::enter owns all of it: killing the harness ends it
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`node`], [`grudge`] | who there is, and who refuses to hear whom |
//! | [`fault`], [`schedule`] | faults as closed, printable, serialisable data |
//! | [`planner`] | nemesis × nodes × time × seed → schedule; pure |
//! | [`scenario`] | scripted steps: inject, wait, expect, heal; pure |
//! | [`sandbox`] | namespaces that die with the harness |
//! | [`network`] | one namespace per node, and the switch between them |
//! | [`process`] | the node processes, held by pidfd |
//! | [`disk`] | disks under the nodes' data that lose power, fail and lie |
//! | [`clock`] | wall clocks that are wrong |
//! | [`lever`], [`injector`] | what can be pulled here, and the run of a schedule |
//! | [`doctor`] | which faults can be injected here, really tried |
//! | [`proof`] | what a fault did, with its evidence |
//!
//! Nothing here knows a protocol, an operation or a verdict; no async runtime is needed or used.

pub mod clock;
pub mod disk;
pub mod doctor;
pub mod fault;
pub mod grudge;
pub mod injector;
pub mod lever;
pub mod network;
pub mod node;
pub mod planner;
pub mod process;
pub mod proof;
pub mod sandbox;
pub mod scenario;
pub mod schedule;
mod sys;
mod text;

pub use fault::{
    AdminFault, Ailment, Asked, Damage, Fault, FaultClass, Keep, MemberChange, MemberFault,
    PacketEffect, Packets, Scope, Shape, Shaping, Skew, Targets, Whom,
};
pub use grudge::Grudge;
pub use node::{Edge, Endpoint, Node};
pub use proof::{Effect, Proof};
pub use schedule::{PlannedFault, Schedule};
