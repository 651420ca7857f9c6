//! After the faults: everything is mended, and the cluster must come back (liveness).
//!
//! ```text
//!   faults          │ healed, clients go on      │ clients are silent, one last write
//!                   │ until a leader is followed │ until all have the same log and state
//!                   │ at most 200 ticks          │ at most 200 ticks
//! ```
//!
//! Most worlds end as soon as it is so. One in ten is watched for all that time, and must come to
//! the same log and state at the end of it. Where Raft does not promise to come back, as without
//! any jitter ([`Weather::is_live`](super::weather::Weather::is_live)), all happens the same and
//! every other invariant holds; only nobody minds if the cluster does not come back.

use super::summary::Count;
use super::world::{TICK, Time, World, place};
use super::{Broken, Invariant};
use crate::raft::{Index, LogId, Raft};

/// How long the healed cluster has to serve its clients again, in ticks.
const SERVING_TICKS: Time = 200;

/// How long the cluster then has to agree on the last of it, in ticks.
const QUIET_TICKS: Time = 200;

/// How long a write may take from its acknowledgement until it is applied everywhere, while clients
/// go on, in ticks.
const LAG_TICKS: Time = 60;

/// How often it is looked at whether it is so, in ticks.
const LOOK_TICKS: Time = 4;

fn broken(detail: String) -> Broken {
    Broken {
        invariant: Invariant::Convergence,
        detail,
    }
}

impl World {
    pub(super) fn live(&mut self) -> Result<(), Broken> {
        self.run_until(self.weather.fault_ticks * TICK)?;
        self.heal()?;
        let is_back = self.serve();
        self.unless_unpromised(is_back)?;
        self.clients.are_quiet = true;
        let is_agreed = self.agree();
        self.unless_unpromised(is_agreed)?;
        self.summary.add(Count::Ticks, self.now() / TICK);
        let logs = self.nodes.iter();
        for raft in logs.filter_map(|node| node.raft.as_ref()) {
            self.invariants.check_whole_log(raft)?;
        }
        Ok(())
    }

    fn unless_unpromised(&mut self, result: Result<(), Broken>) -> Result<(), Broken> {
        match result {
            Err(broken) if broken.invariant == Invariant::Convergence && !self.weather.is_live => {
                self.summary.add(Count::Unpromised, 1);
                Ok(())
            }
            result => result,
        }
    }

    /// From here on the world is as Raft needs it to make progress: a message and a sync take
    /// little time beside an election time-out (Raft paper, section 5.6).
    fn heal(&mut self) -> Result<(), Broken> {
        self.is_healed = true;
        self.network.heal();
        self.weather.sync_max = self.weather.sync_max.min(TICK / 2);
        // Nor do clients ask for more than the slowest window lets through.
        self.weather.client_pause = self.weather.client_pause.max(2 * TICK);
        for id in 1..=self.nodes.len() as u64 {
            self.node(id).paused_until = 0;
            self.resume(id)?;
            self.start(id)?;
        }
        Ok(())
    }

    fn serve(&mut self) -> Result<(), Broken> {
        let end = self.now() + SERVING_TICKS * TICK;
        let mut found = Ok(());
        let mut was_following = false;
        let mut floors = Vec::new();
        while self.now() < end && (self.weather.is_thorough || !was_following) {
            self.run_until(self.now() + LOOK_TICKS * TICK)?;
            let floor = self.clients.acknowledged_index();
            was_following |= self.following(floor).is_ok();
            // Some write is always on its way, where clients never stop.
            let looks = usize::try_from(LAG_TICKS / LOOK_TICKS).expect("it is small");
            let earlier = floors.iter().rev().nth(looks).copied();
            found = self.following(earlier.unwrap_or(0)).map(|_| ());
            floors.push(floor);
        }
        if was_following { Ok(()) } else { found }
    }

