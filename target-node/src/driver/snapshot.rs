//! Snapshots: from the state machine to the core, and back.

use super::{Driver, DriverError, ReplicatedLog};
use crate::machine::Machine;

impl<C: ReplicatedLog> Driver<C> {
    /// Takes a snapshot where enough has been applied since the last one. The state is small, and
    /// is written on the spot; the disk has a thread of its own.
    pub(super) fn compact(&mut self) {
        let core = &mut self.core;
        // A snapshot of the leader may have come that is not yet durable, and so not applied.
        if core.applied()
            >= core
                .snapshot_index()
                .saturating_add(self.parts.snapshot_entries)
        {
            core.compact(self.machine.encode());
        }
    }

    /// The state becomes what the newest snapshot says; without one it is empty.
    pub(super) fn restore(&mut self) -> Result<(), DriverError> {
        self.machine = match self.core.snapshot() {
            None => Machine::default(),
            Some(snapshot) => {
                let last = snapshot.last;
                Machine::decode(&snapshot.state)
                    .map_err(|source| DriverError::State { last, source })?
            }
        };
        Ok(())
    }
}
