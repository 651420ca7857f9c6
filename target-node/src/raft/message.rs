//! What nodes say to each other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Index, LogId, NodeId, Opaque, Term};
use super::members::Members;
use super::read::ReadMode;

/// One message. Any of them may be lost, late, doubled or out of order; none is ever changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// The sender's term when it said it.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Vote for me in this term; this is where my log ends.
    Vote {
        /// The candidate's last entry.
        last: LogId,
        /// The leader has asked the candidate to take over: so it does not matter that the leader
        /// is heard.
        is_transfer: bool,
        /// The last entry that the candidate knows to be committed: whoever has it in its log knows
        /// it then as well.
        committed: LogId,
    },
    /// Take over: campaign at once.
    TimeoutNow,
    /// The answer to [`Body::Vote`].
    VoteResponse {
        /// Whether the vote was given.
        granted: bool,
        /// The last entry that the voter knows to be committed, as in [`Body::Vote`].
        committed: LogId,
    },
    /// Put these entries behind `prev`, if your log has `prev`.
    Append {
        /// The entry right before `entries`.
        prev: LogId,
        /// Entries, contiguous from `prev.index + 1`; may be none.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
    },
    /// The answer to [`Body::Append`].
    AppendResponse(AppendOutcome),
    /// I lead in this term.
    Heartbeat {
        /// The leader's commit index, but never beyond what it knows the follower to hold.
        commit: Index,
        /// The latest read round; answering confirms it and all earlier ones.
        round: u64,
    },
    /// The answer to [`Body::Heartbeat`].
    HeartbeatResponse {
        /// The round of the heartbeat.
        round: u64,
    },
    /// From which index may I serve a read that came to me?
    ReadIndex {
        /// The asker's name for the read, unique over all its lives.
        read: u64,
        /// How the answer is to be made certain.
        mode: ReadMode,
    },
    /// The answer to [`Body::ReadIndex`].
    ReadIndexResponse {
        /// The asker's name for the read.
        read: u64,
        /// Everything acknowledged before the question came is at or below this index.
        index: Index,
    },
    /// Would you vote for me in the term after mine? Neither side's term changes by it.
    PreVote {
        /// The term that the sender would campaign in: the one after its own.
        campaign: Term,
        /// The sender's last entry.
        last: LogId,
        /// As in [`Body::Vote`].
        committed: LogId,
    },
    /// The answer to [`Body::PreVote`].
    PreVoteResponse {
        /// The term that was asked about.
        campaign: Term,
        /// Whether a vote could be had.
        granted: bool,
        /// As in [`Body::Vote`].
        committed: LogId,
    },
    /// A part of the state that stands for all entries up to `last`.
    Snapshot {
        /// The last entry in the snapshot.
        last: LogId,
        /// The configuration there.
        members: Members,
        /// How many bytes the whole has.
        total: u64,
        /// Where this part begins.
        offset: u64,
        /// The part.
        chunk: Opaque,
    },
    /// The answer to a part; a whole snapshot is answered with [`AppendOutcome::Accepted`].
    SnapshotResponse {
        /// The last entry in the snapshot.
        last: LogId,
        /// How many bytes have come without a gap.
        received: u64,
    },
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppendOutcome {
    /// The follower's log equals the leader's up to `matched`, durably.
    Accepted {
        /// The last entry of the append: not of the follower's log, whose tail may be foreign.
        matched: Index,
    },
    /// The follower has no such `prev`.
    Rejected {
        /// The index of the `prev` that was refused; tells a late refusal from a fresh one.
        at: Index,
        /// The follower's last entry that could possibly match: see `Log::last_possible_match`.
        hint: LogId,
    },
}

impl Body {
    /// What messages are called, all of them.
    pub const KINDS: &[&str] = &[
        "vote",
        "timeout_now",
        "vote_response",
        "append",
        "append_response",
        "heartbeat",
        "heartbeat_response",
        "read_index",
        "read_index_response",
        "pre_vote",
        "pre_vote_response",
        "snapshot",
        "snapshot_response",
    ];

    /// What the message is called: one of [`Body::KINDS`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Vote { .. } => "vote",
            Self::TimeoutNow => "timeout_now",
            Self::VoteResponse { .. } => "vote_response",
            Self::Append { .. } => "append",
            Self::AppendResponse(_) => "append_response",
            Self::Heartbeat { .. } => "heartbeat",
            Self::HeartbeatResponse { .. } => "heartbeat_response",
            Self::ReadIndex { .. } => "read_index",
            Self::ReadIndexResponse { .. } => "read_index_response",
            Self::PreVote { .. } => "pre_vote",
            Self::PreVoteResponse { .. } => "pre_vote_response",
            Self::Snapshot { .. } => "snapshot",
            Self::SnapshotResponse { .. } => "snapshot_response",
        }
    }

    /// What elections tell of what is committed; nothing else does so with an entry's full name.
    pub(super) const fn committed(&self) -> LogId {
        match self {
            Self::Vote { committed, .. }
            | Self::VoteResponse { committed, .. }
            | Self::PreVote { committed, .. }
            | Self::PreVoteResponse { committed, .. } => *committed,
            _ => LogId::ZERO,
        }
    }

    /// True where the message must not leave before everything handed out for persisting so far
    /// is durable.
    ///
    /// A vote (also the candidate's own, implied by its request) and an acknowledged entry are
    /// promises that must survive a crash. The rest promises nothing: an append may run ahead of
    /// the leader's own disk, because the leader counts itself only once durable (Raft thesis
    /// section 10.2.1), a heartbeat or its answer speaks of the present only, and a pre-vote binds
    /// nobody.
    #[must_use]
    pub const fn is_promise(&self) -> bool {
        matches!(
            self,
            Self::Vote { .. } | Self::VoteResponse { .. } | Self::AppendResponse(_)
        )
    }

    /// True where only a leader of the message's term says it.
    #[must_use]
    pub const fn is_from_leader(&self) -> bool {
        matches!(
            self,
            Self::Append { .. } | Self::Heartbeat { .. } | Self::Snapshot { .. } | Self::TimeoutNow
        )
    }
}

