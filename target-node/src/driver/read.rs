//! Reads: at once from what is applied, or when the core says that it is new enough.

use std::collections::BTreeMap;
use std::mem;

use tokio::sync::oneshot;

use super::write::OUTSIDE;
use super::{Driver, ReplicatedLog};
use crate::protocol::{
    Consistency, DumpResponse, DumpedKey, ErrorCode, ErrorInfo, GetResponse, Meta,
};
use crate::raft::{Index, ReadMode, ReadyRead};

/// How often reads that nobody waits for any more are looked for, in ticks.
const SWEEP_TICKS: u64 = 100;

/// What to look at, and who wants to know.
#[derive(Debug)]
pub(crate) enum Look {
    /// One key.
    Key {
        key: String,
        reply: oneshot::Sender<Result<GetResponse, ErrorInfo>>,
    },
    /// All keys that begin with this.
    Prefix {
        prefix: String,
        reply: oneshot::Sender<Result<DumpResponse, ErrorInfo>>,
    },
}

impl Look {
    pub(super) fn refuse(self, error: ErrorInfo) {
        match self {
            Self::Key { reply, .. } => drop(reply.send(Err(error))),
            Self::Prefix { reply, .. } => drop(reply.send(Err(error))),
        }
    }

    fn is_forgotten(&self) -> bool {
        match self {
            Self::Key { reply, .. } => reply.is_closed(),
            Self::Prefix { reply, .. } => reply.is_closed(),
        }
    }
}

/// Reads that wait for the core.
#[derive(Debug, Default)]
pub(super) struct PendingReads {
    /// They came in this turn; the core will be asked once for all of a kind.
    gathered: Vec<(ReadMode, Look)>,
    /// By the core's name for them.
    waiting: BTreeMap<u64, Vec<Look>>,
}

impl<C: ReplicatedLog> Driver<C> {
    /// A client's read; one that does not say how it is to be made is made as the flag says.
    pub(super) fn read(&mut self, consistency: Option<Consistency>, look: Look) {
        if self.core.is_outside() {
            // Also a read that may be old: it would grow older for ever.
            let refusal = self.standing().read_error(ErrorCode::NotMember, OUTSIDE);
            return look.refuse(refusal);
        }
        let mode = match consistency.unwrap_or(self.parts.consistency) {
            Consistency::Local => return self.look_up(look, None),
            Consistency::Linearizable => ReadMode::Index,
            Consistency::Lease => ReadMode::Lease,
            Consistency::Log => ReadMode::Log,
        };
        self.reads.gathered.push((mode, look));
    }

    /// Asks the core about the reads of this turn.
    pub(super) fn begin_reads(&mut self) {
        if self.reads.gathered.is_empty() {
            return;
        }
        self.observe();
        let mut gathered = mem::take(&mut self.reads.gathered);
        for mode in [ReadMode::Index, ReadMode::Lease, ReadMode::Log] {
            let reads = gathered.extract_if(.., |(wanted, _)| *wanted == mode);
            let reads: Vec<Look> = reads.map(|(_, read)| read).collect();
            if !reads.is_empty() {
                self.begin(mode, reads);
            }
        }
    }

    fn begin(&mut self, mode: ReadMode, reads: Vec<Look>) {
        match self.core.read(mode) {
            Ok(name) => {
                self.reads.waiting.insert(name, reads);
            }
            Err(no_leader) => {
                for look in reads {
                    let message = no_leader.to_string();
                    look.refuse(self.standing().read_error(ErrorCode::NoLeader, message));
                }
            }
        }
    }

    /// The state machine is new enough for these reads.
    pub(super) fn answer_read(&mut self, read: ReadyRead) {
        for look in self.reads.waiting.remove(&read.name).unwrap_or_default() {
            self.look_up(look, Some(read.index));
        }
    }

    fn look_up(&self, look: Look, read_index: Option<Index>) {
        let meta = Meta {
            node: self.parts.membership.id,
            term: self.core.term(),
            index: self.machine.index(),
            applied: self.machine.index(),
            leader: self.core.leader(),
            read_index,
            session_dup: false,
        };
        match look {
            Look::Key { key, reply } => {
                let found = self.machine.get(&key);
                let _ = reply.send(Ok(GetResponse {
                    found: found.is_some(),
                    value: found.map(|found| found.value.clone()),
                    create_index: found.map_or(0, |found| found.create_index),
                    mod_index: found.map_or(0, |found| found.mod_index),
                    version: found.map_or(0, |found| found.version),
                    meta,
                }));
            }
            Look::Prefix { prefix, reply } => {
                let keys = self.machine.scan(&prefix).map(|(key, found)| DumpedKey {
                    key: key.clone(),
                    value: found.value.clone(),
                    create_index: found.create_index,
                    mod_index: found.mod_index,
                    version: found.version,
                });
                let keys = keys.collect();
                let _ = reply.send(Ok(DumpResponse { keys, meta }));
            }
        }
    }

    /// Forgets reads whose clients have gone.
    pub(super) fn forget_reads(&mut self) {
        if !self.now.is_multiple_of(SWEEP_TICKS) {
            return;
        }
        let is_forgotten = |_: &u64, reads: &mut Vec<Look>| {
            reads.retain(|look| !look.is_forgotten());
            reads.is_empty()
        };
        let forgotten: Vec<_> = self.reads.waiting.extract_if(.., is_forgotten).collect();
        for (name, _) in forgotten {
            self.core.cancel_read(name);
        }
    }

    pub(super) fn abandon_reads(&mut self) {
        let waiting = mem::take(&mut self.reads.waiting).into_values().flatten();
        let gathered = mem::take(&mut self.reads.gathered).into_iter();
        for look in waiting.chain(gathered.map(|(_, look)| look)) {
            let message = "the node is stopping";
            look.refuse(self.standing().read_error(ErrorCode::ShuttingDown, message));
        }
    }
}
