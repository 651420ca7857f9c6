//! Who takes part in a cluster, and in what part.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::entry::NodeId;

/// A configuration: who decides, and who listens.
///
/// While one configuration gives way to another (*joint consensus*, Raft paper section 6), both
/// have to agree: `voters` by a majority of their own, and `outgoing` by one of theirs. A node that
/// goes from a voter to a learner is in `outgoing` and in `learners` until then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Who voted before, while the change is under way; else empty.
    pub outgoing: BTreeSet<NodeId>,
    /// Who gets the log and has no vote.
    pub learners: BTreeSet<NodeId>,
}

impl Members {
    /// Voters only.
    #[must_use]
    pub fn of(voters: BTreeSet<NodeId>) -> Self {
        Self {
            voters,
            ..Self::default()
        }
    }

    /// True while two configurations have to agree.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// True where the node's vote counts.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// True where the node takes part at all.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.contains(&id)
    }

    /// Everyone who takes part.
    #[must_use]
    pub fn all(&self) -> BTreeSet<NodeId> {
        let voters = self.voters.union(&self.outgoing).copied();
        voters.chain(self.learners.iter().copied()).collect()
    }

    /// The configuration after the change.
    #[must_use]
    pub fn settled(&self) -> Self {
        Self {
            outgoing: BTreeSet::new(),
            ..self.clone()
        }
    }

    /// As bytes: three lists, each with its length, all numbers little-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for list in [&self.voters, &self.outgoing, &self.learners] {
            bytes.extend_from_slice(&(list.len() as u64).to_le_bytes());
            for id in list {
                bytes.extend_from_slice(&id.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads what [`Members::encode`] wrote; none where the bytes are anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut number = || {
            let (number, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(u64::from_le_bytes(*number))
        };
        let mut list = || {
            let length = number()?;
            let mut ids = BTreeSet::new();
            for _ in 0..length {
                // In order, and each once: so there is one way to write a list.
                let id = number().filter(|id| ids.last().is_none_or(|last| last < id))?;
                ids.insert(id);
            }
            Some(ids)
        };
        let members = Self {
            voters: list()?,
            outgoing: list()?,
            learners: list()?,
        };
        rest.is_empty().then_some(members)
    }
}

/// `1,2,3`; joint, with the old one behind: `1,2,4/1,2,3`; learners at the end: `1,2,3~4`.
impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &BTreeSet<NodeId>| {
            let ids: Vec<String> = ids.iter().map(NodeId::to_string).collect();
            ids.join(",")
        };
        write!(f, "{}", list(&self.voters))?;
        for (mark, ids) in [("/", &self.outgoing), ("~", &self.learners)] {
            if !ids.is_empty() {
                write!(f, "{mark}{}", list(ids))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joint() -> Members {
        Members {
            voters: BTreeSet::from([1, 2, 4]),
            outgoing: BTreeSet::from([1, 2, 3]),
            learners: BTreeSet::from([3, 5]),
        }
    }

    #[test]
    fn a_configuration_survives_its_bytes_and_nothing_else_is_taken_for_one() {
        let bytes = joint().encode();
        assert_eq!(Members::decode(&bytes), Some(joint()));
        assert_eq!(Members::decode(&[]), None);
        assert_eq!(Members::decode(&[&bytes[..], &[0]].concat()), None);
        for length in 0..bytes.len() {
            assert_eq!(Members::decode(&bytes[..length]), None, "{length}");
        }
        let twice: Vec<u8> = [2_u64, 7, 7, 0, 0]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        assert_eq!(Members::decode(&twice), None);
    }

    #[test]
    fn it_is_told_in_a_word() {
        assert_eq!(joint().to_string(), "1,2,4/1,2,3~3,5");
        assert_eq!(joint().settled().to_string(), "1,2,4~3,5");
        assert!(!joint().settled().contains(6) && joint().contains(5) && !joint().is_voter(5));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Members::decode(&bytes);
        }
    }
}
