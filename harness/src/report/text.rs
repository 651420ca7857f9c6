//! The summary on a terminal: the verdict, why, and the command that reproduces as the last line.

use super::figure::{plain, thousands};
use super::sentence::{anomalies, classes, defects, heading, headline, outcomes, recovery};
use super::{FaultView, RunView};
use std::fmt::Write as _;

/// Columns of text; a terminal may be wider, a log is not.
const COLUMNS: usize = 100;
/// How many anomalies are told in words; the report has the others.
const ANOMALIES_MAX: usize = 5;
const INDENT: usize = 16;

/// The summary, ending in a newline.
pub(crate) fn text(run: &RunView<'_>) -> String {
    let verdict = run.verdict;
    let (word, sentence) = headline(verdict);
    let mut out = String::new();
    let exit = verdict.exit().code();
    paragraph(
        &mut out,
        "verdict",
        &format!("{}: {sentence} (exit {exit})", word.to_uppercase()),
    );
    if let Some(defects) = defects(verdict) {
        paragraph(&mut out, "defects", &defects);
    }
    if let Some(why) = &verdict.interrupted {
        paragraph(&mut out, "interrupted", why);
    }
    out.push('\n');
    for (axis, answer) in verdict.axes() {
        paragraph(
            &mut out,
            axis,
            &format!("{:<9} {}", answer.validity, answer.summary),
        );
    }
    tell_anomalies(&mut out, run);
    out.push('\n');
    paragraph(
        &mut out,
        "operations",
        &format!(
            "{}; {} ok while a fault was installed",
            outcomes(verdict),
            thousands(verdict.operations.ok_during_faults)
        ),
    );
    tell_faults(&mut out, run.faults);
    paragraph(&mut out, "recovery", &recovery(verdict));
    out.push('\n');
    // Paths and commands are never wrapped: they are there to be copied.
    let _ = writeln!(
        out,
        "{:<INDENT$}{}/report.html",
        "report",
        plain(run.folder)
    );
    let _ = writeln!(out, "{:<INDENT$}{}", "reproduce", plain(run.reproduce));
    out
}

fn tell_faults(out: &mut String, faults: &[FaultView]) {
    let classes = classes(faults);
    if classes.is_empty() {
        paragraph(out, "faults", "none planned");
        return;
    }
    let each = classes
        .iter()
        .map(|(class, n)| format!("{class} {} of {}", n.proven, n.planned));
    paragraph(out, "faults proven", &each.collect::<Vec<_>>().join(", "));
}

fn tell_anomalies(out: &mut String, run: &RunView<'_>) {
    let all = anomalies(run.verdict);
    for (number, (axis, _, anomaly)) in all.iter().enumerate().take(ANOMALIES_MAX) {
        out.push('\n');
        let name = format!("anomaly {}", number + 1);
        paragraph(out, &name, &format!("{} ({axis})", heading(anomaly)));
        for line in anomaly.message.lines() {
            paragraph(out, "", line);
        }
    }
    if all.len() > ANOMALIES_MAX {
        let more = thousands((all.len() - ANOMALIES_MAX) as u64);
        paragraph(
            out,
            "",
            &format!("… and {more} more in the report and verdict.json"),
        );
    }
}

/// A name in the margin, and beside it words, wrapped.
fn paragraph(out: &mut String, name: &str, words: &str) {
    let words = plain(words);
    let mut line = format!("{name:<width$}", width = INDENT - 1);
    let mut filled = line.chars().count();
    for word in words.split(' ') {
        let width = word.chars().count();
        if filled + 1 + width > COLUMNS && filled > INDENT {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(INDENT - 1);
            filled = INDENT - 1;
        }
        line.push(' ');
        line.push_str(word);
        filled += 1 + width;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::Sample;

    #[test]
    fn a_valid_run_is_told_on_four_axes_and_ends_with_the_command() {
        let sample = Sample::small();
        let text = text(&sample.view());
        let expected = "\
verdict         VALID: Every promise was kept, under faults that really happened. (exit 0)

consistency     valid     8 operations on 1 key are linearizable
durability      valid     no acknowledged write is missing
progress        valid     served again 0.8 s after the last heal
coverage        valid     3 of 3 fault classes proven

operations      7 ok, 0 fail, 1 info; 4 ok while a fault was installed
faults proven   kill 1 of 1, partition 1 of 1, pause 1 of 1
recovery        Every node served a write and a read again within 800 ms of the last heal.

report          results/runs/latest/report.html
reproduce       ordeal run --seed 7
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_violation_is_told_in_words_and_wrapped() {
        let sample = Sample::violated();
        let text = text(&sample.view());
        assert!(text.starts_with("verdict         VIOLATED: "), "{text}");
        assert!(
            text.contains("anomaly 1       Not linearizable: k3 (consistency)"),
            "{text}"
        );
        assert!(
            text.contains("defects         Defect read_leader_local is switched on"),
            "{text}"
        );
        assert!(
            text.lines().all(|line| line.chars().count() <= COLUMNS),
            "{text}"
        );
        assert!(
            text.ends_with("reproduce       ordeal run --seed 7\n"),
            "{text}"
        );
    }

    #[test]
    fn a_target_cannot_speak_to_the_terminal() {
        let mut sample = Sample::violated();
        let anomaly = &mut sample.verdict.consistency.findings[0].anomalies[0];
        anomaly.message = "\u{1b}]0;owned\u{7}".into();
        assert!(!text(&sample.view()).contains(['\u{1b}', '\u{7}']));
    }
}
