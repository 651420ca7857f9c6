//! The two questions about a set: is anything lost, and is anything in it that cannot be?

use crate::check::{Axis, Check, Effort, Unjudgeable};
use crate::operation::{Op, Ret};
use crate::reading::{self, Asked};
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

    fn judge(&self, events: &[Event], _: &Effort) -> Result<Finding, Unjudgeable> {
        let mut finding = judge(events)?;
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
        Ok(finding)
    }
}

impl Check for Contents {
    fn axis(&self) -> Axis {
        Axis::Consistency
    }

    fn judge(&self, events: &[Event], _: &Effort) -> Result<Finding, Unjudgeable> {
        let mut finding = judge(events)?;
        finding.check = "set_contents".into();
        finding.anomalies.retain(|anomaly| anomaly.kind != LOST);
        let odd = finding.anomalies.len();
        let reads = &finding.statistics["final_reads"];
        if odd > 0 {
            finding.summary = format!("{odd} elements are missing, repeated or out of nowhere");
        } else if finding.validity != Validity::Unknown {
            finding.validity = Validity::Valid;
            finding.summary =
                format!("{reads} final reads agree, and have nothing that was not added");
        }
        Ok(finding)
    }
}

fn judge(events: &[Event]) -> Result<Finding, Unjudgeable> {
    let asked = reading::operations(events)?;
    // Only for its refusals: the rules of a history hold for this workload too.
    reading::history(&asked, |op| Some(op.clone()), |ret| Some(ret.clone()))?;
    let (mut adds, mut reads) = (Vec::new(), Vec::new());
    for operation in &asked {
        match operation.op {
            Op::Add { element } => adds.push(add(element, operation)),
            Op::ReadSet => reads.push(read(operation)),
            Op::Read { .. } | Op::Write { .. } | Op::Cas { .. } => {}
        }
    }
    Ok(lost_write::check(&adds, &reads))
}

fn add(element: i64, asked: &Asked<'_>) -> Add {
    let outcome = match (&asked.outcome, asked.completion) {
        (Outcome::Ok(_), Some(completion)) => AddOutcome::Acknowledged {
            at: completion.time,
            node: completion.node.clone(),
            term: completion.term,
        },
        (Outcome::Fail(_), _) => AddOutcome::Failed,
        _ => AddOutcome::Unknown,
    };
    Add {
        element,
        process: asked.invocation.process,
        invoked: asked.invocation.time,
        outcome,
        event: asked.invocation.index,
    }
}

fn read(asked: &Asked<'_>) -> SetRead {
    let elements = match &asked.outcome {
        Outcome::Ok(Ret::Elements(elements)) => Some(elements.clone()),
        _ => None,
    };
    SetRead {
        node: asked.invocation.node.clone(),
        process: asked.invocation.process,
        invoked: asked.invocation.time,
        returned: asked.completion.map(|completion| completion.time),
        elements,
        is_final: asked.invocation.phase.as_deref() == Some("final"),
        event: asked.invocation.index,
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
            Losses.judge(&history, &effort).unwrap(),
            Contents.judge(&history, &effort).unwrap(),
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
