//! Did the cluster come back? After the last heal every node must take a write and a read.

use super::worker::{Phase, Session};
use crate::clock::Clock;
use crate::target::ClientError;
use crate::verdict::RECOVERY;
use ordeal_checker::history::{Event, EventKind, Process, Time};
use ordeal_checker::verdict::{Anomaly, Finding, Validity};
use ordeal_nemesis::injector::FaultRecord;
use ordeal_nemesis::{Effect, Proof};
use ordeal_workloads::Op;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two attempts of one node.
const PAUSE: Duration = Duration::from_millis(25);

/// How long each node took to serve again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recovery {
    /// From the end of healing; `None` where a node did not serve within the bound.
    pub(crate) served_after: Vec<Option<Duration>>,
    /// The bound.
    pub(crate) bound: Duration,
    /// The longest that TCP's own back-off outlasted a cut, where it was measured.
    pub(crate) backoff_ms: Option<u64>,
    /// Why nobody was asked, if so: what is still in force.
    pub(crate) not_asked: Option<String>,
}

/// How long TCP's own back-off outlasted a cut, where the kernel does not bound it.
pub(crate) fn backoff_ms(record: &FaultRecord) -> Option<u64> {
    match &record.effect {
        Effect::Installed(Proof::Cut(dropped) | Proof::AskedAlone { dropped, .. }) => {
            dropped.resumed_after_ms
        }
        _ => None,
    }
}

impl Recovery {
    /// Until the last node served; `None` if one never did, or nobody was asked.
    pub(crate) fn all_after(&self) -> Option<Duration> {
        if self.not_asked.is_some() {
            return None;
        }
        self.served_after
            .iter()
            .copied()
            .try_fold(Duration::ZERO, |all, node| Some(all.max(node?)))
    }

    /// The finding on the progress axis.
    pub(crate) fn finding(&self) -> Finding {
        let bound = self.bound;
        let late = |place: usize| Anomaly {
            kind: "no_recovery".into(),
            key: None,
            message: format!(
                "n{} did not serve a write and a read within {bound:?} after the last heal",
                place + 1
            ),
            events: Vec::new(),
            lines: Vec::new(),
        };
        let nodes = self.served_after.len();
        let anomalies: Vec<Anomaly> = self
            .served_after
            .iter()
            .enumerate()
            .filter(|(_, served)| served.is_none())
            .map(|(place, _)| late(place))
            .collect();
        let (validity, summary) = match (&self.not_asked, self.all_after()) {
            (Some(why), _) => (Validity::Unknown, format!("not asked, because {why}")),
            (None, Some(after)) => (
                Validity::Valid,
                format!(
                    "all {nodes} nodes served within {} ms of healing",
                    after.as_millis()
                ),
            ),
            (None, None) => (
                Validity::Invalid,
                format!(
                    "{} of {nodes} nodes did not serve within {bound:?}",
                    anomalies.len()
                ),
            ),
        };
        let summary = match self.backoff_ms {
            Some(ms) => format!(
                "{summary}; TCP's own back-off lasted up to {ms} ms after a heal, which does not \
                 count"
            ),
            None => summary,
        };
        let millis = |served: &Option<Duration>| json!(served.map(|after| after.as_millis()));
        Finding {
            check: RECOVERY.into(),
            validity,
            summary,
            anomalies,
            statistics: BTreeMap::from([
                ("bound_ms".to_owned(), json!(bound.as_millis())),
                (
                    "served_after_ms".to_owned(),
                    self.served_after
                        .iter()
                        .map(millis)
                        .collect::<Vec<_>>()
                        .into(),
                ),
            ]),
        }
    }
}

