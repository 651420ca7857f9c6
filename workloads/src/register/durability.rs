//! Is the last acknowledged write of every register still there?
//!
//! ```text
//!   write 1  ├────┤ ok
//!   write 2           ├────┤ ok at 3.1 s by n2, term 4
//!   final read                    ├───┤ → 1        2 is lost: it followed 1, and nothing after it
//! ```
//!
//! Written values are unique, so a final read names the write that it saw. If an acknowledged
//! write began only after that one had returned, it must have come later, and a register that
//! shows the earlier one has lost it. Sound whatever else happened; not complete, for which there
//! is the search for a linearization.

use crate::check::{Axis, Check, Effort, Judge, Judgement, Unjudgeable};
use crate::operation::{Key, Op, Ret};
use crate::reading::{Asked, Pairing};
use ordeal_checker::history::{Event, Process, Time};
use ordeal_checker::verdict::{Anomaly, Finding, Validity};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Looks for acknowledged writes that the final reads have lost.
pub(crate) struct Durability;

impl Check for Durability {
    fn axis(&self) -> Axis {
        Axis::Durability
    }

    fn begin(&self) -> Box<dyn Judge> {
        Box::new(Registers::default())
    }
}

/// The registers of a history, as far as it was seen.
#[derive(Default)]
struct Registers {
    pairing: Pairing,
    known: BTreeMap<Key, Register>,
}

impl Registers {
    fn take(&mut self, asked: Asked) {
        if let Some(key) = asked.op.key() {
            self.known.entry(key).or_default().take(asked);
        }
    }
}

impl Judge for Registers {
    fn see(&mut self, _: usize, event: &Event) -> Result<(), Unjudgeable> {
        if let Some(asked) = self.pairing.see(event)? {
            self.take(asked);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _: &Effort) -> Judgement {
        let open = std::mem::take(&mut self.pairing).open();
        open.for_each(|asked| self.take(asked));
        for register in self.known.values_mut() {
            register
                .finals
                .sort_by_key(|(read, _)| (read.invoked, read.index));
        }
        finding(&self.known).into()
    }
}

/// What is known of one register.
#[derive(Default)]
struct Register {
    /// Writes and compare-and-sets that took effect for certain.
    acknowledged: Vec<Write>,
    /// The values of those that may have taken effect.
    possible: BTreeSet<i64>,
    /// True where one was written twice, so that a read does not tell which write it saw.
    is_ambiguous: bool,
    finals: Vec<(Asked, Option<i64>)>,
}

/// A write, in few bytes: a run has millions.
struct Write {
    value: i64,
    process: Process,
    node: Option<Arc<str>>,
    /// The index of its invocation.
    index: u64,
    invoked: Time,
    /// When it was acknowledged, and in which term.
    at: Time,
    term: Option<u64>,
}

impl Register {
    fn take(&mut self, asked: Asked) {
        let value = match (&asked.op, asked.answer()) {
            (Op::Read { .. }, Some(Ret::Value(value))) => {
                let value = *value;
                if asked.is_final {
                    self.finals.push((asked, value));
                }
                return;
            }
            (_, Some(Ret::Swapped(false))) => return,
            _ if asked.has_failed() => return,
            (Op::Write { value, .. } | Op::Cas { new: value, .. }, _) => *value,
            _ => return,
        };
        self.is_ambiguous |= !self.possible.insert(value);
        let ended = asked.ended.as_ref().filter(|_| asked.answer().is_some());
        if let Some((at, term)) = ended.map(|ended| (ended.at, ended.term)) {
            self.acknowledged.push(Write {
                value,
                process: asked.process,
                node: asked.node,
                index: asked.index,
                invoked: asked.invoked,
                at,
                term,
            });
        }
    }

    /// The acknowledged write that a final read shows to be lost: the last to begin.
    fn lost(&self) -> Option<(&Write, &Asked, Option<i64>)> {
        if self.is_ambiguous {
            return None;
        }
        self.finals.iter().find_map(|(read, seen)| {
            // The write that was seen had returned by then; one of unknown outcome never did.
            let seen_by = match seen {
                None => Time(0),
                Some(value) => {
                    self.acknowledged
                        .iter()
                        .find(|write| write.value == *value)?
                        .at
                }
            };
            let lost = self.acknowledged.iter().filter(|write| {
                let invoked = write.invoked;
                write.at < read.invoked && (seen.is_none() || seen_by < invoked)
            });
            let last = lost.max_by_key(|write| write.invoked)?;
            Some((last, read, *seen))
        })
    }

