//! Did the cluster come back? After the last heal every node must take a write and a read.
//!
//! ```text
//!   last heal          bound is over      main phase ends
//!   ──┼──────────────────────┼──────────────────────┼──────────────────
//!      workers ask: ok                                probe: ok      in time
//!      workers ask: refused … … … … … … … ok          probe: ok      late
//!      nobody asks (clients are held, a node without any)   ok      unasked: told, not blamed
//!      workers ask: ok                                probe: refused gone
//! ```

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
/// What is asked shortly before the bound is over may be answered shortly after it.
const UNDER_WAY_NS: u64 = 1_000_000_000;

/// Whether each node served again, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recovery {
    /// In the order of the nodes.
    pub(crate) nodes: Vec<Return>,
    /// The bound.
    pub(crate) bound: Duration,
    /// The longest that TCP's own back-off outlasted a cut, where it was measured.
    pub(crate) backoff_ms: Option<u64>,
    /// Why nobody was asked, if so: what is still in force.
    pub(crate) not_asked: Option<String>,
}

/// How one node came back; all times from the last heal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Return {
    /// When it was first asked for what the probe asks for.
    pub(crate) asked_after: Option<Duration>,
    /// When it had served both a write and a read.
    pub(crate) served_after: Option<Duration>,
    /// What that is worth.
    pub(crate) promptness: Promptness,
}

/// Whether a node kept the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promptness {
    /// It served within the bound.
    InTime,
    /// It served as soon as it was asked, and nobody had asked before the bound was over.
    Unasked,
    /// It was asked within the bound, and served only later.
    Late,
    /// It had served, and did not any more when it was asked at the end.
    Gone,
    /// It never served.
    Never,
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
    /// Until the last node served; `None` if one never did, does not any more, or nobody was asked.
    pub(crate) fn all_after(&self) -> Option<Duration> {
        if self.not_asked.is_some() {
            return None;
        }
        let served = |node: &Return| match node.promptness {
            Promptness::InTime | Promptness::Unasked | Promptness::Late => node.served_after,
            Promptness::Gone | Promptness::Never => None,
        };
        let mut nodes = self.nodes.iter();
        nodes.try_fold(Duration::ZERO, |all, node| Some(all.max(served(node)?)))
    }

    /// The finding on the progress axis.
    pub(crate) fn finding(&self) -> Finding {
        let (bound, nodes) = (self.bound, self.nodes.len());
        let places = || (1..).zip(&self.nodes);
        let anomalies: Vec<Anomaly> = places()
            .filter_map(|(place, node)| {
                let message = node.complaint(bound)?;
                Some(Anomaly {
                    kind: "no_recovery".into(),
                    key: None,
                    message: format!("n{place} {message}"),
                    events: Vec::new(),
                    lines: Vec::new(),
                })
            })
            .collect();
        let unasked: Vec<String> = places()
            .filter(|(_, node)| node.promptness == Promptness::Unasked)
            .map(|(place, _)| format!("n{place}"))
            .collect();
        let (validity, mut summary) = match (&self.not_asked, self.all_after()) {
            (Some(why), _) => (Validity::Unknown, format!("not asked, because {why}")),
            (None, Some(after)) if anomalies.is_empty() => {
                let ms = after.as_millis();
                let summary = format!("all {nodes} nodes served within {ms} ms of healing");
                (Validity::Valid, summary)
            }
            _ => {
                let late = anomalies.len();
                let summary = format!("{late} of {nodes} nodes did not serve within {bound:?}");
                (Validity::Invalid, summary)
            }
        };
        if !unasked.is_empty() {
            let unasked = unasked.join(", ");
            summary += &format!("; nobody asked {unasked} for both within {bound:?}");
        }
        if let Some(ms) = self.backoff_ms {
            summary += &format!(
                "; TCP's own back-off lasted up to {ms} ms after a heal, which does not count"
            );
        }
        let millis = |of: fn(&Return) -> Option<Duration>| {
            let after = self.nodes.iter().map(of);
            json!(
                after
                    .map(|after| after.map(|after| after.as_millis()))
                    .collect::<Vec<_>>()
            )
        };
        Finding {
            check: RECOVERY.into(),
            validity,
            summary,
            anomalies,
            statistics: BTreeMap::from([
                ("bound_ms".to_owned(), json!(bound.as_millis())),
                ("asked_after_ms".to_owned(), millis(|node| node.asked_after)),
                (
                    "served_after_ms".to_owned(),
                    millis(|node| node.served_after),
                ),
            ]),
        }
    }
}

