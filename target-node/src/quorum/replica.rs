//! A replica: keeps for each key what has the highest stamp, in a log on its own disk.

use std::collections::BTreeMap;
use std::mem;

use super::message::Body;
use super::register::Register;
use super::{Quorum, TERM};
use crate::raft::{
    Batch, Entry, HardState, LogId, Members, NodeId, Opaque, Payload, Recovered, Snapshot,
};

/// The registers that a disk holds; none where it holds something else.
pub(super) fn recover(recovered: &Recovered) -> Option<BTreeMap<String, Register>> {
    let mut registers = match &recovered.snapshot {
        Some(snapshot) => postcard::from_bytes(snapshot.state.as_bytes()).ok()?,
        None => BTreeMap::new(),
    };
    for entry in &recovered.entries {
        let Payload::Command(change) = &entry.payload else {
            return None;
        };
        let (key, register) = postcard::from_bytes(change.as_bytes()).ok()?;
        // Entries below the snapshot are in it already, under the same stamp or a higher one.
        keep(&mut registers, key, register);
    }
    Some(registers)
}

/// Keeps the newer of two; true where that is the one that came.
fn keep(registers: &mut BTreeMap<String, Register>, key: String, register: Register) -> bool {
    let held = registers.get(&key);
    let is_newer = held.is_none_or(|held| held.stamp < register.stamp);
    if is_newer {
        registers.insert(key, register);
    }
    is_newer
}

impl Quorum {
    pub(super) fn handle_query(&mut self, from: NodeId, operation: u64, key: &str) {
        let register = self.registers.get(key).cloned();
        self.say(from, operation, Body::Value { register });
    }

    pub(super) fn handle_store(
        &mut self,
        from: NodeId,
        operation: u64,
        key: String,
        register: Register,
    ) {
        self.counter = self.counter.max(register.stamp.counter);
        let change = postcard::to_stdvec(&(&key, &register));
        let change = change.expect("registers hold nothing that cannot be written");
        if keep(&mut self.registers, key, register) {
            self.last += 1;
            self.appended.push(Entry {
                id: LogId::new(TERM, self.last),
                payload: Payload::Command(Opaque::from(change)),
            });
        }
        self.say(from, operation, Body::Stored);
    }

    /// What the registers hold, if that is not in the newest snapshot already.
    fn take_snapshot(&mut self) {
        if self.last == self.snapshot.index {
            return;
        }
        let state = postcard::to_stdvec(&self.registers);
        let state = state.expect("registers hold nothing that cannot be written");
        self.next_snapshot = Some(Snapshot {
            last: LogId::new(TERM, self.last),
            members: Members::default(),
            state: Opaque::from(state),
        });
    }

    /// What has to be persisted now; none where nothing changed.
    pub(super) fn take_batch(&mut self) -> Option<Batch> {
        let hard_state = HardState {
            term: TERM,
            vote: None,
        };
        let is_new = mem::replace(&mut self.hard_state, hard_state) != hard_state;
        if self.wants_snapshot && self.appended.is_empty() && self.next_snapshot.is_none() {
            self.wants_snapshot = false;
            self.take_snapshot();
        }
        let (snapshot, append) = (self.next_snapshot.take(), mem::take(&mut self.appended));
        if snapshot.is_none() && append.is_empty() && !is_new {
            return None;
        }
        self.last_batch += 1;
        if let Some(snapshot) = &snapshot {
            self.snapshot = snapshot.last;
        }
        if snapshot.is_none() && self.last - self.snapshot.index >= self.config.snapshot_entries {
            // Of the state that this batch leads to: it has to follow it.
            self.take_snapshot();
        }
        Some(Batch {
            id: self.last_batch,
            hard_state: is_new.then_some(hard_state),
            truncate_from: None,
            snapshot,
            drops_log: false,
            append,
        })
    }
}
