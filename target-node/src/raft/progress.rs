//! What a leader knows about one follower's log, and how fast it may send to it.

use std::collections::VecDeque;

use super::entry::{Index, LogId, Opaque};
use super::message::Body;
use super::snapshot::Snapshot;

/// A leader's book-keeping for one follower.
///
/// `matched < next` always: what is matched need not be sent, and everything below `next` was
/// sent or is known to match.
#[derive(Debug)]
pub(super) struct Progress {
    /// The follower's log equals the leader's up to here, durably; only ever from an acceptance.
    matched: Index,
    /// The first entry that the next append carries.
    next: Index,
    pace: Pace,
    /// The highest commit index that an append could have told the follower.
    commit_sent: Index,
    /// An append is due even if it is empty: something sent earlier may be lost.
    is_owed: bool,
    /// The next answer to a heartbeat may say so. Once an interval is enough: read rounds send
    /// heartbeats too, and would have all that is under way sent again and again.
    is_doubtful: bool,
}

/// How appends are sent.
#[derive(Debug)]
enum Pace {
    /// One append at a time, until the leader knows where the two logs agree.
    Probe {
        /// One is under way.
        is_waiting: bool,
    },
    /// Appends go out without waiting, up to a window; each is the last index it carried.
    Replicate {
        /// What is under way, oldest first.
        in_flight: VecDeque<Index>,
    },
    /// The follower needs entries that are gone: a snapshot is on its way, a chunk at a time.
    Snapshot {
        /// The snapshot, also where the leader has taken a newer one meanwhile.
        snapshot: Snapshot,
        /// How many bytes the follower has.
        offset: u64,
        /// How many it said last that it has: fewer where it has begun anew, or where the answer
        /// is an old one.
        told: u64,
        /// A chunk is under way.
        is_waiting: bool,
    },
}

impl Progress {
    /// A follower about which nothing is known: assume that it has everything (Raft paper,
    /// figure 2: next index is the leader's last plus one).
    pub(super) fn new(last: Index) -> Self {
        Self {
            matched: 0,
            next: last + 1,
            pace: Pace::Probe { is_waiting: false },
            commit_sent: 0,
            is_owed: false,
            is_doubtful: false,
        }
    }

    /// Up to where the follower's log is known to equal the leader's.
    pub(super) fn matched(&self) -> Index {
        self.matched
    }

    /// The first entry that the next append carries.
    pub(super) fn next(&self) -> Index {
        self.next
    }

