//! Where each question stands, in two or three bytes.
//!
//! ```text
//!   lines    3   5   6   9        +3 +2 +1 +3     what follows is not far away, and the index
//!   indices  2   4   5   8         0  0  0  0     of an event goes along with its line
//! ```

use rustc_hash::{FxHashMap, FxHashSet};

use super::source::At;

/// Of questions in the order in which they are asked.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    last: (u64, u64),
}

impl Lines {
    pub(super) fn note(&mut self, at: At) {
        let line = at.line.wrapping_sub(self.last.0);
        let index = at.index.wrapping_sub(self.last.1).wrapping_sub(line);
        self.last = (at.line, at.index);
        let bytes = std::mem::take(&mut self.bytes);
        let step = (line, index.cast_signed());
        self.bytes = postcard::to_extend(&step, bytes).expect("numbers can be written");
    }

    /// The lines and the indices of these, by their ranks.
    pub(super) fn find(&self, ranks: impl Iterator<Item = usize>) -> FxHashMap<usize, (u64, u64)> {
        let wanted: FxHashSet<usize> = ranks.collect();
        let mut left = self.bytes.as_slice();
        let (mut line, mut index) = (0_u64, 0_u64);
        let all = std::iter::from_fn(|| {
            let ((lines, indices), rest) = postcard::take_from_bytes::<(u64, i64)>(left).ok()?;
            left = rest;
            line = line.wrapping_add(lines);
            index = index.wrapping_add(lines).wrapping_add_signed(indices);
            Some((line, index))
        });
        let all = (0..).zip(all);
        all.filter(|(rank, _)| wanted.contains(rank)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_found() {
        let at = |line, index| At {
            line,
            event: 0,
            index,
        };
        let mut lines = Lines::default();
        for (line, index) in [(3, 2), (5, 4), (6, u64::MAX), (900, 0)] {
            lines.note(at(line, index));
        }
        let found = lines.find([3, 0, 2].into_iter());
        let found = [3, 0, 2].map(|rank| found[&rank]);
        assert_eq!(found, [(900, 0), (3, 2), (6, u64::MAX)]);
        assert_eq!(lines.bytes.len(), 10);
    }
}
