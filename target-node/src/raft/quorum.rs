//! Majorities: who won, and how far a majority agrees.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::NodeId;

/// The voters, more than half of whom decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Majority {
    voters: BTreeSet<NodeId>,
}

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// A majority said yes.
    Won,
    /// No majority can say yes any more.
    Lost,
    /// Neither yet.
    Open,
}

impl Majority {
    /// The majority of these voters.
    pub(super) fn new(voters: BTreeSet<NodeId>) -> Self {
        Self { voters }
    }

    /// How many make a majority: for 4 it is 3, for 5 also 3.
    pub(super) fn threshold(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// True where a majority has the property.
    pub(super) fn has(&self, property: impl Fn(NodeId) -> bool) -> bool {
        let count = self.voters.iter().filter(|&&id| property(id)).count();
        count >= self.threshold()
    }

    /// How an election stands; votes of strangers do not count.
    pub(super) fn tally(&self, votes: &BTreeMap<NodeId, bool>) -> Tally {
        let count = |answer| {
            votes
                .iter()
                .filter(|&(id, vote)| *vote == answer && self.voters.contains(id))
                .count()
        };
        if count(true) >= self.threshold() {
            Tally::Won
        } else if self.voters.len() - count(false) < self.threshold() {
            Tally::Lost
        } else {
            Tally::Open
        }
    }

    /// The highest value that a majority has reached, where `reached` tells each voter's.
    ///
    /// ```text
    /// reached   9  7  7  4  2      5 voters, threshold 3
    /// sorted    ^  ^  ^            the third from the top: three have 7 or more
    /// ```
    pub(super) fn agreed(&self, reached: impl Fn(NodeId) -> u64) -> u64 {
        let mut values: Vec<u64> = self.voters.iter().map(|&id| reached(id)).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.get(self.threshold() - 1).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn majority(n: u64) -> Majority {
        Majority::new((1..=n).collect())
    }

    #[test]
    fn half_of_an_even_cluster_is_no_majority() {
        let half = BTreeMap::from([(1, true), (2, true)]);
        assert_eq!(majority(4).tally(&half), Tally::Open);
        assert_eq!(majority(3).tally(&half), Tally::Won);
        let against = BTreeMap::from([(1, true), (3, false), (4, false)]);
        assert_eq!(majority(4).tally(&against), Tally::Lost);
    }

    #[test]
    fn a_strangers_vote_does_not_count() {
        assert_eq!(
            majority(3).tally(&BTreeMap::from([(1, true), (9, true)])),
            Tally::Open
        );
    }

    proptest! {
        #[test]
        fn what_is_agreed_was_reached_by_a_majority_and_nothing_higher_was(
            values in proptest::collection::vec(0_u64..20, 1..8)
        ) {
            let majority = majority(values.len() as u64);
            let reached = |id: NodeId| values[usize::try_from(id).unwrap() - 1];
            let holders = |floor: u64| values.iter().filter(|&&value| value >= floor).count();
            let agreed = majority.agreed(reached);
            prop_assert!(holders(agreed) >= majority.threshold());
            prop_assert!(holders(agreed + 1) < majority.threshold());
        }
    }
}
