//! What one node has become, line by line.

use std::collections::BTreeMap;

use super::super::event::{Event, HardStateView, Record, SnapshotSource};
use crate::protocol::Role;
use crate::raft::{Index, LogId, NodeId, Term};

/// A log: the names of its entries, as far as they were told.
#[derive(Clone, Debug, Default)]
struct Names {
    /// Everything up to here is there, but its names may be unknown.
    unknown_to: Index,
    entries: BTreeMap<Index, LogId>,
}

impl Names {
    fn cut(&mut self, from: Index) {
        self.entries.split_off(&from);
        self.unknown_to = self.unknown_to.min(from.saturating_sub(1));
    }

    /// A snapshot stands for everything up to here, and nothing is behind it.
    fn reset(&mut self, last: LogId) {
        self.entries.clear();
        self.unknown_to = last.index;
        self.entries.insert(last.index, last);
    }

    fn end(&self) -> Index {
        let last = self.entries.last_key_value().map_or(0, |(&index, _)| index);
        last.max(self.unknown_to)
    }

    fn may_hold(&self, id: LogId) -> bool {
        match self.entries.get(&id.index) {
            Some(&found) => found == id,
            None => id.index <= self.unknown_to,
        }
    }
}

/// What one node has become.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeTrace {
    boot: u64,
    seq: u64,
    role: Option<Role>,
    term: Term,
    voters: Vec<NodeId>,
    /// The other half of a joint configuration; else empty.
    outgoing: Vec<NodeId>,
    log: Names,
    disk: Names,
    disk_state: HardStateView,
    applied: Option<Index>,
}

impl NodeTrace {
    /// Whether a line follows the one before.
    pub(super) fn follow(&mut self, record: &Record) -> Result<(), String> {
        let expected = match record.boot == self.boot {
            true => self.seq + 1,
            false => 1,
        };
        let is_next = record.seq == expected && record.boot >= self.boot;
        (self.boot, self.seq) = (record.boot, record.seq);
        match is_next {
            true => Ok(()),
            false => Err(format!("line {expected} is missing")),
        }
    }

    /// Takes in what a line says.
    pub(super) fn become_what(&mut self, record: &Record) {
        match &record.event {
            Event::Start {
                hard_state,
                base,
                last,
                voters,
                ..
            } => self.start(*hard_state, *base, *last, voters),
            Event::Role { role, term, .. } => {
                (self.role, self.term) = (Some(*role), *term);
            }
            Event::Term { term } => self.term = *term,
            Event::Append { entries, .. } => {
                for entry in entries {
                    let id = LogId::new(entry.term, entry.index);
                    self.log.entries.insert(entry.index, id);
                }
            }
            Event::Truncate { from } => self.log.cut(*from),
            Event::Snapshot {
                last,
                source: SnapshotSource::Received,
                ..
            } => self.log.reset(*last),
            Event::Snapshot {
                last,
                source: SnapshotSource::Restored,
                ..
            } => self.applied = Some(last.index),
            Event::Persisted {
                hard_state,
                truncated,
                installed,
                last,
                ..
            } => self.persist(*hard_state, *truncated, *installed, *last),
            Event::Apply { id, .. } => self.applied = Some(id.index),
            Event::Configuration { voters, outgoing } => {
                self.voters.clone_from(voters);
                self.outgoing.clone_from(outgoing);
            }
            Event::Vote { .. }
            | Event::Promise { .. }
            | Event::Commit { .. }
            | Event::Snapshot { .. } => {}
        }
    }

    /// A new life, or a trace that begins within one.
    fn start(&mut self, state: HardStateView, base: LogId, last: LogId, voters: &[NodeId]) {
        self.role = None;
        self.term = state.term;
        self.disk_state = state;
        self.voters = voters.to_vec();
        self.outgoing = Vec::new();
        self.applied = None;
        let mut found = self.recover(last);
        found.unknown_to = found.unknown_to.max(base.index);
        self.log = found.clone();
        self.disk = found;
    }

    /// The names of the log that a new life found, which ends with `last`: those on the disk, and
    /// behind them what was written and not yet told to be durable; or what the log had become, if
    /// all of that was written. Of a log that was never told, only that it is there.
    fn recover(&self, last: LogId) -> Names {
        let mut disk = self.disk.clone();
        let written = self.log.entries.range(disk.end() + 1..);
        disk.entries
            .extend(written.map(|(&index, &id)| (index, id)));
        for mut names in [disk, self.log.clone()] {
            names.cut(last.index + 1);
            if names.end() == last.index && names.may_hold(last) {
                return names;
            }
        }
        Names {
            unknown_to: last.index,
            entries: BTreeMap::new(),
        }
    }

    fn persist(
        &mut self,
        state: Option<HardStateView>,
        truncated: Option<Index>,
        installed: Option<LogId>,
        last: Option<LogId>,
    ) {
        self.disk_state = state.unwrap_or(self.disk_state);
        if let Some(from) = truncated {
            self.disk.cut(from);
        }
        if let Some(last) = installed {
            self.disk.reset(last);
        }
        let Some(last) = last else { return };
        // The log may have been cut since, but not before what is on the disk now was written:
        // names that it no longer has were told when they were appended.
        let end = self.disk.end();
        for index in end + 1..=last.index {
            let told = self.log.entries.get(&index).copied();
            let id = told.unwrap_or(LogId::new(0, index));
            self.disk.entries.insert(index, id);
        }
        self.disk.entries.insert(last.index, last);
    }

    pub(super) fn leads(&self) -> bool {
        self.role == Some(Role::Leader)
    }

    pub(super) fn term(&self) -> Term {
        self.term
    }

    /// Each group of which a majority has to agree.
    pub(super) fn halves(&self) -> impl Iterator<Item = &[NodeId]> {
        let halves = [&self.voters[..], &self.outgoing[..]];
        halves.into_iter().filter(|half| !half.is_empty())
    }

    pub(super) fn disk_state(&self) -> HardStateView {
        self.disk_state
    }

    pub(super) fn entry_at(&self, index: Index) -> Option<LogId> {
        self.log.entries.get(&index).copied()
    }

    /// False where the log certainly does not have the entry.
    pub(super) fn may_hold(&self, id: LogId) -> bool {
        self.log.may_hold(id)
    }

    /// True where the disk has something at this index.
    pub(super) fn has_durable(&self, index: Index) -> bool {
        index <= self.disk.end()
    }

    /// True where the disk has this entry, as far as its name was told.
    pub(super) fn has_on_disk(&self, id: LogId) -> bool {
        let found = self.disk.entries.get(&id.index);
        found.map_or(id.index <= self.disk.unknown_to, |found| {
            *found == id || found.term == 0
        })
    }

    /// The index that has to be applied next, where one was applied in this life.
    pub(super) fn next_to_apply(&self) -> Option<Index> {
        self.applied.map(|applied| applied + 1)
    }
}
