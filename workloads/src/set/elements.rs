//! The two questions about a set: is anything lost, and is anything in it that cannot be?

use crate::check::{Axis, Check, Effort, Judge, Judgement, Unjudgeable};
use crate::operation::{Foreign, Op, Ret};
use crate::reading::{Asked, Pairing};
use ordeal_checker::anomaly::lost_write::{self, Add, AddOutcome, SetRead};
use ordeal_checker::history::{Event, Outcome};
use ordeal_checker::verdict::{Finding, Validity};

/// Is every acknowledged element in the final reads?
pub(crate) struct Losses;

/// Do the nodes agree, and is every element one that somebody added, once?
pub(crate) struct Contents;

const LOST: &str = "lost_write";

impl Check for Losses {
    fn axis(&self) -> Axis {
        Axis::Durability
    }

    fn begin(&self) -> Box<dyn Judge> {
        Box::new(Elements {
            seen: Seen::default(),
            told: losses,
        })
    }
}

fn losses(mut finding: Finding) -> Finding {
    let others = finding.anomalies.len();
    finding.anomalies.retain(|anomaly| anomaly.kind == LOST);
    let lost = finding.anomalies.len();
    let of = &finding.statistics["acknowledged"];
    if lost > 0 {
        finding.summary = format!("{lost} of {of} acknowledged elements are lost");
    } else if others > 0 {
        finding.validity = Validity::Valid;
        finding.summary = format!("none of {of} acknowledged elements is lost everywhere");
    }
    finding
}

impl Check for Contents {
    fn axis(&self) -> Axis {
        Axis::Consistency
    }

    fn begin(&self) -> Box<dyn Judge> {
        Box::new(Elements {
            seen: Seen::default(),
            told: contents,
        })
    }
}

fn contents(mut finding: Finding) -> Finding {
    finding.check = "set_contents".into();
    finding.anomalies.retain(|anomaly| anomaly.kind != LOST);
    let odd = finding.anomalies.len();
    let reads = &finding.statistics["final_reads"];
    if odd > 0 {
        finding.summary = format!("{odd} elements are missing, repeated or out of nowhere");
    } else if finding.validity != Validity::Unknown {
        finding.validity = Validity::Valid;
        finding.summary = format!("{reads} final reads agree, and have nothing that was not added");
    }
    finding
}

/// A history as it comes, and the part of the verdict that is asked for.
struct Elements {
    seen: Seen,
    told: fn(Finding) -> Finding,
}

impl Judge for Elements {
    fn see(&mut self, _: usize, event: &Event) -> Result<(), Unjudgeable> {
        self.seen.see(event)
    }

    fn finish(self: Box<Self>, _: &Effort) -> Judgement {
        (self.told)(self.seen.finding()).into()
    }
}

/// The attempts and the reads of a history, as far as it was seen.
#[derive(Default)]
struct Seen {
    pairing: Pairing,
    adds: Vec<Add>,
    reads: Vec<SetRead>,
}

impl Seen {
    fn see(&mut self, event: &Event) -> Result<(), Unjudgeable> {
        if !matches!(event.f.as_str(), "add" | "read-set") {
            return Err(Foreign::new(event, "is no operation of this workload").into());
        }
        if let Some(asked) = self.pairing.see(event)? {
            self.take(asked);
        }
        Ok(())
    }

    fn take(&mut self, asked: Asked) {
        match asked.op {
            Op::Add { element } => self.adds.push(add(element, &asked)),
            Op::ReadSet => self.reads.push(read(asked)),
            // Refused when it was asked.
            Op::Read { .. } | Op::Write { .. } | Op::Cas { .. } => {}
        }
    }

    fn finding(mut self) -> Finding {
        let open = std::mem::take(&mut self.pairing).open();
        open.for_each(|asked| self.take(asked));
        self.adds.sort_by_key(|add| (add.invoked, add.event));
        self.reads.sort_by_key(|read| (read.invoked, read.event));
        lost_write::check(&self.adds, &self.reads)
    }
}

fn add(element: i64, asked: &Asked) -> Add {
    let outcome = match &asked.ended {
        Some(ended) if ended.outcome.ok().is_some() => AddOutcome::Acknowledged {
            at: ended.at,
            node: ended.node.clone(),
            term: ended.term,
        },
        _ if asked.has_failed() => AddOutcome::Failed,
        _ => AddOutcome::Unknown,
    };
    Add {
        element,
        process: asked.process,
        invoked: asked.invoked,
        outcome,
        event: asked.index,
    }
}

fn read(asked: Asked) -> SetRead {
    let returned = asked.ended.as_ref().map(|ended| ended.at);
    let elements = match asked.ended.map(|ended| ended.outcome) {
        Some(Outcome::Ok(Ret::Elements(elements))) => Some(elements),
        _ => None,
    };
    SetRead {
        node: asked.node,
        process: asked.process,
        invoked: asked.invoked,
        returned,
        elements,
        is_final: asked.is_final,
        event: asked.index,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::tests::events;
    use ordeal_checker::history::EventKind::{Invoke, Ok};
    use serde_json::{Value, json};

    /// Elements 1 and 2 are acknowledged, then n1 and n1 again are read.
    fn run(first: Value, second: Value) -> (Finding, Finding) {
        let none = Value::Null;
        let (one, two) = (Op::Add { element: 1 }, Op::Add { element: 2 });
        let mut history = events(&[
            (1, Invoke, 1, &one, none.clone()),
            (1, Ok, 2, &one, none.clone()),
            (1, Invoke, 3, &two, none.clone()),
            (1, Ok, 4, &two, none.clone()),
            (2, Invoke, 8, &Op::ReadSet, none.clone()),
            (2, Ok, 9, &Op::ReadSet, first),
            (2, Invoke, 10, &Op::ReadSet, none.clone()),
            (2, Ok, 11, &Op::ReadSet, second),
        ]);
        for event in &mut history[4..] {
            event.phase = Some("final".into());
        }
        let effort = Effort::default();
        (
            Losses.judge(&history, &effort).unwrap().finding,
            Contents.judge(&history, &effort).unwrap().finding,
        )
    }

    #[test]
    fn a_whole_set_is_valid_on_both_axes() {
        let (losses, contents) = run(json!([1, 2]), json!([1, 2]));
        assert_eq!(
            (losses.validity, contents.validity),
            (Validity::Valid, Validity::Valid)
        );
    }

    #[test]
    fn an_element_in_no_final_read_is_lost() {
        let (losses, contents) = run(json!([1]), json!([1]));
        assert_eq!(
            (losses.validity, contents.validity),
            (Validity::Invalid, Validity::Valid)
        );
        assert_eq!(losses.summary, "1 of 2 acknowledged elements are lost");
        assert!(
            losses.anomalies[0]
                .message
                .starts_with("2 was acknowledged to p1 at 4.0")
        );
    }

    #[test]
    fn an_element_that_one_final_read_lacks_is_inconsistent_but_not_lost() {
        let (losses, contents) = run(json!([1]), json!([1, 2]));
        assert_eq!(
            (losses.validity, contents.validity),
            (Validity::Valid, Validity::Invalid)
        );
    }

    #[test]
    fn an_element_that_nobody_added_is_inconsistent() {
        let (losses, contents) = run(json!([1, 2, 7]), json!([1, 2, 7]));
        assert_eq!(
            (losses.validity, contents.validity),
            (Validity::Valid, Validity::Invalid)
        );
    }
}
