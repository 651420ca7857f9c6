//! A command of a conversation, taken apart.

use std::collections::{BTreeMap, BTreeSet};

use target_node::raft::{Change, NodeId};

/// A command's words: a name, places, and `key=value` pairs.
pub(crate) struct Words<'a> {
    pub(crate) places: Vec<&'a str>,
    pub(crate) options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(words: impl Iterator<Item = &'a str>) -> Self {
        let (options, places) = words.partition::<Vec<_>, _>(|word| word.contains('='));
        let options = options
            .into_iter()
            .map(|word| word.split_once('=').unwrap())
            .collect();
        Self { places, options }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.places[0].parse().unwrap()
    }

    #[allow(dead_code, reason = "only Raft's conversations change members")]
    /// `add-voter=4`, or `voters=1,2,4 learners=5`.
    pub(crate) fn change(&self) -> Change {
        let list = |key: &str| -> BTreeSet<NodeId> {
            let ids = self.options.get(key).copied().unwrap_or("").split(',');
            let ids = ids.filter(|id| !id.is_empty());
            ids.map(|id| id.parse().unwrap()).collect()
        };
        let id = |key| self.options.get(key).map(|id| id.parse().unwrap());
        let one = id("add-learner").map(Change::AddLearner);
        let one = one.or_else(|| id("add-voter").map(Change::AddVoter));
        let one = one.or_else(|| id("promote").map(Change::Promote));
        let one = one.or_else(|| id("remove").map(Change::Remove));
        one.unwrap_or_else(|| Change::Replace {
            voters: list("voters"),
            learners: list("learners"),
        })
    }

    pub(crate) fn number(&self, key: &str, default: u64) -> u64 {
        self.options
            .get(key)
            .map_or(default, |value| value.parse().unwrap())
    }
}
