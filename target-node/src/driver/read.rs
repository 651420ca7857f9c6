//! Reads: at once from what is applied, or when the core says that it is new enough.

use std::collections::BTreeMap;
use std::mem;

use tokio::sync::oneshot;

use super::{Driver, ReplicatedLog};
use crate::protocol::{Consistency, ErrorCode, ErrorInfo, GetResponse, Meta};
use crate::raft::ReadMode;

type Reply = oneshot::Sender<Result<GetResponse, ErrorInfo>>;

/// How often reads that nobody waits for any more are looked for, in ticks.
const SWEEP_TICKS: u64 = 100;

#[derive(Debug)]
struct PendingRead {
    key: String,
    reply: Reply,
}

/// Reads that wait for the core.
#[derive(Debug, Default)]
pub(super) struct PendingReads {
    /// They came in this turn; the core will be asked once for all of a kind.
    gathered: Vec<(ReadMode, PendingRead)>,
    /// By the core's name for them.
    waiting: BTreeMap<u64, Vec<PendingRead>>,
}

impl<C: ReplicatedLog> Driver<C> {
    /// A client's read; one that does not say how it is to be made is made as the flag says.
    pub(super) fn get(&mut self, key: String, consistency: Option<Consistency>, reply: Reply) {
        let mode = match consistency.unwrap_or(self.parts.consistency) {
            Consistency::Local => {
                let _ = reply.send(Ok(self.look_up(&key)));
                return;
            }
            Consistency::Linearizable => ReadMode::Index,
            Consistency::Lease => ReadMode::Lease,
            Consistency::Log => ReadMode::Log,
        };
        self.reads.gathered.push((mode, PendingRead { key, reply }));
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
            let reads: Vec<PendingRead> = reads.map(|(_, read)| read).collect();
            if !reads.is_empty() {
                self.begin(mode, reads);
            }
        }
    }

    fn begin(&mut self, mode: ReadMode, reads: Vec<PendingRead>) {
        match self.core.read(mode) {
            Ok(name) => {
                self.reads.waiting.insert(name, reads);
            }
            Err(no_leader) => {
                for read in reads {
                    let refusal = self
                        .standing()
                        .read_error(ErrorCode::NoLeader, no_leader.to_string());
                    let _ = read.reply.send(Err(refusal));
                }
            }
        }
    }

    /// The state machine is new enough for these reads.
    pub(super) fn answer_read(&mut self, name: u64) {
        for PendingRead { key, reply } in self.reads.waiting.remove(&name).unwrap_or_default() {
            let _ = reply.send(Ok(self.look_up(&key)));
        }
    }

    fn look_up(&self, key: &str) -> GetResponse {
        let found = self.kv.get(key);
        GetResponse {
            value: found.map(|found| found.value.clone()),
            mod_index: found.map_or(0, |found| found.mod_index),
            version: found.map_or(0, |found| found.version),
            meta: Meta {
                node: self.parts.membership.id,
                term: self.core.term(),
                index: self.core.applied(),
                leader: self.core.leader(),
            },
        }
    }

    /// Forgets reads whose clients have gone.
    pub(super) fn forget_reads(&mut self) {
        if !self.now.is_multiple_of(SWEEP_TICKS) {
            return;
        }
        let is_forgotten = |_: &u64, reads: &mut Vec<PendingRead>| {
            reads.retain(|read| !read.reply.is_closed());
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
        for read in waiting.chain(gathered.map(|(_, read)| read)) {
            let message = "the node is stopping";
            let error = self.standing().read_error(ErrorCode::ShuttingDown, message);
            let _ = read.reply.send(Err(error));
        }
    }
}