    /// A last write is taken, committed, and becomes the end of every log.
    fn agree(&mut self) -> Result<(), Broken> {
        let end = self.now() + QUIET_TICKS * TICK;
        let mut last = None;
        while self.now() < end {
            // A word of before may still bring a new leader, who need not have it.
            let term = self.leader().map(Raft::term);
            if last.map(|id: LogId| id.term) != term {
                last = self.write_at_leader()?;
            }
            self.run_until(self.now() + LOOK_TICKS * TICK)?;
            if !self.weather.is_thorough && self.check_agreement(last).is_ok() {
                break;
            }
        }
        self.check_agreement(last)
    }

    /// Whoever leads takes a last write.
    fn write_at_leader(&mut self) -> Result<Option<LogId>, Broken> {
        let Some(leader) = self.leader().map(Raft::id) else {
            return Ok(None);
        };
        self.observe(leader);
        let written = self.propose(leader);
        self.carry_out(leader)?;
        Ok(written)
    }

    /// One leader, whom all members follow, and who have applied all up to `floor`. Gives the
    /// leader, and its members that run.
    fn following(&self, floor: Index) -> Result<(&Raft, Vec<&Raft>), Broken> {
        let leader = self.leader();
        let leader = leader.ok_or_else(|| broken(format!("nobody leads: {}", self.standings())))?;
        let members = leader.members();
        if members.is_joint() {
            return Err(broken(format!("the change to {members} is not over")));
        }
        let inside = self.running().filter(|raft| members.contains(raft.id()));
        let inside: Vec<&Raft> = inside.collect();
        for raft in &inside {
            let is_equal = (raft.term(), raft.leader()) == (leader.term(), Some(leader.id()));
            if !is_equal || raft.applied() < floor {
                return Err(broken(format!(
                    "node {} is at {} of term {} behind {:?}, and {floor} was acknowledged",
                    raft.id(),
                    raft.applied(),
                    raft.term(),
                    raft.leader(),
                )));
            }
        }
        Ok((leader, inside))
    }

    /// The last write was acknowledged, and all members have the same log, all of it committed and
    /// applied, the same state, and no read that waits.
    fn check_agreement(&self, last: Option<LogId>) -> Result<(), Broken> {
        let last: Index = last.map_or(Index::MAX, |id| id.index);
        if self.clients.acknowledged_index() < last {
            let standings = self.standings();
            return Err(broken(format!(
                "the healed cluster did not commit {last}: {standings}"
            )));
        }
        let (leader, members) = self.following(last)?;
        let state = self.nodes[place(leader.id())].machine.hash();
        for raft in &members {
            let node = &self.nodes[place(raft.id())];
            let ends = [raft.last().index, raft.commit(), raft.applied()];
            let is_equal = raft.last() == leader.last()
                && ends == [leader.last().index; 3]
                && node.machine.hash() == state;
            if !is_equal || !node.reads.is_empty() {
                return Err(broken(format!(
                    "node {} does not come to what leader {} has, or {} reads wait: {}",
                    raft.id(),
                    leader.id(),
                    node.reads.len(),
                    self.standings()
                )));
            }
        }
        self.clients.check_durability(&members)
    }

    /// Where everyone stands, in a line.
    fn standings(&self) -> String {
        let standing = |raft: &Raft| {
            format!(
                "node {} is {:?} of {} in term {}, at {}, committed {}, applied {}",
                raft.id(),
                raft.role(),
                raft.members(),
                raft.term(),
                raft.last(),
                raft.commit(),
                raft.applied(),
            )
        };
        self.running().map(standing).collect::<Vec<_>>().join("; ")
    }
}

/// True where a node has the entry, or has dropped it for a snapshot: what was in that is judged
/// by the state.
pub(super) fn holds(raft: &Raft, id: LogId) -> bool {
    let entry = raft.entries(id.index, id.index).first();
    id.index <= raft.base().index || entry.is_some_and(|entry| entry.id == id)
}
