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
//!
//! # How it is decided
//!
//! In general that question is NP-complete (Gibbons and Korach 1997); the histories of real
//! clusters are seldom hard. So one key is given to several algorithms, the cheapest first, in
//! slices of its [budget](crate::budget::Budget) that grow until one of them decides.
//!
//! 1. Where a model says that it is a register, a queue or a set ([`Model::as_register`],
//!    [`Model::as_queue`], [`Model::as_set`]) and values are distinct, the order of values in time
//!    decides in near-linear time.
//!    Of a counter ([`Model::as_counter`]) only the sums that reads saw have to be made up.
//! 2. A depth-first search looks for an order (Wing and Gong 1993), remembering dead ends (Lowe
//!    2017): first one that looks at few possibilities and turns back soon, later one that leaves
//!    none out.
//! 3. A frontier search keeps all that may be true, return by return. With what is relaxed it
//!    refutes cheaply; exact, it proves either.
//!
//! Each is sound for the verdicts that it gives, and an order is replayed through the model before
//! it is believed. What none decides within the budget is [`Decision::Unknown`], with how far an
//! order got: never a guess. The README has the table, with sources; the head of each file the
//! argument.
//!
//! ```
//! use ordeal_checker::budget::Budget;
//! use ordeal_checker::history::{HistoryBuilder, OperationId, Outcome, Process, Time};
//! use ordeal_checker::linearizability::{Decision, check};
//! use ordeal_checker::model::{CasRegister, RegisterOp, RegisterRet};
//!
//! let mut history = HistoryBuilder::new();
//! let (p1, p2) = (Process(1), Process(2));
//! history.invoke(p1, Time(10), RegisterOp::Read)?;
//! history.invoke(p2, Time(15), RegisterOp::Write(2))?;
//! history.complete(p1, Time(30), Outcome::Ok(RegisterRet::Value(Some(2))))?;
//! history.complete(p2, Time(40), Outcome::Ok(RegisterRet::Written))?;
//!
//! let verdict = check(&CasRegister, &history.finish(), &Budget::default());
//! let Decision::Valid { order } = &verdict.keys[0].decision else {
//!     panic!("they overlap, so the read may come last");
//! };
//! assert_eq!(order, &[OperationId(1), OperationId(0)]);
//! # Ok::<(), ordeal_checker::history::MalformedHistory>(())
//! ```
//!
//! *Before: [`model`](crate::model) · [contents](crate) · next: what the answer says, and why,
//! [`verdict`](crate::verdict). While a run goes on: [`Monitor`].*

mod class;
mod cut;
#[cfg(test)]
mod differential;
mod explain;
mod finding;
mod frontier;
mod glance;
mod meter;
mod monitor;
mod open_queue;
mod portfolio;
mod problem;
mod queue;
mod reachable;
mod search;
mod set;
mod sum;
mod tighten;
mod unrest;
mod waiting;
mod zone;

use std::collections::BTreeMap;
use std::time::Instant;

use rayon::prelude::*;

use crate::budget::Budget;
use crate::history::{History, Operation, OperationId, Process, Time};
use crate::model::Model;
use crate::verdict::Validity;
pub(crate) use finding::{Told, explanation, finding};
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
    /// Operations that no order explains, in order of call; empty where the history is too long to
    /// be narrowed down.
    ///
    /// *Enough*: whatever the other operations did that had begun by then, and whenever, if at all.
    pub minimal: Vec<Telling>,
    /// True where it is also *minimal*: forget any one of these too, so that it may have happened
    /// at any time or never, with any result, and there is an order. False where that would have
    /// taken too long to find.
    pub is_minimal: bool,
    /// False where the others were too many for that: then they are left out, and the operations
    /// contradict each other by themselves.
    pub is_whole: bool,
    /// Nothing that was learned after that is used: what completed later counts as still open.
    pub until: Time,
    /// The longest consistent order of those, step by step.
    pub steps: Vec<Step>,
    /// The first operation that would have explained it, had it not begun too late.
    pub late: Option<Telling>,
    /// How far an order of those gets, and what stops it; of all where they are not narrowed down.
    pub prefix: Prefix,
}

