//! What a step waits for or expects.
//!
//! | text | holds when |
//! |---|---|
//! | `2s` | so much time has passed since the step began (to wait for only) |
//! | `leader`, `no leader` | some node says that it leads · none does |
//! | `leader is $new`, `leader is not $old` | it is one of these · it is one, none of these |
//! | `leads $old` | each of these says that it leads, whoever else does |
//! | `answers $old`, `silent $old` | each of these answers who looks past every cut · none does |
//! | `down $old` | none of these has a process |
//! | `serves $all` | a client got an answer from each of these since the step began |
//! | `ok 50`, `ok 5 at $new` | so many operations succeeded since the step began |
//! | `no ok`, `no ok at $old` | none did |
//! | `caught-up $old` | each has applied what the leader had applied when the step began |
//! | `installed $old` | each has taken a snapshot in the place of its log since it was started |
//! | `converged` | all nodes answer and have applied the same |
//! | `term same` | no node is in a higher term than any was when the step began |

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    duration,
    sight::{Seen, Sight},
    template::{Template, TemplateError},
};
use crate::{node::Node, text::stored_as_text};

/// Something that holds at a moment, or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Condition {
    /// So much time has passed.
    Passed(Duration),
    /// Somebody leads.
    Leader,
    /// Nobody leads.
    NoLeader,
    /// The leader is one of these.
    LeaderIs(Template),
    /// Somebody leads who is none of these.
    LeaderIsNot(Template),
    /// Each of these says that it leads.
    Leads(Template),
    /// Each of these answers out of band.
    Answers(Template),
    /// None of these answers out of band.
    Silent(Template),
    /// None of these has a process.
    Down(Template),
    /// Each of these has served a client.
    Serves(Template),
    /// At least so many operations succeeded, at these nodes.
    Ok(u64, Template),
    /// No operation succeeded at these nodes.
    NoOk(Template),
    /// Each of these has applied what the leader had.
    CaughtUp(Template),
    /// Each of these has taken a snapshot of another node in the place of its log.
    Installed(Template),
    /// All have applied the same.
    Converged,
    /// Nobody is in a higher term.
    TermSame,
}

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// No such condition.
    #[error(
        "`{0}` is no condition: use a time like 2s, or leader, no leader, leader is NODES, leader \
         is not NODES, leads NODES, answers NODES, silent NODES, down NODES, serves NODES, \
         ok N [at NODES], no ok [at NODES], caught-up NODES, installed NODES, converged or term \
         same"
    )]
    Kind(String),
    /// Its nodes are none.
    #[error("`{text}`: {why}")]
    Nodes {
        /// The condition.
        text: String,
        /// Why not.
        why: String,
    },
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] TemplateError),
}

/// Makes a condition of the nodes that it is about.
type AboutNodes = fn(Template) -> Condition;

/// With a node in its place, the forms that take nodes.
const WITH_NODES: [(&str, AboutNodes); 9] = [
    // The longer word first: `leader is not` begins with `leader is`.
    ("leader is not ", Condition::LeaderIsNot),
    ("leader is ", Condition::LeaderIs),
    ("leads ", Condition::Leads),
    ("answers ", Condition::Answers),
    ("silent ", Condition::Silent),
    ("down ", Condition::Down),
    ("serves ", Condition::Serves),
    ("caught-up ", Condition::CaughtUp),
    ("installed ", Condition::Installed),
];

const ALL: &str = "$all";

