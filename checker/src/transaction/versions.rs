//! What a list was seen to hold, kept once however often it was read.
//!
//! ```text
//!   trunk     1  2  3  4  5        [1], [1 2 3] and [1 2 3 4 5] are only how far they go
//!   branch    ·  ·  9  3           [1 2 9 3] is where it leaves the trunk, and what follows
//! ```
//!
//! In a right history every read of a list is a beginning of the longest, so that all of its reads
//! together take as much as the list. Each content has one place: a branch leaves only where it
//! differs, and of two that leave there the first elements differ.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::Elements;
use super::elements::{common, first};

/// What a read saw of a list: all of the way to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Version {
    branch: u32,
    /// So many bytes of [`Elements`] from the beginning of the list on.
    end: u32,
}

/// All versions of one list that were seen.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// The trunk, and what leaves it or another branch.
    branches: Vec<Branch>,
    /// By where they leave which branch, and their first element.
    leaving: FxHashMap<(Version, i64), u32>,
}

#[derive(Debug)]
struct Branch {
    /// Where it leaves another; nowhere, for the trunk.
    from: Version,
    /// What follows from there on.
    rest: Vec<u8>,
}

const TRUNK: u32 = 0;

impl Version {
    /// How many bytes its elements take.
    pub(super) fn size(self) -> usize {
        self.end as usize
    }

    /// For where every byte counts; see [`Version::unpacked`].
    pub(super) fn packed(self) -> [u8; 8] {
        (u64::from(self.branch) << 32 | u64::from(self.end)).to_le_bytes()
    }

    pub(super) fn unpacked(bytes: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Version {
            branch: u32::from_le_bytes([e, f, g, h]),
            end: u32::from_le_bytes([a, b, c, d]),
        }
    }
}

impl Versions {
    /// Somebody saw these elements.
    pub(super) fn see(&mut self, seen: &Elements) -> Version {
        let all = seen.bytes();
        let end = u32::try_from(all.len()).expect("nobody reads 4 GiB of one list");
        let mut branch = TRUNK;
        if self.branches.is_empty() && end > 0 {
            let from = Version { branch, end: 0 };
            let rest = Vec::new();
            self.branches.push(Branch { from, rest });
        }
        while let Some(this) = self.branches.get_mut(branch as usize) {
            let left = &all[this.from.size()..];
            let same = common(&this.rest, left);
            let other = &left[same..];
            if other.is_empty() {
                break;
            }
            if same == this.rest.len() {
                this.rest.extend_from_slice(other);
                break;
            }
            let at = u32::try_from(all.len() - other.len()).expect("no more than all of it");
            let from = Version { branch, end: at };
            let next = u32::try_from(self.branches.len()).expect("fewer than 2^32 reads");
            branch = *self.leaving.entry((from, first(other))).or_insert(next);
            if branch == next {
                let rest = other.to_vec();
                self.branches.push(Branch { from, rest });
                break;
            }
        }
        Version { branch, end }
    }

    /// Nothing more is seen.
    pub(super) fn finish(&mut self) {
        for branch in &mut self.branches {
            branch.rest.shrink_to_fit();
        }
        self.branches.shrink_to_fit();
        self.leaving = FxHashMap::default();
    }

    /// What that version holds.
    pub(super) fn elements(&self, version: Version) -> Elements {
        let mut bytes = vec![0; version.size()];
        let mut left = version;
        while left.end > 0 {
            let branch = &self.branches[left.branch as usize];
            let range = branch.from.size()..left.size();
            bytes[range.clone()].copy_from_slice(&branch.rest[..range.len()]);
            left = branch.from;
        }
        Elements::of_bytes(bytes)
    }

    /// True where that one begins with all of this one.
    pub(super) fn is_beginning(&self, version: Version, mut of: Version) -> bool {
        while of.branch != version.branch && of.end > version.end {
            of = self.branches[of.branch as usize].from;
        }
        version.end == 0 || (of.branch == version.branch && version.end <= of.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn elements(values: &[i64]) -> Elements {
        Elements::from(values)
    }

    #[test]
    fn what_is_read_again_takes_no_more() {
        let mut versions = Versions::default();
        let long = versions.see(&elements(&[1, 2, 300, 4]));
        let short = versions.see(&elements(&[1, 2]));
        assert_eq!(versions.branches.len(), 1);
        assert_eq!(versions.elements(short), elements(&[1, 2]));
        let other = versions.see(&elements(&[1, 2, 9]));
        assert_eq!(versions.branches[1].rest.len(), 1);
        assert!(versions.is_beginning(short, long) && versions.is_beginning(short, other));
        assert!(!versions.is_beginning(other, long) && !versions.is_beginning(long, other));
    }

    proptest! {
        /// Few different values, so that lists agree for a while and then do not.
        #[test]
        fn every_list_comes_out_as_it_went_in(
            lists in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![0_i64..3, Just(i64::MAX)], 0..6), 0..20),
        ) {
            let mut versions = Versions::default();
            let lists: Vec<Elements> = lists.iter().map(|list| elements(list)).collect();
            let seen: Vec<Version> = lists.iter().map(|list| versions.see(list)).collect();
            versions.finish();
            for (list, version) in lists.iter().zip(&seen) {
                prop_assert_eq!(&versions.elements(*version), list);
                prop_assert_eq!(Version::unpacked(version.packed()), *version);
                for (other, another) in lists.iter().zip(&seen) {
                    prop_assert_eq!(version == another, list == other);
                    let begins = other.starts_with(list);
                    prop_assert_eq!(versions.is_beginning(*version, *another), begins);
                }
            }
        }
    }
}
