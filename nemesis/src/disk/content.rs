//! The bytes of a file: sparse pages that copies share until one of them changes.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// Bytes in a page.
pub(super) const PAGE: usize = 4096;

type Page = [u8; PAGE];

/// As many bytes as its length says; what no page holds reads as zeroes.
///
/// Invariant: every byte of a page that lies behind the end is zero, so that growing again shows
/// nothing of what was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    pages: BTreeMap<u64, Arc<Page>>,
    len: u64,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// How many bytes its pages take.
    pub(super) fn stored(&self) -> u64 {
        (self.pages.len() * PAGE) as u64
    }

    /// The bytes from `at` on, as many as asked for or as there are.
    pub(super) fn read(&self, at: u64, length: usize) -> Vec<u8> {
        let there = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(there)];
        for (page, within, part) in parts(at, bytes.len()) {
            if let Some(found) = self.pages.get(&page) {
                bytes[part].copy_from_slice(&found[within]);
            }
        }
        bytes
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        for (page, within, part) in parts(at, bytes.len()) {
            self.page(page)[within].copy_from_slice(&bytes[part]);
        }
        if !bytes.is_empty() {
            self.len = self.len.max(at + bytes.len() as u64);
        }
    }

    pub(super) fn resize(&mut self, len: u64) {
        if len < self.len {
            self.zero(len..self.len);
            // The page in which the new end lies stays.
            drop(self.pages.split_off(&len.div_ceil(PAGE as u64)));
        }
        self.len = len;
    }

    /// Overwrites with zeroes what of the range lies before the end.
    pub(super) fn zero(&mut self, range: Range<u64>) {
        let end = range.end.min(self.len);
        let (first, last) = (range.start / PAGE as u64, end.div_ceil(PAGE as u64));
        if range.start >= end {
            return;
        }
        let touched: Vec<u64> = self
            .pages
            .range(first..last)
            .map(|(page, _)| *page)
            .collect();
        for page in touched {
            let begin = page * PAGE as u64;
            let from = range.start.saturating_sub(begin).min(PAGE as u64);
            let to = (end - begin).min(PAGE as u64);
            if (from, to) == (0, PAGE as u64) {
                self.pages.remove(&page);
            } else {
                self.page(page)[index(from)..index(to)].fill(0);
            }
        }
    }

    /// Where in the pages that hold something the `n`-th byte lies; `None` behind their end.
    pub(super) fn nth_stored(&self, n: u64) -> Option<u64> {
        let inside = |page: u64| self.len.saturating_sub(page * PAGE as u64).min(PAGE as u64);
        let mut left = n;
        for page in self.pages.keys() {
            if left < inside(*page) {
                return Some(page * PAGE as u64 + left);
            }
            left -= inside(*page);
        }
        None
    }

    /// How many bytes before the end lie in pages that hold something.
    pub(super) fn written(&self) -> u64 {
        let inside = |page: &u64| self.len.saturating_sub(page * PAGE as u64).min(PAGE as u64);
        self.pages.keys().map(inside).sum()
    }

    /// Its pages, cut at the end, with where they begin.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pages.iter().map(|(page, bytes)| {
            let begin = page * PAGE as u64;
            let there = self.len.saturating_sub(begin).min(PAGE as u64);
            (begin, &bytes[..index(there)])
        })
    }

    /// How many of its bytes the other has not, or has otherwise.
    pub(super) fn differ(&self, other: Option<&Self>) -> u64 {
        let nothing = Self::default();
        let other = other.unwrap_or(&nothing);
        let mut differ = self.len.saturating_sub(other.len);
        let pages = self.pages.keys().chain(other.pages.keys());
        for page in pages.collect::<std::collections::BTreeSet<_>>() {
            let both = self.len.min(other.len).saturating_sub(page * PAGE as u64);
            let size = usize::try_from(both).unwrap_or(PAGE).min(PAGE);
            let read = |content: &Self| content.read(page * PAGE as u64, size);
            let pairs = read(self).into_iter().zip(read(other));
            differ += pairs.filter(|(one, other)| one != other).count() as u64;
        }
        differ
    }

    fn page(&mut self, page: u64) -> &mut Page {
        let fresh = || Arc::new([0; PAGE]);
        Arc::make_mut(self.pages.entry(page).or_insert_with(fresh))
    }
}

/// Splits `length` bytes from `at` on into page, range within the page, range within the bytes.
fn parts(at: u64, length: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let here = at + done as u64;
        let from = index(here % PAGE as u64);
        let size = (PAGE - from).min(length - done);
        let part = done..done + size;
        done += size;
        Some((here / PAGE as u64, from..from + size, part))
    })
}

/// An offset within one page.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset within a page is small")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_does_not_come_back() {
        let mut content = Content::default();
        content.write(4090, &[7; 20]);
        content.resize(4094);
        content.resize(8000);
        let mut expected = vec![0; 8000];
        expected[4090..4094].fill(7);
        assert_eq!(content.read(0, 9000), expected);
        assert_eq!(content.stored(), 4096, "the page behind the cut is gone");
    }

    #[test]
    fn zeroing_leaves_both_sides_alone() {
        let mut content = Content::default();
        content.write(0, &[1; 3 * PAGE]);
        content.zero(10..2 * PAGE as u64 + 10);
        let read = content.read(0, 3 * PAGE);
        assert!(read[..10].iter().all(|byte| *byte == 1));
        assert!(read[10..2 * PAGE + 10].iter().all(|byte| *byte == 0));
        assert!(read[2 * PAGE + 10..].iter().all(|byte| *byte == 1));
        assert_eq!(content.stored(), 2 * PAGE as u64);
    }

    #[test]
    fn holes_hold_no_stored_byte() {
        let mut content = Content::default();
        content.write(3 * PAGE as u64, &[1; 5]);
        content.write(PAGE as u64, &[1; 1]);
        assert_eq!(content.written(), PAGE as u64 + 5);
        assert_eq!(content.nth_stored(0), Some(PAGE as u64));
        assert_eq!(
            content.nth_stored(PAGE as u64 + 4),
            Some(3 * PAGE as u64 + 4)
        );
        assert_eq!(content.nth_stored(PAGE as u64 + 5), None);
    }
}