/// An operation as it is told: who, what, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Which.
    pub operation: OperationId,
    /// Who did it.
    pub process: Process,
    /// What it was and what came back, in the words of the model.
    pub what: String,
    /// When it was asked.
    pub invoked: Time,
    /// When it was answered, if ever.
    pub returned: Option<Time>,
}

/// One step of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub telling: Telling,
    /// False where it is none of the contradiction's, but was taken to have happened just then.
    pub is_needed: bool,
    /// What the object held from then on, where that changed.
    pub state: Option<String>,
}

/// As far as the operations could be explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Prefix {
    /// The longest consistent order that was found.
    pub order: Vec<OperationId>,
    /// What the object holds after it, in words.
    pub state: String,
    /// The last operation that changed it, if any did.
    pub writer: Option<Telling>,
    /// Each operation that might have come next: first to return first.
    pub stuck: Vec<Stuck>,
    /// How many operations that certainly happened are not in the order.
    pub left: usize,
    /// Everything that returned before then is in the order; `None` where nothing is left.
    pub until: Option<Time>,
    /// How many operations are of unknown result, and may or may not have happened.
    pub open: usize,
}

/// An operation at which the longest consistent order ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Which.
    pub telling: Telling,
    /// True where it could follow, and it is the others that then cannot.
    pub can_follow: bool,
    /// What it would have come to there, in words that complete "there it would …", where the
    /// model tells that.
    pub instead: Option<String>,
}

impl Linearizability {
    /// The worst of all keys.
    pub fn validity(&self) -> Validity {
        Validity::worst(self.keys.iter().map(KeyVerdict::validity))
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
    let judge = |(key, operations): (M::Key, Vec<_>)| {
        check_key(model, model.describe_key(&key), &operations, &meter)
    };
    Linearizability {
        keys: each(keys, judge),
    }
}

/// In parallel, where there is more than one: to wake another thread takes longer than a short
/// history.
fn each<K: Send, T: Send>(keys: Vec<K>, judge: impl Fn(K) -> T + Sync + Send) -> Vec<T> {
    match keys.len() {
        0 | 1 => keys.into_iter().map(judge).collect(),
        _ => keys.into_par_iter().map(judge).collect(),
    }
}

/// [`check`], where each key's operations come into being only when it is their turn, and of its
/// verdict only what `tell` makes of it is kept.
pub(crate) fn check_each<M: Model, K: Send, T: Send>(
    model: &M,
    keys: Vec<K>,
    budget: &Budget,
    operations: impl Fn(&K) -> (Option<String>, Vec<Operation<M::Op, M::Ret>>) + Sync,
    tell: impl Fn(&K, &KeyVerdict) -> T + Sync,
) -> Vec<T>
where
    M::Op: Send,
    M::Ret: Send,
{
    let meter = Meter::new(*budget, Instant::now());
    let judge = |key: K| {
        let verdict = {
            let (words, operations) = operations(&key);
            let operations: Vec<_> = operations.iter().collect();
            check_key(model, words, &operations, &meter)
        };
        tell(&key, &verdict)
    };
    each(keys, judge)
}

fn check_key<M: Model>(
    model: &M,
    key: Option<String>,
    operations: &[&Operation<M::Op, M::Ret>],
    meter: &Meter,
) -> KeyVerdict {
    let problem = Problem::new(model, operations);
    let (answer, states) = portfolio::decide(&problem, meter.clone());
    let decision = match answer {
        Answer::Order(order) => Decision::Valid {
            order: problem.ids(&order),
        },
        Answer::Spent { deepest } => Decision::Unknown(explain::prefix(&problem, &deepest)),
        Answer::None { core, deepest } => {
            drop(problem);
            Decision::Invalid(explain::contradiction(
                model,
                operations,
                core.as_deref(),
                &deepest,
                &explain::Means::after(meter, states),
            ))
        }
    };
    KeyVerdict {
        key,
        operations: operations.len(),
        states,
        decision,
    }
}
