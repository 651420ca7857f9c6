//! Are transactions serializable, in an order that real time allows?
//!
//! ```text
//!   T1   append x 1 ──ww──▶ T2   append x 2         order of x, from the longest read: 1 2
//!   T3   read x [1]  ──rw──▶ T2                     T3 saw 1 and not 2: it came before T2
//!   T2   append x 2 ──wr──▶ T4   read x [1 2]
//! ```
//!
//! After Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations"
//! (VLDB 2020, section 4): every value is written once, so that reads tell who wrote what they saw
//! and, for lists, in which order. From that follow dependencies; a cycle of dependencies is an
//! anomaly, and its edges give it its name (Adya 1999). All of it is linear but the search for a
//! *short* cycle, which begins only where there is one.
//!
//! # What is promised
//!
//! | | invalid | valid |
//! |---|---|---|
//! | lists | sound: no order explains it | sound: some order does |
//! | registers | sound: no order explains it | nothing was found: reads tell part of the order |
//!
//! The order is one in which the transactions could have been done one at a time, with each that
//! was acknowledged in it, none that failed, and some of those of unknown result; and in which
//! whoever was over came before whoever had not begun: *strict serializability* (Herlihy and Wing
//! 1990 for transactions; Papadimitriou 1979).
//!
//! **Invalid is sound**, for every edge is implied by what was seen: each says why in its file
//! (`list.rs`, `register.rs`, `order.rs` in `transaction`). In a serial order all edges go forward,
//! so that a cycle leaves none.
//!
//! **For lists valid is sound too.** Where there is no cycle, take the transactions in any order
//! that all edges agree with, without those of unknown result that nobody saw. Appends to a list
//! then come in the order of its longest read, and what no read shows after them; a reader comes
//! after who appended the last that it saw, and before who appended the next. So it sees what it
//! saw. (`tests/transaction_orders.rs` holds both against exhaustive search.)
//!
//! **Assumed:** lists are empty at first and nobody else appends to them. Registers hold nil at
//! first, or one other value: then it is counted, and nothing is made of it. Nobody writes one
//! value to one object twice: an object where that may have happened is left out, and then the
//! answer is unknown unless there is a violation elsewhere. The [`Budget`] bounds bytes and time of
//! everything: where they are spent, the answer is what is known by then. Its states bound the
//! search for short cycles: where they are, the cycles told are longer, the answer the same.
//!
//! # Anomalies by their names
//!
//! | kind | the cycle |
//! |---|---|
//! | G0 | of writes that overwrote each other (`ww`) |
//! | G1c | with reads of what another wrote (`wr`) |
//! | G-single | with one read of what another overwrote (`rw`): read skew, lost and stale reads |
//! | G2-item | with several of those: write skew |
//!
//! `-process` is added where the cycle needs that one process did one thing after another, and
//! `-realtime` where it needs that one transaction was over before another began. An acknowledged
//! append that no read shows comes after all that the longest read shows: a read that was asked for
//! later and does not show it gives a G-single-realtime. Without a cycle:
//!
//! | kind | what was seen |
//! |---|---|
//! | G1a | what a transaction wrote that certainly failed |
//! | G1b | what a transaction wrote and then overwrote or continued itself |
//! | internal | not what the reader had read and written there before, or what it wrote later |
//! | incompatible-order | one list, in two orders of which neither is the beginning of the other |
//! | duplicate-elements | one list, with an element in it twice |
//! | garbage-read | what nobody wrote, in a list; in a register, two such values (nil is one) |
//! | lost-update | one version, by two transactions that both went on to write |
//!
//! Of each kind the first 16 are told and all counted; of cycles one in each strongly connected
//! component, the strongest, and the first 16 of those. A cycle of the two transactions of a
//! lost-update is not told again.
//!
//! ```
//! use ordeal_checker::budget::Budget;
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
//! let verdict = check(Kind::ListAppend, &history.finish(), &Budget::default());
//! assert_eq!(verdict.violations[0].kind, "G-single");
//! assert_eq!(
//!     verdict.violations[0].message,
//!     "Read skew: one of them missed a write that it must come after.\n\
//!      T1 is p2's (read x → [1], read y → []).\n\
//!      T2 is p1's (append x 1, append y 1).\n\
//!      T1 came before T2: T1 read y as [], without the 1 that T2 appended and that no read \
//!      shows.\n\
//!      T2 came before T1: T2 appended 1 to x, and T1 read it as [1].\n\
//!      So T1 before T2 before T1: no order is like that."
//! );
//! # Ok::<(), ordeal_checker::history::MalformedHistory>(())
//! ```
//!
//! Transactions on registers whose values repeat have a search instead:
//! [`Registers`](crate::model::Registers) is a model like any other.
//!
//! *Before: [`verdict`](crate::verdict) · [contents](crate) · next: files,
//! [`format`](mod@crate::format).*

