//! Several registers, read and written by one transaction at one instant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Mark, Model};

/// Registers by name, nil at first: strict serializability is linearizability of the whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registers;

/// One step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RegistersOp {
    /// Read that register.
    Read(i64),
    /// Write that register.
    Write(i64, i64),
}

impl Model for Registers {
    type Op = Vec<RegistersOp>;
    /// What each read saw, in order.
    type Ret = Vec<Option<i64>>;
    type State = BTreeMap<i64, i64>;
    type Key = ();

    fn init(&self) -> BTreeMap<i64, i64> {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &BTreeMap<i64, i64>,
        op: &Vec<RegistersOp>,
        ret: Option<&Vec<Option<i64>>>,
    ) -> Option<BTreeMap<i64, i64>> {
        let mut next = state.clone();
        let mut seen = ret.map(|ret| ret.iter());
        for step in op {
            match step {
                RegistersOp::Write(register, value) => {
                    next.insert(*register, *value);
                }
                RegistersOp::Read(register) => {
                    if let Some(seen) = &mut seen
                        && seen.next()? != &next.get(register).copied()
                    {
                        return None;
                    }
                }
            }
        }
        seen.is_none_or(|mut rest| rest.next().is_none())
            .then_some(next)
    }

    fn key(&self, _: &Vec<RegistersOp>) {}

    fn is_read(&self, op: &Vec<RegistersOp>, _: Option<&Vec<Option<i64>>>) -> bool {
        op.iter().all(|step| matches!(step, RegistersOp::Read(_)))
    }

    /// A transaction that reads what it wrote itself has seen nothing of another's.
    fn marks(
        &self,
        op: &Vec<RegistersOp>,
        ret: Option<&Vec<Option<i64>>>,
        say: &mut dyn FnMut(Mark),
    ) {
        let mut seen = ret.into_iter().flatten();
        for (at, step) in op.iter().enumerate() {
            match *step {
                RegistersOp::Write(register, value) => say(Mark::Left(register, value)),
                RegistersOp::Read(register) => {
                    let is_write = |step: &RegistersOp| match *step {
                        RegistersOp::Write(to, _) => to == register,
                        RegistersOp::Read(_) => false,
                    };
                    let value = seen.next().copied().flatten();
                    if let Some(value) = value.filter(|_| !op[..at].iter().any(is_write)) {
                        say(Mark::Seen(register, value));
                    }
                }
            }
        }
    }

    fn state_bytes(&self, state: &BTreeMap<i64, i64>) -> usize {
        // A node of the tree takes up to eleven.
        state.len().div_ceil(8) * 12 * size_of::<(i64, i64)>()
    }

    fn describe(&self, op: &Vec<RegistersOp>, ret: Option<&Vec<Option<i64>>>) -> String {
        let mut seen = ret.into_iter().flatten();
        let steps = op.iter().map(|step| match step {
            RegistersOp::Write(register, value) => format!("r{register}={value}"),
            RegistersOp::Read(register) if ret.is_none() => format!("r{register}?"),
            RegistersOp::Read(register) => match seen.next().copied().flatten() {
                Some(value) => format!("r{register}→{value}"),
                None => format!("r{register}→nil"),
            },
        });
        let steps = steps.collect::<Vec<_>>().join(" ");
        let unknown = if ret.is_none() {
            " (result unknown)"
        } else {
            ""
        };
        format!("[{steps}]{unknown}")
    }

    fn describe_instead(
        &self,
        state: &BTreeMap<i64, i64>,
        op: &Vec<RegistersOp>,
        _: Option<&Vec<Option<i64>>>,
    ) -> Option<String> {
        let mut state = state.clone();
        let mut seen = Vec::new();
        for step in op {
            match step {
                RegistersOp::Write(register, value) => {
                    state.insert(*register, *value);
                }
                RegistersOp::Read(register) => seen.push(state.get(register).copied()),
            }
        }
        (!seen.is_empty()).then(|| format!("come to {}", self.describe(op, Some(&seen))))
    }

    fn describe_state(&self, state: &BTreeMap<i64, i64>) -> String {
        let registers = state
            .iter()
            .map(|(register, value)| format!("r{register}={value}"));
        format!("[{}]", registers.collect::<Vec<_>>().join(" "))
    }
}
