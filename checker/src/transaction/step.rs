//! What transactions are made of, and how it is written in files.

use std::fmt;

use serde_json::Value;

use super::{Elements, Kind};
use crate::history::{Event, EventKind};

/// The name of a list or register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A number.
    Number(i64),
    /// A word.
    Word(Box<str>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Number(number) => number.fmt(f),
            Name::Word(word) => word.fmt(f),
        }
    }
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Append a value that nobody else appends to that list.
    Append(Name, i64),
    /// Write a value that nobody else writes to that register.
    Write(Name, i64),
    /// Read: a list's elements, or a register's one value or none; `None` if not known.
    Read(Name, Option<Elements>),
}

impl Step {
    /// What it works on.
    pub(crate) fn name(&self) -> &Name {
        match self {
            Step::Append(name, _) | Step::Write(name, _) | Step::Read(name, _) => name,
        }
    }
}

/// Why the steps of an answer are not those that were asked, of which only what reads saw may
/// differ; `None` where they are.
pub(crate) fn differs(asked: &[Step], answered: &[Step]) -> Option<String> {
    let is_same = |(one, other): &(&Step, &Step)| match (one, other) {
        (Step::Read(one, _), Step::Read(other, _)) => one == other,
        (one, other) => one == other,
    };
    if asked.len() != answered.len() {
        let (asked, answered) = (asked.len(), answered.len());
        return Some(format!("answers {answered} steps, and {asked} were asked"));
    }
    let mut pairs = asked.iter().zip(answered);
    let at = pairs.position(|pair| !is_same(&pair))?;
    let (asked, answered) = (&asked[at], &answered[at]);
    let step = at + 1;
    Some(format!(
        "its step {step} answers {answered}, and {asked} was asked"
    ))
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Append(name, value) => write!(f, "append {name} {value}"),
            Step::Write(name, value) => write!(f, "w {name} {value}"),
            Step::Read(name, _) => write!(f, "r {name}"),
        }
    }
}

impl Kind {
    /// Why these objects do not have such a step.
    pub(crate) fn refuses(self, step: &Step) -> Option<&'static str> {
        match (self, step) {
            (Kind::ListAppend, Step::Write(..)) => Some("lists have append and r, and no w"),
            (Kind::RwRegister, Step::Append(..)) => Some("registers have w and r, and no append"),
            (Kind::RwRegister, Step::Read(_, Some(seen))) if seen.len() > 1 => {
                Some("a register holds one value")
            }
            _ => None,
        }
    }
}

/// Reads `[["append", x, 1], ["r", y, [1, 2]]]`.
pub(crate) fn steps_of(event: &Event) -> Result<Vec<Step>, String> {
    let steps = event
        .value
        .as_array()
        .ok_or("a transaction is a list of steps")?;
    let is_answer = event.kind == EventKind::Ok;
    steps.iter().map(|step| step_of(step, is_answer)).collect()
}

/// In an answer nil is what was read; in a question nothing is known yet.
fn step_of(step: &Value, is_answer: bool) -> Result<Step, String> {
    let wrong = || format!("not a step of a transaction: {step}");
    let Some([f, name, value]) = step.as_array().map(Vec::as_slice) else {
        return Err(wrong());
    };
    let name = match name {
        Value::String(word) => Name::Word(word.as_str().into()),
        other => Name::Number(other.as_i64().ok_or_else(wrong)?),
    };
    let integer = |value: &Value| value.as_i64().ok_or_else(wrong);
    Ok(match f.as_str() {
        Some("append") => Step::Append(name, integer(value)?),
        Some("w") => Step::Write(name, integer(value)?),
        Some("r") => Step::Read(
            name,
            match value {
                Value::Null => is_answer.then(Elements::default),
                Value::Array(list) => Some(list.iter().map(integer).collect::<Result<_, _>>()?),
                one => Some(Elements::from_iter([integer(one)?])),
            },
        ),
        _ => return Err(wrong()),
    })
}