impl Condition {
    /// Whose nodes it is about.
    pub(super) fn nodes(&self) -> Option<&Template> {
        match self {
            Self::LeaderIs(nodes)
            | Self::LeaderIsNot(nodes)
            | Self::Leads(nodes)
            | Self::Answers(nodes)
            | Self::Silent(nodes)
            | Self::Down(nodes)
            | Self::Serves(nodes)
            | Self::Ok(_, nodes)
            | Self::NoOk(nodes)
            | Self::CaughtUp(nodes)
            | Self::Installed(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// Whether it comes to hold in the course of time: to be looked at when that is over.
    pub(super) fn adds_up(&self) -> bool {
        matches!(self, Self::Ok(..) | Self::Serves(_) | Self::CaughtUp(_))
    }

    /// Whether it holds now, for these nodes, in a step that began with the sight `then`; what was
    /// seen, in words.
    pub(super) fn holds(&self, now: &Sight, then: &Sight, nodes: &[Node]) -> (bool, String) {
        let each = |what: &str, is_so: &dyn Fn(&Seen) -> bool| {
            let odd = |node: &&Node| !now.of(**node).is_some_and(is_so);
            match nodes.iter().find(odd) {
                Some(node) => (false, format!("{node} {what}")),
                None => (true, "each of them".to_owned()),
            }
        };
        let ok = |nodes: &[Node]| now.ok_at(nodes).saturating_sub(then.ok_at(nodes));
        let leader = now.leader();
        let who = leader.map_or("nobody leads".to_owned(), |node| format!("{node} leads"));
        match self {
            Self::Passed(time) => {
                let passed = now.now_ms.saturating_sub(then.now_ms);
                (passed >= duration::millis(*time), format!("{passed} ms"))
            }
            Self::Leader => (leader.is_some(), who),
            Self::NoLeader => (leader.is_none(), who),
            Self::LeaderIs(_) => (leader.is_some_and(|node| nodes.contains(&node)), who),
            Self::LeaderIsNot(_) => (leader.is_some_and(|node| !nodes.contains(&node)), who),
            Self::Leads(_) => match nodes.iter().find(|node| !now.leaders.contains(node)) {
                Some(node) => (false, format!("{node} does not lead")),
                None => (true, who),
            },
            Self::Answers(_) => each("is silent", &|seen| seen.answers),
            Self::Silent(_) => each("answers", &|seen| !seen.answers),
            Self::Down(_) => each("runs", &|seen| !seen.runs),
            Self::Serves(_) => match nodes.iter().find(|node| ok(&[**node]) == 0) {
                Some(node) => (false, format!("{node} has served nobody")),
                None => (true, "each of them".to_owned()),
            },
            Self::Ok(least, _) => (ok(nodes) >= *least, format!("{} ok", ok(nodes))),
            Self::NoOk(_) => (ok(nodes) == 0, format!("{} ok", ok(nodes))),
            Self::CaughtUp(_) => caught_up(now, then, nodes),
            Self::Installed(_) => each("has taken no snapshot of another", &|seen| {
                seen.installed.is_some_and(|snapshots| snapshots > 0)
            }),
            Self::Converged => converged(now),
            Self::TermSame => {
                let term = |sight: &Sight| sight.nodes.iter().map(|seen| seen.term).max();
                let (before, after) = (term(then).unwrap_or(0), term(now).unwrap_or(0));
                (after <= before, format!("term {before}, then {after}"))
            }
        }
    }
}

fn caught_up(now: &Sight, then: &Sight, nodes: &[Node]) -> (bool, String) {
    let highest = then.nodes.iter().filter_map(|seen| seen.applied).max();
    let Some(target) = highest else {
        return (false, "no node tells what it has applied".to_owned());
    };
    let behind = |node: &&Node| {
        let seen = now.of(**node).filter(|seen| seen.answers);
        seen.and_then(|seen| seen.applied)
            .is_none_or(|applied| applied < target)
    };
    match nodes.iter().find(behind) {
        Some(node) => {
            let applied = now.of(*node).and_then(|seen| seen.applied);
            let applied = applied.map_or("nothing it tells".to_owned(), |it| it.to_string());
            (false, format!("{node} has applied {applied} of {target}"))
        }
        None => (true, format!("each of them has applied {target}")),
    }
}

fn converged(now: &Sight) -> (bool, String) {
    let applied = |seen: &Seen| seen.applied.filter(|_| seen.answers);
    let all: Option<Vec<u64>> = now.nodes.iter().map(applied).collect();
    let Some(all) = all else {
        return (false, "not every node answers".to_owned());
    };
    let same = all.iter().all(|one| Some(one) == all.first());
    let words: Vec<String> = all.iter().map(ToString::to_string).collect();
    (same, format!("applied {}", words.join(" ")))
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let text = text.trim();
        let condition = match text {
            "leader" => Self::Leader,
            "no leader" => Self::NoLeader,
            "converged" => Self::Converged,
            "term same" => Self::TermSame,
            _ => counted(text).map_or_else(|| about_nodes(text), Ok)?,
        };
        match condition.nodes().and_then(Template::is_not_nodes) {
            None => Ok(condition),
            Some(why) => Err(ConditionError::Nodes {
                text: text.to_owned(),
                why,
            }),
        }
    }
}

/// A time, or a number of operations.
fn counted(text: &str) -> Option<Condition> {
    if let Some(time) = duration::parse(text) {
        return Some(Condition::Passed(time));
    }
    let (what, nodes) = match text.split_once(" at ") {
        Some((what, nodes)) => (what, nodes),
        None => (text, ALL),
    };
    let nodes = nodes.parse().ok()?;
    match what.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["no", "ok"] => Some(Condition::NoOk(nodes)),
        ["ok", least] => {
            let least = least.parse().ok().filter(|least| *least > 0)?;
            Some(Condition::Ok(least, nodes))
        }
        _ => None,
    }
}

fn about_nodes(text: &str) -> Result<Condition, ConditionError> {
    for (words, condition) in WITH_NODES {
        if let Some(nodes) = text.strip_prefix(words) {
            return Ok(condition(nodes.parse()?));
        }
    }
    Err(ConditionError::Kind(text.to_owned()))
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |nodes: &Template| match nodes.to_string() {
            all if all == ALL => String::new(),
            some => format!(" at {some}"),
        };
        match self {
            Self::Passed(time) => f.write_str(&duration::print(*time)),
            Self::Leader => f.write_str("leader"),
            Self::NoLeader => f.write_str("no leader"),
            Self::LeaderIs(nodes) => write!(f, "leader is {nodes}"),
            Self::LeaderIsNot(nodes) => write!(f, "leader is not {nodes}"),
            Self::Leads(nodes) => write!(f, "leads {nodes}"),
            Self::Answers(nodes) => write!(f, "answers {nodes}"),
            Self::Silent(nodes) => write!(f, "silent {nodes}"),
            Self::Down(nodes) => write!(f, "down {nodes}"),
            Self::Serves(nodes) => write!(f, "serves {nodes}"),
            Self::Ok(least, nodes) => write!(f, "ok {least}{}", at(nodes)),
            Self::NoOk(nodes) => write!(f, "no ok{}", at(nodes)),
            Self::CaughtUp(nodes) => write!(f, "caught-up {nodes}"),
            Self::Installed(nodes) => write!(f, "installed {nodes}"),
            Self::Converged => f.write_str("converged"),
            Self::TermSame => f.write_str("term same"),
        }
    }
}

