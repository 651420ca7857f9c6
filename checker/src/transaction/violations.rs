//! Violations as they are found: all are counted, and of each kind the first are told.

use std::collections::BTreeMap;

use super::Violation;
use super::words::title;
use crate::history::OperationId;

/// So many are told of each kind: a system that lost a disk gives thousands of one.
pub(super) const TOLD_MAX: usize = 16;

/// What was found up to now.
#[derive(Default)]
pub(super) struct Violations {
    pub(super) told: Vec<Violation>,
    /// How many there are of each kind, told or not.
    pub(super) counts: BTreeMap<String, usize>,
}

impl Violations {
    /// Counts one, and tells it unless enough of its kind are told.
    pub(super) fn push(&mut self, kind: &str, tell: impl FnOnce() -> (Vec<u32>, String)) {
        let count = self.counts.entry(kind.to_owned()).or_default();
        *count += 1;
        if *count > TOLD_MAX {
            return;
        }
        let (places, message) = tell();
        let transactions = places.iter().map(|place| OperationId(*place as usize));
        self.told.push(Violation {
            kind: kind.into(),
            transactions: transactions.collect(),
            message: format!("{}.\n{message}.", title(kind)),
        });
    }

    /// True where exactly these two are told of as a lost update.
    pub(super) fn is_lost_update(&self, places: &[u32]) -> bool {
        let is_these = |violation: &Violation| {
            let ids = &violation.transactions;
            let mut all = places.iter();
            ids.len() == places.len()
                && all.all(|place| ids.contains(&OperationId(*place as usize)))
        };
        let mut lost = self.told.iter().filter(|told| told.kind == "lost-update");
        lost.any(is_these)
    }
}