impl Message {
    /// False where no correct node could have sent it: such a message is dropped, not trusted.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        if let Body::PreVote { campaign, .. } = self.body
            && self.term.checked_add(1) != Some(campaign)
        {
            return false;
        }
        if let Body::Snapshot {
            last,
            total,
            offset,
            chunk,
            ..
        } = &self.body
        {
            let end = offset.checked_add(chunk.as_bytes().len() as u64);
            let is_whole = end.is_some_and(|end| end <= *total);
            return is_whole && last.term <= self.term && last.index > 0;
        }
        if self.body.committed().term > self.term {
            return false;
        }
        let Body::Append { prev, entries, .. } = &self.body else {
            return true;
        };
        let mut before = *prev;
        entries.iter().all(|entry| {
            let follows = Some(entry.id.index) == before.index.checked_add(1)
                && (before.term..=self.term).contains(&entry.id.term);
            before = entry.id;
            follows
        })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}->{} term={} {}",
            self.from, self.to, self.term, self.body
        )
    }
}

impl Body {
    /// Questions and answers of elections, in words.
    fn tell_election(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vote {
                last,
                is_transfer,
                committed,
            } => {
                let transfer = if *is_transfer { " transfer" } else { "" };
                write!(f, "vote last={last} committed={committed}{transfer}")
            }
            Self::VoteResponse { granted, committed } => {
                let answer = if *granted { "granted" } else { "refused" };
                write!(f, "vote-{answer} committed={committed}")
            }
            Self::PreVote {
                campaign,
                last,
                committed,
            } => {
                write!(
                    f,
                    "pre-vote for={campaign} last={last} committed={committed}"
                )
            }
            Self::PreVoteResponse {
                campaign,
                granted,
                committed,
            } => {
                let answer = if *granted { "granted" } else { "refused" };
                write!(f, "pre-vote-{answer} for={campaign} committed={committed}")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimeoutNow => write!(f, "time-out-now"),
            Self::Append {
                prev,
                entries,
                commit,
            } => {
                write!(f, "append prev={prev} commit={commit} [")?;
                for (place, entry) in entries.iter().enumerate() {
                    write!(f, "{}{entry}", if place == 0 { "" } else { " " })?;
                }
                write!(f, "]")
            }
            Self::AppendResponse(AppendOutcome::Accepted { matched }) => {
                write!(f, "accepted matched={matched}")
            }
            Self::AppendResponse(AppendOutcome::Rejected { at, hint }) => {
                write!(f, "rejected at={at} hint={hint}")
            }
            Self::Heartbeat { commit, round } => {
                write!(f, "heartbeat commit={commit} round={round}")
            }
            Self::HeartbeatResponse { round } => write!(f, "heartbeat-answer round={round}"),
            Self::Snapshot {
                last,
                members,
                total,
                offset,
                chunk,
            } => {
                let end = offset + chunk.as_bytes().len() as u64;
                write!(
                    f,
                    "snapshot last={last} members={members} bytes={offset}..{end} of={total}"
                )
            }
            Self::SnapshotResponse { last, received } => {
                write!(f, "snapshot-answer last={last} received={received}")
            }
            Self::ReadIndex { read, mode } => {
                let how = match mode {
                    ReadMode::Index => "",
                    ReadMode::Lease => " lease",
                    ReadMode::Log => " log",
                };
                write!(f, "read-index read={read}{how}")
            }
            Self::ReadIndexResponse { read, index } => {
                write!(f, "read-index-answer read={read} index={index}")
            }
            Self::Vote { .. }
            | Self::VoteResponse { .. }
            | Self::PreVote { .. }
            | Self::PreVoteResponse { .. } => self.tell_election(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Payload;
    use super::*;

    fn append(term: Term, prev: LogId, ids: &[LogId]) -> Message {
        let entries = ids
            .iter()
            .map(|&id| Entry {
                id,
                payload: Payload::Noop,
            })
            .collect();
        Message {
            from: 1,
            to: 2,
            term,
            body: Body::Append {
                prev,
                entries,
                commit: 0,
            },
        }
    }

    #[test]
    fn an_append_with_a_gap_or_a_term_from_the_future_is_not_well_formed() {
        let prev = LogId::new(1, 4);
        assert!(append(3, prev, &[]).is_well_formed());
        assert!(append(3, prev, &[LogId::new(1, 5), LogId::new(3, 6)]).is_well_formed());
        assert!(!append(3, prev, &[LogId::new(1, 6)]).is_well_formed());
        assert!(!append(3, prev, &[LogId::new(2, 5), LogId::new(1, 6)]).is_well_formed());
        assert!(!append(3, prev, &[LogId::new(4, 5)]).is_well_formed());
        assert!(!append(3, LogId::new(1, u64::MAX), &[LogId::new(1, 0)]).is_well_formed());
    }
}
