//! What clients do to a replicated system, and what must then hold.
//!
//! A [`Workload`] gives every worker a seeded [`Generator`] of [`Intent`]s, names the reads that
//! end a run, and judges the events that were recorded. All of it is pure: clocks, sockets and
//! processes belong to the harness.
//!
//! Adding one: a file with the workload, a line in [`Name`] and one in [`workload`].

pub mod check;
pub mod intent;
pub mod operation;
mod reading;
pub mod register;
pub mod seed;
pub mod set;

pub use check::{Axis, Check, Watch};
pub use intent::{Intent, Seen};
pub use operation::{Key, Op, Ret};

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// What clients do, and what must then hold.
pub trait Workload: Send + Sync {
    /// Which one.
    fn name(&self) -> Name;

    /// The endless stream of operations of one worker: the same for the same seed and worker.
    fn generator(&self, seed: u64, worker: u32) -> Box<dyn Generator>;

    /// What to read once the cluster has recovered, of every node.
    ///
    /// `used` are the keys that the run used.
    fn final_reads(&self, used: &BTreeSet<Key>) -> Vec<Op>;

    /// A write and a read that show that a node serves; the `count`th of a run.
    fn probe(&self, count: u64) -> [Op; 2];

    /// What can be judged while a run goes on; `None` if nothing can.
    fn watch(&self) -> Option<Box<dyn Watch>> {
        None
    }

    /// What must hold.
    fn checks(&self) -> Vec<Box<dyn Check>>;
}

/// One worker's stream of operations.
pub trait Generator: Send {
    /// What to do next.
    fn next_intent(&mut self) -> Intent;
}

/// The workloads there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// Compare-and-set registers under independent keys.
    Register,
    /// A set that only grows.
    Set,
}

impl Name {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Name; 2] = [Name::Register, Name::Set];

    /// The name on the command line and in a plan.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Register => "register",
            Name::Set => "set",
        }
    }

    /// What it does and what it finds, in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Name::Register => {
                "reads, unique writes and compare-and-set on independent keys; linearizable?"
            }
            Name::Set => "unique elements are added, every node is read at the end; any lost?",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// There is no workload of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no workload {0:?}; there are: {names}", names = names())]
pub struct UnknownWorkload(String);

fn names() -> String {
    Name::ALL.map(Name::as_str).join(", ")
}

impl FromStr for Name {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Name::ALL
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or_else(|| UnknownWorkload(name.to_owned()))
    }
}

/// The workload of that name, for so many workers.
pub fn workload(name: Name, workers: u32) -> Box<dyn Workload> {
    match name {
        Name::Register => Box::new(register::Register::for_workers(workers)),
        Name::Set => Box::new(set::Set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "bank".parse::<Name>().unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no workload \"bank\"; there are: register, set"
        );
    }

    #[test]
    fn every_name_is_its_own_workload() {
        for name in Name::ALL {
            assert_eq!(name.as_str().parse(), Ok(name));
            assert_eq!(workload(name, 10).name(), name);
        }
    }
}
