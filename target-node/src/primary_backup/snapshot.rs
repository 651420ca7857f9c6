//! Snapshots of a node's own state, and what they let it drop.

use super::PrimaryBackup;
use crate::raft::{Event, LogId, Members, Opaque, Snapshot};

impl PrimaryBackup {
    /// Takes the state right after the last entry handed out for applying as a snapshot.
    pub fn compact(&mut self, state: Opaque) {
        let last = LogId::new(self.log.term_at(self.applied).unwrap_or(0), self.applied);
        let newest = self.snapshot.as_ref();
        if newest.map_or(LogId::ZERO, |snapshot| snapshot.last) >= last {
            return;
        }
        let members = Members::default();
        let snapshot = Snapshot {
            last,
            members,
            state,
        };
        self.record(Event::Compacted { last });
        self.durability.compacted(snapshot.clone());
        self.snapshot = Some(snapshot);
        let kept = self.config.trailing_entries;
        self.log.compact_to(last.index.saturating_sub(kept));
    }

    /// Drops the entries that the newest snapshot stands for, but for the last `kept` of them.
    pub fn drop_entries(&mut self, kept: u64) {
        let covered = self.snapshot_index().min(self.applied);
        self.log.compact_to(covered.saturating_sub(kept));
    }
}
