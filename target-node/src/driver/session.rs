//! The clock of the log, which sessions live by.
//!
//! The leader tells the time when it appends something that concerns sessions. It goes on from the
//! latest time in the log that it has applied, by its own ticks: so the clock needs no agreement
//! of wall clocks, never goes back, and stands still while nobody leads (Raft thesis, section
//! 6.3, calls it a synchronised clock, and asks of it no more than this).

use super::{Driver, ReplicatedLog};
use crate::machine::{Command, LogTime, Proposal};
use crate::raft::{Index, Role};

/// How often the leader looks for sessions that were silent for too long, in ticks.
const SWEEP_TICKS: u64 = 10;

/// What a leader keeps of the clock.
#[derive(Debug, Default)]
pub(super) struct LogClock {
    /// The time of the log when this node began to lead, and the tick.
    begin: (LogTime, u64),
    /// An entry that ends sessions is under way.
    expiry: Option<Index>,
}

impl<C: ReplicatedLog> Driver<C> {
    /// This node begins to lead.
    pub(super) fn start_log_clock(&mut self) {
        self.log_clock = LogClock {
            begin: (self.machine.now(), self.now),
            expiry: None,
        };
    }

    /// How late it is, as a leader says it.
    pub(super) fn log_time(&self) -> LogTime {
        let (time, tick) = self.log_clock.begin;
        let tick_ms = u64::try_from(self.parts.inbox.tick.as_millis()).unwrap_or(u64::MAX);
        let led = (self.now - tick).saturating_mul(tick_ms);
        // Time 0 is before the first session.
        time.saturating_add(led).max(self.machine.now()).max(1)
    }

    /// Ends sessions that were silent for too long, by an entry.
    pub(super) fn expire_sessions(&mut self) {
        let is_due = self.now.is_multiple_of(SWEEP_TICKS);
        if !is_due || self.core.view().role != Role::Leader {
            return;
        }
        let applied = self.machine.index();
        let is_under_way = self.log_clock.expiry.is_some_and(|index| index > applied);
        let at = self.log_time();
        if is_under_way || !self.machine.has_silent_session(at) {
            return;
        }
        let proposal = Proposal {
            at: Some(at),
            ..Proposal::from(Command::ExpireSessions)
        };
        let proposed = self.core.propose(proposal.encode());
        self.log_clock.expiry = proposed.ok().map(|id| id.index);
    }
}
