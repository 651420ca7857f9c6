//! How much a search may spend before it has to say that it does not know.

use std::time::Duration;

/// Limits, enforced inside the search and per key: when one is reached the answer is unknown,
/// with what is known by then.
///
/// The explanation of a violation is paid from what is left, and takes a small share of it: work
/// for a second or two and 48 MiB per key. What that does not suffice for is told as far as it is
/// known, and not called minimal.
///
/// With the same input and no wall-clock limit the verdict is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Configurations that may be visited.
    pub states_max: u64,
    /// Bytes that the search may take: visited configurations, and the tables of the near-linear
    /// algorithms. An estimate, and without the history itself. Of several keys, which are judged
    /// at once, each has a sixteenth of it first, and who wanted more all of it, alone; so that all
    /// together take no more on up to 16 processors.
    pub bytes_max: u64,
    /// How long it may take; `None` where the verdict must not depend on the machine's speed.
    pub wall_max: Option<Duration>,
}

impl Budget {
    /// As many configurations as that, and otherwise the default.
    pub fn states(states_max: u64) -> Self {
        Budget {
            states_max,
            ..Budget::default()
        }
    }
}

impl Default for Budget {
    /// Enough for any history that a run of minutes leaves; about half a minute and 1 GiB at most.
    fn default() -> Self {
        Budget {
            states_max: 20_000_000,
            bytes_max: 1 << 30,
            wall_max: None,
        }
    }
}
