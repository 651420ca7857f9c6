//! The page: self-contained, offline, readable without scripts, in light, dark and print.
//!
//! Order is the order of questions: is it right, what is wrong, what happened, when, how do I get
//! it again. Scripts add tooltips and zoom, never content.

use super::anomaly::anomalies_section;
use super::operation::pair;
use super::sentence::{defects, headline, question, story};
use super::table::{facts_section, faults_section, nodes_section, steps_section};
use super::timeline::timeline_section;
use super::{FaultStatus, RunView, figure};
use crate::verdict::AxisVerdict;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page.
pub(crate) fn html(run: &RunView<'_>) -> String {
    let verdict = run.verdict;
    let operations = pair(run.history);
    let (word, _) = headline(verdict);
    let title = format!("{word}: {} under {}", verdict.workload, verdict.nemesis);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "ordeal " (verdict.ordeal) };
                title { (title) " · ordeal" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (verdict_section(run))
                main {
                    (story_section(run))
                    (anomalies_section(run, &operations))
                    (timeline_section(run, &operations))
                    (steps_section(run.steps))
                    (faults_section(run.faults))
                    (nodes_section(run))
                    (facts_section(run))
                }
                footer {
                    p {
                        "Made by ordeal " (verdict.ordeal) ". Everything on this page stands in "
                        code { (run.folder) }
                        " too, as plain text: " code { "history.jsonl" } ", "
                        code { "faults.jsonl" } ", " code { "verdict.json" } "."
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// The verdict in one look.
fn verdict_section(run: &RunView<'_>) -> Markup {
    let verdict = run.verdict;
    let (word, sentence) = headline(verdict);
    let mood = match verdict.exit() {
        crate::verdict::Exit::Valid => "valid",
        crate::verdict::Exit::Undecided => "unknown",
        _ => "invalid",
    };
    html! {
        header class=(mood) {
            p.run {
                strong { "ordeal" } " · " (verdict.target) " · " (verdict.workload)
                " · " (verdict.nemesis) " · seed " (verdict.seed)
            }
            h1 { span.word { (word) } " " span.sentence { (sentence) } }
            @if let Some(defects) = defects(verdict) {
                p.defects { (defects) }
            }
            @if let Some(why) = &verdict.interrupted {
                p.defects { "The run ended before its time: " (why) "." }
            }
            div.axes {
                @for (axis, answer) in verdict.axes() { (axis_card(axis, answer)) }
            }
            div.reproduce {
                span { "The same again:" }
                code #command { (run.reproduce) }
                button type="button" hidden data-copy="command" { "copy" }
            }
        }
    }
}

fn axis_card(axis: &str, answer: &AxisVerdict) -> Markup {
    html! {
        section class={ "card " (answer.validity) } {
            h2 { (axis) " " span.answer { (answer.validity) } }
            p.question { (question(axis)) }
            p.evidence { (answer.summary) }
        }
    }
}

fn story_section(run: &RunView<'_>) -> Markup {
    let checks = run
        .verdict
        .axes()
        .into_iter()
        .flat_map(|(axis, answer)| answer.findings.iter().map(move |finding| (axis, finding)));
    let checks: Vec<_> = checks.collect();
    html! {
        section #story {
            h2 { "What happened" }
            div.story {
                p { @for sentence in story(run) { (sentence) " " } }
                (tiles(run))
            }
            @if !checks.is_empty() {
                details {
                    summary { "What was checked, and how much" }
                    div.scroll {
                        table {
                            thead { tr {
                                th { "axis" } th { "check" } th { "answer" } th { "says" }
                            } }
                            tbody {
                                @for (axis, finding) in checks {
                                    tr {
                                        td { (axis) }
                                        td { (finding.check) }
                                        td { span class={ "answer " (finding.validity) } {
                                            (finding.validity)
                                        } }
                                        td {
                                            (finding.summary)
                                            @if !finding.statistics.is_empty() {
                                                p.note { (statistics(finding)) }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The figures that people ask for first.
fn tiles(run: &RunView<'_>) -> Markup {
    let counts = &run.verdict.operations;
    let total = counts.ok + counts.fail + counts.info;
    let proven = run
        .faults
        .iter()
        .filter(|fault| fault.status == FaultStatus::Proven)
        .count();
    let recovery = run.verdict.timing.recovery_ms;
    let tiles = [
        (
            figure::thousands(counts.ok),
            format!("of {} operations ok", figure::thousands(total)),
        ),
        (
            figure::thousands(counts.ok_during_faults),
            "of them under faults".to_owned(),
        ),
        (
            proven.to_string(),
            format!("of {} faults proven", run.faults.len()),
        ),
        (
            recovery.map_or("–".into(), |ms| {
                figure::length(ms.saturating_mul(1_000_000))
            }),
            "to recovery".to_owned(),
        ),
    ];
    html! {
        ul.tiles {
            @for (number, words) in tiles { li { strong { (number) } " " (words) } }
        }
    }
}

/// `states 1,204 · keys 3`.
fn statistics(finding: &ordeal_checker::verdict::Finding) -> String {
    let each = finding.statistics.iter().map(|(name, value)| {
        let value = value
            .as_u64()
            .map_or_else(|| value.to_string(), figure::thousands);
        format!("{} {value}", name.replace('_', " "))
    });
    each.collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{Sample, assert_well_formed};
    use ordeal_checker::verdict::Validity;

    /// What a browser would fetch.
    fn assert_self_contained(page: &str) {
        for word in [
            "http:", "https:", "src=", "@import", "url(", "<link", "fetch(",
        ] {
            assert!(!page.contains(word), "the page has {word:?} in it");
        }
        let links = page.split("href=\"").skip(1);
        for link in links {
            assert!(link.starts_with('#'), "a link leaves the page: {link:.30}");
        }
    }

    #[test]
    fn a_page_is_well_formed_and_fetches_nothing() {
        for sample in [Sample::small(), Sample::violated(), Sample::large(500)] {
            let page = html(&sample.view());
            assert_well_formed(&page);
            assert_self_contained(&page);
        }
    }

    #[test]
    fn every_verdict_has_its_headline_and_all_four_axes() {
        for (validity, word) in [
            (Validity::Valid, "Valid"),
            (Validity::Unknown, "Undecided"),
            (Validity::Invalid, "Violated"),
        ] {
            let mut sample = Sample::small();
            sample.verdict.consistency.validity = validity;
            let page = html(&sample.view());
            assert_well_formed(&page);
            assert!(
                page.contains(&format!("<span class=\"word\">{word}</span>")),
                "{word}"
            );
            assert_eq!(page.matches("class=\"question\"").count(), 4);
            assert!(page.contains("ordeal run --seed 7"));
        }
    }

    #[test]
    fn an_empty_run_has_a_page_too() {
        let mut sample = Sample::small();
        sample.history.clear();
        sample.faults.clear();
        sample.observations.clear();
        sample.nodes.clear();
        sample.plan.clear();
        let page = html(&sample.view());
        assert_well_formed(&page);
        assert!(page.contains("No operation was recorded"), "{page}");
        assert!(!page.contains("NaN") && !page.contains(":inf"), "{page}");
    }

    #[test]
    fn defects_are_told_in_the_headline() {
        let page = html(&Sample::violated().view());
        let header = &page[..page.find("</header>").unwrap()];
        assert!(header.contains("read_leader_local"), "{header}");
    }

    #[test]
    fn hostile_text_stays_text() {
        const EVIL: &str = "</script></style><script>alert(1)</script>\"'><img src=x onerror=y>";
        let mut sample = Sample::violated();
        let evil = || EVIL.to_owned();
        sample.verdict.defects = vec![evil()];
        sample.verdict.interrupted = Some(evil());
        sample.verdict.coverage.summary = evil();
        let anomaly = &mut sample.verdict.consistency.findings[0].anomalies[0];
        (anomaly.kind, anomaly.key, anomaly.message) = (evil(), Some(evil()), evil());
        for event in &mut sample.history {
            (event.f, event.node, event.value) = (evil(), Some(evil()), evil().into());
        }
        for fault in &mut sample.faults {
            (fault.class, fault.what, fault.evidence) = (evil(), evil(), evil());
        }
        for node in &mut sample.nodes {
            (node.name, node.log_tail) = (evil(), evil());
        }
        sample.observations[0].role = evil();
        sample.plan = evil();
        sample.facts = vec![(evil(), evil())];
        let page = html(&sample.view());
        assert_well_formed(&page);
        assert!(!page.contains("<script>alert"), "markup came through");
        assert!(!page.contains("<img"), "markup came through");
        assert_eq!(
            page.matches("</script>").count(),
            2,
            "the page's own: its record and its code"
        );
    }

    #[test]
    fn twenty_thousand_operations_stay_under_three_megabytes() {
        let page = html(&Sample::large(20_000).view());
        assert_well_formed(&page);
        assert!(page.len() < 3_000_000, "{} bytes", page.len());
    }

    #[test]
    fn ten_times_as_many_operations_do_not_make_ten_times_the_page() {
        let page = html(&Sample::large(200_000).view());
        assert!(page.len() < 3_000_000, "{} bytes", page.len());
    }
}