    /// A final read of a value that nobody can have written.
    fn invented(&self) -> Option<(&Asked, i64)> {
        self.finals.iter().find_map(|(read, seen)| {
            let value = (*seen)?;
            (!self.possible.contains(&value)).then_some((read, value))
        })
    }
}

/// Who acknowledged a write: which node, in which term.
type Acknowledger = (Option<Arc<str>>, Option<u64>);

fn finding(registers: &BTreeMap<Key, Register>) -> Finding {
    let mut anomalies = Vec::new();
    let mut lost_by: BTreeMap<Acknowledger, usize> = BTreeMap::new();
    let (mut tested, mut ambiguous, mut acknowledged, mut reads) = (0_usize, 0_usize, 0, 0);
    for (key, register) in registers {
        acknowledged += register.acknowledged.len();
        reads += register.finals.len();
        let is_tested = !register.finals.is_empty() && !register.acknowledged.is_empty();
        tested += usize::from(is_tested && !register.is_ambiguous);
        ambiguous += usize::from(register.is_ambiguous);
        if let Some((write, read, seen)) = register.lost() {
            anomalies.push(lost(*key, write, read, seen));
            *lost_by.entry(acknowledger(write)).or_default() += 1;
        }
        anomalies.extend(
            register
                .invented()
                .map(|(read, value)| invented(*key, read, value)),
        );
    }
    let (validity, summary) = match (anomalies.len(), tested) {
        (0, _) if ambiguous > 0 => (
            Validity::Unknown,
            format!(
                "of {} a value was written twice, so that a read does not tell \
                 which of the writes is there; the others lost none",
                counted(ambiguous)
            ),
        ),
        (0, 0) => (
            Validity::Unknown,
            "no register was written and then read at the end".into(),
        ),
        (0, _) => (
            Validity::Valid,
            format!("no final read of {} lost a write", counted(tested)),
        ),
        (_, _) => (Validity::Invalid, losses(anomalies.len(), &lost_by)),
    };
    Finding {
        check: "lost_writes".into(),
        validity,
        summary,
        anomalies,
        statistics: BTreeMap::from([
            ("acknowledged".to_owned(), json!(acknowledged)),
            ("registers_tested".to_owned(), json!(tested)),
            ("final_reads".to_owned(), json!(reads)),
        ]),
    }
}

fn acknowledger(write: &Write) -> Acknowledger {
    (write.node.clone(), write.term)
}

/// `1 register`, `2 registers`.
fn counted(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} register{plural}")
}

/// How many groups of lost writes a summary names: the largest.
const GROUPS_MAX: usize = 3;

/// `acknowledged writes are lost in 5 registers (4 by n2 in term 4, 1 by n1 in term 3)`: who
/// acknowledged them is most often one node in one term.
fn losses(anomalies: usize, lost_by: &BTreeMap<Acknowledger, usize>) -> String {
    let lost: usize = lost_by.values().sum();
    let invented = match anomalies - lost {
        0 => String::new(),
        count => format!(
            "what nobody can have written was read in {}",
            counted(count)
        ),
    };
    if lost == 0 {
        return invented;
    }
    let mut groups: Vec<_> = lost_by.iter().collect();
    groups.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let named = groups.iter().take(GROUPS_MAX);
    let mut named: Vec<String> = named
        .map(|((node, term), count)| {
            let node = node.as_deref().unwrap_or("an unknown node");
            let term = term.map_or(String::new(), |term| format!(" in term {term}"));
            format!("{count} by {node}{term}")
        })
        .collect();
    let rest = groups.iter().skip(GROUPS_MAX).map(|(_, count)| **count);
    let rest: usize = rest.sum();
    named.extend((rest > 0).then(|| format!("{rest} by others")));
    let named = named.join(", ");
    let and = if invented.is_empty() { "" } else { "; " };
    let lost = counted(lost);
    format!("acknowledged writes are lost in {lost} ({named}){and}{invented}")
}

fn lost(key: Key, write: &Write, read: &Asked, seen: Option<i64>) -> Anomaly {
    let Write {
        value,
        process,
        index,
        at,
        term,
        ..
    } = write;
    Anomaly {
        kind: "lost_write".into(),
        key: Some(key.to_string()),
        message: format!(
            "{key} = {value} was acknowledged to {process} at {at}{by}{in_term}, but {read} has {}",
            seen.map_or("nothing".to_owned(), |seen| format!("the earlier {seen}")),
            by = by(write),
            in_term = term.map_or(String::new(), |term| format!(" in term {term}")),
            read = name(read),
        ),
        events: vec![*index, read.index],
        lines: Vec::new(),
    }
}