stored_as_text!(Condition);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_back_from_the_text_it_prints() {
        for text in [
            "1500ms",
            "leader",
            "no leader",
            "leader is $new",
            "leader is not $old n2",
            "leads $old",
            "answers n1",
            "silent n1",
            "down $old",
            "serves $all",
            "ok 50",
            "ok 5 at $majority",
            "no ok",
            "no ok at $old",
            "caught-up $old",
            "installed $old",
            "converged",
            "term same",
        ] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "soon",
            "ok",
            "ok 0",
            "ok x",
            "leader is",
            "serves nobody",
            "down $X",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }

    fn sight(leaders: &[u16], nodes: &[(u64, Option<u64>, u64)]) -> Sight {
        let seen = |&(term, applied, ok): &(u64, Option<u64>, u64)| Seen {
            runs: true,
            answers: applied.is_some(),
            term,
            applied,
            installed: applied.map(|applied| applied / 10),
            ok,
        };
        Sight {
            leaders: leaders.iter().copied().map(Node).collect(),
            nodes: nodes.iter().map(seen).collect(),
            ..Sight::default()
        }
    }

    #[test]
    fn what_holds_is_decided_by_what_was_seen_since_the_step_began() {
        let then = sight(&[1], &[(3, Some(7), 5), (3, Some(9), 5), (3, None, 5)]);
        let now = sight(&[2, 1], &[(3, Some(8), 5), (4, Some(10), 9), (4, None, 5)]);
        for (text, nodes, holds) in [
            ("leader is n2", &[2][..], true),
            ("leader is not n2", &[2], false),
            ("leads n1 n2", &[1, 2], true),
            ("leads n3", &[3], false),
            ("silent n3", &[3], true),
            ("answers n1 n2 n3", &[1, 2, 3], false),
            ("down n1", &[1], false),
            ("serves n2", &[2], true),
            ("serves n1 n2", &[1, 2], false),
            ("ok 4 at n2", &[2], true),
            ("ok 5 at n2", &[2], false),
            ("no ok at n1", &[1], true),
            ("caught-up n2", &[2], true),
            ("caught-up n1", &[1], false),
            ("caught-up n3", &[3], false),
            ("installed n2", &[2], true),
            ("installed n1 n2", &[1, 2], false),
            ("installed n3", &[3], false),
            ("converged", &[], false),
            ("term same", &[], false),
        ] {
            let nodes: Vec<Node> = nodes.iter().copied().map(Node).collect();
            let condition: Condition = text.parse().unwrap();
            assert_eq!(condition.holds(&now, &then, &nodes).0, holds, "{text}");
        }
    }
}
