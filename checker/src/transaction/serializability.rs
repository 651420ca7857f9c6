//! The verdict on transactions, as data and in a sentence.

use std::collections::BTreeMap;

use serde_json::json;

use super::Kind;
use crate::history::OperationId;
use crate::verdict::{Anomaly, Finding, Validity};

/// A cycle, or a read that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// One of the names above.
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
    /// The first 16 of each kind; of cycles the first 16, one of each component.
    pub violations: Vec<Violation>,
    /// How many there are of each kind, those included that are not told.
    pub counts: BTreeMap<String, usize>,
    /// In how many more components there is a cycle that is neither told nor named.
    pub cycles_untold: usize,
    /// Registers that held a value which nobody wrote; nothing is made of those.
    pub unwritten: usize,
    /// What was not judged, and why: then there is no saying that all is well.
    pub undecided: Option<String>,
    /// How many transactions there are.
    pub transactions: usize,
    /// How many dependencies there are between them, those of time included.
    pub dependencies: usize,
    /// How many transactions the search for short cycles came across.
    pub states: u64,
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
        let (validity, summary) = self.summary();
        Finding {
            check: "serializability".into(),
            validity,
            summary,
            anomalies: self.violations.iter().map(anomaly).collect(),
            statistics: BTreeMap::from([
                ("transactions".into(), json!(self.transactions)),
                ("dependencies".into(), json!(self.dependencies)),
                ("states".into(), json!(self.states)),
                ("violations".into(), json!(self.counts)),
                ("cycles_untold".into(), json!(self.cycles_untold)),
            ]),
        }
    }

    fn summary(&self) -> (Validity, String) {
        let s = if self.transactions == 1 { "" } else { "s" };
        let transactions = format!("{} transaction{s}", self.transactions);
        let undecided = self.undecided.as_ref();
        if let Some(first) = self.violations.first() {
            let counted: usize = self.counts.values().sum();
            let count = counted + self.cycles_untold;
            let mut summary = match count {
                1 => format!("1 violation: {}", first.kind),
                _ => format!("{count} violations, the first of them {}", first.kind),
            };
            let untold = count - self.violations.len();
            if untold > 0 {
                summary += &format!("; {untold} of them are not told");
            }
            if let Some(undecided) = undecided {
                summary += &format!("; {undecided}");
            }
            return (Validity::Invalid, summary);
        }
        if self.transactions == 0 {
            return (Validity::Unknown, "no transaction to judge".to_owned());
        }
        if let Some(undecided) = undecided {
            let summary = format!("{transactions} undecided: {undecided}");
            return (Validity::Unknown, summary);
        }
        let summary = match (self.kind, self.unwritten) {
            (Kind::ListAppend, _) => {
                let are = if self.transactions == 1 { "is" } else { "are" };
                format!("{transactions} {are} strictly serializable")
            }
            // Which of two writes was first is often nowhere to be seen.
            (Kind::RwRegister, 0) => {
                format!("no anomaly among {transactions}, as far as reads of registers tell")
            }
            (Kind::RwRegister, held) => {
                let s = if held == 1 { "" } else { "s" };
                format!(
                    "no anomaly among {transactions}, as far as reads of registers \
                     tell; {held} register{s} held a value that nobody here wrote, of which \
                     nothing is made"
                )
            }
        };
        (Validity::Valid, summary)
    }
}
