//! Are transactions serializable, in an order that real time allows?
//!
//! ```text
//!   T1   append x 1 ──ww──▶ T2   append x 2         order of x, from the longest read: 1 2
//!   T3   read x [1]  ──rw──▶ T2                     T3 saw 1 and not 2: it came before T2
//!   T2   append x 2 ──wr──▶ T4   read x [1 2]
//! ```
//!
//! After Kingsbury and Alvaro 2020 ("Elle", section 4): every value is written once, so that reads
//! tell who wrote what they saw and, for lists, in which order. From that follow dependencies; a
//! cycle of dependencies is an anomaly (Adya 1999), and its kind is told by its edges. Linear in
//! practice, for a cycle is looked for in strongly connected components only.
//!
//! **Sound for invalid:** every edge is implied by what was seen. Not complete for read-write
//! registers, where reads do not tell the whole order of writes.
//!
//! # Anomalies by their names
//!
//! | kind | the cycle |
//! |---|---|
//! | G0 | of writes that overwrote each other (`ww`) |
//! | G1c | with reads of what another wrote (`wr`) |
//! | G-single | with one read of what another overwrote (`rw`): read skew |
//! | G2 | with several of those: write skew |
//!
//! `-realtime` is added where the cycle needs that one transaction was over before another began.
//!
//! ```
//! use ordeal_checker::history::{HistoryBuilder, Outcome, Process, Time};
//! use ordeal_checker::transaction::{Elements, Kind, Name, Step, check};
//!
//! let (x, y) = (Name::Word("x".into()), Name::Word("y".into()));
//! let read = |list: &Name, seen: &[i64]| Step::Read(list.clone(), Some(Elements::from(seen)));
//! let writer = vec![Step::Append(x.clone(), 1), Step::Append(y.clone(), 1)];
//! let reader = vec![read(&x, &[1]), read(&y, &[])]; // half of it
//!
//! let mut history = HistoryBuilder::new();
//! for (process, steps) in [(Process(1), writer), (Process(2), reader)] {
//!     history.invoke(process, Time(10), steps.clone())?;
//!     history.complete(process, Time(20), Outcome::Ok(steps))?;
//! }
//! # let last = vec![read(&x, &[1]), read(&y, &[1])];
//! # history.invoke(Process(3), Time(30), last.clone())?;
//! # history.complete(Process(3), Time(40), Outcome::Ok(last))?;
//! let verdict = check(Kind::ListAppend, &history.finish());
//! assert_eq!(verdict.violations[0].kind, "G-single");
//! # Ok::<(), ordeal_checker::history::MalformedHistory>(())
//! ```
//!
//! Transactions on registers whose values repeat have a search instead:
//! [`Registers`](crate::model::Registers) is a model like any other.
//!
//! *Before: [`verdict`](crate::verdict) · [contents](crate) · next: files,
//! [`format`](mod@crate::format).*

mod cycle;
mod dependency;
mod elements;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::history::{Event, History, OperationId};
use crate::verdict::{Anomaly, Finding, Validity};

pub use elements::Elements;

/// What transactions work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lists that are appended to and read as a whole.
    ListAppend,
    /// Registers that are written and read.
    RwRegister,
}

/// The name of a list or register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A number.
    Number(i64),
    /// A word.
    Word(Box<str>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Number(number) => number.fmt(f),
            Name::Word(word) => word.fmt(f),
        }
    }
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Append a value that nobody else appends to that list.
    Append(Name, i64),
    /// Write a value that nobody else writes to that register.
    Write(Name, i64),
    /// Read: a list's elements, or a register's one value or none; `None` if not known.
    Read(Name, Option<Elements>),
}

/// A cycle, or a read that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Adya's name for it, with `-realtime` where the order of time is needed.
    pub kind: String,
    /// The transactions, in the order of the cycle.
    pub transactions: Vec<OperationId>,
    /// What happened, in words.
    pub message: String,
}

/// The verdict on a history of transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serializability {
    /// What the transactions worked on.
    pub kind: Kind,
    /// Every violation, one cycle of each kind in each component.
    pub violations: Vec<Violation>,
    /// How many transactions were looked at.
    pub transactions: usize,
    /// How many dependencies there are between them.
    pub dependencies: usize,
}

/// Looks for reads that cannot be, and cycles of dependencies.
pub fn check(kind: Kind, history: &History<Vec<Step>, Vec<Step>>) -> Serializability {
    let dependencies = dependency::Dependencies::new(kind, history);
    let cycles = cycle::find(&dependencies, history);
    let mut violations = dependencies.violations;
    violations.extend(cycles);
    Serializability {
        kind,
        violations,
        transactions: history.len(),
        dependencies: dependencies.graph.edge_count(),
    }
}

impl Serializability {
    /// The verdict in the form that every check gives.
    pub fn finding(&self) -> Finding {
        let anomaly = |violation: &Violation| Anomaly {
            kind: violation.kind.clone(),
            key: None,
            message: violation.message.clone(),
            events: violation
                .transactions
                .iter()
                .map(|id| id.0 as u64)
                .collect(),
            lines: Vec::new(),
        };
        let transactions = self.transactions;
        let (validity, summary) = match self.violations.first() {
            _ if transactions == 0 => (Validity::Unknown, "no transaction to judge".to_owned()),
            None => {
                let summary = match self.kind {
                    Kind::ListAppend => {
                        format!("{transactions} transactions are strictly serializable")
                    }
                    // Which of two writes was first is often nowhere to be seen.
                    Kind::RwRegister => format!(
                        "no anomaly among {transactions} transactions, as far as reads of \
                         registers tell"
                    ),
                };
                (Validity::Valid, summary)
            }
            Some(first) => {
                let count = self.violations.len();
                (
                    Validity::Invalid,
                    format!("{count} violations, the first of them {}", first.kind),
                )
            }
        };
        Finding {
            check: "serializability".into(),
            validity,
            summary,
            anomalies: self.violations.iter().map(anomaly).collect(),
            statistics: BTreeMap::from([
                ("transactions".into(), json!(transactions)),
                ("dependencies".into(), json!(self.dependencies)),
            ]),
        }
    }
}

/// Reads `[["append", x, 1], ["r", y, [1, 2]]]`.
pub(crate) fn steps_of(event: &Event) -> Result<Vec<Step>, String> {
    let steps = event
        .value
        .as_array()
        .ok_or("a transaction is a list of steps")?;
    steps.iter().map(step_of).collect()
}

fn step_of(step: &Value) -> Result<Step, String> {
    let wrong = || format!("not a step of a transaction: {step}");
    let Some([f, name, value]) = step.as_array().map(Vec::as_slice) else {
        return Err(wrong());
    };
    let name = match name {
        Value::String(word) => Name::Word(word.as_str().into()),
        other => Name::Number(other.as_i64().ok_or_else(wrong)?),
    };
    let integer = |value: &Value| value.as_i64().ok_or_else(wrong);
    Ok(match f.as_str() {
        Some("append") => Step::Append(name, integer(value)?),
        Some("w") => Step::Write(name, integer(value)?),
        Some("r") => Step::Read(
            name,
            match value {
                Value::Null => None,
                Value::Array(list) => Some(list.iter().map(integer).collect::<Result<_, _>>()?),
                one => Some(Elements::from_iter([integer(one)?])),
            },
        ),
        _ => return Err(wrong()),
    })
}
