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

use super::Step;
use super::graph::Edges;
use super::reason::Reasons;
use crate::history::{History, Outcome, Process};

type Transactions = History<Vec<Step>, Vec<Step>>;

/// Each process did one thing after the other.
pub(super) fn processes(edges: &mut Edges, history: &Transactions) {
    let mut last: FxHashMap<Process, u32> = FxHashMap::default();
    for (place, transaction) in (0_u32..).zip(history.operations()) {
        if matches!(transaction.outcome(), Outcome::Fail(_)) {
            continue;
        }
        if let Some(before) = last.insert(transaction.process(), place) {
            edges.connect(before, place, Reasons::PROCESS);
        }
    }
}

/// What was over came before what had not begun.
pub(super) fn time(edges: &mut Edges, history: &Transactions) {
    let mut completions: Vec<_> = (0_u32..)
        .zip(history.operations())
        .filter_map(|(place, transaction)| Some((transaction.returned()?, place)))
        .collect();
    completions.sort_unstable();
    let mut completions = completions.into_iter().peekable();
    let mut last = None;
    for (place, transaction) in (0_u32..).zip(history.operations()) {
        let mut gate = None;
        while let Some((_, done)) = completions.next_if(|(at, _)| *at < transaction.invoked()) {
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
            && !matches!(transaction.outcome(), Outcome::Fail(_))
        {
            edges.connect(last, place, Reasons::TIME);
        }
    }
}
