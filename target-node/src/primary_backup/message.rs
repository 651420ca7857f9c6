//! What primary and backups say to each other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::raft::{Entry, Index, LogId, NodeId, Opaque, Term};

/// One message. Any of them may be lost, late, doubled or out of order; none is ever changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// The sender's epoch when it said it.
    pub epoch: Term,
    /// The primary of that epoch.
    pub primary: NodeId,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Put these entries behind `prev`, if your log has `prev`.
    Append {
        /// The entry right before `entries`.
        prev: LogId,
        /// Entries, contiguous from `prev.index + 1`; may be none.
        entries: Vec<Entry>,
        /// The primary's commit index.
        commit: Index,
    },
    /// The backup's log equals the primary's up to `matched`, durably.
    Accepted {
        /// The last entry that is known to be equal.
        matched: Index,
    },
    /// The backup has no such `prev`.
    Rejected {
        /// The index of the `prev` that was refused; tells a late refusal from a fresh one.
        at: Index,
        /// The backup's last entry that could possibly match: see `Log::last_possible_match`.
        hint: LogId,
    },
    /// The backup's snapshot holds what this epoch's log does not: it needs the whole state.
    Diverged,
    /// I am the primary of this epoch.
    Heartbeat {
        /// The primary's commit index, but never beyond what it knows the backup to hold.
        commit: Index,
        /// The latest read round; answering confirms it and all earlier ones.
        round: u64,
    },
    /// The answer to [`Body::Heartbeat`].
    HeartbeatAnswer {
        /// The round of the heartbeat.
        round: u64,
    },
    /// A part of the state that stands for all entries up to `last`.
    Snapshot {
        /// The last entry in the snapshot.
        last: LogId,
        /// How many bytes the whole has.
        total: u64,
        /// Where this part begins.
        offset: u64,
        /// The part.
        chunk: Opaque,
    },
    /// The answer to a part; a whole snapshot is answered with [`Body::Accepted`].
    Received {
        /// The last entry in the snapshot.
        last: LogId,
        /// How many bytes have come without a gap.
        received: u64,
    },
    /// From which index may I serve a read that came to me?
    ReadIndex {
        /// The asker's name for the read, unique over all its lives.
        read: u64,
    },
    /// The answer to [`Body::ReadIndex`].
    ReadIndexAnswer {
        /// The asker's name for the read.
        read: u64,
        /// Everything acknowledged before the question came is at or below this index.
        index: Index,
    },
    /// Your epoch is over; this message tells the present one and its primary.
    Fenced,
}

impl Body {
    /// What the message is called.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Append { .. } => "append",
            Self::Accepted { .. } => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::Diverged => "diverged",
            Self::Heartbeat { .. } => "heartbeat",
            Self::HeartbeatAnswer { .. } => "heartbeat_answer",
            Self::Snapshot { .. } => "snapshot",
            Self::Received { .. } => "received",
            Self::ReadIndex { .. } => "read_index",
            Self::ReadIndexAnswer { .. } => "read_index_answer",
            Self::Fenced => "fenced",
        }
    }

    /// True where the message must not leave before everything handed out for persisting so far
    /// is durable: what it says of a backup's log, and of the epoch that the backup then keeps to.
    #[must_use]
    pub const fn is_promise(&self) -> bool {
        matches!(
            self,
            Self::Accepted { .. } | Self::Rejected { .. } | Self::Diverged | Self::Received { .. }
        )
    }

    /// True where the sender acts on its epoch, and has to hear when that is over.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        matches!(
            self,
            Self::Append { .. }
                | Self::Heartbeat { .. }
                | Self::Snapshot { .. }
                | Self::ReadIndex { .. }
        )
    }

    /// True where only the primary of the message's epoch says it.
    const fn is_from_primary(&self) -> bool {
        matches!(
            self,
            Self::Append { .. }
                | Self::Heartbeat { .. }
                | Self::Snapshot { .. }
                | Self::ReadIndexAnswer { .. }
        )
    }
}

impl Message {
    /// False where no correct node could have sent it: such a message is dropped, not trusted.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        if self.body.is_from_primary() && self.from != self.primary {
            return false;
        }
        match &self.body {
            Body::Snapshot {
                last,
                total,
                offset,
                chunk,
            } => {
                let end = offset.checked_add(chunk.as_bytes().len() as u64);
                let is_whole = end.is_some_and(|end| end <= *total);
                is_whole && last.term <= self.epoch && last.index > 0
            }
            Body::Append { prev, entries, .. } => {
                let mut before = *prev;
                entries.iter().all(|entry| {
                    let follows = Some(entry.id.index) == before.index.checked_add(1)
                        && (before.term..=self.epoch).contains(&entry.id.term);
                    before = entry.id;
                    follows
                })
            }
            _ => true,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            epoch,
            primary,
            body,
        } = self;
        write!(f, "{from}->{to} epoch={epoch}/n{primary} {body}")
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append {
                prev,
                entries,
                commit,
            } => {
                let entries: Vec<String> = entries.iter().map(Entry::to_string).collect();
                let entries = entries.join(" ");
                write!(f, "append prev={prev} commit={commit} [{entries}]")
            }
            Self::Accepted { matched } => write!(f, "accepted matched={matched}"),
            Self::Rejected { at, hint } => write!(f, "rejected at={at} hint={hint}"),
            Self::Diverged => write!(f, "diverged"),
            Self::Heartbeat { commit, round } => {
                write!(f, "heartbeat commit={commit} round={round}")
            }
            Self::HeartbeatAnswer { round } => write!(f, "heartbeat-answer round={round}"),
            Self::Snapshot {
                last,
                total,
                offset,
                chunk,
            } => {
                let end = offset + chunk.as_bytes().len() as u64;
                write!(f, "snapshot last={last} bytes={offset}..{end} of={total}")
            }
            Self::Received { last, received } => {
                write!(f, "received last={last} bytes={received}")
            }
            Self::ReadIndex { read } => write!(f, "read-index read={read}"),
            Self::ReadIndexAnswer { read, index } => {
                write!(f, "read-index-answer read={read} index={index}")
            }
            Self::Fenced => write!(f, "fenced"),
        }
    }
}
