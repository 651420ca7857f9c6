//! The plots under the timeline: operations per second, and how long answers took.

use super::figure::{float, length, millis, nice, thousands};
use super::operation::{Drawn, Ending};
use super::timeline::row;
use maud::{Markup, html};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// About so many steps fit on a screen and can still be told apart.
const STEPS: f64 = 120.0;
pub(super) const HEIGHT: f64 = 100.0;

/// Counts and latencies over time, in steps of equal length.
#[derive(Debug)]
pub(super) struct Series {
    /// Length of a step in milliseconds.
    step: f64,
    /// Completions in each step: ok, fail, info.
    counts: Vec<[u64; 3]>,
    /// Median and 99th percentile of the latency of `ok` in each step, in nanoseconds.
    latencies: Vec<Option<[u64; 2]>>,
}

/// The series of a run of `span` milliseconds.
pub(super) fn series(operations: &[Drawn<'_>], span: f64) -> Series {
    let step = nice((span / STEPS).max(50.0));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small, positive"
    )]
    let place = |at: f64| (at / step) as usize;
    let steps = place(span) + 1;
    let mut counts = vec![[0; 3]; steps];
    let mut waits: Vec<Vec<u64>> = vec![Vec::new(); steps];
    for operation in operations {
        // Reading everything at the end would dwarf the load that the plot is about.
        let aside = matches!(operation.phase(), Some("recovery" | "final"));
        let Some(completed) = operation.completed().filter(|_| !aside) else {
            continue;
        };
        let place = place(millis(completed)).min(steps - 1);
        counts[place][operation.ending() as usize] += 1;
        if operation.ending() == Ending::Ok {
            waits[place].extend(operation.latency());
        }
    }
    let latencies = waits.into_iter().map(|mut waits| {
        waits.sort_unstable();
        let last = waits.len().checked_sub(1)?;
        Some([waits[last / 2], waits[last * 99 / 100]])
    });
    Series {
        step,
        latencies: latencies.collect(),
        counts,
    }
}

impl Series {
    fn per_second(&self, count: u64) -> f64 {
        float(count) * 1000.0 / self.step
    }

    /// For the tooltips.
    pub(super) fn to_json(&self) -> Value {
        let latencies = self
            .latencies
            .iter()
            .map(|step| step.map(|both| both.map(length)));
        json!({
            "step": self.step,
            "counts": self.counts,
            "latencies": latencies.collect::<Vec<_>>(),
        })
    }
}

