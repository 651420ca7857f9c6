//! The nodes that a fault is about, by name or by what they are.

use std::{collections::BTreeSet, fmt};

use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

use super::{Problem, nodes, spaced};
use crate::node::Node;

/// The nodes a fault of nodes hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// These, known when the plan is made: one, a minority, any list.
    Nodes(BTreeSet<Node>),
    /// One node, drawn at the moment of injection.
    One,
    /// The largest minority, drawn then.
    Minority,
    /// The smallest majority, drawn then.
    Majority,
    /// Whoever leads at the moment of injection.
    Leader,
    /// Everybody else then.
    Followers,
    /// Every node.
    All,
}

/// The words for those that are no list of names.
const WORDS: [(&str, Targets); 6] = [
    ("one", Targets::One),
    ("minority", Targets::Minority),
    ("majority", Targets::Majority),
    ("leader", Targets::Leader),
    ("followers", Targets::Followers),
    ("all", Targets::All),
];

impl Targets {
    /// One node, by its name.
    pub fn one(node: Node) -> Self {
        Self::Nodes(BTreeSet::from([node]))
    }

    /// Whether somebody has to be asked who leads.
    pub fn need_leader(&self) -> bool {
        matches!(self, Self::Leader | Self::Followers)
    }

    /// How many nodes they are at most, in a cluster of `count`.
    pub fn most(&self, count: u16) -> usize {
        let count = usize::from(count);
        match self {
            Self::Nodes(nodes) => nodes.len(),
            Self::One | Self::Leader => 1.min(count),
            Self::Minority => count.saturating_sub(1) / 2,
            Self::Majority if count == 0 => 0,
            Self::Majority => count / 2 + 1,
            Self::Followers => count.saturating_sub(1),
            Self::All => count,
        }
    }

    /// Every node that may be meant: the leader may be anybody.
    pub fn possible(&self, count: u16) -> BTreeSet<Node> {
        match self {
            Self::Nodes(nodes) => nodes.clone(),
            _ if self.most(count) == 0 => BTreeSet::new(),
            _ => Node::first(count).collect(),
        }
    }

    /// The nodes meant, in a cluster of `count`; what is drawn is drawn from `seed`. Nobody where
    /// the leader has to be known and is not, and where the cluster has no such nodes.
    pub fn resolve(&self, count: u16, leader: Option<Node>, seed: u64) -> BTreeSet<Node> {
        let all = || Node::first(count);
        match self {
            Self::Nodes(nodes) => nodes.clone(),
            Self::Leader => leader.into_iter().collect(),
            Self::Followers => match leader {
                Some(leader) => all().filter(|node| *node != leader).collect(),
                None => BTreeSet::new(),
            },
            Self::All => all().collect(),
            Self::One | Self::Minority | Self::Majority => {
                let mut nodes: Vec<Node> = all().collect();
                nodes.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
                nodes.into_iter().take(self.most(count)).collect()
            }
        }
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Nodes(nodes) = self {
            return f.write_str(&spaced(nodes));
        }
        let word = WORDS.iter().find(|(_, targets)| targets == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// Reads names, or one of the words.
pub(super) fn targets(text: &str, form: &'static str) -> Result<Targets, Problem> {
    match WORDS.into_iter().find(|(word, _)| *word == text) {
        Some((_, targets)) => Ok(targets),
        None => Ok(Targets::Nodes(nodes(text, form)?.into_iter().collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(word: &str, count: u16, leader: Option<u16>, seed: u64) -> String {
        let targets = targets(word, "").unwrap();
        let nodes = targets.resolve(count, leader.map(Node), seed);
        let possible = targets.possible(count);
        assert!(nodes.is_subset(&possible), "{word} of {count}");
        assert!(nodes.len() <= targets.most(count), "{word} of {count}");
        spaced(&nodes)
    }

    #[test]
    fn a_word_means_the_nodes_that_it_says_at_that_moment() {
        assert_eq!(resolved("leader", 5, Some(2), 0), "n2");
        assert_eq!(resolved("followers", 5, Some(2), 0), "n1 n3 n4 n5");
        assert_eq!(resolved("all", 3, None, 0), "n1 n2 n3");
        for (word, sizes) in [
            ("one", [1, 1, 1, 1, 1]),
            ("minority", [0, 0, 1, 1, 2]),
            ("majority", [1, 2, 2, 3, 3]),
        ] {
            for (count, size) in (1..).zip(sizes) {
                let nodes = resolved(word, count, None, 7);
                assert_eq!(nodes.split_whitespace().count(), size, "{word} of {count}");
                assert_eq!(nodes, resolved(word, count, None, 7), "the same seed again");
            }
        }
        let ones: BTreeSet<String> = (0..50).map(|seed| resolved("one", 5, None, seed)).collect();
        assert_eq!(ones.len(), 5, "over many seeds everybody has its turn");
    }

    #[test]
    fn it_is_nobody_where_there_is_none() {
        for (word, count, leader) in [
            ("leader", 3, None),
            ("followers", 3, None),
            ("followers", 1, Some(1)),
            ("minority", 2, Some(1)),
            ("all", 0, None),
            ("one", 0, None),
        ] {
            assert_eq!(resolved(word, count, leader, 0), "", "{word} of {count}");
        }
    }
}
