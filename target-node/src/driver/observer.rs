//! The driver's part of the trace: it looks at the core from outside, after every input.

use std::path::Path;

use super::{Driver, ReplicatedLog};
use crate::machine;
use crate::protocol;
use crate::raft::{Batch, Entry, Index, LogId, Members, NodeId, Role, Term};
use crate::trace::{Event, HardStateView, SnapshotSource, TracedEntry};

/// What the core showed when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    role: Role,
    leader: Option<NodeId>,
    term: Term,
    vote: Option<NodeId>,
    commit: Index,
    members: Members,
}

impl<C: ReplicatedLog> Driver<C> {
    /// Begins a trace, in memory and in a file if one is named, with what the node has.
    pub(super) fn start_trace(&mut self, path: Option<&Path>) -> std::io::Result<()> {
        self.parts.tracer.start(path)?;
        self.introduce();
        Ok(())
    }

    /// The first lines of a trace; none where there is no trace.
    pub(super) fn introduce(&mut self) {
        let view = self.core.view();
        let base = self.name_of(view.base);
        let hard_state = HardStateView {
            term: self.core.term(),
            vote: view.vote,
        };
        let voters = self.members().voters.into_iter().collect();
        let defects = self.parts.defects.iter();
        let defects = defects.map(|defect| defect.name().to_owned()).collect();
        let cluster = self.parts.membership.cluster.clone();
        let last = self.name_of(view.last);
        let tracer = &self.parts.tracer;
        tracer.emit(|| Event::Start {
            cluster,
            hard_state,
            base,
            last,
            voters,
            defects,
        });
        self.trace_restored();
        self.seen = None;
        self.watch();
    }

    /// An entry's name by its index; with term 0 where the core does not have it any more.
    fn name_of(&self, index: Index) -> LogId {
        let snapshot = self.core.snapshot().map(|snapshot| snapshot.last);
        let entry = self
            .core
            .entries(index, index)
            .first()
            .map(|entry| entry.id);
        let known = entry.or(snapshot.filter(|last| last.index == index));
        known.unwrap_or(LogId::new(0, index))
    }

    /// Tells what has changed since the last look.
    pub(super) fn watch(&mut self) {
        let tracer = &self.parts.tracer;
        if !tracer.is_on() {
            return;
        }
        let view = self.core.view();
        let now = Seen {
            role: view.role,
            leader: self.core.leader(),
            term: self.core.term(),
            vote: view.vote,
            commit: view.commit,
            members: self.members(),
        };
        let before = self.seen.replace(now.clone());
        if before.as_ref() == Some(&now) {
            return;
        }
        let Seen {
            role,
            leader,
            term,
            vote,
            commit,
            ref members,
        } = now;
        let is_new = |part: fn(&Seen) -> u64| before.as_ref().map(part) != Some(part(&now));
        let is_new_term = is_new(|seen| seen.term);
        if is_new_term {
            tracer.emit(|| Event::Term { term });
        }
        if let Some(candidate) =
            vote.filter(|_| is_new_term || is_new(|seen| seen.vote.unwrap_or(0)))
        {
            tracer.emit(|| Event::Vote { term, candidate });
        }
        let role_of = |seen: &Seen| (seen.role, seen.leader, seen.term);
        if before.as_ref().map(role_of) != Some(role_of(&now)) {
            tracer.emit(|| Event::Role {
                role: told(role),
                term,
                leader,
            });
        }
        if is_new(|seen| seen.commit) {
            tracer.emit(|| Event::Commit { index: commit });
        }
        // After the commit: who has committed a joint configuration has the next one in effect.
        if before.is_none_or(|seen| seen.members != *members) {
            tracer.emit(|| Event::Configuration {
                voters: members.voters.iter().copied().collect(),
                outgoing: members.outgoing.iter().copied().collect(),
            });
        }
    }

    /// What is handed to the disk is what the log has become.
    pub(super) fn trace_batch(&self, batch: &Batch) {
        let tracer = &self.parts.tracer;
        if !tracer.is_on() {
            return;
        }
        if let Some(from) = batch.truncate_from {
            tracer.emit(|| Event::Truncate { from });
        }
        if let Some(snapshot) = &batch.snapshot {
            let (source, state) = match batch.drops_log {
                true => (SnapshotSource::Received, None),
                false => (
                    SnapshotSource::Taken,
                    self.machine.hash_at(snapshot.last.index),
                ),
            };
            let last = snapshot.last;
            tracer.emit(|| Event::Snapshot {
                last,
                source,
                state,
            });
        }
        if let Some(first) = batch.append.first() {
            let prev = self.name_of(first.id.index - 1);
            let entry = |entry: &Entry| TracedEntry {
                index: entry.id.index,
                term: entry.id.term,
                payload: machine::payload_hash(&entry.payload),
            };
            let entries = batch.append.iter().map(entry).collect();
            tracer.emit(|| Event::Append { prev, entries });
        }
    }

    pub(super) fn trace_applied(&self, entry: &Entry) {
        self.parts.tracer.emit(|| Event::Apply {
            id: entry.id,
            payload: machine::payload_hash(&entry.payload),
            state: self.machine.hash(),
        });
    }

    /// The state machine is what a snapshot says.
    pub(super) fn trace_restored(&self) {
        let Some(last) = self.core.snapshot().map(|snapshot| snapshot.last) else {
            return;
        };
        let state = self.machine.hash();
        self.parts.tracer.emit(|| Event::Snapshot {
            last,
            source: SnapshotSource::Restored,
            state: (state.index == last.index).then_some(state),
        });
    }
}

pub(super) fn told(role: Role) -> protocol::Role {
    match role {
        Role::Follower => protocol::Role::Follower,
        Role::PreCandidate => protocol::Role::PreCandidate,
        Role::Candidate => protocol::Role::Candidate,
        Role::Leader => protocol::Role::Leader,
    }
}
