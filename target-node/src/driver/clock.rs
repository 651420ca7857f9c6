//! The node's clock, whose rate can be changed.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use crate::raft::Moment;

/// What the wall clock says, in nanoseconds since 1970: for those who look at this node from
/// outside. Nothing here goes by it.
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it is told and never used"
)]
pub(super) fn wall_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// What the core is told of time: a count of thousandths of a tick, monotonic, that goes on while
/// the process stands still. A rate other than 1 makes it run wrong, and ticks with it.
#[derive(Debug)]
pub(super) struct Clock {
    /// How long a tick is where the clock runs right.
    tick: Duration,
    rate: f64,
    /// When the rate was set, and what the clock showed then.
    since: (Instant, Moment),
}

impl Clock {
    pub(super) fn new(tick: Duration) -> Self {
        Self {
            tick,
            rate: 1.0,
            since: (Instant::now(), 0),
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "thousandths of ticks of centuries fit, and no part of one matters"
    )]
    pub(super) fn now(&self) -> Moment {
        let (start, shown) = self.since;
        let ticks = start.elapsed().as_secs_f64() / self.tick.as_secs_f64();
        shown + (ticks * 1000.0 * self.rate) as Moment
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// From now on the clock runs so fast.
    pub(super) fn set_rate(&mut self, rate: f64) {
        self.since = (Instant::now(), self.now());
        self.rate = rate;
    }

    /// How long a tick takes now.
    pub(super) fn tick(&self) -> Duration {
        self.tick.div_f64(self.rate)
    }

    /// How long a tick means to be.
    pub(super) fn nominal_tick(&self) -> Duration {
        self.tick
    }
}
