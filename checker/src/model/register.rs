//! A register that can be read, written, and compared-and-set.

use serde::{Deserialize, Serialize};

use super::{Mark, Model};

/// A register, nil until first written.
#[derive(Clone, Copy, Debug, Default)]
pub struct CasRegister;

/// What can be asked of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RegisterOp {
    /// Its value.
    Read,
    /// Give it this value.
    Write(i64),
    /// Give it `new` if it holds `expect`; nil can be expected too.
    Cas {
        /// The value that must be there.
        expect: Option<i64>,
        /// The value to put there.
        new: i64,
    },
    /// Give it nil again.
    WriteNil,
    /// Give it nil again if it holds `expect`.
    CasNil {
        /// The value that must be there.
        expect: Option<i64>,
    },
}

impl RegisterOp {
    /// Gives it that value, or nil.
    pub fn write(new: Option<i64>) -> RegisterOp {
        new.map_or(RegisterOp::WriteNil, RegisterOp::Write)
    }

    /// Gives it `new`, or nil, if it holds `expect`.
    pub fn cas(expect: Option<i64>, new: Option<i64>) -> RegisterOp {
        match new {
            Some(new) => RegisterOp::Cas { expect, new },
            None => RegisterOp::CasNil { expect },
        }
    }

    /// What it expects, and what it gives then; nothing where it is no compare-and-set.
    fn as_cas(self) -> Option<(Option<i64>, Option<i64>)> {
        match self {
            RegisterOp::Cas { expect, new } => Some((expect, Some(new))),
            RegisterOp::CasNil { expect } => Some((expect, None)),
            RegisterOp::Read | RegisterOp::Write(_) | RegisterOp::WriteNil => None,
        }
    }
}

/// What a register answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RegisterRet {
    /// The value that was read; `None` is nil.
    Value(Option<i64>),
    /// The write happened.
    Written,
    /// Whether the compare-and-set found what it expected. `false` is an observation like a read:
    /// the register held something else at that moment, and this is checked.
    Swapped(bool),
}

/// What an operation does to a register, its result included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterStep {
    /// That value was seen.
    Read(Option<i64>),
    /// That value was put.
    Write(i64),
    /// `new` was put if `expect` was there.
    Cas {
        /// What had to be there.
        expect: Option<i64>,
        /// What was put there.
        new: i64,
        /// Whether it was; `None` where nobody knows.
        swapped: Option<bool>,
    },
}

impl Model for CasRegister {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type State = Option<i64>;
    type Key = ();

    fn init(&self) -> Option<i64> {
        None
    }

    fn step(
        &self,
        state: &Option<i64>,
        op: &RegisterOp,
        ret: Option<&RegisterRet>,
    ) -> Option<Option<i64>> {
        use RegisterOp::{Cas, CasNil, Read, Write, WriteNil};
        use RegisterRet::{Swapped, Value, Written};
        match (op, ret) {
            (Read, None) => Some(*state),
            (Read, Some(Value(seen))) => (seen == state).then_some(*state),
            (Write(new), None | Some(Written)) => Some(Some(*new)),
            (WriteNil, None | Some(Written)) => Some(None),
            (Cas { expect, new }, None) => Some(if expect == state { Some(*new) } else { *state }),
            (Cas { expect, new }, Some(Swapped(true))) => (expect == state).then_some(Some(*new)),
            (CasNil { expect }, None) => Some(if expect == state { None } else { *state }),
            (CasNil { expect }, Some(Swapped(true))) => (expect == state).then_some(None),
            (Cas { expect, .. } | CasNil { expect }, Some(Swapped(false))) => {
                (expect != state).then_some(*state)
            }
            // An answer that no register gives to that question.
            (Read | Write(_) | WriteNil | Cas { .. } | CasNil { .. }, Some(_)) => None,
        }
    }

    fn key(&self, _: &RegisterOp) {}

    fn is_read(&self, op: &RegisterOp, ret: Option<&RegisterRet>) -> bool {
        match op {
            RegisterOp::Read => true,
            RegisterOp::Write(_) | RegisterOp::WriteNil => false,
            // Swapping a value for itself changes nothing, found or not.
            RegisterOp::Cas { .. } | RegisterOp::CasNil { .. } => {
                let is_same = op.as_cas().is_some_and(|(expect, new)| expect == new);
                is_same || ret == Some(&RegisterRet::Swapped(false))
            }
        }
    }

    fn as_register(&self, op: &RegisterOp, ret: Option<&RegisterRet>) -> Option<RegisterStep> {
        match (op, ret) {
            (RegisterOp::Read, Some(RegisterRet::Value(seen))) => Some(RegisterStep::Read(*seen)),
            (RegisterOp::Write(new), None | Some(RegisterRet::Written)) => {
                Some(RegisterStep::Write(*new))
            }
            (RegisterOp::Cas { expect, new }, None | Some(RegisterRet::Swapped(_))) => {
                let swapped = match ret {
                    Some(RegisterRet::Swapped(swapped)) => Some(*swapped),
                    _ => None,
                };
                Some(RegisterStep::Cas {
                    expect: *expect,
                    new: *new,
                    swapped,
                })
            }
            _ => None,
        }
    }

