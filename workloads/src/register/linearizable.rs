//! Is there one order of all operations that respects time and that each register could have?

use crate::check::{Axis, Check, Effort, Judge, Judgement, Unjudgeable};
use crate::operation::{Foreign, Key, Op, Ret};
use ordeal_checker::budget::Budget;
use ordeal_checker::history::{Event, EventKind};
use ordeal_checker::judge::{self, Subject};
use ordeal_checker::model::{Keyed, RegisterOp, RegisterRet};

/// Linearizability, register by register.
pub(crate) struct Linearizable;

impl Check for Linearizable {
    fn axis(&self) -> Axis {
        Axis::Consistency
    }

    fn begin(&self) -> Box<dyn Judge> {
        Box::new(Registers {
            judge: judge::Judge::with_keys(Subject::Register, |key| Some(format!("k{key}"))),
        })
    }
}

/// The registers of a history, as far as it was seen.
struct Registers {
    judge: judge::Judge,
}

impl Judge for Registers {
    fn see(&mut self, line: usize, event: &Event) -> Result<(), Unjudgeable> {
        if event.kind == EventKind::Invoke {
            let op = register_op(&Op::from_event(event)?);
            op.ok_or_else(|| Foreign::new(event, "is no operation of this workload"))?;
        }
        Ok(self.judge.see(line, event)?)
    }

    fn finish(self: Box<Self>, effort: &Effort) -> Judgement {
        let judged = self.judge.finish(&Budget {
            states_max: effort.states_max,
            bytes_max: effort.bytes_max,
            wall_max: effort.wall_max,
        });
        Judgement {
            finding: judged.finding,
            explanation: judged.explanation,
        }
    }
}

pub(super) fn register_op(op: &Op) -> Option<Keyed<Key, RegisterOp>> {
    Some(match op {
        Op::Read { key } => Keyed::new(*key, RegisterOp::Read),
        Op::Write { key, value } => Keyed::new(*key, RegisterOp::Write(*value)),
        Op::Cas { key, expect, new } => Keyed::new(
            *key,
            RegisterOp::Cas {
                expect: *expect,
                new: *new,
            },
        ),
        Op::Add { .. } | Op::ReadSet => return None,
    })
}

pub(super) fn register_ret(ret: &Ret) -> Option<RegisterRet> {
    Some(match ret {
        Ret::Value(value) => RegisterRet::Value(*value),
        Ret::Written => RegisterRet::Written,
        Ret::Swapped(swapped) => RegisterRet::Swapped(*swapped),
        Ret::Added | Ret::Elements(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::tests::events;
    use ordeal_checker::history::EventKind::{Invoke, Ok};
    use ordeal_checker::verdict::Validity;
    use serde_json::json;

    fn verdict(read: serde_json::Value) -> Judgement {
        let key = Key(1);
        let write = |value| Op::Write { key, value };
        let none = json!(null);
        let history = events(&[
            (1, Invoke, 1, &write(1), none.clone()),
            (1, Ok, 2, &write(1), none.clone()),
            (1, Invoke, 3, &write(2), none.clone()),
            (1, Ok, 4, &write(2), none.clone()),
            (2, Invoke, 5, &Op::Read { key }, none.clone()),
            (2, Ok, 6, &Op::Read { key }, read),
        ]);
        Linearizable.judge(&history, &Effort::default()).unwrap()
    }

    #[test]
    fn a_fresh_read_is_valid_and_a_stale_one_names_its_events() {
        assert_eq!(verdict(json!(2)).finding.validity, Validity::Valid);
        let judgement = verdict(json!(1));
        let drawn = judgement.explanation.expect("a violation is drawn");
        assert!(drawn.contains("├─"), "{drawn}");
        let stale = judgement.finding;
        assert_eq!(stale.validity, Validity::Invalid);
        assert!(stale.anomalies[0].events.contains(&4), "{stale:?}");
        assert_eq!(stale.anomalies[0].key.as_deref(), Some("k1"));
        assert!(stale.anomalies[0].lines.contains(&5), "{stale:?}");
    }

    #[test]
    fn a_register_that_lost_everything_is_not_linearizable() {
        assert_eq!(verdict(json!(null)).finding.validity, Validity::Invalid);
    }
    #[test]
    fn bytes_that_do_not_suffice_leave_it_undecided() {
        let key = Key(1);
        let none = json!(null);
        let mut asked = Vec::new();
        let (write, read) = (|value| Op::Write { key, value }, Op::Read { key });
        // A value that is written twice needs search, and so many operations more than a glance.
        let round = [write(1), write(2), read.clone(), write(1)];
        let ops = round.iter().cycle().take(6000);
        for (at, op) in (1_u64..).step_by(2).zip(ops) {
            asked.push((1, Invoke, at, op, none.clone()));
            let is_last = at > 11_990;
            let seen = match *op == read {
                true => json!(if is_last { 1 } else { 2 }),
                false => json!(null),
            };
            asked.push((1, Ok, at + 1, op, seen));
        }
        let validity = |bytes_max| {
            let effort = Effort {
                bytes_max,
                ..Effort::default()
            };
            let finding = Linearizable.judge(&events(&asked), &effort);
            finding.unwrap().finding.validity
        };
        assert_eq!(validity(1 << 20), Validity::Invalid);
        assert_eq!(validity(0), Validity::Unknown);
    }
}
