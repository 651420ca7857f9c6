//! Snapshots: from the state machine to the core, and back.

use super::{Driver, DriverError};
use crate::kv::Kv;

impl Driver {
    /// Takes a snapshot where enough has been applied since the last one. The state is small, and
    /// is written on the spot; the disk has a thread of its own.
    pub(super) fn compact(&mut self) {
        let raft = &mut self.parts.raft;
        // A snapshot of the leader may have come that is not yet durable, and so not applied.
        if raft.applied()
            >= raft
                .snapshot_index()
                .saturating_add(self.parts.snapshot_entries)
        {
            raft.compact(self.kv.encode());
        }
    }

    /// The state becomes what the newest snapshot says; without one it is empty.
    pub(super) fn restore(&mut self) -> Result<(), DriverError> {
        self.kv = match self.parts.raft.snapshot() {
            None => Kv::default(),
            Some(snapshot) => {
                Kv::decode(&snapshot.state).ok_or(DriverError::State(snapshot.last))?
            }
        };
        Ok(())
    }
}
