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
//!    Of a counter ([`Model::as_counter`]) a read is refuted by what it must have seen at least, or
//!    at most; otherwise only the sums that reads saw have to be made up.
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
mod counter;
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
    /// *Enough*: whatever the other operations did that had begun by then, and whenever, if at all;
    /// but for those in `early`.
    pub minimal: Vec<Telling>,
    /// What was over too early to help, and would help at another time: group by group, those with
    /// one question. `minimal` is a contradiction without them, and is one with them, whatever came
    /// of them between their calls and their returns.
    pub early: Vec<Early>,
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
    /// The first operation that would have explained it, as it was, had it not begun too late.
    pub late: Option<Telling>,
    /// How far an order of those gets, and what stops it; of all where they are not narrowed down.
    pub prefix: Prefix,
}

/// Operations that were over too early to help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    /// Those, in order of call.
    pub operations: Vec<Telling>,
    /// This one of the contradiction began only when all of those were over.
    pub before: Telling,
}

/// An operation as it is told: who, what, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Which.
    pub operation: OperationId,
    /// Who did it.
    pub process: Process,
    /// What it was and what came back, in the words of the model; only what it was where what came
    /// back is not used.
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
    let keys: Vec<_> = keys.into_iter().collect();
    let judge = |(key, operations): &(M::Key, Vec<_>), meter: &Meter| {
        check_key(model, model.describe_key(key), operations, meter.clone())
    };
    Linearizability {
        keys: each(keys, budget, judge, |_, verdict| verdict),
    }
}

/// So many keys at once may take what one may; on so many processors or fewer.
const AT_ONCE: u64 = 16;

/// In parallel, where there is more than one: to wake another thread takes longer than a short
/// history. Each with its share of the bytes, whatever the number of processors, so that the
/// verdict does not depend on it; and who wanted more, alone and with all of them.
fn each<K: Send, V, T: Send>(
    keys: Vec<K>,
    budget: &Budget,
    judge: impl Fn(&K, &Meter) -> (V, bool) + Sync + Send,
    tell: impl Fn(&K, V) -> T + Sync + Send,
) -> Vec<T> {
    let meter = Meter::new(*budget, Instant::now());
    let alone = |key: K| {
        let (verdict, _) = judge(&key, &meter);
        tell(&key, verdict)
    };
    if keys.len() < 2 {
        return keys.into_iter().map(alone).collect();
    }
    let share = meter.share(AT_ONCE);
    let first = |key: K| match judge(&key, &share) {
        (_, true) => Err(key),
        (verdict, false) => Ok(tell(&key, verdict)),
    };
    let first: Vec<Result<T, K>> = keys.into_par_iter().map(first).collect();
    let told = first.into_iter();
    told.map(|told| told.unwrap_or_else(alone)).collect()
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
    let judge = |key: &K, meter: &Meter| {
        let (words, operations) = operations(key);
        let operations: Vec<_> = operations.iter().collect();
        check_key(model, words, &operations, meter.clone())
    };
    each(keys, budget, judge, |key, verdict| tell(key, &verdict))
}

/// The verdict, and whether it is unknown for want of bytes.
fn check_key<M: Model>(
    model: &M,
    key: Option<String>,
    operations: &[&Operation<M::Op, M::Ret>],
    meter: Meter,
) -> (KeyVerdict, bool) {
    let problem = Problem::new(model, operations);
    let (answer, spent) = portfolio::decide(&problem, meter);
    let is_undecided = matches!(answer, Answer::Spent { .. });
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
                &explain::Means::after(&spent),
            ))
        }
    };
    let verdict = KeyVerdict {
        key,
        operations: operations.len(),
        states: spent.states(),
        decision,
    };
    (verdict, is_undecided && spent.is_short_of_bytes())
}
