//! The tables: faults, nodes, and what the run was made of.

use super::figure::{at, count, length, thousands};
use super::{FaultStatus, FaultView, NodeView, RunView};
use maud::{Markup, html};
use ordeal_checker::history::Time;
use ordeal_nemesis::scenario::{StepEvent, StepWhat};

/// What became of each step of a scenario; nothing where there was none.
pub(super) fn steps_section(steps: &[StepEvent]) -> Markup {
    let over = steps.iter().filter(|event| event.what != StepWhat::Begun);
    html! {
        @if !steps.is_empty() {
            section #scenario {
                h2 { "Scenario" }
                div.scroll {
                    table {
                        thead { tr {
                            th { "at" } th { "step" } th { "" } th { "was" } th { "seen" }
                        } }
                        tbody { @for event in over {
                            tr {
                                td.figure { (at(Time(event.time_ns))) }
                                td.figure { (event.step) }
                                td { (event.text) }
                                td { (outcome(event.what)) }
                                td { (event.message) }
                            }
                        } }
                    }
                }
            }
        }
    }
}

fn outcome(what: StepWhat) -> Markup {
    let (class, word) = match what {
        StepWhat::Begun | StepWhat::Met => ("valid", "met"),
        StepWhat::Missed => ("unknown", "missed"),
        StepWhat::Failed => ("invalid", "failed"),
    };
    html! { span class={ "answer " (class) } { (word) } }
}

/// What was planned, what became of it, and the proof.
pub(super) fn faults_section(faults: &[FaultView]) -> Markup {
    let unproven = faults
        .iter()
        .filter(|fault| fault.status != FaultStatus::Proven)
        .count();
    html! {
        section #faults {
            h2 { "Faults" }
            @if faults.is_empty() {
                p { "No fault was planned: this run says nothing about how the cluster fails." }
            } @else {
                p.note {
                    "A fault counts only when it is proven. "
                    @if unproven == 0 { "All " (faults.len()) " are." } @else {
                        (count(unproven as u64, "fault")) " of " (faults.len()) " could not be."
                    }
                }
                div.scroll {
                    table {
                        thead { tr {
                            th { "planned" } th { "fault" } th { "began" } th { "lasted" }
                            th { "status" } th { "evidence" }
                        } }
                        tbody { @for fault in faults { (fault_row(fault)) } }
                    }
                }
            }
        }
    }
}

fn fault_row(fault: &FaultView) -> Markup {
    let lasted = match (fault.installed, fault.healed) {
        (Some(installed), Some(healed)) => length(healed.0.saturating_sub(installed.0)),
        (Some(_), None) => "never healed".into(),
        (None, _) => "–".into(),
    };
    html! {
        tr {
            td.figure { (at(fault.planned)) }
            td { span class={ "swatch " (class_of(&fault.class)) } {} (fault.label()) }
            td.figure { (fault.installed.map_or("–".into(), at)) }
            td.figure { (lasted) }
            td {
                span class={ "answer " @if fault.status == FaultStatus::Proven { "valid" }
                    @else { "unknown" } } { (fault.status.word()) }
            }
            td { (fault.evidence) }
        }
    }
}

/// The class in the page's style: the known ones have a colour each, all others share one.
pub(super) fn class_of(fault_class: &str) -> &'static str {
    match fault_class {
        "kill" => "kill",
        "pause" => "pause",
        "stop" => "stop",
        "crash-loop" => "crash-loop",
        "kill-starting" => "kill-starting",
        "slow-cpu" => "slow-cpu",
        "memory" => "memory",
        "partition" => "partition",
        "packet" => "packet",
        "power-loss" => "power-loss",
        "disk" => "disk",
        "damage" => "damage",
        "clock" => "clock",
        "membership" => "membership",
        "admin" => "admin",
        _ => "other",
    }
}

/// Every node: how often it was started again, how it ended unasked, its last words.
pub(super) fn nodes_section(run: &RunView<'_>) -> Markup {
    html! {
        section #nodes {
            h2 { "Nodes" }
            @if run.nodes.is_empty() { p { "No node was started." } }
            @else {
                div.scroll {
                    table {
                        thead { tr {
                            th { "node" } th { "restarts" } th { "unplanned deaths" }
                            th { "last seen as" }
                        } }
                        tbody { @for node in run.nodes { (node_row(run, node)) } }
                    }
                }
                @for node in run.nodes {
                    @if !node.log_tail.is_empty() {
                        details {
                            summary { "Last lines of the log of " (node.name) }
                            pre { (node.log_tail) }
                        }
                    }
                }
            }
        }
    }
}

fn node_row(run: &RunView<'_>, node: &NodeView) -> Markup {
    let last = run.observations.iter().rfind(|seen| seen.node == node.name);
    html! {
        tr {
            td { (node.name) }
            td.figure { (thousands(node.restarts)) }
            td {
                @if node.unplanned_deaths.is_empty() { "none" }
                @for (time, how) in &node.unplanned_deaths {
                    p.death { (at(*time)) ": " (how) }
                }
            }
            td {
                @if let Some(seen) = last {
                    (seen.role)
                    @if let Some(term) = seen.term { ", term " (term) }
                } @else { "–" }
            }
        }
    }
}

/// What the run was made of, down to the plan, word for word.
pub(super) fn facts_section(run: &RunView<'_>) -> Markup {
    let verdict = run.verdict;
    let timing = &verdict.timing;
    let ms = |ms: u64| length(ms.saturating_mul(1_000_000));
    let recovery = timing.recovery_ms.map_or("not seen".into(), ms);
    let rows = [
        ("run", verdict.run.clone()),
        ("seed", verdict.seed.to_string()),
        ("target", verdict.target.clone()),
        ("workload", verdict.workload.clone()),
        ("nemesis", verdict.nemesis.clone()),
        ("first acknowledged write after", ms(timing.first_write_ms)),
        ("main phase", ms(timing.main_ms)),
        ("recovery", recovery),
        ("checking", ms(timing.checking_ms)),
    ];
    html! {
        section #parameters {
            h2 { "Parameters" }
            div.scroll {
                table.facts {
                    tbody {
                        @for (name, value) in &rows { tr { th { (name) } td { (value) } } }
                        @for (name, value) in run.facts { tr { th { (name) } td { (value) } } }
                    }
                }
            }
            @if !run.plan.is_empty() {
                details {
                    summary { code { "plan.toml" } ": everything needed to run it again" }
                    pre { (run.plan) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordeal_nemesis::FaultClass;

    #[test]
    fn every_class_of_faults_has_a_colour_of_its_own() {
        let style = include_str!("page.css");
        for class in FaultClass::ALL.map(|class| class.to_string()) {
            assert_eq!(class_of(&class), class);
            let rule = format!(".{class} {{ --class: var(--{class}); }}");
            assert!(style.contains(&rule), "{rule}");
        }
    }
}
