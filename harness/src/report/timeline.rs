//! The timeline: everything that happened, on one real time axis.
//!
//! ```text
//!               0 s        5 s        10 s
//!   anomalies                  1
//!   kill              ▆▆▆▆▆▆                     a band a fault; its proof in the tooltip
//!   n1          ━━ leads t1 ━┅┅┅┅┅┅──────────    who led, who was silent, who was hit
//!   client 1    ▪▪ ▪▪▪ ▪ ▪▪▪▪▪▪ ▪▪▪▪ ▪▪ ▪▪▪▪▪    a box an operation, coloured by its outcome
//!   ops/s       ▂▃▅▅▅▂▁▁▃▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅
//!   latency     ──────╱‾‾╲─────────────────
//!   clocks      ────────┌───┐──────────────    how far each is ahead, where faults made it wrong
//! ```
//!
//! Boxes are shapes in a few paths, one for each lane and outcome, in milliseconds: the browser
//! stretches them to whatever window is looked at. Words are HTML and keep their size.

use super::anomaly::events_of;
use super::clock::clock_row;
use super::fault::{Band, Window, bands, levels};
use super::figure::{at, millis, nice, thousands};
use super::lane::{OPERATIONS_TOLD_MAX, client_rows, record};
use super::operation::Drawn;
use super::plot::plot_rows;
use super::sentence::anomalies;
use super::table::class_of;
use super::{FaultView, RunView};
use maud::{Markup, html};
use ordeal_checker::history::Time;
use std::collections::BTreeSet;

/// Height of one band of a fault, in pixels.
const BAND: usize = 20;

/// The timeline with its legend.
pub(super) fn timeline_section(run: &RunView<'_>, operations: &[Drawn<'_>]) -> Markup {
    let end = run.end();
    // A little room at the end, for marks that stand there.
    let span = (millis(end) * 1.01).ceil().max(1.0);
    html! {
        section #timeline {
            h2 { "Timeline" }
            @if operations.is_empty() {
                p { "No operation was recorded." }
            } @else {
                (legend(operations.len()))
            }
            @if end > Time(0) {
                div.scroll {
                    div.timeline data-span=(span) style={ "--t0:0;--w:" (span) } {
                        (underlay(run, span))
                        (axis_row(span))
                        (phase_row(operations, end))
                        (anomaly_row(run, operations))
                        (fault_rows(run.faults, end))
                        (node_rows(run, end))
                        (client_rows(operations, &witnesses(run), span))
                        (plot_rows(operations, span))
                        (clock_row(run.clocks, span))
                        (axis_row(span))
                    }
                }
                (record(operations, span))
            }
        }
    }
}

fn legend(operations: usize) -> Markup {
    html! {
        p.legend {
            span.item { span.swatch.ok {} "ok: it happened" }
            span.item { span.swatch.fail {} "fail: it certainly did not happen" }
            span.item { span.swatch.info {} "info: nobody knows whether it happened" }
            span.item { span.swatch.leads {} "leads" }
            span.item { span.swatch.silent {} "no answer" }
            span.zoom hidden {
                button type="button" data-zoom="in" { "zoom in" }
                button type="button" data-zoom="out" { "zoom out" }
                button type="button" data-zoom="left" aria-label="earlier" { "◀" }
                button type="button" data-zoom="right" aria-label="later" { "▶" }
                button type="button" data-zoom="all" { "whole run" }
                span.note { "or drag over a stretch of time" }
            }
        }
        @if operations > OPERATIONS_TOLD_MAX {
            p.note {
                (thousands(operations as u64)) " operations: neighbours are drawn as one. "
                code { "history.jsonl" } " has each."
            }
        }
    }
}

/// A row: its name in the margin, and a track of that height over the whole time.
pub(super) fn row(class: &str, name: &str, height: usize, track: &Markup) -> Markup {
    html! {
        div class={ "row " (class) } {
            div.name title=(name) { (name) }
            div.track style={ "height:" (height) "px" } { (track) }
        }
    }
}

/// A stretch of time on the axis.
fn stretch((from, to): Window) -> String {
    format!("--a:{};--b:{}", millis(from), millis(to))
}

/// Behind everything: a line a tick, and a tint wherever a fault was in force.
fn underlay(run: &RunView<'_>, span: f64) -> Markup {
    let windows = run
        .faults
        .iter()
        .filter_map(|fault| Some((fault, fault.window(run.end())?)));
    html! {
        div.under aria-hidden="true" {
            @for (fault, window) in windows {
                i class={ "tint " (class_of(&fault.class)) } style=(stretch(window)) {}
            }
            div.ticks { @for tick in ticks(span) { i.line style={ "--a:" (tick) } {} } }
        }
    }
}

/// The ticks of a span, in milliseconds, about ten of them.
fn ticks(span: f64) -> Vec<f64> {
    let step = nice(span / 12.0);
    let steps = std::iter::successors(Some(0.0), |tick| Some(tick + step));
    steps.take_while(|tick| *tick <= span).collect()
}

