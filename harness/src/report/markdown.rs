//! `summary.md`: the same words for a place that renders Markdown, like a job's summary.

use super::RunView;
use super::figure::{plain, thousands};
use super::sentence::{anomalies, defects, heading, headline, story};
use ordeal_checker::verdict::Validity;
use std::fmt::Write as _;

/// How many anomalies are told; the report has the others.
const ANOMALIES_MAX: usize = 10;

/// The summary as Markdown.
pub(crate) fn markdown(run: &RunView<'_>) -> String {
    let verdict = run.verdict;
    let (word, sentence) = headline(verdict);
    let mut out = format!("## ordeal: {word}\n\n{sentence}\n\n");
    if let Some(defects) = defects(verdict) {
        let _ = writeln!(out, "> **{}**\n", escaped(&defects));
    }
    out.push_str("| axis | verdict | evidence |\n|---|---|---|\n");
    for (axis, answer) in verdict.axes() {
        let mark = match answer.validity {
            Validity::Valid => "✅ valid",
            Validity::Unknown => "❔ unknown",
            Validity::Invalid => "❌ invalid",
        };
        let _ = writeln!(out, "| {axis} | {mark} | {} |", escaped(&answer.summary));
    }
    let all = anomalies(verdict);
    for (axis, _, anomaly) in all.iter().take(ANOMALIES_MAX) {
        let heading = format!("{} ({axis})", heading(anomaly));
        let _ = write!(
            out,
            "\n### {}\n\n{}\n",
            escaped(&heading),
            escaped(&anomaly.message)
        );
    }
    if all.len() > ANOMALIES_MAX {
        let more = thousands((all.len() - ANOMALIES_MAX) as u64);
        let _ = writeln!(out, "\n… and {more} more in `verdict.json`.");
    }
    out.push_str("\n### What happened\n\n");
    for sentence in story(run) {
        let _ = writeln!(out, "- {}", escaped(&sentence));
    }
    let fence = fence(run.reproduce);
    let command = plain(run.reproduce);
    let _ = write!(out, "\n### Reproduce\n\n{fence}sh\n{command}\n{fence}\n");
    out
}

/// Longer than any run of backticks inside.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(3.max(longest + 1))
}

/// The text in one line that means nothing but itself in Markdown, also within a table.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::Sample;

    #[test]
    fn the_four_axes_are_rows_and_the_command_stands_at_the_end() {
        let text = markdown(&Sample::small().view());
        assert!(text.starts_with("## ordeal: Valid\n"), "{text}");
        let rows = text
            .lines()
            .filter(|line| line.contains("✅ valid"))
            .count();
        assert_eq!(rows, 4, "{text}");
        assert!(
            text.ends_with("```sh\nordeal run --seed 7\n```\n"),
            "{text}"
        );
    }

    #[test]
    fn what_the_target_says_is_neither_markup_nor_a_cell() {
        let mut sample = Sample::violated();
        sample.verdict.consistency.summary = "<img src=x> | a\n# b `c` [d](e)".into();
        let text = markdown(&sample.view());
        let row = text
            .lines()
            .find(|line| line.starts_with("| consistency"))
            .unwrap();
        assert_eq!(
            row,
            r"| consistency | ❌ invalid | &lt;img src=x> \| a \# b \`c\` \[d\](e) |"
        );
    }

    #[test]
    fn a_fence_holds_what_it_fences() {
        assert_eq!(fence("a"), "```");
        assert_eq!(fence("a ``` b"), "````");
    }
}
