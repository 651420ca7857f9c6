//! What is wrong, explained: for every anomaly a box with its words, its operations in a drawing,
//! and the same operations as a table.
//!
//! The drawing keeps the order of all beginnings and ends, which is what decides, and the overlap
//! that follows from it. Distances are compressed: a millisecond and ten seconds must fit on one
//! line, and each moment is labelled with its exact time.

use super::figure::{at, count, float, length, millis, thousands};
use super::operation::Drawn;
use super::sentence::{anomalies, kind};
use super::table::class_of;
use super::{FaultView, RunView};
use maud::{Markup, html};
use ordeal_checker::history::Time;
use ordeal_checker::verdict::{Anomaly, Validity};
use std::collections::BTreeMap;

/// How many anomalies are told; `verdict.json` has the others.
pub(super) const TOLD_MAX: usize = 20;
/// How many operations of one anomaly are drawn.
const DRAWN_MAX: usize = 16;

/// All anomalies, worst first.
pub(super) fn anomalies_section(run: &RunView<'_>, operations: &[Drawn<'_>]) -> Markup {
    let all = anomalies(run.verdict);
    if all.is_empty() {
        return html! {};
    }
    html! {
        section #anomalies {
            h2 { @if all.len() == 1 { "The anomaly" } @else { "The anomalies" } }
            @for (place, (axis, validity, anomaly)) in all.iter().enumerate().take(TOLD_MAX) {
                (anomaly_box(run, operations, place + 1, axis, *validity, anomaly))
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
    axis: &str,
    validity: Validity,
    anomaly: &Anomaly,
) -> Markup {
    let witnesses = events_of(anomaly, operations);
    html! {
        article class={ "anomaly " (validity) } id={ "anomaly-" (number) } {
            h3 {
                span.number { (number) } " " (kind(anomaly))
                @if let Some(key) = &anomaly.key { " on " code { (key) } }
                " " span class={ "badge " (validity) } { (axis) }
            }
            p.message { (anomaly.message) }
            @if !witnesses.is_empty() {
                (drawing(run.faults, run.end(), &witnesses))
                (look_button(&witnesses))
                (table(&witnesses))
            }
        }
    }
}

/// The operations that an anomaly names, in order of invocation.
pub(super) fn events_of<'a>(anomaly: &Anomaly, operations: &[Drawn<'a>]) -> Vec<Drawn<'a>> {
    let named = |drawn: &&Drawn<'a>| anomaly.events.contains(&drawn.invocation.index);
    operations.iter().filter(named).copied().collect()
}

/// Where each moment stands, in percent of the width; time between moments is compressed.
struct Moments {
    places: BTreeMap<Time, f64>,
}

impl Moments {
    /// From the moments that must be told apart.
    fn of(times: impl IntoIterator<Item = Time>) -> Self {
        let mut places: BTreeMap<Time, f64> = times.into_iter().map(|time| (time, 0.0)).collect();
        let mut last: Option<Time> = None;
        let mut place = 0.0;
        for (time, at) in &mut places {
            if let Some(last) = last {
                place += width(time.0 - last.0);
            }
            *at = place;
            last = Some(*time);
        }
        // A margin on both sides: faults begin before the first and end after the last.
        let whole = if place > 0.0 { place } else { 1.0 };
        for at in places.values_mut() {
            *at = 4.0 + *at / whole * 88.0;
        }
        Moments { places }
    }

    /// The place of any time: in proportion between its neighbours, at the edge beyond them.
    fn place(&self, time: Time) -> f64 {
        let before = self.places.range(..=time).next_back();
        let after = self.places.range(time..).next();
        match (before, after) {
            (None, _) => 0.0,
            (_, None) => 100.0,
            (Some((a, left)), Some((b, right))) if a < b => {
                left + (right - left) * float(time.0 - a.0) / float(b.0 - a.0)
            }
            (Some((_, place)), _) => *place,
        }
    }
}

/// A longer time is wider, but ten times longer is not ten times wider.
fn width(nanos: u64) -> f64 {
    1.0 + (1.0 + float(nanos) / 100_000.0).log10()
}

