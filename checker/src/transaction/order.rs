//! Which transactions came one after the other, whatever they read and wrote.
//!
//! ```text
//!   T1 ──┤ ● ──────▶ ● ──▶ T3        ● a gate: what was complete before some invocation
//!     T2 ──┤ ───────▶┘
//! ```
//!
//! Real time would need an edge from every transaction to every later one. Instead there is a gate
//! before each invocation that has new completions before it, in a chain: a transaction leads to
//! the next gate, and the last gate before an invocation leads to that transaction.

use rustc_hash::FxHashMap;

use super::edges::Edges;
use super::log::{Fate, Log};
use super::reason::Reasons;
use crate::history::Process;

/// Each process did one thing after the other.
pub(super) fn processes(edges: &mut Edges<'_>, log: &Log) {
    let mut last: FxHashMap<Process, u32> = FxHashMap::default();
    for place in log.places().filter(|place| log.fate(*place) != Fate::Fail) {
        if let Some(before) = last.insert(log.process(place), place) {
            edges.connect(before, place, Reasons::PROCESS);
        }
    }
}

/// What was over came before what had not begun.
pub(super) fn time(edges: &mut Edges<'_>, log: &Log) {
    let over = |place: &u32| log.returned(*place).is_some();
    let mut completions: Vec<u32> = log.places().filter(over).collect();
    completions.sort_unstable_by_key(|place| (log.returned(*place), *place));
    let mut completions = completions.into_iter().peekable();
    let mut last = None;
    for place in log.places() {
        let is_over = |done: &u32| log.returned(*done) < Some(log.invoked(place));
        let mut gate = None;
        while let Some(done) = completions.next_if(is_over) {
            let gate = *gate.get_or_insert_with(|| edges.gate());
            edges.connect(done, gate, Reasons::TIME);
        }
        if let Some(gate) = gate {
            if let Some(last) = last {
                edges.connect(last, gate, Reasons::TIME);
            }
            last = Some(gate);
        }
        if let Some(last) = last
            && log.fate(place) != Fate::Fail
        {
            edges.connect(last, place, Reasons::TIME);
        }
    }
}
