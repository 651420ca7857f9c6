//! Every entry that was ever seen, and every one that was ever committed.

use super::super::healing::holds;
use super::super::{Broken, Invariant};
use super::{broken, slot};
use crate::raft::{Index, LogId, Payload, Raft, Term};

/// What all logs together have shown.
#[derive(Debug, Default)]
pub(super) struct KnownLog {
    /// Every entry ever seen in a log, by index: there are few for each.
    entries: Vec<Vec<KnownEntry>>,
    /// Every entry ever committed, with the term of the leader that committed it.
    committed: Vec<Option<(LogId, Term)>>,
}

#[derive(Debug)]
struct KnownEntry {
    id: LogId,
    /// What stands before it.
    previous: LogId,
    payload: Payload,
}

impl KnownLog {
    /// Each entry has one content and one predecessor, on whatever node it is seen: by induction
    /// two logs with the same entry are equal up to it. Looks at what stands behind `from`; returns
    /// up to where that is.
    pub(super) fn compare(&mut self, raft: &Raft, from: LogId) -> Result<LogId, Broken> {
        let mut previous = from;
        for entry in raft.entries(from.index + 1, Index::MAX) {
            let known = slot(&mut self.entries, entry.id.index);
            match known.iter().find(|known| known.id == entry.id) {
                None => known.push(KnownEntry {
                    id: entry.id,
                    previous,
                    payload: entry.payload.clone(),
                }),
                Some(known) if known.previous == previous && known.payload == entry.payload => {}
                Some(known) => {
                    let detail = format!(
                        "node {} has {entry} after {previous}; elsewhere it is another, after {}",
                        raft.id(),
                        known.previous
                    );
                    return broken(Invariant::LogMatching, detail);
                }
            }
            previous = entry.id;
        }
        Ok(previous)
    }

    pub(super) fn committed(&self, index: Index) -> Option<LogId> {
        let place = usize::try_from(index).ok()?;
        let (id, _) = self.committed.get(place).copied().flatten()?;
        Some(id)
    }

    /// A leader commits what stands behind `from`, up to its commit index.
    pub(super) fn commit(&mut self, raft: &Raft, from: Index) -> Result<(), Broken> {
        for entry in raft.entries(from + 1, raft.commit()) {
            let known = slot(&mut self.committed, entry.id.index);
            let (first, _) = *known.get_or_insert((entry.id, raft.term()));
            if first != entry.id {
                let detail = format!("{} is committed where {first} was before", entry.id);
                return broken(Invariant::StateMachineSafety, detail);
            }
        }
        Ok(())
    }

    /// What a node takes for committed behind `from` some leader has committed, and nothing else
    /// there; also what its log begins behind.
    pub(super) fn check_committed(&self, raft: &Raft, from: Index) -> Result<(), Broken> {
        let base = raft.base();
        let begin = (base.index > from).then_some(base);
        let new = raft.entries(from + 1, raft.commit()).iter();
        for id in begin.into_iter().chain(new.map(|entry| entry.id)) {
            let known = self.committed(id.index);
            if known != Some(id) {
                let node = raft.id();
                let detail = format!("node {node} takes {id} for committed, which is {known:?}");
                return broken(Invariant::StateMachineSafety, detail);
            }
        }
        Ok(())
    }

    /// What was committed in a term is in the log of every leader of a later one.
    pub(super) fn check_completeness(&self, raft: &Raft) -> Result<(), Broken> {
        let term = raft.term();
        let earlier = self.committed.iter().flatten();
        let mut earlier = earlier.filter(|(_, committed_in)| *committed_in < term);
        let Some(&(id, committed_in)) = earlier.find(|(id, _)| !holds(raft, *id)) else {
            return Ok(());
        };
        let leader = raft.id();
        let detail = format!(
            "node {leader} leads term {term} without {id}, committed in term {committed_in}"
        );
        broken(Invariant::LeaderCompleteness, detail)
    }
}
