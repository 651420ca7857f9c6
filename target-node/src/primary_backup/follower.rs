//! What a primary knows of one backup: how far it is, and what is under way to it.
//!
//! One message at a time is under way to each backup, with everything that it lacks: what comes in
//! meanwhile travels together in the next.

use crate::raft::{Index, LogId, Snapshot};

/// A primary's view of one backup.
#[derive(Debug)]
pub(super) struct Follower {
    /// Up to here its log is known to equal the primary's, durably.
    matched: Index,
    /// The next entry to send.
    next: Index,
    /// The commit index it was last told.
    told: Index,
    /// Ticks since something was sent that has no answer yet.
    under_way: Option<u32>,
    /// It needs the whole state, in a snapshot of this epoch.
    diverged: bool,
    sending: Option<Sending>,
}

#[derive(Debug)]
struct Sending {
    snapshot: Snapshot,
    offset: usize,
}

/// A part of a snapshot, to be sent.
pub(super) struct Chunk<'a> {
    pub(super) last: LogId,
    pub(super) total: u64,
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

impl Follower {
    pub(super) fn new(last: Index) -> Self {
        Self {
            matched: 0,
            next: last + 1,
            told: 0,
            under_way: None,
            diverged: false,
            sending: None,
        }
    }

    pub(super) fn matched(&self) -> Index {
        self.matched
    }

    pub(super) fn next(&self) -> Index {
        self.next
    }

    pub(super) fn is_diverged(&self) -> bool {
        self.diverged
    }

    /// What has no answer for too long is forgotten, and so sent again.
    pub(super) fn tick(&mut self, resend_ticks: u32) {
        if let Some(ticks) = &mut self.under_way {
            *ticks += 1;
            if *ticks >= resend_ticks {
                self.under_way = None;
            }
        }
    }

    /// Whether an append is to be sent: there are entries, or news of what is committed, or it is
    /// not yet known where the two logs are equal.
    pub(super) fn is_due(&self, last: Index, commit: Index) -> bool {
        let has_news = self.next <= last || self.told < commit.min(self.matched);
        let is_unknown = self.matched + 1 != self.next;
        self.under_way.is_none() && (has_news || is_unknown)
    }

    pub(super) fn sent(&mut self, commit: Index) {
        self.under_way = Some(0);
        self.told = commit;
    }

    pub(super) fn accepted(&mut self, matched: Index) {
        self.under_way = None;
        self.diverged = false;
        if self
            .sending
            .as_ref()
            .is_some_and(|sending| sending.snapshot.last.index <= matched)
        {
            self.sending = None;
        }
        self.matched = self.matched.max(matched);
        self.next = self.matched + 1;
    }

    /// The backup has no entry at `at`; its log could match up to `hint`. A refusal of what was
    /// sent long ago says nothing.
    pub(super) fn rejected(&mut self, at: Index, hint: Index) {
        if at + 1 == self.next && hint < self.next {
            self.under_way = None;
            self.next = hint.max(self.matched) + 1;
        }
    }

    pub(super) fn diverge(&mut self) {
        if !self.diverged {
            self.under_way = None;
            self.sending = None;
        }
        self.diverged = true;
    }

    /// Begins with a snapshot, unless one is under way: a newer one does not take its place, or a
    /// slow backup would never have a whole one.
    pub(super) fn begin_snapshot(&mut self, snapshot: &Snapshot) {
        self.sending.get_or_insert_with(|| Sending {
            snapshot: snapshot.clone(),
            offset: 0,
        });
    }

    /// The next part of the snapshot under way, where there is one and no part waits for its
    /// answer.
    pub(super) fn chunk(&mut self, bytes_max: usize) -> Option<Chunk<'_>> {
        if self.under_way.is_some() {
            return None;
        }
        let sending = self.sending.as_ref()?;
        self.under_way = Some(0);
        let state = sending.snapshot.state.as_bytes();
        let end = state.len().min(sending.offset + bytes_max);
        Some(Chunk {
            last: sending.snapshot.last,
            total: state.len() as u64,
            offset: sending.offset as u64,
            bytes: &state[sending.offset..end],
        })
    }

    pub(super) fn received(&mut self, last: LogId, received: u64) {
        let Some(sending) = &mut self.sending else {
            return;
        };
        let received = usize::try_from(received).unwrap_or(usize::MAX);
        if sending.snapshot.last == last && received <= sending.snapshot.state.as_bytes().len() {
            sending.offset = received;
            self.under_way = None;
        }
    }
}
