//! Text in which nodes are still to be named: `halves $leader $follower | $rest`.
//!
//! | word | nodes, at that moment |
//! |---|---|
//! | `$leader` | who leads; waited for |
//! | `$follower`, `$followers` | one of the others, drawn · all others |
//! | `$one`, `$minority`, `$majority` | drawn: one, the largest minority, the smallest majority |
//! | `$all` | every node |
//! | `$rest` | every node that the same text does not name otherwise |
//! | `$NAME` | what an earlier `let` has bound |

use std::{collections::BTreeMap, fmt, str::FromStr};

use rand::{rngs::ChaCha8Rng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use crate::{node::Node, text::stored_as_text};

/// The words that mean nodes without a `let`.
const ROLES: [&str; 8] = [
    "leader",
    "follower",
    "followers",
    "one",
    "minority",
    "majority",
    "all",
    "rest",
];

/// Text with `$words` in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Template(String);

/// A `$word` that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`${0}` is no name: use small letters, digits and -, beginning with a letter")]
pub struct TemplateError(String);

/// Who is who at one moment.
pub(super) struct Cast<'a> {
    /// The size of the cluster.
    pub(super) count: u16,
    /// Who leads.
    pub(super) leader: Option<Node>,
    /// What `let` has bound.
    pub(super) bound: &'a BTreeMap<String, Vec<Node>>,
    /// What is drawn is drawn from it.
    pub(super) rng: &'a mut ChaCha8Rng,
}

/// Why a `$word` means nobody now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfilled {
    /// Nobody leads, which may change.
    NoLeader,
    /// This cluster has no such nodes.
    Nobody(String),
}

impl Template {
    /// The names in it, in their order, without the `$`.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.words().filter_map(|word| {
            let name = word.strip_prefix('$')?;
            Some(name.trim_end_matches([':', ',']))
        })
    }

    /// The names in it that only a `let` gives a meaning.
    pub(super) fn bound_names(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| !is_role(name))
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split_whitespace()
    }

    /// The text with every name replaced by its nodes.
    pub(super) fn fill(&self, cast: &mut Cast<'_>) -> Result<String, Unfilled> {
        let mut named: Vec<Node> = self.words().filter_map(literal).collect();
        let mut chosen: BTreeMap<&str, Vec<Node>> = BTreeMap::new();
        for name in self.names().filter(|name| *name != "rest") {
            if !chosen.contains_key(name) {
                let nodes = cast.nodes(name)?;
                named.extend(&nodes);
                chosen.insert(name, nodes);
            }
        }
        let rest = Node::first(cast.count).filter(|node| !named.contains(node));
        let rest: Vec<Node> = rest.collect();
        if rest.is_empty() && self.names().any(|name| name == "rest") {
            return Err(Unfilled::Nobody("`$rest` is nobody".to_owned()));
        }
        chosen.insert("rest", rest);
        let words = self.words().map(|word| {
            let Some(name) = word.strip_prefix('$') else {
                return word.to_owned();
            };
            let bare = name.trim_end_matches([':', ',']);
            spaced(&chosen[bare]) + &name[bare.len()..]
        });
        Ok(words.collect::<Vec<_>>().join(" "))
    }

    /// The nodes meant by a text that is nothing but nodes: `n1 $old`.
    pub(super) fn nodes(&self, cast: &mut Cast<'_>) -> Result<Vec<Node>, Unfilled> {
        let filled = self.fill(cast)?;
        let mut nodes = Vec::new();
        for word in filled.split_whitespace() {
            let node = word
                .parse()
                .map_err(|error| Unfilled::Nobody(format!("{error}")))?;
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        Ok(nodes)
    }

    /// Why this is not a text of nothing but nodes, if so.
    pub(super) fn is_not_nodes(&self) -> Option<String> {
        if self.0.is_empty() {
            return Some("it names no node".to_owned());
        }
        let odd = |word: &&str| !word.starts_with('$') && literal(word).is_none();
        let word = self.words().find(odd)?;
        Some(format!(
            "`{word}` is not a node (n1, n2, … or $leader, $followers, …)"
        ))
    }

    /// The nodes that it names outright.
    pub(super) fn literals(&self) -> impl Iterator<Item = Node> {
        self.words().filter_map(literal)
    }
}

