//! A set of numbers, read as a whole.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Mark, Model};

/// `1, 2, 3 and 5 more`.
fn some_of<'e>(elements: impl Iterator<Item = &'e i64>) -> String {
    let words: Vec<String> = elements.map(i64::to_string).collect();
    let named = words.len().min(NAMED_MAX);
    let rest = match words.len() - named {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{rest}", words[..named].join(", "))
}

/// What a node of the tree takes, of up to eleven elements: most are about three quarters full.
const NODE: usize = 112;
/// How many elements a description names.
const SHOWN_MAX: usize = 12;
/// Elements that make a difference: so many are named.
const NAMED_MAX: usize = 3;

/// A set, empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// What can be asked of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SetOp {
    /// Put it in.
    Add(i64),
    /// Take it out.
    Remove(i64),
    /// Is it in?
    Contains(i64),
    /// Everything that is in.
    Read,
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SetRet {
    /// It was done, whether or not it changed anything.
    Done,
    /// Whether it is in.
    Is(bool),
    /// Everything that is in.
    Elements(BTreeSet<i64>),
}

/// What happened on a set, results included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetStep<'a> {
    /// This was put in.
    Add(i64),
    /// This was taken out.
    Remove(i64),
    /// This was in, or not.
    Contains(i64, bool),
    /// This was all that was in.
    Read(&'a BTreeSet<i64>),
}

impl Model for Set {
    type Op = SetOp;
    type Ret = SetRet;
    type State = BTreeSet<i64>;
    type Key = ();

    fn init(&self) -> BTreeSet<i64> {
        BTreeSet::new()
    }

    fn step(
        &self,
        state: &BTreeSet<i64>,
        op: &SetOp,
        ret: Option<&SetRet>,
    ) -> Option<BTreeSet<i64>> {
        let mut next = state.clone();
        let fits = match (op, ret) {
            (SetOp::Add(element), None | Some(SetRet::Done)) => {
                next.insert(*element);
                true
            }
            (SetOp::Remove(element), None | Some(SetRet::Done)) => {
                next.remove(element);
                true
            }
            (SetOp::Contains(element), Some(SetRet::Is(is))) => state.contains(element) == *is,
            (SetOp::Read, Some(SetRet::Elements(seen))) => state == seen,
            (SetOp::Contains(_) | SetOp::Read, None) => true,
            _ => false,
        };
        fits.then_some(next)
    }

    fn key(&self, _: &SetOp) {}

    fn is_read(&self, op: &SetOp, _: Option<&SetRet>) -> bool {
        matches!(op, SetOp::Contains(_) | SetOp::Read)
    }

    fn as_set<'a>(&self, op: &'a SetOp, ret: Option<&'a SetRet>) -> Option<SetStep<'a>> {
        match (op, ret) {
            (SetOp::Add(element), None | Some(SetRet::Done)) => Some(SetStep::Add(*element)),
            (SetOp::Remove(element), None | Some(SetRet::Done)) => Some(SetStep::Remove(*element)),
            (SetOp::Contains(element), Some(SetRet::Is(is))) => {
                Some(SetStep::Contains(*element, *is))
            }
            (SetOp::Read, Some(SetRet::Elements(seen))) => Some(SetStep::Read(seen)),
            _ => None,
        }
    }

    fn marks(&self, op: &SetOp, ret: Option<&SetRet>, say: &mut dyn FnMut(Mark)) {
        match (op, ret) {
            (SetOp::Add(element), _) => say(Mark::Left(0, *element)),
            (SetOp::Contains(element), Some(SetRet::Is(true))) => say(Mark::Seen(0, *element)),
            (SetOp::Read, Some(SetRet::Elements(seen))) => {
                seen.iter().for_each(|element| say(Mark::Seen(0, *element)));
            }
            _ => {}
        }
    }

    /// Elements, and what the tree around them takes.
    fn state_bytes(&self, state: &BTreeSet<i64>) -> usize {
        state.len().div_ceil(8) * NODE
    }

    /// Where nothing is ever taken out, what has more in it than any read saw never fits again.
    fn fold(&self, state: BTreeSet<i64>, all: &[(&SetOp, Option<&SetRet>)]) -> BTreeSet<i64> {
        let mut ops = all.iter().map(|(op, _)| op);
        let only_grows = ops.all(|op| matches!(op, SetOp::Add(_) | SetOp::Read));
        let reads = || {
            all.iter().filter_map(|(_, ret)| match ret {
                Some(SetRet::Elements(seen)) => Some(seen),
                _ => None,
            })
        };
        if !only_grows || reads().any(|seen| state.is_subset(seen)) {
            return state;
        }
        let most = reads().flatten().max().copied().unwrap_or_default();
        match most.checked_add(1) {
            Some(beyond) => BTreeSet::from([beyond]),
            None => state,
        }
    }

    fn describe(&self, op: &SetOp, ret: Option<&SetRet>) -> String {
        let asked = match op {
            SetOp::Add(element) => format!("add {element}"),
            SetOp::Remove(element) => format!("remove {element}"),
            SetOp::Contains(element) => format!("contains {element}"),
            SetOp::Read => "read".to_owned(),
        };
        match ret {
            None => format!("{asked} (result unknown)"),
            Some(SetRet::Done) => asked,
            Some(SetRet::Is(true)) => format!("{asked} → yes"),
            Some(SetRet::Is(false)) => format!("{asked} → no"),
            Some(SetRet::Elements(seen)) => format!("{asked} → {}", self.describe_state(seen)),
        }
    }

    fn describe_instead(
        &self,
        state: &BTreeSet<i64>,
        op: &SetOp,
        ret: Option<&SetRet>,
    ) -> Option<String> {
        match (op, ret) {
            (SetOp::Contains(element), _) if state.contains(element) => {
                Some("answer yes".to_owned())
            }
            (SetOp::Contains(_), _) => Some("answer no".to_owned()),
            // What makes the difference, and not all that may have been there.
            (SetOp::Read, Some(SetRet::Elements(seen))) if !state.is_subset(seen) => {
                Some(format!("return {} too", some_of(state.difference(seen))))
            }
            (SetOp::Read, Some(SetRet::Elements(seen))) => {
                Some(format!("not return {}", some_of(seen.difference(state))))
            }
            (SetOp::Read, _) => Some(format!("return {}", self.describe_state(state))),
            (SetOp::Add(_) | SetOp::Remove(_), _) => None,
        }
    }

    fn describe_state(&self, state: &BTreeSet<i64>) -> String {
        let words: Vec<String> = state.iter().take(SHOWN_MAX).map(i64::to_string).collect();
        match state.len().saturating_sub(SHOWN_MAX) {
            0 => format!("{{{}}}", words.join(" ")),
            more => format!("{{{} … and {more} more}}", words.join(" ")),
        }
    }
}
