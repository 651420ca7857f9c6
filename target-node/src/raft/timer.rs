//! When to campaign.

use super::config::Config;
use super::entry::Term;

/// Counts the ticks in which no leader was heard.
#[derive(Debug)]
pub(super) struct ElectionTimer {
    pub(super) elapsed: u32,
    /// When to campaign: drawn so that split votes do not repeat.
    pub(super) timeout: u32,
    /// For how many ticks yet the leader of the life before may count on this node.
    pub(super) bound: u32,
}

impl ElectionTimer {
    /// Who has a past may have answered a leader right before, whose lease runs on; the answer is
    /// forgotten, but holds.
    pub(super) fn new(config: &Config, term: Term) -> Self {
        let is_bound = config.has_leases() && term > 0;
        Self {
            elapsed: 0,
            timeout: config.election_ticks,
            bound: if is_bound { config.election_ticks } else { 0 },
        }
    }

    /// A tick has passed, whatever the node plays.
    pub(super) fn pass(&mut self) {
        self.bound = self.bound.saturating_sub(1);
    }
}
