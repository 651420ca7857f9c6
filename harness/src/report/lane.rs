//! Every operation of every client as a box in the lane of its worker.

use super::figure::millis;
use super::operation::{Drawn, Ending, lanes};
use super::plot::series;
use super::timeline::row;
use maud::{Markup, PreEscaped, html};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Above this, operations that touch on the screen are drawn as one, and the page does not carry
/// the words of each.
pub(super) const OPERATIONS_TOLD_MAX: usize = 25_000;
/// More lanes than an eye can follow: further ones are laid over the first.
const LANES_MAX: usize = 64;
/// How many boxes a lane has room for.
const LANE_BOXES_MAX: f64 = 1_500.0;

/// One row for each lane of clients; the witnesses of an anomaly stand out.
pub(super) fn client_rows(
    operations: &[Drawn<'_>],
    witnesses: &BTreeSet<u64>,
    span: f64,
) -> Markup {
    let (lanes, count) = lanes(operations);
    let mut rows: Vec<Lane> = (0..count.min(LANES_MAX)).map(|_| Lane::default()).collect();
    let crowded = operations.len() > OPERATIONS_TOLD_MAX;
    let gap = if crowded { span / LANE_BOXES_MAX } else { 0.0 };
    for (operation, lane) in operations.iter().zip(&lanes) {
        let from = millis(operation.invoked());
        let to = operation.completed().map_or(span, millis);
        let lane = &mut rows[lane % LANES_MAX];
        lane.outcomes[operation.ending() as usize].add(from, to, gap);
        if witnesses.contains(&operation.invocation.index) {
            lane.witnesses.add(from, to, gap);
        }
    }
    html! {
        @for (number, lane) in rows.into_iter().enumerate() {
            (row("client", &format!("client {}", number + 1), 12, &lane.drawn(number, span)))
        }
    }
}

/// What one worker did.
#[derive(Default)]
struct Lane {
    outcomes: [Boxes; 3],
    witnesses: Boxes,
}

impl Lane {
    fn drawn(self, number: usize, span: f64) -> Markup {
        let outcomes = Ending::ALL.iter().map(|ending| ending.word());
        let paths = outcomes
            .zip(self.outcomes)
            .chain([("witness", self.witnesses)]);
        html! {
            svg viewBox={ "0 0 " (span) " 10" } preserveAspectRatio="none" data-lane=(number)
                aria-hidden="true" {
                @for (class, boxes) in paths {
                    @let path = boxes.finish();
                    @if !path.is_empty() { path class=(class) d=(path) {} }
                }
            }
        }
    }
}

/// The boxes of one lane and outcome as one SVG path; those closer than `gap` become one.
#[derive(Default)]
struct Boxes {
    path: String,
    last: Option<(f64, f64)>,
}

impl Boxes {
    fn add(&mut self, from: f64, to: f64, gap: f64) {
        match &mut self.last {
            Some((_, until)) if gap > 0.0 && from - *until < gap => *until = until.max(to),
            _ => {
                self.flush();
                self.last = Some((from, to));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((from, to)) = self.last.take() {
            let width = ((to - from) * 100.0).round() / 100.0;
            let _ = write!(self.path, "M{from} 1v8h{width}v-8z");
        }
    }

    fn finish(mut self) -> String {
        self.flush();
        self.path
    }
}

/// What the tooltips tell, as JSON: without scripts nobody misses it.
pub(super) fn record(operations: &[Drawn<'_>], span: f64) -> Markup {
    let (lanes, count) = lanes(operations);
    let mut told: Vec<Vec<_>> = vec![Vec::new(); count.min(LANES_MAX)];
    if operations.len() <= OPERATIONS_TOLD_MAX {
        for (drawn, lane) in operations.iter().zip(lanes) {
            let to = drawn.completed().map_or(span, millis);
            let place = match (drawn.node(), drawn.term()) {
                (Some(node), Some(term)) => format!("{node} t{term}"),
                (node, _) => node.unwrap_or_default().to_owned(),
            };
            told[lane % LANES_MAX].push(json!([
                millis(drawn.invoked()),
                ((to - millis(drawn.invoked())) * 100.0).round() / 100.0,
                drawn.ending() as u8,
                drawn.process().0,
                format!("{} → {}", drawn.asked(), drawn.answered()),
                place,
            ]));
        }
    }
    let record = json!({ "lanes": told, "series": series(operations, span).to_json() });
    // Within a script only `<` could end it.
    let record = record.to_string().replace('<', "\\u003c");
    html! { script #record type="application/json" { (PreEscaped(record)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_box_only_where_it_is_crowded() {
        let path = |gap: f64| {
            let mut boxes = Boxes::default();
            for from in [0.0, 10.0, 100.0] {
                boxes.add(from, from + 9.5, gap);
            }
            boxes.finish()
        };
        assert_eq!(path(0.0).matches('M').count(), 3);
        assert_eq!(path(1.0), "M0 1v8h19.5v-8zM100 1v8h9.5v-8z");
    }
}
