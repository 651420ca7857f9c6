//! Snapshots: from the state machine to the core, and back.

use super::{Driver, DriverError, ReplicatedLog};
use crate::machine::Machine;
use crate::raft::Snapshot;

impl<C: ReplicatedLog> Driver<C> {
    /// Takes a snapshot where enough has been applied since the last one. The state is small, and
    /// is written on the spot; the disk has a thread of its own.
    pub(super) fn compact(&mut self) {
        let core = &self.core;
        // A snapshot of the leader may have come that is not yet durable, and so not applied.
        let newest = core.snapshot_index();
        let is_due = core.applied() >= newest.saturating_add(self.parts.snapshot_entries);
        if is_due || core.wants_snapshot() {
            self.take_snapshot();
        }
    }

    /// The state becomes what the newest snapshot says.
    pub(super) fn restore(&mut self) -> Result<(), DriverError> {
        self.machine = machine_of(self.core.snapshot())?;
        Ok(())
    }
}

/// The state that a snapshot holds; without one it is empty.
pub(crate) fn machine_of(snapshot: Option<&Snapshot>) -> Result<Machine, DriverError> {
    let Some(Snapshot { last, state, .. }) = snapshot else {
        return Ok(Machine::default());
    };
    Machine::decode(state).map_err(|source| DriverError::State {
        last: *last,
        source,
    })
}
