//! Transactions as they come, and the verdict on them.

use super::source::{Places, Source, locate};
use super::subject::wrong;
use super::{Judged, Sees, Unjudgeable};
use crate::budget::Budget;
use crate::format::FormatError;
use crate::history::{Event, EventKind, HistoryBuilder, Outcome, Reason};
use crate::transaction::{self, Kind, Step};

/// What was read so far.
pub(super) struct Transactions {
    kind: Kind,
    builder: HistoryBuilder<Vec<Step>, Vec<Step>>,
    source: Source,
    places: Places,
}

impl Transactions {
    pub(super) fn new(kind: Kind) -> Self {
        Transactions {
            kind,
            builder: HistoryBuilder::new(),
            source: Source::default(),
            places: Places::default(),
        }
    }

    fn steps(&self, line: usize, event: &Event) -> Result<Vec<Step>, FormatError> {
        let steps = transaction::steps_of(event).and_then(|steps| {
            let refused = steps.iter().find_map(|step| self.kind.refuses(step));
            refused.map_or(Ok(steps), |why| Err(why.to_owned()))
        });
        steps.map_err(|what| wrong(line, event, &what))
    }
}

impl Sees for Transactions {
    fn see(&mut self, line: usize, event: &Event) -> Result<(), Unjudgeable> {
        let (process, time) = (event.process, event.time);
        let state = match event.kind {
            EventKind::Invoke => {
                let steps = self.steps(line, event)?;
                self.builder.invoke(process, time, steps)
            }
            kind => {
                let outcome = match kind {
                    EventKind::Ok => Outcome::Ok(self.steps(line, event)?),
                    EventKind::Fail => Outcome::Fail(Reason::default()),
                    _ => Outcome::Info(Reason::default()),
                };
                self.builder.complete(process, time, outcome)
            }
        };
        state.map_err(|source| Unjudgeable::Malformed { line, source })?;
        let at = self.source.read(line, event);
        self.places.note(event, at);
        Ok(())
    }

    fn finish(self: Box<Self>, budget: &Budget) -> Judged {
        let mut finding = transaction::check(self.kind, &self.builder.finish(), budget).finding();
        let places = self.places.finish();
        let anomalies = finding.anomalies.iter_mut();
        anomalies.for_each(|anomaly| locate(anomaly, &places));
        Judged {
            events: self.source.events(),
            finding,
            explanation: None,
        }
    }
}