impl Cast<'_> {
    fn nodes(&mut self, name: &str) -> Result<Vec<Node>, Unfilled> {
        let all: Vec<Node> = Node::first(self.count).collect();
        let half = usize::from(self.count) / 2;
        let minority = (usize::from(self.count) - 1) / 2;
        let found = match name {
            "leader" => vec![self.leader.ok_or(Unfilled::NoLeader)?],
            "follower" | "followers" => {
                let leader = self.leader.ok_or(Unfilled::NoLeader)?;
                let others = all.into_iter().filter(|node| *node != leader).collect();
                if name == "followers" {
                    others
                } else {
                    self.draw(others, 1)
                }
            }
            "one" => self.draw(all, 1),
            "minority" => self.draw(all, minority),
            "majority" => self.draw(all, half + 1),
            "all" => all,
            bound => self.bound.get(bound).cloned().unwrap_or_default(),
        };
        if found.is_empty() {
            let why = format!("`${name}` is nobody in a cluster of {}", self.count);
            return Err(Unfilled::Nobody(why));
        }
        Ok(found)
    }

    fn draw(&mut self, mut nodes: Vec<Node>, size: usize) -> Vec<Node> {
        nodes.shuffle(self.rng);
        nodes.truncate(size);
        nodes.sort();
        nodes
    }
}

pub(super) fn is_role(name: &str) -> bool {
    ROLES.contains(&name)
}

/// Whether it may be a name at all.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain)
}

fn literal(word: &str) -> Option<Node> {
    word.trim_end_matches([':', ',']).parse().ok()
}

pub(super) fn spaced(nodes: &[Node]) -> String {
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    names.join(" ")
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let template = Self(text.split_whitespace().collect::<Vec<_>>().join(" "));
        let odd = template.names().find(|name| !is_name(name));
        match odd.map(str::to_owned) {
            Some(name) => Err(TemplateError(name)),
            None => Ok(template),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

stored_as_text!(Template);

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn fill(text: &str, count: u16, leader: Option<u16>) -> Result<String, Unfilled> {
        let bound = BTreeMap::from([("old".to_owned(), vec![Node(3)])]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let template: Template = text.parse().unwrap();
        template.fill(&mut Cast {
            count,
            leader: leader.map(Node),
            bound: &bound,
            rng: &mut rng,
        })
    }

    #[test]
    fn names_become_the_nodes_that_they_mean_at_that_moment() {
        for (text, filled) in [
            ("kill $leader", "kill n2"),
            ("kill $followers", "kill n1 n3 n4 n5"),
            ("halves $leader $old | $rest", "halves n2 n3 | n1 n4 n5"),
            ("damage $old: wipe", "damage n3: wipe"),
            (
                "cut $old -> $leader, n1 | clients",
                "cut n3 -> n2, n1 | clients",
            ),
            ("pause all", "pause all"),
        ] {
            assert_eq!(fill(text, 5, Some(2)).as_deref(), Ok(filled));
        }
        let drawn = |text| fill(text, 5, Some(2)).unwrap().split(' ').count();
        assert_eq!(
            (drawn("$minority"), drawn("$majority"), drawn("$one")),
            (2, 3, 1)
        );
        assert_ne!(fill("$follower", 2, Some(2)).as_deref(), Ok("n2"));
    }

    #[test]
    fn a_name_that_means_nobody_is_never_left_out() {
        assert_eq!(fill("kill $leader", 3, None), Err(Unfilled::NoLeader));
        for (text, count) in [
            ("kill $minority", 2),
            ("kill $followers", 1),
            ("kill $x", 3),
        ] {
            assert!(
                matches!(fill(text, count, Some(1)), Err(Unfilled::Nobody(_))),
                "{text}"
            );
        }
        assert!(matches!(
            fill("halves $all | $rest", 3, None),
            Err(Unfilled::Nobody(_))
        ));
    }

    #[test]
    fn a_wrong_name_is_refused() {
        for text in ["kill $", "kill $Old", "kill $1"] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }
}