mod cycle;
mod edges;
mod effort;
mod elements;
mod graph;
mod list;
mod log;
mod object;
mod order;
mod peel;
mod reason;
mod register;
mod serializability;
mod step;
mod versions;
mod violations;
mod words;

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::history::History;
use effort::Effort;
use graph::Graph;
use object::Objects;
use violations::Violations;
use words::Words;

pub use elements::Elements;
pub(crate) use log::{Fate, Log};
pub use serializability::{Serializability, Violation};
pub use step::{Name, Step};
pub(crate) use step::{differs, steps_of};
pub(crate) use words::TRANSACTIONS_MAX;

/// What transactions work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lists that are appended to and read as a whole.
    ListAppend,
    /// Registers that are written and read.
    RwRegister,
}

/// Looks for reads that cannot be, and cycles of dependencies, within the budget.
pub fn check(
    kind: Kind,
    history: &History<Vec<Step>, Vec<Step>>,
    budget: &Budget,
) -> Serializability {
    check_log(&Log::of(kind, history), budget)
}

/// The same for transactions that were logged one by one.
pub(crate) fn check_log(log: &Log, budget: &Budget) -> Serializability {
    let effort = Effort::new(*budget);
    let mut violations = Violations::default();
    let mut objects = Objects::gather(log, &effort, &mut violations);
    let mut verdict = Serializability {
        kind: log.kind(),
        violations: Vec::new(),
        counts: BTreeMap::new(),
        cycles_untold: 0,
        unwritten: 0,
        undecided: None,
        transactions: log.len(),
        dependencies: 0,
        states: 0,
    };
    let known = verdict.analyze(&mut objects, &effort, &mut violations);
    verdict.undecided = undecided(&objects, &effort, known);
    verdict.states = effort.states();
    verdict.violations = violations.told;
    verdict.counts = violations.counts;
    verdict
}

/// What is known where the budget did not suffice for all.
fn undecided(objects: &Objects<'_>, effort: &Effort, known: Option<String>) -> Option<String> {
    let mut reasons = Vec::new();
    if let (Some(spent), Some(known)) = (effort.spent(), known) {
        reasons.push(format!("the budget of {spent} is spent: {known}"));
    }
    let what = objects.log.kind().objects();
    if let Some(place) = objects.foreign {
        let who = Words(objects.log).who(place);
        reasons.push(format!(
            "a transaction of {who} has a step that is none of {what}"
        ));
    }
    let mut ambiguous = objects.all.iter().filter(|object| object.is_ambiguous);
    if let Some(first) = ambiguous.next() {
        let (count, name) = (1 + ambiguous.count(), first.name);
        let all = objects.all.len();
        reasons.push(format!(
            "{count} of {all} {what} are not judged, the first of them {name}: a value was written \
             to it twice, so that nobody can tell which was read"
        ));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

impl Kind {
    fn objects(self) -> &'static str {
        match self {
            Kind::ListAppend => "lists",
            Kind::RwRegister => "registers",
        }
    }
}

impl Serializability {
    /// Gives what is known by then where the effort was spent.
    fn analyze(
        &mut self,
        objects: &mut Objects<'_>,
        effort: &Effort,
        violations: &mut Violations,
    ) -> Option<String> {
        let (log, total) = (objects.log, objects.all.len());
        let kind = log.kind();
        let what = kind.objects();
        if effort.is_spent() {
            let looked = objects.happened.len();
            let all = self.transactions;
            return Some(format!(
                "{looked} of {all} transactions were held against themselves"
            ));
        }
        let happened = &mut objects.happened;
        let judged = objects.all.iter_mut().filter(|object| !object.is_ambiguous);
        for (count, object) in judged.enumerate() {
            if !effort.tick() {
                return Some(format!("reads of {count} of {total} {what} were compared"));
            }
            match kind {
                Kind::ListAppend => list::agree(object, log, happened, effort, violations),
                Kind::RwRegister => {
                    let held = register::agree(object, log, happened, effort, violations);
                    self.unwritten += usize::from(held);
                }
            }
        }
        let compared = format!("reads of all {total} {what} were compared, cycles are left open");
        let Some((left, dependencies)) = peel::peel(objects, effort) else {
            return Some(compared);
        };
        self.dependencies = dependencies;
        if !left.contains(&true) {
            return None;
        }
        let Some(graph) = Graph::of(objects, &left, effort) else {
            return Some(compared);
        };
        match cycle::find(&graph, objects, effort, violations) {
            Some(untold) => self.cycles_untold = untold,
            None => return Some(compared),
        }
        Some("there are cycles, and those told may not be the shortest".to_owned())
    }
}
