//! The log as the core sees it: all entries in memory, however much of it is durable.

use super::entry::{Entry, Index, LogId, Term};

/// A contiguous run of entries behind a base, which a snapshot covers.
#[derive(Debug, Default)]
pub(crate) struct Log {
    base: LogId,
    entries: Vec<Entry>,
}

impl Log {
    /// The log that recovery read back.
    ///
    /// # Panics
    /// If the entries are not contiguous from the base: recovery has checked that.
    pub(crate) fn new(base: LogId, entries: Vec<Entry>) -> Self {
        assert!(
            entries
                .iter()
                .zip(base.index + 1..)
                .all(|(entry, index)| entry.id.index == index),
            "recovered entries are contiguous"
        );
        Self { base, entries }
    }

    /// Where the entry of an index above the base stands in the vector.
    fn place(&self, index: Index) -> usize {
        usize::try_from(index - self.base.index - 1)
            .expect("a log that fits in memory has places that fit in usize")
    }

    /// The entry before the first; [`LogId::ZERO`] where nothing was ever dropped.
    pub(crate) fn base(&self) -> LogId {
        self.base
    }

    /// Drops all entries up to `index`.
    pub(crate) fn compact_to(&mut self, index: Index) {
        let Some(term) = self.term_at(index).filter(|_| index > self.base.index) else {
            return;
        };
        self.entries.drain(..=self.place(index));
        self.base = LogId::new(term, index);
    }

    /// Drops everything; the next entry follows `base`.
    pub(crate) fn reset(&mut self, base: LogId) {
        self.entries.clear();
        self.base = base;
    }

    /// The last entry's name, the base where there is none.
    pub(crate) fn last(&self) -> LogId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    /// The term of the entry at `index`, the base included; none beyond the last, and none for
    /// what was dropped.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        let entry = (index > self.base.index).then(|| self.entries.get(self.place(index)));
        entry.flatten().map(|entry| entry.id.term)
    }

    /// True where the log has just this entry.
    pub(crate) fn contains(&self, id: LogId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The entries from `first` to `last`, both included, as far as the log has them; none where
    /// `first` is beyond `last` or beyond the log.
    pub(crate) fn range(&self, first: Index, last: Index) -> &[Entry] {
        let last = last.min(self.last().index);
        let first = if first == 0 {
            0
        } else {
            first.max(self.base.index + 1)
        };
        if first == 0 || first > last {
            return &[];
        }
        &self.entries[self.place(first)..=self.place(last)]
    }

    /// A prefix of what lies behind `prev`, with at least one entry if there is any, and no more
    /// payload than `bytes_max` unless a single entry has more.
    pub(crate) fn batch_after(&self, prev: Index, bytes_max: usize) -> &[Entry] {
        let rest = self.range(prev + 1, Index::MAX);
        let mut bytes = 0_usize;
        let fits = rest.iter().take_while(|entry| {
            bytes = bytes.saturating_add(entry.payload.len() + ENTRY_OVERHEAD);
            bytes <= bytes_max
        });
        let count = fits.count().max(1).min(rest.len());
        &rest[..count]
    }

    /// Puts an entry at the end.
    ///
    /// # Panics
    /// If it does not follow the last one.
    pub(crate) fn push(&mut self, entry: Entry) {
        assert_eq!(entry.id.index, self.last().index + 1, "the log has no gaps");
        self.entries.push(entry);
    }

    /// Drops the entry at `first` and all behind it.
    pub(crate) fn truncate_from(&mut self, first: Index) {
        self.entries.truncate(self.place(first));
    }

    /// The highest entry at or below `at.index` whose term is not above `at.term`.
    ///
    /// Terms never fall along a log, so every entry above it has a term above `at.term` and can
    /// not be in a log whose entry at `at.index` has term `at.term`. Both sides use it: the
    /// follower on the `prev` that it refuses, the leader on the follower's hint. Each step skips
    /// a whole run of conflicting terms, so a divergent tail costs one exchange a term instead of
    /// one an entry (Raft paper, end of section 5.3).
    pub(crate) fn last_possible_match(&self, at: LogId) -> LogId {
        let upto = at.index.min(self.last().index);
        let candidates = self.range(1, upto);
        let count = candidates.partition_point(|entry| entry.id.term <= at.term);
        if count == 0 {
            // Below the base nothing is known but that it is committed, and so the same everywhere.
            let is_possible = self.base.index <= at.index && self.base.term <= at.term;
            if is_possible { self.base } else { LogId::ZERO }
        } else {
            candidates[count - 1].id
        }
    }
}

/// What an entry costs on the wire beside its payload, roughly.
const ENTRY_OVERHEAD: usize = 24;

#[cfg(test)]
mod tests {
    use super::super::entry::Payload;
    use super::*;

    fn log(terms: &[Term]) -> Log {
        let entries = terms.iter().zip(1..);
        let entry = |(&term, index)| Entry {
            id: LogId::new(term, index),
            payload: Payload::Noop,
        };
        Log::new(LogId::ZERO, entries.map(entry).collect())
    }

    #[test]
    fn ranges_are_clamped_and_never_panic() {
        let log = log(&[1, 1, 2]);
        assert_eq!(log.range(2, 9).len(), 2);
        assert!(log.range(4, 9).is_empty());
        assert!(log.range(3, 2).is_empty());
        assert!(log.range(0, 2).is_empty());
        assert_eq!(log.term_at(0), Some(0));
        assert_eq!(log.term_at(4), None);
    }

    #[test]
    fn a_compacted_log_knows_its_base_and_nothing_before_it() {
        let mut log = log(&[1, 1, 2, 2, 3]);
        log.compact_to(3);
        assert_eq!(log.base(), LogId::new(2, 3));
        assert_eq!(
            (log.term_at(2), log.term_at(3), log.term_at(5)),
            (None, Some(2), Some(3))
        );
        assert_eq!(log.term_at(0), None);
        assert_eq!(log.range(1, 4).len(), 1);
        assert_eq!(log.last_possible_match(LogId::new(1, 4)), LogId::ZERO);
        assert_eq!(log.last_possible_match(LogId::new(2, 9)), LogId::new(2, 4));
        log.compact_to(2);
        log.compact_to(9);
        assert_eq!(
            log.base(),
            LogId::new(2, 3),
            "neither back nor beyond the end"
        );
        log.reset(LogId::new(4, 9));
        assert_eq!((log.last(), log.range(1, 99).len()), (LogId::new(4, 9), 0));
    }

    #[test]
    fn the_possible_match_skips_whole_terms() {
        let log = log(&[1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
        assert_eq!(log.last_possible_match(LogId::new(3, 11)), LogId::new(1, 3));
        assert_eq!(log.last_possible_match(LogId::new(5, 7)), LogId::new(5, 7));
        assert_eq!(log.last_possible_match(LogId::new(0, 7)), LogId::ZERO);
    }

    #[test]
    fn a_batch_has_one_entry_at_least_and_stops_at_the_byte_limit() {
        let log = log(&[1, 1, 1]);
        assert_eq!(log.batch_after(0, 0).len(), 1);
        assert_eq!(log.batch_after(0, 2 * ENTRY_OVERHEAD).len(), 2);
        assert_eq!(log.batch_after(3, 1000).len(), 0);
    }
}
