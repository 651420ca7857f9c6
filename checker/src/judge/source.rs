//! Where in its file an operation stands, so that a reader finds it there.

use std::collections::BTreeMap;

use crate::history::{Event, EventKind, Process, Time};
use crate::linearizability::Telling;
use crate::verdict::Finding;

/// Where each operation of a history was read.
#[derive(Debug, Default)]
pub(super) struct Source {
    operations: Vec<Place>,
    open: BTreeMap<Process, usize>,
    events: usize,
    last_line: usize,
    /// True where the file tells the time, and not only the order.
    has_clock: bool,
    /// True where no two events share a line.
    has_lines: bool,
}

#[derive(Debug)]
struct Place {
    invoked: Time,
    begin: At,
    end: Option<At>,
}

#[derive(Clone, Copy, Debug)]
struct At {
    line: usize,
    event: usize,
    index: u64,
}

impl Source {
    /// Takes note of an event of the file, which ends on that line.
    pub(super) fn read(&mut self, line: usize, event: &Event) {
        self.has_clock |= event.time.0 != event.index;
        self.has_lines = line > self.last_line && (self.has_lines || self.events == 0);
        self.last_line = line;
        self.events += 1;
        let at = At {
            line,
            event: self.events,
            index: event.index,
        };
        if event.kind == EventKind::Invoke {
            self.open.insert(event.process, self.operations.len());
            self.operations.push(Place {
                invoked: event.time,
                begin: at,
                end: None,
            });
        } else if let Some(place) = self.open.remove(&event.process) {
            self.operations[place].end = Some(at);
        }
    }

    /// In the order of the history, which is that of invocation.
    pub(super) fn finish(mut self) -> Self {
        self.operations.sort_by_key(|place| place.invoked);
        self
    }

    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// `lines 3 to 9, 10.474104 s to 10.584742 s`; events instead of lines where those are shared.
    pub(super) fn place(&self, telling: &Telling) -> String {
        let place = &self.operations[telling.operation.0];
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

    /// Operations by the lines of their invocations, and as counted from the first event.
    pub(super) fn located(&self, mut finding: Finding) -> Finding {
        for anomaly in &mut finding.anomalies {
            let ids = anomaly
                .events
                .iter()
                .filter_map(|id| usize::try_from(*id).ok());
            let places: Vec<&Place> = ids.map(|id| &self.operations[id]).collect();
            anomaly.lines = places.iter().map(|place| place.begin.line as u64).collect();
            anomaly.events = places.iter().map(|place| place.begin.index).collect();
        }
        finding
    }
}
