//! Rules for single messages between nodes: to lose some, to hold some back, to double some.
//!
//! A cut of the network hits everything; an election that stops at one step needs a cut that
//! loses votes and nothing else. As long as there is no rule, none is looked for.

use thiserror::Error;

use super::Parcel;
use crate::protocol::{NetAction, NetRule, NetRuleState, NetSide};
use crate::raft::{Body, NodeId};

/// How many messages one rule holds; what comes after that is lost.
const HELD_MAX: usize = 10_000;

/// Why there is no such rule.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum RuleError {
    #[error("no message is called {name:?}; there are: {known}")]
    NoType { name: String, known: String },
    #[error("there is no rule {0}")]
    NoRule(u64),
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Passage {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) parcel: Parcel,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    rule: NetRule,
    matched: u64,
    held: Vec<Passage>,
}

/// All rules of a node, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    entries: Vec<Entry>,
    last: u64,
}

impl Rules {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What becomes of a message: the first rule that fits decides.
    pub(crate) fn pass(&mut self, side: NetSide, passage: Passage) -> Vec<Passage> {
        let fits = |entry: &&mut Entry| entry.fits(side, &passage);
        let Some(entry) = self.entries.iter_mut().find(fits) else {
            return vec![passage];
        };
        entry.matched += 1;
        match entry.rule.action {
            NetAction::Drop => Vec::new(),
            NetAction::Duplicate if passage.parcel.may_come_twice() => {
                vec![passage.clone(), passage]
            }
            NetAction::Duplicate => vec![passage],
            NetAction::Hold => {
                if entry.held.len() < HELD_MAX {
                    entry.held.push(passage);
                }
                Vec::new()
            }
        }
    }

    /// Makes a rule; it is the last to be asked.
    pub(crate) fn add(&mut self, rule: NetRule) -> Result<(), RuleError> {
        let known = || Body::KINDS.iter().chain(Parcel::KINDS).copied();
        for name in &rule.types {
            if !known().any(|kind| kind == name) {
                let (name, known) = (name.clone(), known().collect::<Vec<_>>().join(", "));
                return Err(RuleError::NoType { name, known });
            }
        }
        self.last += 1;
        self.entries.push(Entry {
            id: self.last,
            rule,
            matched: 0,
            held: Vec::new(),
        });
        Ok(())
    }

    /// Removes a rule, or all of them; returns what they held, by the side where they held it.
    pub(crate) fn remove(&mut self, id: Option<u64>) -> Result<Vec<(NetSide, Passage)>, RuleError> {
        let is_named = |entry: &Entry| id.is_none_or(|id| entry.id == id);
        if let Some(id) = id.filter(|_| !self.entries.iter().any(is_named)) {
            return Err(RuleError::NoRule(id));
        }
        let removed = self.entries.extract_if(.., |entry| is_named(entry));
        let held = removed.flat_map(|entry| {
            let side = entry.rule.on;
            entry.held.into_iter().map(move |passage| (side, passage))
        });
        Ok(held.collect())
    }

    pub(crate) fn list(&self) -> Vec<NetRuleState> {
        let state = |entry: &Entry| NetRuleState {
            id: entry.id,
            rule: entry.rule.clone(),
            matched: entry.matched,
            held: entry.held.len() as u64,
        };
        self.entries.iter().map(state).collect()
    }
}

impl Entry {
    fn fits(&self, side: NetSide, passage: &Passage) -> bool {
        let NetRule {
            on,
            from,
            to,
            types,
            term_min,
            term_max,
            limit,
            ..
        } = &self.rule;
        let (kind, term) = passage.parcel.label();
        let is_term_in_bounds = match term {
            Some(term) => {
                term_min.is_none_or(|least| term >= least)
                    && term_max.is_none_or(|most| term <= most)
            }
            None => term_min.is_none() && term_max.is_none(),
        };
        *on == side
            && limit.is_none_or(|limit| self.matched < limit)
            && (from.is_empty() || from.contains(&passage.from))
            && (to.is_empty() || to.contains(&passage.to))
            && (types.is_empty() || types.iter().any(|name| name == kind))
            && is_term_in_bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{LogId, Message};

    fn vote(to: NodeId, term: u64) -> Passage {
        let last = LogId::ZERO;
        let message = Message {
            from: 1,
            to,
            term,
            body: Body::Vote {
                last,
                is_transfer: false,
                committed: LogId::ZERO,
            },
        };
        Passage {
            from: 1,
            to,
            parcel: Parcel::Raft(message),
        }
    }

    fn rule(action: NetAction) -> NetRule {
        NetRule {
            action,
            types: vec!["vote".to_owned()],
            ..NetRule::default()
        }
    }

    #[test]
    fn a_rule_takes_what_it_names_and_counts_it() {
        let mut rules = Rules::default();
        let wanted = NetRule {
            to: vec![2],
            term_min: Some(3),
            limit: Some(2),
            ..rule(NetAction::Drop)
        };
        rules.add(wanted).unwrap();
        assert_eq!(rules.pass(NetSide::Send, vote(3, 5)).len(), 1);
        assert_eq!(rules.pass(NetSide::Send, vote(2, 2)).len(), 1);
        assert_eq!(rules.pass(NetSide::Receive, vote(2, 5)).len(), 1);
        assert_eq!(rules.pass(NetSide::Send, vote(2, 3)).len(), 0);
        assert_eq!(rules.pass(NetSide::Send, vote(2, 4)).len(), 0);
        assert_eq!(rules.pass(NetSide::Send, vote(2, 4)).len(), 1, "the limit");
        assert_eq!(rules.list()[0].matched, 2);
    }

    #[test]
    fn what_is_held_goes_on_when_its_rule_is_removed() {
        let mut rules = Rules::default();
        rules.add(rule(NetAction::Hold)).unwrap();
        rules.add(rule(NetAction::Duplicate)).unwrap();
        assert!(rules.pass(NetSide::Send, vote(2, 1)).is_empty());
        assert_eq!(rules.list()[0].held, 1);
        let released = rules.remove(Some(1)).unwrap();
        assert_eq!(released, [(NetSide::Send, vote(2, 1))]);
        assert_eq!(rules.pass(NetSide::Send, vote(2, 1)).len(), 2);
        assert_eq!(rules.remove(Some(1)), Err(RuleError::NoRule(1)));
        rules.remove(None).unwrap();
        assert!(rules.is_empty());
    }

    #[test]
    fn a_type_that_no_message_has_is_refused_with_those_that_there_are() {
        let wrong = NetRule {
            types: vec!["gossip".to_owned()],
            ..NetRule::default()
        };
        let refused = Rules::default().add(wrong).unwrap_err().to_string();
        assert!(
            refused.contains("gossip") && refused.contains("append_response"),
            "{refused}"
        );
    }
}