impl Return {
    /// What is wrong with it, if anything is.
    fn complaint(&self, bound: Duration) -> Option<String> {
        let after = rounded(self.served_after.unwrap_or_default());
        match self.promptness {
            Promptness::InTime | Promptness::Unasked => None,
            Promptness::Late => Some(format!(
                "served a write and a read only {after:?} after the last heal, though it was asked \
                 within {bound:?}"
            )),
            Promptness::Gone => Some(format!(
                "served a write and a read {after:?} after the last heal, but none when it was \
                 asked for {bound:?} at the end"
            )),
            Promptness::Never => Some(format!(
                "did not serve a write and a read within {bound:?} after the last heal"
            )),
        }
    }
}

fn rounded(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// What a node was asked after the last heal, of one kind, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    /// When it was first asked.
    first: Option<Time>,
    /// When it first served.
    served: Option<Time>,
    /// Whether that was within the bound.
    in_time: bool,
    /// Whether it was asked within the bound and did not serve in time.
    in_vain: bool,
}

impl Asked {
    fn ask(&mut self, from: Time, served: Option<Time>, until: Time) {
        let first = self.first.get_or_insert(from);
        *first = from.min(*first);
        if let Some(at) = served {
            let first = self.served.get_or_insert(at);
            *first = at.min(*first);
        }
        let prompt = |at: Time| at <= until || at.0.saturating_sub(from.0) < UNDER_WAY_NS;
        match served {
            _ if from > until => {}
            Some(at) if prompt(at) => self.in_time = true,
            _ => self.in_vain = true,
        }
    }
}

/// How each node came back, by whoever asked it: workers while the main phase lasts, and in the
/// end the probe.
///
/// A node has served when a write and a read that were asked after the last heal are answered: of
/// the `kinds` that the probe asks for, in either order. It is late only if it was asked for one of
/// them within the bound and did not serve that one in time; where nobody asked, nothing can be
/// said against it, as long as it serves the probe (`probed`).
pub(crate) fn recovery(
    healed: Time,
    probed: &[Option<Time>],
    events: &[Event],
    kinds: [&str; 2],
    bound: Duration,
) -> Recovery {
    let until = Time(healed.0.saturating_add(nanos(bound)));
    let mut open: BTreeMap<Process, &Event> = BTreeMap::new();
    let mut done: Vec<(&Event, Option<Time>)> = Vec::new();
    for event in events {
        if event.kind == EventKind::Invoke {
            open.insert(event.process, event);
        } else if let Some(invoked) = open.remove(&event.process) {
            let served = (event.kind == EventKind::Ok).then_some(event.time);
            done.push((invoked, served));
        }
    }
    done.extend(open.into_values().map(|invoked| (invoked, None)));
    let mut asked: BTreeMap<(&str, &str), Asked> = BTreeMap::new();
    for (event, served) in done {
        if let Some(node) = &event.node
            && event.time >= healed
        {
            let asked = asked.entry((node.as_str(), event.f.as_str())).or_default();
            asked.ask(event.time, served, until);
        }
    }
    let nodes = (1..).zip(probed).map(|(place, probed)| {
        let node = format!("n{place}");
        let of = |kind| {
            let asked = asked.get(&(node.as_str(), kind));
            asked.copied().unwrap_or_default()
        };
        returned(healed, *probed, kinds.map(of), until)
    });
    Recovery {
        nodes: nodes.collect(),
        bound,
        backoff_ms: None,
        not_asked: None,
    }
}