fn invented(key: Key, read: &Asked, value: i64) -> Anomaly {
    Anomaly {
        kind: "invented_value".into(),
        key: Some(key.to_string()),
        message: format!(
            "{} has {key} = {value}, which nobody can have written",
            name(read)
        ),
        events: vec![read.index],
        lines: Vec::new(),
    }
}

fn by(write: &Write) -> String {
    write
        .node
        .as_ref()
        .map_or(String::new(), |node| format!(" by {node}"))
}

fn name(read: &Asked) -> String {
    let node = read.node.as_deref().unwrap_or("a node");
    format!("the final read of {node} at {}", read.invoked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::tests::events;
    use ordeal_checker::history::EventKind::{Info, Invoke, Ok};

    const KEY: Key = Key(1);

    fn judge(writes: &[(u64, u64, u64, i64, bool)], read: serde_json::Value) -> Finding {
        let none = json!(null);
        let ops: Vec<Op> = writes
            .iter()
            .map(|w| Op::Write {
                key: KEY,
                value: w.3,
            })
            .collect();
        let mut lines = Vec::new();
        for ((process, from, to, _, ok), op) in writes.iter().zip(&ops) {
            lines.push((*process, Invoke, *from, op, none.clone()));
            lines.push((*process, if *ok { Ok } else { Info }, *to, op, none.clone()));
        }
        let op = Op::Read { key: KEY };
        lines.push((9, Invoke, 50, &op, none.clone()));
        lines.push((9, Ok, 51, &op, read));
        let mut events = events(&lines);
        for event in events.iter_mut().rev().take(2) {
            event.phase = Some("final".into());
        }
        let judgement = Durability.judge(&events, &Effort::default());
        judgement.unwrap().finding
    }

    #[test]
    fn the_last_of_two_writes_is_there() {
        let finding = judge(&[(1, 1, 2, 10, true), (1, 3, 4, 20, true)], json!(20));
        assert_eq!(finding.validity, Validity::Valid);
    }

    #[test]
    fn an_earlier_value_at_the_end_means_that_the_later_write_is_lost() {
        let finding = judge(&[(1, 1, 2, 10, true), (1, 3, 4, 20, true)], json!(10));
        assert_eq!(finding.validity, Validity::Invalid);
        assert_eq!(
            finding.anomalies[0].message,
            "k1 = 20 was acknowledged to p1 at 4.000000 s by n1 in term 3, but the final read of \
             n1 at 50.000000 s has the earlier 10"
        );
        assert_eq!(
            finding.summary,
            "acknowledged writes are lost in 1 register (1 by n1 in term 3)"
        );
    }

    #[test]
    fn concurrent_writes_may_end_either_way() {
        let writes = [(1, 1, 4, 10, true), (2, 3, 4, 20, true)];
        assert_eq!(judge(&writes, json!(10)).validity, Validity::Valid);
        assert_eq!(judge(&writes, json!(20)).validity, Validity::Valid);
    }

    #[test]
    fn a_write_of_unknown_outcome_may_come_last_at_any_time() {
        let writes = [(1, 1, 2, 10, false), (2, 3, 4, 20, true)];
        assert_eq!(judge(&writes, json!(10)).validity, Validity::Valid);
    }

    #[test]
    fn an_empty_register_has_lost_its_acknowledged_writes() {
        let finding = judge(&[(1, 1, 2, 10, true)], json!(null));
        assert_eq!(finding.anomalies[0].kind, "lost_write");
        assert_eq!(
            judge(&[(1, 1, 2, 10, false)], json!(null)).validity,
            Validity::Unknown
        );
    }

    #[test]
    fn a_value_out_of_nowhere_is_invented() {
        let finding = judge(&[(1, 1, 2, 10, true)], json!(99));
        assert_eq!(finding.anomalies[0].kind, "invented_value");
        assert_eq!(
            finding.summary,
            "what nobody can have written was read in 1 register"
        );
    }

    #[test]
    fn the_summary_names_who_acknowledged_most_of_what_is_lost() {
        let by = |node: &str, term| (Some(node.into()), Some(term));
        let lost = [
            (by("n1", 3), 1),
            (by("n2", 4), 7),
            (by("n3", 2), 2),
            ((None, None), 1),
        ];
        assert_eq!(
            losses(13, &BTreeMap::from(lost)),
            "acknowledged writes are lost in 11 registers (7 by n2 in term 4, 2 by n3 in term 2, \
             1 by an unknown node, 1 by others); what nobody can have written was read in 2 \
             registers"
        );
    }
}
