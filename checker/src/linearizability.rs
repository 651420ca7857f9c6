//! Is there one order of the operations that the object could have gone through, and that no
//! client can tell from what it saw?
//!
//! ```text
//!   p1   ├── write 1 ──┤                 order:  write 1 · read → 1 · write 2 · read → 2
//!   p2        ├── read → 1 ──┤
//!   p3      ├───── write 2 ─────┤        p4's read must come after write 2, and p2's before it,
//!   p4                 ├ read → 2 ┤      which is possible: they overlap. Linearizable.
//! ```
//!
//! [`check`] splits the history by key (a history is linearizable exactly if it is so key by key:
//! Herlihy and Wing 1990, section 3.1) and searches each key on its own. Operations that certainly
//! did not happen are left out; so are those of unknown result that could not have changed
//! anything; every other unknown one stays open to the end, to be used once or not at all.

mod class;
mod cut;
#[cfg(test)]
mod differential;
mod explain;
mod finding;
mod frontier;
mod meter;
mod monitor;
mod open_queue;
mod portfolio;
mod problem;
mod queue;
mod search;
mod set;
mod unrest;
mod waiting;
mod zone;

use std::collections::BTreeMap;
use std::time::Instant;

use rayon::prelude::*;

use crate::budget::Budget;
use crate::history::{History, Operation, OperationId, Time};
use crate::model::Model;
use crate::verdict::Validity;
use meter::Meter;
pub use monitor::{Monitor, MonitorError};
use portfolio::Answer;
use problem::Problem;

/// What is known of a history after the search.
#[derive(Clone, Debug, PartialEq)]
pub struct Linearizability {
    /// One verdict for each key, in the order of the keys.
    pub keys: Vec<KeyVerdict>,
}

/// What is known of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyVerdict {
    /// The key in words; `None` where the object is one whole.
    pub key: Option<String>,
    /// How many operations had to be ordered, those of unknown result included.
    pub operations: usize,
    /// How many configurations were visited.
    pub states: u64,
    /// The answer, with its evidence.
    pub decision: Decision,
}

/// The answer for one key.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// This order explains everything. Operations of unknown result that it does not need are
    /// not in it.
    Valid {
        /// The witness: replaying it through the model gives every result that was seen.
        order: Vec<OperationId>,
    },
    /// The budget was spent first.
    Unknown(Prefix),
    /// No order explains it.
    Invalid(Contradiction),
}

/// Why no order explains the operations.
#[derive(Clone, Debug, PartialEq)]
pub struct Contradiction {
    /// Operations that contradict each other by themselves, and would not if any one were left
    /// out. Empty where the history is too long to be narrowed down.
    pub minimal: Vec<OperationId>,
    /// How far an order of those gets, and what stops it; of all where they are not narrowed down.
    pub prefix: Prefix,
    /// Those operations, drawn for a terminal.
    pub drawing: String,
}

/// As far as the operations could be explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Prefix {
    /// The longest consistent order that was found.
    pub order: Vec<OperationId>,
    /// What the object holds after it, in words.
    pub state: String,
    /// Each operation that might have come next, and why it cannot: first to return first.
    pub stuck: Vec<Stuck>,
    /// How many operations that certainly happened are not in the order.
    pub left: usize,
    /// Everything that returned before then is in the order; `None` where nothing is left.
    pub until: Option<Time>,
    /// How many operations are of unknown result, and may or may not have happened.
    pub open: usize,
}

/// An operation that cannot follow the longest consistent order.
#[derive(Clone, Debug, PartialEq)]
pub struct Stuck {
    /// Which.
    pub operation: OperationId,
    /// Why not, in words with times and processes.
    pub why: String,
}

impl Linearizability {
    /// The worst of all keys.
    pub fn validity(&self) -> Validity {
        Validity::worst(self.keys.iter().map(KeyVerdict::validity))
    }
}

impl Linearizability {
    /// Every violation with its drawing and reasons, for a terminal; `None` if there is none.
    pub fn explain(&self) -> Option<String> {
        let told: Vec<String> = self.keys.iter().filter_map(KeyVerdict::explain).collect();
        (!told.is_empty()).then(|| told.join("\n"))
    }
}

impl KeyVerdict {
    /// This key's answer, without its evidence.
    pub fn validity(&self) -> Validity {
        match self.decision {
            Decision::Valid { .. } => Validity::Valid,
            Decision::Unknown(_) => Validity::Unknown,
            Decision::Invalid(_) => Validity::Invalid,
        }
    }
}

/// Decides whether the history is linearizable with respect to the model, within the budget.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget,
) -> Linearizability {
    let mut keys: BTreeMap<M::Key, Vec<_>> = BTreeMap::new();
    for operation in history.operations() {
        if problem::counts(model, operation) {
            let key = model.key(operation.op());
            keys.entry(key).or_default().push(operation);
        }
    }
    let meter = Meter::new(*budget, Instant::now());
    let keys: Vec<_> = keys.into_iter().collect();
    let judge = |(key, operations): &(M::Key, Vec<_>)| {
        check_key(model, model.describe_key(key), operations, meter.clone())
    };
    Linearizability {
        keys: keys.par_iter().map(judge).collect(),
    }
}

fn check_key<M: Model>(
    model: &M,
    key: Option<String>,
    operations: &[&Operation<M::Op, M::Ret>],
    meter: Meter,
) -> KeyVerdict {
    let problem = Problem::new(model, operations);
    let (answer, states) = portfolio::decide(&problem, meter);
    let decision = match answer {
        Answer::Order(order) => Decision::Valid {
            order: problem.ids(&order),
        },
        Answer::Spent { deepest } => Decision::Unknown(finding::prefix(&problem, &deepest)),
        Answer::None { core, deepest } => {
            drop(problem);
            Decision::Invalid(contradiction(model, operations, core.as_deref(), &deepest))
        }
    };
    KeyVerdict {
        key,
        operations: operations.len(),
        states,
        decision,
    }
}

fn contradiction<M: Model>(
    model: &M,
    operations: &[&Operation<M::Op, M::Ret>],
    core: Option<&[u32]>,
    deepest: &[u32],
) -> Contradiction {
    let Some(minimal) = explain::minimal(model, operations, core) else {
        let prefix = explain::prefix(model, operations, deepest);
        return Contradiction {
            prefix,
            minimal: Vec::new(),
            drawing: String::new(),
        };
    };
    let prefix = explain::prefix(model, &minimal, &explain::longest(model, &minimal));
    Contradiction {
        drawing: explain::drawing(model, &minimal, &prefix.stuck),
        minimal: explain::ids(&minimal),
        prefix,
    }
}