fn drawing(faults: &[FaultView], end: Time, witnesses: &[Drawn<'_>]) -> Markup {
    let shown = &witnesses[..witnesses.len().min(DRAWN_MAX)];
    let times = shown
        .iter()
        .flat_map(|drawn| [Some(drawn.invoked()), drawn.completed()]);
    let moments = Moments::of(times.flatten());
    let first = shown[0].invoked();
    let last = *moments
        .places
        .keys()
        .next_back()
        .expect("every operation has an invocation");
    let active = faults
        .iter()
        .filter_map(|fault| Some((fault, fault.window(end)?)));
    let active: Vec<_> = active
        .filter(|(_, (from, to))| *from <= last && *to >= first)
        .collect();
    html! {
        figure {
            div.scroll {
                div.drawing {
                    @for (fault, window) in active {
                        div.lane.fault {
                            div.name { (fault.class) }
                            div.track {
                                (bar(&moments, window, class_of(&fault.class), &fault.label()))
                            }
                        }
                    }
                    @for drawn in shown { (lane(&moments, drawn)) }
                    div.lane.moments {
                        div.name {}
                        div.track {
                            @for (time, place) in &moments.places {
                                i style={ "left:" (percent(*place)) } title=(at(*time)) {}
                            }
                        }
                    }
                }
            }
            figcaption {
                "A bar is one operation, from the moment a client asked to the moment it heard \
                 back; it took effect at one instant in between. Where two bars do not overlap, \
                 the left one came first. Distances are compressed; the times are exact."
                @if witnesses.len() > shown.len() {
                    " The first " (shown.len()) " of " (witnesses.len()) " are drawn."
                }
            }
        }
    }
}

fn percent(place: f64) -> String {
    format!("{place:.2}%")
}

fn bar(moments: &Moments, (from, to): (Time, Time), class: &str, words: &str) -> Markup {
    let (left, right) = (moments.place(from), moments.place(to));
    html! {
        div class={ "bar " (class) } title=(words)
            style={ "left:" (percent(left)) ";width:" (percent(right - left)) } { (words) }
    }
}

/// One operation: its bar, and beside it what was asked and answered, and where and when.
fn lane(moments: &Moments, drawn: &Drawn<'_>) -> Markup {
    let from = drawn.invoked();
    let to = drawn.completed();
    let window = (from, to.unwrap_or(Time(u64::MAX)));
    let (left, right) = (moments.place(window.0), moments.place(window.1));
    let ending = drawn.ending().word();
    // Words stand at the side of the bar where there is more room for them.
    let (side, place) = if left <= 100.0 - right {
        ("left", left)
    } else {
        ("right", 100.0 - right)
    };
    html! {
        div.lane {
            div.name { (drawn.process()) @if let Some(node) = drawn.node() { " at " (node) } }
            div.track {
                (bar(moments, window, ending, ""))
                div.words style={ (side) ":" (percent(place)) } {
                    strong { (drawn.asked()) " → " (drawn.answered()) }
                    " " span.note {
                        (at(from))
                        @if let Some(latency) = drawn.latency() { " + " (length(latency)) }
                        @if let Some(term) = drawn.term() { " · term " (term) }
                    }
                }
            }
        }
    }
}

/// Zooms the timeline to these operations, with as much again on both sides.
fn look_button(witnesses: &[Drawn<'_>]) -> Markup {
    let first = witnesses
        .iter()
        .map(Drawn::invoked)
        .min()
        .map_or(0.0, millis);
    let last = witnesses
        .iter()
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
fn table(witnesses: &[Drawn<'_>]) -> Markup {
    html! {
        details {
            summary { (count(witnesses.len() as u64, "operation")) " as a table" }
            div.scroll {
                table {
                    thead { tr {
                        th { "event" } th { "process" } th { "asked" } th { "answered" }
                        th { "from" } th { "to" } th { "node" } th { "term" }
                    } }
                    tbody {
                        @for drawn in witnesses {
                            tr {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_keep_their_order_and_stay_on_the_page() {
        let times = [5, 6, 1_000, 1_001, 30_000_000_000].map(Time);
        let moments = Moments::of(times);
        let places: Vec<f64> = times.iter().map(|time| moments.place(*time)).collect();
        assert!(
            places.is_sorted() && places[0] >= 0.0 && places[4] <= 100.0,
            "{places:?}"
        );
        assert!(
            places.windows(2).all(|pair| pair[1] - pair[0] > 1.0),
            "{places:?}"
        );
        assert_eq!(moments.place(Time(0)), 0.0);
        assert_eq!(moments.place(Time(u64::MAX)), 100.0);
        let between = moments.place(Time(15_000_000_000));
        assert!(between > places[3] && between < places[4], "{between}");
    }

    #[test]
    fn one_moment_alone_has_a_place() {
        let place = Moments::of([Time(7)]).place(Time(7));
        assert!((0.0..=100.0).contains(&place), "{place}");
    }
}
