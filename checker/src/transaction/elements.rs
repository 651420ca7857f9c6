//! The elements that a read saw, in a byte or two each.
//!
//! ```text
//!   1000   1007   1003      values
//!   +1000    +7     −4      each as the difference from the one before
//!   d0 0f    0e     07      zigzag, seven bits a byte, the last without its high bit
//! ```
//!
//! (The signed variable-length integers of protocol buffers.) What lists hold is most of a history
//! of transactions, and neighbours in a list were mostly appended soon after each other. Equal
//! elements are equal bytes.

use std::cmp::Ordering;
use std::fmt;

/// What a list held, or a register: then one element or none.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Elements(Box<[u8]>);

/// Set on every byte of a number but its last.
const MORE: u8 = 0x80;

impl Elements {
    /// The elements, first to last.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        let mut bytes = self.0.iter();
        let mut value = 0_i64;
        std::iter::from_fn(move || {
            let (mut coded, mut shift) = (0_u64, 0);
            loop {
                let byte = *bytes.next()?;
                coded |= u64::from(byte & !MORE) << shift;
                shift += 7;
                if byte & MORE == 0 {
                    break;
                }
            }
            let magnitude = (coded >> 1).cast_signed();
            value = value.wrapping_add(magnitude ^ -(coded & 1).cast_signed());
            Some(value)
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().filter(|byte| **byte & MORE == 0).count()
    }

    /// The bytes drawn above: a number's end where it ends, so that equal bytes are equal elements.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Those of such bytes.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        Elements(bytes.into())
    }

    /// By how many bytes, how many elements there are up to there.
    pub(super) fn counts(&self) -> Vec<u32> {
        let mut count = 0;
        let mut counts = vec![count];
        counts.extend(self.0.iter().map(|byte| {
            count += u32::from(byte & MORE == 0);
            count
        }));
        counts
    }

    /// True where these begin with all of `others`.
    #[cfg(test)]
    pub(super) fn starts_with(&self, others: &Elements) -> bool {
        self.0.starts_with(&others.0)
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How many bytes both begin with, in whole numbers.
pub(super) fn common(one: &[u8], other: &[u8]) -> usize {
    let shorter = one.len().min(other.len());
    let (one, other) = (&one[..shorter], &other[..shorter]);
    if one == other {
        return shorter; // as almost always: whole numbers both of them
    }
    let mut pairs = one.iter().zip(other);
    let same = pairs.position(|(a, b)| a != b).unwrap_or(shorter);
    let whole = one[..same].iter().rposition(|byte| byte & MORE == 0);
    whole.map_or(0, |last| last + 1)
}

/// By how much the first of these differs from what comes before: 0 where there is none.
pub(super) fn first(bytes: &[u8]) -> i64 {
    let end = bytes.iter().position(|byte| byte & MORE == 0);
    let number = Elements(bytes[..end.map_or(0, |end| end + 1)].into());
    number.iter().next().unwrap_or_default()
}

impl FromIterator<i64> for Elements {
    fn from_iter<I: IntoIterator<Item = i64>>(values: I) -> Self {
        let (mut bytes, mut before) = (Vec::new(), 0_i64);
        for value in values {
            let difference = value.wrapping_sub(before);
            before = value;
            let mut coded = (difference << 1 ^ difference >> 63).cast_unsigned();
            while coded >= u64::from(MORE) {
                bytes.push(coded.to_le_bytes()[0] | MORE);
                coded >>= 7;
            }
            bytes.push(coded.to_le_bytes()[0]);
        }
        Elements(bytes.into())
    }
}

impl From<&[i64]> for Elements {
    fn from(values: &[i64]) -> Self {
        values.iter().copied().collect()
    }
}

impl fmt::Debug for Elements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialOrd for Elements {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Elements {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_take_a_byte_or_two() {
        let elements = Elements::from(&[1000, 1007, 1003][..]);
        assert_eq!(*elements.0, [0xd0, 0x0f, 0x0e, 0x07]);
        assert_eq!(format!("{elements:?}"), "[1000, 1007, 1003]");
    }

    #[test]
    fn the_ends_of_the_range_are_elements_too() {
        let values = [i64::MIN, i64::MAX, 0, -1, i64::MIN, i64::MIN];
        assert_eq!(
            Elements::from(&values[..]).iter().collect::<Vec<_>>(),
            values
        );
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            values in proptest::collection::vec(any::<i64>(), 0..9),
            others in proptest::collection::vec(-2_i64..2, 0..9),
        ) {
            let (coded, other) = (Elements::from(&values[..]), Elements::from(&others[..]));
            prop_assert_eq!(coded.iter().collect::<Vec<_>>(), values.clone());
            prop_assert_eq!(coded.len(), values.len());
            prop_assert_eq!(coded.cmp(&other), values.cmp(&others));
            prop_assert_eq!(coded.starts_with(&other), values.starts_with(&others));
            let longer: Elements = values.iter().chain(&others).copied().collect();
            prop_assert!(longer.starts_with(&coded));
        }
    }
}