/// How soon each node served after the last heal, by whoever asked it first: a worker, as most
/// often, or in the end the probe, whose `served` proves a write and a read.
pub(crate) fn recovery(
    healed: Time,
    served: &[Option<Time>],
    events: &[Event],
    bound: Duration,
) -> Recovery {
    let mut open: BTreeMap<Process, Time> = BTreeMap::new();
    let mut first: BTreeMap<&str, Time> = BTreeMap::new();
    for event in events {
        match (event.kind, event.node.as_deref()) {
            (EventKind::Invoke, _) => drop(open.insert(event.process, event.time)),
            (EventKind::Ok, Some(node)) if open.get(&event.process) >= Some(&healed) => {
                let at = first.entry(node).or_insert(event.time);
                *at = event.time.min(*at);
            }
            _ => {}
        }
    }
    let after = |(place, served): (usize, &Option<Time>)| {
        let probed = (*served)?;
        let first = first.get(format!("n{}", place + 1).as_str());
        let at = first.map_or(probed, |first| probed.min(*first));
        Some(Duration::from_nanos(at.0.saturating_sub(healed.0)))
    };
    Recovery {
        served_after: served.iter().enumerate().map(after).collect(),
        bound,
        backoff_ms: None,
        not_asked: None,
    }
}

/// Asks one node for a write and then a read until both are served or the bound has passed;
/// when they were.
///
/// # Errors
/// If no client can be made.
pub(crate) async fn recover(
    session: &mut Session,
    mut probe: impl FnMut() -> [Op; 2],
    clock: Clock,
    healed: Time,
    bound: Duration,
) -> Result<Option<Time>, ClientError> {
    let since_healed = || Duration::from_nanos(clock.now().0.saturating_sub(healed.0));
    let mut written = false;
    while since_healed() < bound {
        let [write, read] = probe();
        let op = if written { read } else { write };
        match session.invoke(&op, Phase::Recovery).await? {
            Some(_) if written => return Ok(Some(clock.now())),
            Some(_) => written = true,
            None => tokio::time::sleep(PAUSE).await,
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_that_does_not_come_back_is_lost_progress() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let bound = Duration::from_secs(15);
        let back = Recovery {
            served_after: vec![ms(3), ms(9)],
            bound,
            ..Recovery::default()
        };
        assert_eq!(back.finding().validity, Validity::Valid);
        assert_eq!(
            back.finding().summary,
            "all 2 nodes served within 9 ms of healing"
        );
        let gone = Recovery {
            served_after: vec![ms(3), None],
            bound,
            backoff_ms: Some(700),
            not_asked: None,
        };
        assert_eq!(gone.finding().validity, Validity::Invalid);
        assert!(
            gone.finding()
                .summary
                .contains("back-off lasted up to 700 ms")
        );
        assert!(
            gone.finding().anomalies[0]
                .message
                .starts_with("n2 did not serve")
        );
    }

    #[test]
    fn where_a_fault_is_still_in_force_nobody_was_asked_and_nothing_is_known() {
        let unasked = Recovery {
            bound: Duration::from_secs(15),
            not_asked: Some("fault 1 (isolate n2) could not be healed".into()),
            ..Recovery::default()
        };
        let finding = unasked.finding();
        assert_eq!(finding.validity, Validity::Unknown);
        assert_eq!(
            finding.summary,
            "not asked, because fault 1 (isolate n2) could not be healed"
        );
        assert_eq!(unasked.all_after(), None);
    }

    #[test]
    fn a_node_served_when_it_first_answered_what_was_asked_after_the_heal() {
        let event = |process, kind, time| Event {
            index: 0,
            process: Process(process),
            kind,
            f: "read".into(),
            key: None,
            value: json!(null),
            time: Time(time),
            node: Some("n1".into()),
            term: None,
            log_index: None,
            error: None,
            phase: None,
        };
        let events = [
            event(1, EventKind::Invoke, 90),
            event(2, EventKind::Invoke, 105),
            event(1, EventKind::Ok, 101),
            event(2, EventKind::Ok, 107),
        ];
        let bound = Duration::from_secs(1);
        let told = recovery(Time(100), &[Some(Time(600)), None], &events, bound);
        assert_eq!(told.served_after, [Some(Duration::from_nanos(7)), None]);
    }
}
