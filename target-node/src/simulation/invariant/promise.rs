//! What nodes have promised: votes and acknowledgements, which no crash may take back.

use std::collections::BTreeMap;

use super::super::{Broken, Invariant};
use super::{Invariants, broken};
use crate::raft::{AppendOutcome, Body, HardState, Message, NodeId, Raft, Recovered, Term};

/// What has left nodes, and what their disks have shown.
#[derive(Debug, Default)]
pub(super) struct Promises {
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// The last term and vote that each disk was seen with.
    disks: BTreeMap<NodeId, HardState>,
}

/// True where a term falls, or a vote is changed or taken back within one.
pub(super) fn goes_back(before: HardState, now: HardState) -> bool {
    let is_taken_back = before.vote.is_some() && before.vote != now.vote;
    now.term < before.term || now.term == before.term && is_taken_back
}

impl Invariants {
    /// What a node's disk is seen with now.
    pub(in super::super) fn persisted(
        &mut self,
        node: NodeId,
        now: HardState,
    ) -> Result<(), Broken> {
        let before = self.promises.disks.insert(node, now);
        if before.is_some_and(|before| goes_back(before, now)) {
            let detail = format!("the disk of node {node} goes from {before:?} to {now:?}");
            return broken(Invariant::MonotonicTerm, detail);
        }
        Ok(())
    }

    /// A message leaves a node, whose disk has this for certain.
    ///
    /// A vote that has left a node, also the candidate's own, is a vote for ever, and so on its
    /// disk; an acknowledgement is of what is on the disk.
    pub(in super::super) fn sent(
        &mut self,
        message: &Message,
        raft: Option<&Raft>,
        disk: &Recovered,
    ) -> Result<(), Broken> {
        let (node, term) = (message.from, message.term);
        match message.body {
            Body::Vote { .. } => self.voted(node, (term, node), disk),
            Body::VoteResponse { granted: true, .. } => self.voted(node, (term, message.to), disk),
            Body::AppendResponse(AppendOutcome::Accepted { matched }) => {
                // As long as the node has not gone on, its log tells which entry is meant.
                let same = raft.filter(|raft| raft.term() == term);
                let entry = same.and_then(|raft| raft.entries(matched, matched).first());
                let has_it = entry.is_none_or(|entry| disk.holds(entry.id));
                if has_it && matched <= disk.last().index && term <= disk.hard_state.term {
                    return Ok(());
                }
                let last = disk.last();
                let detail = format!(
                    "node {node} acknowledges {matched} in term {term}; its disk ends with {last} \
                     and {:?}",
                    disk.hard_state
                );
                broken(Invariant::PersistBeforeSend, detail)
            }
            _ => Ok(()),
        }
    }

    fn voted(
        &mut self,
        node: NodeId,
        (term, candidate): (Term, NodeId),
        disk: &Recovered,
    ) -> Result<(), Broken> {
        let first = *self.promises.votes.entry((node, term)).or_insert(candidate);
        if first != candidate {
            let detail = format!("node {node} voted for {first} and {candidate} in term {term}");
            return broken(Invariant::OneVote, detail);
        }
        let HardState { term: kept, vote } = disk.hard_state;
        if kept > term || kept == term && vote == Some(candidate) {
            return Ok(());
        }
        let detail = format!(
            "node {node} votes for {candidate} in term {term}; its disk has {:?}",
            disk.hard_state
        );
        broken(Invariant::PersistBeforeSend, detail)
    }
}
