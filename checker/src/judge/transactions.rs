//! Transactions as they come, and the verdict on them.

use std::collections::BTreeMap;

use super::lines::Lines;
use super::source::Source;
use super::subject::wrong;
use super::{Judged, Sees, Unjudgeable};
use crate::budget::Budget;
use crate::format::FormatError;
use crate::history::{Event, EventKind, Process, Processes, Time};
use crate::transaction::{self, Fate, Kind, Log, Step};
use crate::verdict::Anomaly;

/// What was read so far.
pub(super) struct Transactions {
    kind: Kind,
    log: Log,
    processes: Processes,
    /// By process, what is asked and not answered yet: since when, and what.
    open: BTreeMap<Process, (Time, Vec<Step>)>,
    source: Source,
    lines: Lines,
}

impl Transactions {
    pub(super) fn new(kind: Kind) -> Self {
        Transactions {
            kind,
            log: Log::new(kind),
            processes: Processes::default(),
            open: BTreeMap::new(),
            source: Source::default(),
            lines: Lines::default(),
        }
    }

    fn steps(&self, line: usize, event: &Event) -> Result<Vec<Step>, FormatError> {
        let steps = transaction::steps_of(event).and_then(|steps| {
            let refused = steps.iter().find_map(|step| self.kind.refuses(step));
            refused.map_or(Ok(steps), |why| Err(why.to_owned()))
        });
        steps.map_err(|what| wrong(line, event, &what))
    }

    /// Names the transactions of anomalies, of which only the places are known, by the lines and
    /// indices of their invocations, and says in words where they stand.
    fn locate(&self, anomalies: &mut [Anomaly]) {
        let rank = |place: &u64| self.log.rank(usize::try_from(*place).expect("a place"));
        let ranks = anomalies.iter().flat_map(|anomaly| &anomaly.events);
        let found = self.lines.find(ranks.map(rank));
        for anomaly in anomalies {
            let places = anomaly.events.iter().map(|place| found[&rank(place)]);
            (anomaly.lines, anomaly.events) = places.unzip();
            anomaly.message += &self.source.introduce(&anomaly.lines, &anomaly.events);
        }
    }
}

impl Sees for Transactions {
    fn see(&mut self, line: usize, event: &Event) -> Result<(), Unjudgeable> {
        let (process, time) = (event.process, event.time);
        let malformed = |source| Unjudgeable::Malformed { line, source };
        if event.kind == EventKind::Invoke {
            let steps = self.steps(line, event)?;
            let rank = self.log.ask(process, time);
            self.processes
                .invoke(process, time, rank)
                .map_err(malformed)?;
            self.open.insert(process, (time, steps));
            let at = self.source.read(line, event);
            self.lines.note(at);
            return Ok(());
        }
        let is_info = event.kind == EventKind::Info;
        let answer = match event.kind {
            EventKind::Ok => Some(self.steps(line, event)?),
            _ => None,
        };
        if let (Some(answered), Some((_, asked))) = (&answer, self.open.get(&process))
            && let Some(what) = transaction::differs(asked, answered)
        {
            return Err(wrong(line, event, &what).into());
        }
        let rank = self
            .processes
            .complete(process, time, is_info)
            .map_err(malformed)?;
        let asked = self.open.remove(&process).unwrap_or_default().1;
        let (fate, steps) = match answer {
            Some(steps) => (Fate::Ok, steps),
            None if is_info => (Fate::Info, asked),
            None => (Fate::Fail, asked),
        };
        self.log.end(rank, time, fate, &steps);
        self.source.read(line, event);
        Ok(())
    }

    fn finish(mut self: Box<Self>, budget: &Budget) -> Judged {
        for (process, (since, steps)) in std::mem::take(&mut self.open) {
            let rank = self.processes.complete(process, since, true);
            let rank = rank.expect("it is open, and time stands still");
            self.log.end(rank, since, Fate::Info, &steps);
        }
        self.log.finish();
        let mut finding = transaction::check_log(&self.log, budget).finding();
        self.locate(&mut finding.anomalies);
        Judged {
            events: self.source.events(),
            finding,
            explanation: None,
        }
    }
}