    fn marks(&self, op: &RegisterOp, ret: Option<&RegisterRet>, say: &mut dyn FnMut(Mark)) {
        match (*op, ret) {
            (RegisterOp::Read, Some(RegisterRet::Value(Some(seen)))) => say(Mark::Seen(0, *seen)),
            (RegisterOp::Read, _) | (_, Some(RegisterRet::Swapped(false))) => {}
            // Nil needs nobody to leave it.
            (RegisterOp::WriteNil, _) => {}
            (RegisterOp::CasNil { expect }, ret) => {
                if let Some(expect) = expect {
                    say(match ret.is_some() {
                        true => Mark::Seen(0, expect),
                        false => Mark::Needed(0, expect),
                    });
                }
            }
            (RegisterOp::Write(new), _) => say(Mark::Left(0, new)),
            (RegisterOp::Cas { expect, new }, ret) => {
                let is_known = ret.is_some();
                if let Some(expect) = expect {
                    say(match is_known {
                        true => Mark::Seen(0, expect),
                        false => Mark::Needed(0, expect),
                    });
                }
                // Swapping a value for itself leaves nothing that was not there.
                if expect != Some(new) {
                    say(Mark::Left(0, new));
                }
            }
        }
    }

    fn describe(&self, op: &RegisterOp, ret: Option<&RegisterRet>) -> String {
        let asked = match op {
            RegisterOp::Read => "read".to_owned(),
            RegisterOp::Write(new) => format!("write {new}"),
            RegisterOp::WriteNil => "write nil".to_owned(),
            RegisterOp::Cas { expect, new } => format!("cas {}→{new}", nil_or(*expect)),
            RegisterOp::CasNil { expect } => format!("cas {}→nil", nil_or(*expect)),
        };
        match ret {
            None => format!("{asked} (result unknown)"),
            Some(RegisterRet::Value(seen)) => format!("{asked} → {}", nil_or(*seen)),
            Some(RegisterRet::Written) => asked,
            Some(RegisterRet::Swapped(true)) => format!("{asked} (swapped)"),
            Some(RegisterRet::Swapped(false)) => format!("{asked} (found another value)"),
        }
    }

    fn describe_state(&self, state: &Option<i64>) -> String {
        nil_or(*state)
    }

    fn describe_instead(
        &self,
        state: &Option<i64>,
        op: &RegisterOp,
        _: Option<&RegisterRet>,
    ) -> Option<String> {
        match op {
            RegisterOp::Read => Some(format!("return {}", nil_or(*state))),
            RegisterOp::Cas { expect, .. } | RegisterOp::CasNil { expect } if expect == state => {
                Some("swap".to_owned())
            }
            RegisterOp::Cas { .. } | RegisterOp::CasNil { .. } => {
                Some(format!("find {}", nil_or(*state)))
            }
            RegisterOp::Write(_) | RegisterOp::WriteNil => None,
        }
    }
}

fn nil_or(value: Option<i64>) -> String {
    value.map_or_else(|| "nil".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(state: Option<i64>, op: RegisterOp, ret: RegisterRet) -> Option<Option<i64>> {
        CasRegister.step(&state, &op, Some(&ret))
    }

    #[test]
    fn nil_is_a_value() {
        let nil = RegisterRet::Value(None);
        assert_eq!(step(None, RegisterOp::Read, nil), Some(None));
        assert_eq!(step(Some(1), RegisterOp::Read, nil), None);
        let from_nil = RegisterOp::Cas {
            expect: None,
            new: 4,
        };
        let swapped = RegisterRet::Swapped(true);
        assert_eq!(step(None, from_nil, swapped), Some(Some(4)));
        assert_eq!(step(Some(1), from_nil, swapped), None);
    }

    #[test]
    fn nil_can_be_written_and_swapped_in() {
        let written = RegisterRet::Written;
        assert_eq!(step(Some(1), RegisterOp::write(None), written), Some(None));
        let to_nil = RegisterOp::cas(Some(1), None);
        let [swapped, other] = [true, false].map(RegisterRet::Swapped);
        assert_eq!(step(Some(1), to_nil, swapped), Some(None));
        assert_eq!(step(None, to_nil, swapped), None);
        assert_eq!(step(Some(2), to_nil, other), Some(Some(2)));
        assert_eq!(step(Some(1), to_nil, other), None);
        assert_eq!(CasRegister.step(&Some(1), &to_nil, None), Some(None));
        assert_eq!(CasRegister.step(&Some(2), &to_nil, None), Some(Some(2)));
        let nil_to_nil = RegisterOp::cas(None, None);
        assert!(CasRegister.is_read(&nil_to_nil, None) && !CasRegister.is_read(&to_nil, None));
        let words = CasRegister.describe(&to_nil, Some(&swapped));
        assert_eq!(words, "cas 1→nil (swapped)");
    }

    #[test]
    fn a_cas_that_found_another_value_is_an_observation() {
        let cas = RegisterOp::Cas {
            expect: Some(1),
            new: 2,
        };
        let other = RegisterRet::Swapped(false);
        assert_eq!(step(Some(1), cas, other), None);
        assert_eq!(step(Some(3), cas, other), Some(Some(3)));
    }

    #[test]
    fn a_cas_of_unknown_result_does_what_a_register_would() {
        let cas = RegisterOp::Cas {
            expect: Some(1),
            new: 2,
        };
        assert_eq!(CasRegister.step(&Some(1), &cas, None), Some(Some(2)));
        assert_eq!(CasRegister.step(&Some(3), &cas, None), Some(Some(3)));
    }

    #[test]
    fn an_answer_to_another_question_fits_nowhere() {
        assert_eq!(step(None, RegisterOp::Read, RegisterRet::Written), None);
    }
}
