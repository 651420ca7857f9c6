//! Where in its file an operation stands, so that a reader finds it there.

use crate::history::{Event, Time};
use crate::linearizability::Telling;
use crate::transaction::TRANSACTIONS_MAX;
use crate::verdict::Anomaly;

/// What is known of a file after reading it: how its events are best named.
#[derive(Debug, Default)]
pub(super) struct Source {
    events: u64,
    last_line: u64,
    /// True where the file tells the time, and not only the order.
    has_clock: bool,
    /// True where no two events share a line.
    has_lines: bool,
}

/// Where an operation was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) begin: At,
    pub(super) end: Option<At>,
}

/// Where an event was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    /// The line that it ends on, counted from one.
    pub(super) line: u64,
    /// Its rank in the file, counted from one.
    pub(super) event: u64,
    /// What it says of itself.
    pub(super) index: u64,
}

impl Source {
    /// Takes note of an event of the file, which ends on that line.
    pub(super) fn read(&mut self, line: usize, event: &Event) -> At {
        let line = line as u64;
        self.has_clock |= event.time.0 != event.index;
        self.has_lines = line > self.last_line && (self.has_lines || self.events == 0);
        self.last_line = line;
        self.events += 1;
        At {
            line,
            event: self.events,
            index: event.index,
        }
    }

    pub(super) fn events(&self) -> usize {
        usize::try_from(self.events).expect("they were read one by one")
    }

    /// Where the transactions T1, T2 … of an anomaly stand, as a line of its own; indices where
    /// lines are shared.
    pub(super) fn introduce(&self, lines: &[u64], indices: &[u64]) -> String {
        let (noun, numbers) = match self.has_lines {
            true => ("line", lines),
            false => ("index", indices),
        };
        let each = (1..).zip(numbers).take(TRANSACTIONS_MAX);
        let each = each.map(|(number, at)| format!("T{number} begins at {noun} {at}"));
        let each: Vec<String> = each.collect();
        format!("\n{}.", each.join(", "))
    }

    /// `12.340000 s`, when something returned; without a clock `line 9`, where it did.
    pub(super) fn moment(&self, time: Time, end: impl FnOnce() -> Option<At>) -> String {
        match end().filter(|_| !self.has_clock) {
            Some(end) if self.has_lines => format!("line {}", end.line),
            Some(end) => format!("event {}", end.event),
            None => time.to_string(),
        }
    }

    /// `lines 3 to 9, 10.474104 s to 10.584742 s`; events instead of lines where those are shared.
    pub(super) fn place(&self, place: &Place, telling: &Telling) -> String {
        let number = |at: At| if self.has_lines { at.line } else { at.event };
        let noun = if self.has_lines { "line" } else { "event" };
        let begin = number(place.begin);
        let end = place.end.filter(|_| telling.returned.is_some()).map(number);
        let where_it_is = match end {
            Some(end) => format!("{noun}s {begin} to {end}"),
            None => format!("{noun} {begin}"),
        };
        let (invoked, clock) = (telling.invoked, self.has_clock);
        match telling.returned {
            Some(returned) if clock => format!("{where_it_is}, {invoked} to {returned}"),
            Some(_) => where_it_is,
            None if clock => format!("{where_it_is}, from {invoked}, never returned"),
            None => format!("{where_it_is}, never returned"),
        }
    }
}

/// Names an anomaly's operations, of which only the ranks are known, by the lines and the indices
/// of their invocations.
pub(super) fn locate(anomaly: &mut Anomaly, places: &[Place]) {
    let ids = anomaly.events.iter();
    let ids = ids.filter_map(|id| usize::try_from(*id).ok());
    let places: Vec<&Place> = ids.map(|id| &places[id]).collect();
    anomaly.lines = places.iter().map(|place| place.begin.line).collect();
    anomaly.events = places.iter().map(|place| place.begin.index).collect();
}
