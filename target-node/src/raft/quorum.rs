//! Majorities: who won, and how far a majority agrees.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::NodeId;
use super::members::Members;

/// Those who decide: a majority, or while a change is under way a majority of each configuration
/// (joint consensus, Raft paper section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quorum {
    incoming: Majority,
    outgoing: Option<Majority>,
}

impl Quorum {
    pub(super) fn new(members: &Members) -> Self {
        let outgoing = members.is_joint().then(|| members.outgoing.clone());
        Self {
            incoming: Majority::new(members.voters.clone()),
            outgoing: outgoing.map(Majority::new),
        }
    }

    fn halves(&self) -> impl Iterator<Item = &Majority> {
        [&self.incoming].into_iter().chain(&self.outgoing)
    }

    /// True where those decide who have the property.
    pub(super) fn has(&self, property: impl Fn(NodeId) -> bool) -> bool {
        self.halves().all(|half| half.has(&property))
    }

    /// How an election stands: lost in one half is lost.
    pub(super) fn tally(&self, votes: &BTreeMap<NodeId, bool>) -> Tally {
        let tallies = self.halves().map(|half| half.tally(votes));
        tallies.max().unwrap_or(Tally::Open)
    }

    /// The highest value that all who must have reached: see [`Majority::agreed`].
    pub(super) fn agreed(&self, reached: impl Fn(NodeId) -> u64) -> u64 {
        let values = self.halves().map(|half| half.agreed(&reached));
        values.min().unwrap_or(0)
    }
}

/// The voters, more than half of whom decide.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Majority {
    voters: BTreeSet<NodeId>,
}

/// How an election stands; of two halves the later one here decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tally {
    /// A majority said yes.
    Won,
    /// Neither yet.
    Open,
    /// No majority can say yes any more.
    Lost,
}

impl Majority {
    /// The majority of these voters.
    fn new(voters: BTreeSet<NodeId>) -> Self {
        Self { voters }
    }

    /// How many make a majority: for 4 it is 3, for 5 also 3.
    fn threshold(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// True where a majority has the property.
    fn has(&self, property: impl Fn(NodeId) -> bool) -> bool {
        let count = self.voters.iter().filter(|&&id| property(id)).count();
        count >= self.threshold()
    }

    /// How an election stands; votes of strangers do not count.
    fn tally(&self, votes: &BTreeMap<NodeId, bool>) -> Tally {
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
    fn agreed(&self, reached: impl Fn(NodeId) -> u64) -> u64 {
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

    #[test]
    fn while_a_change_is_under_way_both_majorities_decide() {
        let quorum = Quorum::new(&Members {
            voters: [3, 4, 5].into(),
            outgoing: [1, 2, 3].into(),
            ..Members::default()
        });
        let of = |yes: &[NodeId], no: &[NodeId]| {
            let yes = yes.iter().map(|&id| (id, true));
            quorum.tally(&yes.chain(no.iter().map(|&id| (id, false))).collect())
        };
        assert_eq!(of(&[3, 4, 5], &[]), Tally::Open);
        assert_eq!(of(&[1, 2, 3], &[]), Tally::Open);
        assert_eq!(of(&[1, 3, 4], &[]), Tally::Won);
        assert_eq!(of(&[3, 4, 5], &[1, 2]), Tally::Lost);
        // A majority of all five would have agreed on 7.
        let reached = [9, 9, 3, 7, 3];
        let at = |id: NodeId| reached[usize::try_from(id).unwrap() - 1];
        assert_eq!(quorum.agreed(at), 3);
        assert!(!quorum.has(|id| id > 2) && quorum.has(|id| id != 1 && id != 5));
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
