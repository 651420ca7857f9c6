//! What is wrong, explained: for every anomaly a box with its words, its operations in a drawing,
//! and the same operations as a table.
//!
//! A witness alone convinces nobody: around it stands what else was done to the same object.

use super::RunView;
use super::drawing::{Cast, drawing};
use super::figure::{count, millis, thousands};
use super::operation::{Drawn, Ending};
use super::sentence::{anomalies, heading};
use maud::{Markup, html};
use ordeal_checker::history::Time;
use ordeal_checker::verdict::{Anomaly, Validity};

/// How many anomalies are told; `verdict.json` has the others.
pub(super) const TOLD_MAX: usize = 20;
/// How many of them are open at first.
const OPEN_MAX: usize = 3;
/// How many operations are shown around the witnesses.
const AROUND_MAX: usize = 6;

/// All anomalies, worst first.
pub(super) fn anomalies_section(run: &RunView<'_>, operations: &[Drawn<'_>]) -> Markup {
    let all = anomalies(run.verdict);
    if all.is_empty() {
        return html! {};
    }
    html! {
        section #anomalies {
            h2 { @if all.len() == 1 { "The anomaly" } @else { "The anomalies" } }
            p.note {
                "A bar is one operation, from the moment a client asked to the moment it heard \
                 back; what came back “ok” took effect at one instant in between. A striped bar \
                 has no end: its result is unknown, and it may have taken effect at any time \
                 since, or never. Where two bars do not overlap, the left one came first. \
                 Distances are compressed; the times are exact."
            }
            @for (place, told) in all.iter().enumerate().take(OPEN_MAX) {
                (anomaly_box(run, operations, place + 1, *told))
            }
            @if all.len() > OPEN_MAX {
                details {
                    summary { (thousands((all.len() - OPEN_MAX) as u64)) " more" }
                    @for (place, told) in all.iter().enumerate().take(TOLD_MAX).skip(OPEN_MAX) {
                        (anomaly_box(run, operations, place + 1, *told))
                    }
                }
            }
            @if all.len() > TOLD_MAX {
                p.note {
                    "… and " (thousands((all.len() - TOLD_MAX) as u64)) " more in "
                    code { "verdict.json" } "."
                }
            }
        }
    }
}

fn anomaly_box(
    run: &RunView<'_>,
    operations: &[Drawn<'_>],
    number: usize,
    (axis, validity, anomaly): (&str, Validity, &Anomaly),
) -> Markup {
    let witnesses = events_of(anomaly, operations);
    let mut cast = around(&witnesses, operations);
    cast.extend(witnesses.iter().map(|drawn| Cast {
        drawn: *drawn,
        witness: true,
    }));
    cast.sort_by_key(|member| (member.drawn.invoked(), member.drawn.invocation.index));
    html! {
        article class={ "anomaly " (validity) } id={ "anomaly-" (number) } {
            h3 {
                span.number { (number) } " " (heading(anomaly))
                " " span class={ "badge " (validity) } { (axis) }
            }
            p.message { (anomaly.message) }
            @if !witnesses.is_empty() {
                (drawing(run, &cast))
                (look_button(&cast))
                (table(&cast))
            }
        }
    }
}

/// The operations that an anomaly names, in order of invocation.
pub(super) fn events_of<'a>(anomaly: &Anomaly, operations: &[Drawn<'a>]) -> Vec<Drawn<'a>> {
    let named = |drawn: &&Drawn<'a>| anomaly.events.contains(&drawn.invocation.index);
    operations.iter().filter(named).copied().collect()
}

/// What was done to the same object last before the last witness: what else a reader needs to see
/// that it cannot be right.
fn around<'a>(witnesses: &[Drawn<'a>], operations: &[Drawn<'a>]) -> Vec<Cast<'a>> {
    let Some(last) = witnesses
        .last()
        .filter(|last| last.invocation.key.is_some())
    else {
        return Vec::new();
    };
    let end = last.completed().unwrap_or(last.invoked());
    let is_witness = |drawn: &Drawn<'_>| {
        let index = drawn.invocation.index;
        witnesses
            .iter()
            .any(|witness| witness.invocation.index == index)
    };
    let near = operations.iter().rev().filter(|drawn| {
        drawn.invocation.key == last.invocation.key
            && drawn.invoked() <= end
            && drawn.ending() != Ending::Fail
            && !is_witness(drawn)
    });
    let near = near.take(AROUND_MAX);
    near.map(|drawn| Cast {
        drawn: *drawn,
        witness: false,
    })
    .collect()
}

/// Zooms the timeline to these operations, with as much again on both sides.
fn look_button(cast: &[Cast<'_>]) -> Markup {
    let drawn = || cast.iter().map(|member| &member.drawn);
    let first = drawn().map(Drawn::invoked).min().map_or(0.0, millis);
    let last = drawn()
        .filter_map(Drawn::completed)
        .max()
        .map_or(first, millis);
    let margin = (last - first).max(10.0);
    html! {
        button type="button" hidden data-from=(first - margin) data-to=(last + margin) {
            "show in the timeline"
        }
    }
}

/// The same for those who cannot see, and to copy from.
fn table(cast: &[Cast<'_>]) -> Markup {
    html! {
        details {
            summary { (count(cast.len() as u64, "operation")) " as a table" }
            div.scroll {
                table {
                    thead { tr {
                        th { "event" } th { "process" } th { "asked" } th { "answered" }
                        th { "from" } th { "to" } th { "node" } th { "term" }
                    } }
                    tbody {
                        @for Cast { drawn, witness } in cast {
                            tr.witness[*witness] {
                                td.figure { (drawn.invocation.index) }
                                td { (drawn.process()) }
                                td { (drawn.asked()) }
                                td { (drawn.answered()) }
                                td.figure { (precise(drawn.invoked())) }
                                td.figure {
                                    @if let Some(time) = drawn.completed() { (precise(time)) }
                                    @else { "–" }
                                }
                                td { (drawn.node().unwrap_or("–")) }
                                td.figure {
                                    @if let Some(term) = drawn.term() { (term) } @else { "–" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// To the microsecond: in the table order must be readable from the figures.
fn precise(time: Time) -> String {
    time.to_string()
}