fn returned(healed: Time, probed: Option<Time>, asked: [Asked; 2], until: Time) -> Return {
    let after = |at: Time| Duration::from_nanos(at.0.saturating_sub(healed.0));
    let [write, read] = asked;
    let both = write
        .served
        .zip(read.served)
        .map(|(write, read)| write.max(read));
    let promptness = match (probed, both) {
        (None, Some(_)) => Promptness::Gone,
        (None, None) => Promptness::Never,
        // What was asked before TCP's own back-off was over may be served all the same.
        (Some(at), _) if at <= until => Promptness::InTime,
        _ if asked.iter().all(|kind| kind.in_time) => Promptness::InTime,
        _ if asked.iter().any(|kind| kind.in_vain && !kind.in_time) => Promptness::Late,
        _ => Promptness::Unasked,
    };
    Return {
        asked_after: write.first.into_iter().chain(read.first).min().map(after),
        served_after: both.into_iter().chain(probed).min().map(after),
        promptness,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Asks one node for a write and then a read until both are served or the bound has passed; when
/// they were. The bound runs from the last heal or from the first attempt, whichever is later:
/// every node is asked, however long ago that heal was.
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
    let until = clock.now().max(healed).0.saturating_add(nanos(bound));
    let mut written = false;
    while clock.now().0 < until {
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

    const BOUND: Duration = Duration::from_nanos(1000);
    const KINDS: [&str; 2] = ["write", "read"];

    /// What one process asks n1: from when to when, and whether it was served.
    fn asked(process: u64, f: &str, from: u64, to: u64, ok: bool) -> [Event; 2] {
        let event = |kind, time| Event {
            index: 0,
            process: Process(process),
            kind,
            f: f.into(),
            key: None,
            value: json!(null),
            time: Time(time),
            node: Some("n1".into()),
            term: None,
            log_index: None,
            error: None,
            phase: None,
        };
        let end = if ok { EventKind::Ok } else { EventKind::Info };
        [event(EventKind::Invoke, from), event(end, to)]
    }

    /// How n1 came back from a heal at 100.
    fn back(probed: Option<u64>, events: &[[Event; 2]]) -> Return {
        let mut events = events.concat();
        events.sort_by_key(|event| event.time);
        let told = recovery(Time(100), &[probed.map(Time)], &events, KINDS, BOUND);
        told.nodes[0]
    }

    #[test]
    fn one_node_that_does_not_come_back_is_lost_progress() {
        let node = |ms, promptness| Return {
            asked_after: Some(Duration::ZERO),
            served_after: Some(Duration::from_millis(ms)),
            promptness,
        };
        let bound = Duration::from_secs(15);
        let prompt = node(9, Promptness::InTime);
        let told = |last: Return| {
            let recovery = Recovery {
                nodes: vec![prompt, last],
                bound,
                backoff_ms: Some(700),
                not_asked: None,
            };
            recovery.finding()
        };
        let finding = told(node(3, Promptness::InTime));
        assert_eq!(finding.validity, Validity::Valid);
        assert_eq!(
            finding.summary,
            "all 2 nodes served within 9 ms of healing; TCP's own back-off lasted up to 700 ms \
             after a heal, which does not count"
        );
        for (node, complaint) in [
            (
                node(20_000, Promptness::Late),
                "n2 served a write and a read only 20s after",
            ),
            (
                node(20, Promptness::Gone),
                "n2 served a write and a read 20ms after",
            ),
            (
                node(0, Promptness::Never),
                "n2 did not serve a write and a read within 15s",
            ),
        ] {
            let finding = told(node);
            assert_eq!(finding.validity, Validity::Invalid);
            let said = &finding.anomalies[0].message;
            assert!(said.starts_with(complaint), "{said}");
            assert!(
                finding
                    .summary
                    .starts_with("1 of 2 nodes did not serve within 15s")
            );
        }
        let finding = told(node(20_000, Promptness::Unasked));
        assert_eq!(finding.validity, Validity::Valid);
        assert!(
            finding
                .summary
                .contains("20000 ms of healing; nobody asked n2 for both within 15s"),
            "{}",
            finding.summary
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
    fn what_workers_were_served_long_before_the_probe_is_recovery() {
        let before_the_heal = asked(1, "read", 90, 101, true);
        let write = asked(2, "write", 105, 107, true);
        let other = asked(3, "cas", 105, 108, true);
        let read = asked(2, "read", 110, 130, true);
        let all = [before_the_heal, write.clone(), other, read];
        let n1 = back(Some(5000), &all);
        assert_eq!(n1.promptness, Promptness::InTime);
        assert_eq!(n1.asked_after, Some(Duration::from_nanos(5)));
        assert_eq!(n1.served_after, Some(Duration::from_nanos(30)));
        // A write alone is half of it, and nobody has asked for a read.
        let n1 = back(Some(5000), &[write, asked(9, "read", 4900, 5000, true)]);
        assert_eq!(n1.promptness, Promptness::Unasked);
        assert_eq!(n1.served_after, Some(Duration::from_nanos(4900)));
    }

    #[test]
    fn a_node_is_late_only_where_it_was_asked_in_vain() {
        let probe = || {
            [
                asked(8, "write", 2000, 2001, true),
                asked(9, "read", 2002, 2003, true),
            ]
        };
        let [write, read] = probe();
        assert_eq!(back(Some(2003), &probe()).promptness, Promptness::Unasked);
        let refused = asked(1, "read", 300, 310, false);
        let late = back(Some(2003), &[refused.clone(), write.clone(), read.clone()]);
        assert_eq!(late.promptness, Promptness::Late);
        assert_eq!(late.served_after, Some(Duration::from_nanos(1903)));
        // Asked in time and answered after more than a second, with a bound that is over.
        let slow = asked(1, "read", 300, 300 + UNDER_WAY_NS, true);
        let n1 = back(
            Some(UNDER_WAY_NS + 900),
            &[slow, write.clone(), read.clone()],
        );
        assert_eq!(n1.promptness, Promptness::Late);
        // Nobody ever heard of it again.
        let [lost, _] = asked(1, "read", 300, 0, false);
        let events: Vec<Event> = [vec![lost], probe().concat()].concat();
        let told = recovery(Time(100), &[Some(Time(2003))], &events, KINDS, BOUND);
        assert_eq!(told.nodes[0].promptness, Promptness::Late);
        // One that is under way when the bound is over is waited for.
        let last = [
            asked(1, "write", 1090, 1095, true),
            asked(1, "read", 1096, 1110, true),
        ];
        assert_eq!(back(Some(2003), &last).promptness, Promptness::InTime);
    }

    #[test]
    fn a_node_that_stopped_serving_again_is_not_back() {
        let worked = [
            asked(1, "write", 105, 107, true),
            asked(1, "read", 110, 130, true),
        ];
        assert_eq!(back(None, &worked).promptness, Promptness::Gone);
        let never = [
            asked(1, "write", 105, 107, true),
            asked(1, "read", 110, 130, false),
        ];
        assert_eq!(back(None, &never).promptness, Promptness::Never);
        assert_eq!(back(None, &never).served_after, None);
    }

    #[test]
    fn what_the_probe_got_before_tcp_had_backed_off_counts() {
        let early = [
            asked(1, "write", 50, 60, true),
            asked(1, "read", 61, 70, true),
        ];
        let n1 = back(Some(70), &early);
        assert_eq!(n1.promptness, Promptness::InTime);
        assert_eq!(n1.served_after, Some(Duration::ZERO));
    }
}
