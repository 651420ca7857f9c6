//! The run's one clock: monotonic, from zero at the start of the command.

use ordeal_checker::history::Time;
use std::time::{Duration, Instant};

/// Hands out points in time. The only place where the harness asks what time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that stands at zero now.
    pub(crate) fn start() -> Self {
        Clock {
            origin: Instant::now(),
        }
    }

    /// How long it has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Now, as it stands in histories.
    pub(crate) fn now(&self) -> Time {
        Time(u64::try_from(self.elapsed().as_nanos()).expect("a run is shorter than 584 years"))
    }
}
