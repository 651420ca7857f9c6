//! A command of a conversation, taken apart.

use std::collections::BTreeMap;

use target_node::raft::NodeId;

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

    pub(crate) fn number(&self, key: &str, default: u64) -> u64 {
        self.options
            .get(key)
            .map_or(default, |value| value.parse().unwrap())
    }
}