    /// `probe` or `replicate`, for a status page.
    pub(super) fn pace(&self) -> &'static str {
        match self.pace {
            Pace::Probe { .. } => "probe",
            Pace::Replicate { .. } => "replicate",
            Pace::Snapshot { .. } => "snapshot",
        }
    }

    /// True where an append should go out now.
    pub(super) fn is_due(&self, last: Index, commit: Index, in_flight_max: usize) -> bool {
        match &self.pace {
            Pace::Probe { is_waiting } | Pace::Snapshot { is_waiting, .. } => !is_waiting,
            Pace::Replicate { in_flight } => {
                // What an append can tell ends with the log: beyond it there is no news to
                // send, and asking for some would never end.
                let commit_news = self.commit_sent < commit.min(last);
                let has_news = self.next <= last || commit_news || self.is_owed;
                has_news && in_flight.len() < in_flight_max
            }
        }
    }

    /// An append went out that carried everything up to `last` and told `commit`.
    pub(super) fn sent(&mut self, last: Index, commit: Index) {
        self.is_owed = false;
        self.commit_sent = self.commit_sent.max(commit.min(last));
        match &mut self.pace {
            Pace::Probe { is_waiting } => *is_waiting = true,
            Pace::Snapshot { .. } => {}
            Pace::Replicate { in_flight } => {
                if last >= self.next {
                    in_flight.push_back(last);
                    self.next = last + 1;
                }
            }
        }
    }

    /// The follower accepted an append up to `matched`.
    pub(super) fn accepted(&mut self, matched: Index) {
        let is_late = matched < self.matched;
        self.matched = self.matched.max(matched);
        match &mut self.pace {
            Pace::Probe { .. } if is_late => {}
            Pace::Snapshot { snapshot, .. } if matched < snapshot.last.index => {}
            Pace::Probe { .. } | Pace::Snapshot { .. } => {
                self.next = self.matched + 1;
                self.pace = Pace::Replicate {
                    in_flight: VecDeque::new(),
                };
            }
            Pace::Replicate { in_flight } => {
                self.next = self.next.max(self.matched + 1);
                while in_flight.front().is_some_and(|&last| last <= self.matched) {
                    in_flight.pop_front();
                }
            }
        }
    }

    /// The follower has no entry that matches the append's `prev` at index `at`; the two logs can
    /// agree at `possible` at most. A refusal of something older than what is known is ignored.
    pub(super) fn rejected(&mut self, at: Index, possible: Index) {
        match &self.pace {
            Pace::Probe { .. } => {
                if at + 1 != self.next {
                    return;
                }
                self.next = (possible.min(at.saturating_sub(1)) + 1).max(self.matched + 1);
            }
            Pace::Replicate { .. } => {
                if at <= self.matched {
                    return;
                }
                self.next = self.matched + 1;
            }
            Pace::Snapshot { .. } => return,
        }
        self.pace = Pace::Probe { is_waiting: false };
    }

    /// True where the next append would need an entry that the log has dropped.
    pub(super) fn is_behind(&self, base: Index) -> bool {
        !matches!(self.pace, Pace::Snapshot { .. }) && self.next <= base
    }

    /// From now on a snapshot is sent.
    pub(super) fn begin_snapshot(&mut self, snapshot: Snapshot) {
        self.pace = Pace::Snapshot {
            snapshot,
            offset: 0,
            told: 0,
            is_waiting: false,
        };
    }

    /// The next chunk, which counts as under way from now on; none where no snapshot is sent.
    pub(super) fn take_chunk(&mut self, bytes_max: usize) -> Option<Body> {
        let Pace::Snapshot {
            snapshot,
            offset,
            is_waiting,
            ..
        } = &mut self.pace
        else {
            return None;
        };
        *is_waiting = true;
        let bytes = snapshot.state.as_bytes();
        let rest = usize::try_from(*offset)
            .ok()
            .and_then(|offset| bytes.get(offset..));
        let rest = rest.expect("a follower has no more than there is");
        Some(Body::Snapshot {
            last: snapshot.last,
            members: snapshot.members.clone(),
            total: bytes.len() as u64,
            offset: *offset,
            chunk: Opaque::from(&rest[..rest.len().min(bytes_max)]),
        })
    }

    /// The follower has so much of a snapshot. One that has all of it answers once more, when it
    /// is durable.
    ///
    /// Only news is answered with the next chunk. If every answer were, each chunk that is sent
    /// again, and each message that comes twice, would add one more to those under way for the rest
    /// of the transfer (the sorcerer's apprentice of TFTP, RFC 1123 section 4.2.3.1).
    pub(super) fn received(&mut self, last: LogId, received: u64) {
        if let Pace::Snapshot {
            snapshot,
            offset,
            told,
            is_waiting,
        } = &mut self.pace
            && snapshot.last == last
            && received <= snapshot.state.as_bytes().len() as u64
        {
            *told = received;
            if received > *offset {
                *offset = received;
                *is_waiting = false;
            }
        }
    }

    /// Another heartbeat interval has passed.
    pub(super) fn begin_interval(&mut self) {
        self.is_doubtful = true;
    }

    /// The follower answered a heartbeat, so it can be reached: if it is behind, an append or its
    /// answer was lost, or is still on its way. Sending one more tells which.
    pub(super) fn answered_heartbeat(&mut self, last: Index) {
        if !std::mem::take(&mut self.is_doubtful) {
            return;
        }
        match &mut self.pace {
            Pace::Probe { is_waiting } => *is_waiting = false,
            Pace::Snapshot {
                offset,
                told,
                is_waiting,
                ..
            } => {
                *offset = *told;
                *is_waiting = false;
            }
            Pace::Replicate { in_flight } => {
                if self.matched < last {
                    self.is_owed = true;
                    in_flight.pop_front();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_waits_for_its_answer_and_then_the_pipeline_opens() {
        let mut progress = Progress::new(5);
        assert!(progress.is_due(6, 0, 2));
        progress.sent(6, 0);
        assert!(!progress.is_due(6, 0, 2));
        progress.accepted(6);
        progress.sent(7, 0);
        progress.sent(8, 0);
        assert!(!progress.is_due(9, 0, 2), "the window is full");
        progress.accepted(7);
        assert!(progress.is_due(9, 0, 2));
        assert_eq!((progress.matched(), progress.next()), (7, 9));
    }

    #[test]
    fn only_news_of_a_snapshot_is_answered_with_another_chunk() {
        let snapshot = Snapshot {
            last: LogId::new(1, 9),
            members: super::super::members::Members::default(),
            state: Opaque::from(&b"abcdef"[..]),
        };
        let mut progress = Progress::new(9);
        progress.begin_snapshot(snapshot);
        let send = |progress: &mut Progress| match progress.take_chunk(2) {
            Some(Body::Snapshot { offset, .. }) => offset,
            other => panic!("{other:?}"),
        };
        assert_eq!(send(&mut progress), 0);
        progress.received(LogId::new(1, 9), 2);
        assert!(progress.is_due(9, 0, 2));
        assert_eq!(send(&mut progress), 2);
        progress.received(LogId::new(1, 9), 2);
        progress.received(LogId::new(1, 9), 0);
        assert!(!progress.is_due(9, 0, 2), "old answers are no news");
        // The follower has begun anew, for all that is known: that is tried once an interval.
        progress.begin_interval();
        progress.answered_heartbeat(9);
        assert_eq!(send(&mut progress), 0);
        progress.received(LogId::new(1, 9), 4);
        assert_eq!(send(&mut progress), 4, "it has not");
    }

    #[test]
    fn a_commit_index_beyond_the_log_is_no_news() {
        let mut progress = Progress::new(5);
        progress.sent(5, 0);
        progress.accepted(5);
        assert!(progress.is_due(5, 9, 2), "the part within the log is");
        progress.sent(5, 9);
        assert!(!progress.is_due(5, 9, 2));
    }

    #[test]
    fn a_late_refusal_moves_nothing() {
        let mut progress = Progress::new(5);
        progress.sent(6, 0);
        progress.accepted(6);
        progress.rejected(5, 2);
        assert_eq!(
            (progress.matched(), progress.next(), progress.pace()),
            (6, 7, "replicate")
        );
    }

    #[test]
    fn a_refusal_goes_back_to_the_possible_match_but_never_below_the_known_one() {
        let mut progress = Progress::new(9);
        progress.sent(10, 0);
        progress.rejected(9, 3);
        assert_eq!(progress.next(), 4);
        progress.sent(10, 0);
        progress.accepted(5);
        progress.sent(10, 0);
        progress.rejected(10, 1);
        assert_eq!(progress.next(), 6);
    }

    #[test]
    fn a_refusal_always_steps_back_even_where_the_hint_does_not() {
        let mut progress = Progress::new(9);
        progress.sent(10, 0);
        progress.rejected(9, 9);
        assert_eq!(progress.next(), 9);
    }

    #[test]
    fn what_may_be_lost_is_sent_again_once_an_interval() {
        let mut progress = Progress::new(5);
        progress.sent(6, 0);
        progress.begin_interval();
        progress.answered_heartbeat(6);
        assert!(progress.is_due(6, 0, 2));
        progress.sent(6, 0);
        progress.answered_heartbeat(6);
        assert!(
            !progress.is_due(6, 0, 2),
            "the answer to a read round is no news"
        );
    }
}