fn axis_row(span: f64) -> Markup {
    let ticks = html! {
        div.ticks {
            // The words of a tick at the very end would be cut off.
            @for tick in ticks(span).into_iter().filter(|tick| *tick < span * 0.97) {
                span.tick style={ "--a:" (tick) } { (tick / 1000.0) " s" }
            }
        }
    };
    row("axis", "", 20, &ticks)
}

/// From the first operation of each phase to the first one of the next.
fn phase_row(operations: &[Drawn<'_>], end: Time) -> Markup {
    let mut phases: Vec<(&str, Time)> = Vec::new();
    for operation in operations {
        let phase = operation.phase().unwrap_or("main");
        if phases.iter().all(|(known, _)| *known != phase) {
            phases.push((phase, operation.invoked()));
        }
    }
    let ends = phases.iter().skip(1).map(|(_, start)| *start).chain([end]);
    row(
        "phases",
        "phase",
        BAND,
        &html! {
            @for ((phase, start), end) in phases.iter().zip(ends) {
                div.phase style=(stretch((*start, end))) title=(phase) { (phase) }
            }
        },
    )
}

/// The invocations that some anomaly names.
fn witnesses(run: &RunView<'_>) -> BTreeSet<u64> {
    let all = anomalies(run.verdict).into_iter();
    all.flat_map(|(_, _, anomaly)| anomaly.events.iter().copied())
        .collect()
}

/// A mark where the last witness of each anomaly completed.
fn anomaly_row(run: &RunView<'_>, operations: &[Drawn<'_>]) -> Markup {
    let all = anomalies(run.verdict);
    let marks = all
        .iter()
        .enumerate()
        .filter_map(|(number, (_, _, anomaly))| {
            let witnesses = events_of(anomaly, operations);
            let last = witnesses
                .iter()
                .map(|drawn| drawn.completed().unwrap_or(drawn.invoked()));
            Some((number + 1, anomaly, last.max()?))
        });
    let marks: Vec<_> = marks.take(super::anomaly::TOLD_MAX).collect();
    if marks.is_empty() {
        return html! {};
    }
    let marks = html! {
        @for (number, anomaly, time) in marks {
            a.mark href={ "#anomaly-" (number) } style={ "--a:" (millis(time)) }
                title={ (at(time)) ": " (anomaly.message) } { (number) }
        }
    };
    row("anomalies", "anomalies", BAND, &marks)
}

/// One row for each class, as many bands high as faults of it overlap.
fn fault_rows(faults: &[FaultView], end: Time) -> Markup {
    html! {
        @for (class, bands) in bands(faults, (Time(0), end)) {
            (row("fault", class, levels(&bands) * BAND, &html! {
                @for Band { fault, window, level } in bands {
                    div class={ "band " (class_of(&fault.class)) " " (fault.status.word()) }
                        style={ (stretch(window)) ";--level:" (level) }
                        title=(told(fault, window)) tabindex="0" { (fault.label()) }
                }
            }))
        }
    }
}

fn told(fault: &FaultView, (from, to): Window) -> String {
    format!(
        "{}\n{} – {}\n{}: {}",
        fault.label(),
        at(from),
        at(to),
        fault.status.word(),
        fault.evidence
    )
}

/// One row for each node: what it said of itself, and what was done to it.
fn node_rows(run: &RunView<'_>, end: Time) -> Markup {
    html! {
        @for node in run.nodes {
            (row("node", &node.name, 26, &html! {
                @for (window, role, term) in stretches(run, &node.name, end) {
                    @let words = words_of(role, term);
                    div class={ "role " (class_of_role(role)) } style=(stretch(window))
                        title={ (node.name) ": " (words) "\n" (at(window.0)) " – " (at(window.1)) }
                        { (words) }
                }
                @for fault in run.faults.iter().filter(|fault| fault.nodes.contains(&node.name)) {
                    @if let Some(window) = fault.window(end) {
                        i class={ "hit " (class_of(&fault.class)) } style=(stretch(window))
                            title=(told(fault, window)) {}
                    }
                }
                @for (time, how) in &node.unplanned_deaths {
                    i.died style={ "--a:" (millis(*time)) }
                        title={ (node.name) " died at " (at(*time)) ": " (how) } { "✕" }
                }
            }))
        }
    }
}

fn words_of(role: &str, term: Option<u64>) -> String {
    match (role, term) {
        ("leader", Some(term)) => format!("leads term {term}"),
        (role, Some(term)) => format!("{role}, term {term}"),
        (role, None) => role.to_owned(),
    }
}

fn class_of_role(role: &str) -> &'static str {
    match role {
        "leader" => "leads",
        "silent" => "silent",
        "candidate" | "pre_candidate" => "stands",
        _ => "follows",
    }
}

/// What a node said of itself, and for how long it stayed so.
fn stretches<'a>(run: &RunView<'a>, node: &str, end: Time) -> Vec<(Window, &'a str, Option<u64>)> {
    let seen: Vec<_> = run
        .observations
        .iter()
        .filter(|seen| seen.node == node)
        .collect();
    let until = |place: usize| seen.get(place + 1).map_or(end, |next| next.time);
    let stretch = seen.iter().enumerate();
    stretch
        .map(|(place, seen)| ((seen.time, until(place)), seen.role.as_str(), seen.term))
        .collect()
}
