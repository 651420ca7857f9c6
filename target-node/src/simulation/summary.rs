//! What happened in simulations, counted: a run that proves nothing must not pass for one that
//! does.

use std::fmt;
use std::ops::AddAssign;

/// Declares the closed list: one line a count, with what it counts.
macro_rules! counts {
    ($($variant:ident $summary:literal)*) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Count {
            $(#[doc = $summary] $variant,)*
        }

        impl Count {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What it counts, in a line.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }
        }
    };
}

counts! {
    Schedules "schedules"
    Steps "steps: a tick, a message, a sync, a request or a fault, with all that follows at once"
    Ticks "ticks of virtual time"
    Unpromised "times that a cluster did not come back to which Raft does not promise it"
    Leaders "elections won"
    QuorumsLost "leaders that stepped down because they heard no majority"
    Truncations "logs that were cut because they conflicted with a leader's"
    Writes "writes acknowledged"
    Reads "linearizable reads answered"
    Repeats "requests that a client sent again"
    Compacted "snapshots that nodes took of their own state"
    Installed "snapshots that nodes got from a leader"
    Changes "changes of the configuration that began"
    Transfers "transfers of the leadership that began"
    Nudges "campaigns and steps down that somebody asked for"
    Messages "messages sent"
    Lost "messages lost on an open link"
    Cut "messages lost on a link that was cut"
    Doubled "messages that came twice"
    Stragglers "messages that were very late"
    Reordered "messages that were overtaken by a later one of the same link"
    Partitions "links cut between groups of nodes, both ways"
    OneWay "links cut in one direction only"
    Pauses "processes stopped for a while"
    Crashes "processes killed and their disks left with what was synced, and perhaps more"
    UnsyncedLost "crashes that lost all that was not synced"
    UnsyncedTorn "crashes that kept a part of what was not synced, cut within a batch"
    UnsyncedKept "crashes that kept all that was not synced"
    TornTails "logs in files that ended in a torn record"
}

/// What happened in simulations that found nothing wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    counts: [u64; Count::ALL.len()],
}

impl Summary {
    /// How often it happened.
    #[must_use]
    pub const fn of(&self, count: Count) -> u64 {
        self.counts[count as usize]
    }

    pub(super) fn add(&mut self, count: Count, number: u64) {
        self.counts[count as usize] += number;
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
    }
}

/// A line for each.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &count in Count::ALL {
            writeln!(f, "{:>13} {}", self.of(count), count.summary())?;
        }
        Ok(())
    }
}