/// Both plots as rows of the timeline.
pub(super) fn plot_rows(operations: &[Drawn<'_>], span: f64) -> Markup {
    if operations.is_empty() {
        return html! {};
    }
    let series = series(operations, span);
    html! { (throughput(&series, span)) (latency(&series, span)) }
}

/// A plot: its legend above, levels in the margin, and shapes in milliseconds by [`HEIGHT`].
pub(super) fn plot(
    span: f64,
    legend: &Markup,
    levels: &[(f64, String)],
    shapes: &Markup,
) -> Markup {
    let track = html! {
        div.title { (legend) }
        @for (height, words) in levels {
            div.level style={ "top:" (format!("{height:.1}")) "%" } { (words) }
        }
        svg viewBox={ "0 0 " (span) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" {
            (shapes)
        }
    };
    row("plot", "", 110, &track)
}

/// Completions per second, stacked: ok below, then fail, then info.
fn throughput(series: &Series, span: f64) -> Markup {
    let totals = series.counts.iter().map(|counts| counts.iter().sum());
    let most = series.per_second(totals.max().unwrap_or(0)).max(1.0);
    let level = nice(most / 3.0);
    let most = (most / level).ceil() * level;
    let mut paths = [const { String::new() }; 3];
    for (place, counts) in series.counts.iter().enumerate() {
        let mut base = HEIGHT;
        for (path, count) in paths.iter_mut().zip(counts) {
            let height = series.per_second(*count) / most * HEIGHT;
            if *count > 0 {
                let left = float(place as u64) * series.step;
                let width = series.step.min(span - left);
                let _ = write!(
                    path,
                    "M{left} {base:.2}h{width:.2}v{:.2}h-{width:.2}z",
                    -height
                );
            }
            base -= height;
        }
    }
    let levels = std::iter::successors(Some(level), |above| Some(above + level));
    let levels = levels.take_while(|above| *above <= most * 1.001);
    let levels: Vec<_> = levels
        .map(|above| (HEIGHT * (1.0 - above / most), above.to_string()))
        .collect();
    let legend =
        html! { "operations completed per second, without those of recovery and final reads" };
    let shapes = html! {
        @for (ending, path) in Ending::ALL.iter().zip(paths) {
            @if !path.is_empty() { path class={ "bars " (ending.word()) } d=(path) {} }
        }
    };
    plot(span, &legend, &levels, &shapes)
}

/// The bottom of the logarithmic scale of latencies: 0.1 ms.
const LATENCY_MIN: u64 = 100_000;

/// Median and 99th percentile of the operations that were `ok`.
fn latency(series: &Series, span: f64) -> Markup {
    let all = series.latencies.iter().flatten();
    let worst = all.map(|[_, p99]| *p99).max().unwrap_or(0);
    let decades = decades_above(worst).ceil().max(1.0);
    let height = |nanos: u64| HEIGHT * (1.0 - decades_above(nanos) / decades);
    let levels = (0..).map_while(|power| LATENCY_MIN.checked_mul(10_u64.pow(power)));
    let levels: Vec<(f64, String)> = levels
        .map(|level| (height(level), short(level)))
        .take_while(|(height, _)| *height > -1.0)
        .collect();
    let legend = html! {
        "answers that were ok: " i.key.p50 {} " half within, " i.key.p99 {} " 99 % within"
    };
    let shapes = html! {
        path.line.p99 d=(stairs(series, |[_, p99]| height(p99), span)) {}
        path.line.p50 d=(stairs(series, |[p50, _]| height(p50), span)) {}
    };
    plot(span, &legend, &levels, &shapes)
}

/// How many powers of ten a latency is above the bottom of the scale.
fn decades_above(nanos: u64) -> f64 {
    (float(nanos.max(LATENCY_MIN)) / float(LATENCY_MIN)).log10()
}

/// A line that is level within each step, and broken where nothing was answered.
fn stairs(series: &Series, height: impl Fn([u64; 2]) -> f64, span: f64) -> String {
    let mut path = String::new();
    let mut pen = 'M';
    for (place, step) in series.latencies.iter().enumerate() {
        let left = float(place as u64) * series.step;
        let right = (left + series.step).min(span);
        if let Some(both) = step {
            let _ = write!(path, "{pen}{left} {:.2}H{right:.2}", height(*both));
        }
        pen = if step.is_some() { 'L' } else { 'M' };
    }
    path
}

/// `0.1 ms`, `10 ms`, `1 s`.
fn short(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("0.{} ms", nanos / 100_000),
        1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        _ => format!("{} s", thousands(nanos / 1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::operation::pair;
    use crate::report::sample::{Sample, completion, invocation};
    use ordeal_checker::history::EventKind;

    #[test]
    fn every_completion_is_counted_once() {
        let sample = Sample::large(5_000);
        let operations = pair(&sample.history);
        let counts = series(&operations, millis(sample.view().end())).counts;
        let total = |ending: Ending| counts.iter().map(|step| step[ending as usize]).sum::<u64>();
        let kinds = &sample.verdict.operations;
        assert_eq!(
            [total(Ending::Ok), total(Ending::Fail), total(Ending::Info)],
            [kinds.ok, kinds.fail, kinds.info]
        );
    }

    #[test]
    fn a_step_without_an_answer_has_no_latency() {
        let history = [
            invocation(0, 1, "read", 0),
            completion(1, 1, EventKind::Ok, 2_000_000),
            invocation(2, 1, "read", 150_000_000),
            completion(3, 1, EventKind::Info, 199_000_000),
        ];
        let series = series(&pair(&history), 200.0);
        assert_eq!(series.latencies[0], Some([2_000_000, 2_000_000]));
        assert!(series.latencies[1..].iter().all(Option::is_none));
    }

    #[test]
    fn levels_are_told_in_round_figures() {
        assert_eq!(
            [100_000, 10_000_000, 1_000_000_000].map(short),
            ["0.1 ms", "10 ms", "1 s"]
        );
    }
}
