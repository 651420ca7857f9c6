//! A string that can be put, appended to, and got: one per key is porcupine's key-value model.

use serde::{Deserialize, Serialize};

use super::Model;

/// A string, empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppendString;

/// What can be asked of a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AppendOp {
    /// Its value.
    Get,
    /// Replace it.
    Put(String),
    /// Add to its end.
    Append(String),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AppendRet {
    /// The whole string.
    Value(String),
    /// The change happened.
    Done,
}

impl Model for AppendString {
    type Op = AppendOp;
    type Ret = AppendRet;
    type State = String;
    type Key = ();

    fn init(&self) -> String {
        String::new()
    }

    fn step(&self, state: &String, op: &AppendOp, ret: Option<&AppendRet>) -> Option<String> {
        match (op, ret) {
            (AppendOp::Get, None) => Some(state.clone()),
            (AppendOp::Get, Some(AppendRet::Value(seen))) => (seen == state).then(|| state.clone()),
            (AppendOp::Put(new), None | Some(AppendRet::Done)) => Some(new.clone()),
            (AppendOp::Append(end), None | Some(AppendRet::Done)) => Some(format!("{state}{end}")),
            _ => None,
        }
    }

    fn key(&self, _: &AppendOp) {}

    fn is_read(&self, op: &AppendOp, _: Option<&AppendRet>) -> bool {
        match op {
            AppendOp::Get => true,
            AppendOp::Append(end) => end.is_empty(),
            AppendOp::Put(_) => false,
        }
    }

    fn state_bytes(&self, state: &String) -> usize {
        state.capacity()
    }

    /// What begins no string that was seen never will again, whatever is appended to it.
    fn fold(&self, state: String, all: &[(&AppendOp, Option<&AppendRet>)]) -> String {
        let values = || {
            all.iter().filter_map(|(_, ret)| match ret {
                Some(AppendRet::Value(value)) => Some(value),
                _ => None,
            })
        };
        if values().any(|value| value.starts_with(&state)) {
            return state;
        }
        let longest = values().max_by_key(|value| value.len());
        longest.map_or_else(String::new, |longest| format!("{longest}…"))
    }

    fn describe_instead(
        &self,
        state: &String,
        op: &AppendOp,
        _: Option<&AppendRet>,
    ) -> Option<String> {
        (*op == AppendOp::Get).then(|| format!("return {state:?}"))
    }

    fn describe(&self, op: &AppendOp, ret: Option<&AppendRet>) -> String {
        match (op, ret) {
            (AppendOp::Get, Some(AppendRet::Value(seen))) => format!("get → {seen:?}"),
            (AppendOp::Get, _) => "get".to_owned(),
            (AppendOp::Put(new), Some(_)) => format!("put {new:?}"),
            (AppendOp::Put(new), None) => format!("put {new:?} (result unknown)"),
            (AppendOp::Append(end), Some(_)) => format!("append {end:?}"),
            (AppendOp::Append(end), None) => format!("append {end:?} (result unknown)"),
        }
    }
}
