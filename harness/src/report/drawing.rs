//! A few operations in a drawing that shows which came first.
//!
//! The drawing keeps the order of all beginnings and ends, which is what decides, and the overlap
//! that follows from it. Distances are compressed: a millisecond and ten seconds must fit on one
//! line, and each operation is labelled with its exact time.

use super::RunView;
use super::fault::{Band, bands, levels};
use super::figure::{at, float, length};
use super::operation::{Drawn, Ending};
use super::table::class_of;
use maud::{Markup, html};
use ordeal_checker::history::Time;
use std::collections::BTreeMap;

/// How many operations are drawn.
const DRAWN_MAX: usize = 16;

/// One operation and its part: a witness, or what happened around it.
#[derive(Clone, Copy)]
pub(super) struct Cast<'a> {
    pub(super) drawn: Drawn<'a>,
    pub(super) witness: bool,
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

/// These operations, one below the other, under the faults of their time.
pub(super) fn drawing(run: &RunView<'_>, cast: &[Cast<'_>]) -> Markup {
    let shown = &cast[..cast.len().min(DRAWN_MAX)];
    let times = shown
        .iter()
        .flat_map(|Cast { drawn, .. }| [Some(drawn.invoked()), drawn.completed()]);
    let moments = Moments::of(times.flatten());
    html! {
        div.scroll {
            div.drawing {
                (faults(run, &moments))
                @for member in shown { (lane(&moments, member)) }
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
        @if cast.len() > shown.len() {
            p.note { "The first " (shown.len()) " of " (cast.len()) " operations are drawn." }
        }
    }
}

fn percent(place: f64) -> String {
    format!("{place:.2}%")
}

/// The faults that were in force at some of these moments.
fn faults(run: &RunView<'_>, moments: &Moments) -> Markup {
    let mut times = moments.places.keys();
    let Some(first) = times.next() else {
        return html! {};
    };
    let last = times.next_back().unwrap_or(first);
    html! {
        @for (class, bands) in bands(run.faults, (*first, *last)) {
            div.lane.fault {
                div.name { (class) }
                div.track style={ "height:" (levels(&bands) * 22 + 2) "px" } {
                    @for Band { fault, window: (from, to), level } in bands {
                        @let (left, right) = (moments.place(from), moments.place(to));
                        div class={ "bar " (class_of(class)) } title=(fault.label())
                            style={ "left:" (percent(left)) ";width:" (percent(right - left))
                                ";top:" (level * 22 + 3) "px" } { (fault.label()) }
                    }
                }
            }
        }
    }
}

/// One operation: its bar, and beside it what was asked and answered, and where and when.
///
/// An unknown result may have come about at any time after the invocation, whenever its client
/// gave up: its bar does not end.
fn lane(moments: &Moments, Cast { drawn, witness }: &Cast<'_>) -> Markup {
    let from = drawn.invoked();
    let open = drawn.ending() == Ending::Info;
    let to = drawn
        .completed()
        .filter(|_| !open)
        .unwrap_or(Time(u64::MAX));
    let (left, right) = (moments.place(from), moments.place(to));
    // Words stand at the end of the bar that leaves them more room.
    let side = if open || left <= 100.0 - right {
        "left"
    } else {
        "right"
    };
    let place = if side == "left" { left } else { 100.0 - right };
    html! {
        div class={ "lane " @if *witness { "witness" } @else { "around" } } {
            div.name { (drawn.process()) @if let Some(node) = drawn.node() { " at " (node) } }
            div.track {
                div class={ "bar " (drawn.ending().word()) }
                    style={ "left:" (percent(left)) ";width:" (percent(right - left)) } {}
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
