//! The plot of wall clocks: how far each node's was ahead of this machine's.

use super::figure::{millis, thousands};
use super::plot::{HEIGHT, plot};
use crate::run::ClockReading;
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Up to here the scale is linear, and beyond it logarithmic: 10 ms.
const LINEAR_NS: f64 = 10_000_000.0;
/// After so long without a reading a line is broken, in milliseconds.
const GAP_MS: f64 = 1000.0;
/// So many nodes have a colour of their own.
const COLOURS: usize = 5;

/// The plot as a row of the timeline; nothing where no clock was read.
pub(super) fn clock_row(readings: &[ClockReading], span: f64) -> Markup {
    let mut nodes: BTreeMap<&str, Vec<&ClockReading>> = BTreeMap::new();
    for reading in readings {
        nodes.entry(&reading.node).or_default().push(reading);
    }
    if nodes.is_empty() {
        return html! {};
    }
    let all = readings.iter().flat_map(|one| [one.set_ns, one.told_ns]);
    let heights = all.flatten().map(decades);
    let (low, high) = heights.fold((0.0_f64, 0.0_f64), |(low, high), at| {
        (low.min(at), high.max(at))
    });
    let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
    let height = |ns: i64| HEIGHT * (high - decades(ns)) / (high - low);
    let levels: Vec<(f64, String)> = LEVELS_NS
        .iter()
        .flat_map(|ns| [*ns, -ns])
        .chain([0])
        .map(|ns| (height(ns), level(ns)))
        .filter(|(at, _)| (-0.1..=HEIGHT + 0.1).contains(at))
        .collect();
    let told = readings.iter().any(|reading| reading.told_ns.is_some());
    let legend = html! {
        "wall clocks, ahead of this machine's: what stands in each process's memory"
        @if told { ", and thin what its node told" }
        @for (place, node) in nodes.keys().enumerate() {
            " " i class={ "key clock-" (place % COLOURS) } {} " " (node)
        }
    };
    let shapes = html! {
        @for (place, readings) in nodes.values().enumerate() {
            path class={ "line set clock-" (place % COLOURS) }
                d=(line(readings, |one| one.set_ns, height)) {}
            path class={ "line told clock-" (place % COLOURS) }
                d=(line(readings, |one| one.told_ns, height)) {}
        }
    };
    plot(span, &legend, &levels, &shapes)
}

/// Where the scale has a word: powers of ten from 10 ms on, each a step of the scale.
const LEVELS_NS: [i64; 9] = [
    90_000_000,
    990_000_000,
    9_990_000_000,
    99_990_000_000,
    999_990_000_000,
    9_999_990_000_000,
    99_999_990_000_000,
    999_999_990_000_000,
    9_999_999_990_000_000,
];

/// Steps of the scale, with its sign: 1 at 90 ms, 2 at 990 ms, and so on.
#[expect(clippy::cast_precision_loss, reason = "a drawing, not a sum")]
fn decades(ns: i64) -> f64 {
    let ns = ns as f64;
    (1.0 + ns.abs() / LINEAR_NS).log10().copysign(ns)
}

/// `+1 s`, `0`, `-100 ms`.
fn level(ns: i64) -> String {
    let ms = (ns.unsigned_abs() + 10_000_000) / 1_000_000;
    let sign = if ns < 0 { "-" } else { "+" };
    match ms {
        _ if ns == 0 => "0".to_owned(),
        0..1000 => format!("{sign}{ms} ms"),
        _ => format!("{sign}{} s", thousands(ms / 1000)),
    }
}

/// A line through what was read, broken where nothing was.
fn line(
    readings: &[&ClockReading],
    of: impl Fn(&ClockReading) -> Option<i64>,
    height: impl Fn(i64) -> f64,
) -> String {
    let mut path = String::new();
    let mut last = f64::NEG_INFINITY;
    for reading in readings {
        let Some(ns) = of(reading) else { continue };
        let at = millis(reading.time);
        let pen = if at - last > GAP_MS { 'M' } else { 'L' };
        let _ = write!(path, "{pen}{at} {:.2}", height(ns));
        last = at;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html;
    use crate::report::sample::{Sample, assert_well_formed};
    use ordeal_checker::history::Time;

    fn reading(ms: u64, node: &str, set_ns: i64) -> ClockReading {
        ClockReading {
            time: Time(ms * 1_000_000),
            node: node.to_owned(),
            pid: Some(7),
            set_ns: Some(set_ns),
            told_ns: None,
        }
    }

    #[test]
    fn a_scale_holds_milliseconds_and_hours_of_both_signs() {
        assert!(decades(0).abs() < 1e-9);
        for (ns, steps) in [
            (90_000_000, 1.0),
            (-990_000_000, -2.0),
            (9_990_000_000, 3.0),
        ] {
            assert!((decades(ns) - steps).abs() < 1e-9, "{ns}");
        }
        let words = [0, 90_000_000, -990_000_000, 9_999_990_000_000].map(level);
        assert_eq!(words, ["0", "+100 ms", "-1 s", "+10,000 s"]);
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_read() {
        let readings = [0, 50, 100, 2000].map(|ms| reading(ms, "n1", 0));
        let readings: Vec<_> = readings.iter().collect();
        let path = line(&readings, |one| one.set_ns, |_| 1.0);
        assert_eq!(path, "M0 1.00L50 1.00L100 1.00M2000 1.00");
    }

    #[test]
    fn a_page_has_the_plot_where_clocks_were_read() {
        let mut sample = Sample::small();
        assert!(!html(&sample.view()).contains("wall clocks"));
        sample.clocks = vec![
            reading(10, "n1", 3_600_000_000_000),
            reading(20, "<n2>", -5),
        ];
        let page = html(&sample.view());
        assert_well_formed(&page);
        assert!(page.contains("wall clocks") && page.contains("+10,000 s"));
        assert!(!page.contains("NaN") && !page.contains("<n2>"));
    }
}
