//! `junit.xml`: one test case per axis, for everything that shows test results.
//!
//! Invalid is a failure and unknown an error: neither passes, and a reader can tell them apart.

use super::RunView;
use super::sentence::{anomalies, defects, heading, story};
use ordeal_checker::verdict::Validity;
use std::fmt::Write as _;

/// The verdict as a JUnit report.
pub(crate) fn junit(run: &RunView<'_>) -> String {
    let verdict = run.verdict;
    let count = |validity: Validity| {
        verdict
            .axes()
            .iter()
            .filter(|(_, answer)| answer.validity == validity)
            .count()
    };
    let (failures, errors) = (count(Validity::Invalid), count(Validity::Unknown));
    let checking = seconds(verdict.timing.checking_ms);
    let totals = format!("tests=\"4\" failures=\"{failures}\" errors=\"{errors}\"");
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites {totals}>");
    let _ = writeln!(
        out,
        "  <testsuite name=\"ordeal\" {totals} time=\"{checking}\">"
    );
    out.push_str("    <properties>\n");
    let seed = verdict.seed.to_string();
    let defects_on = verdict.defects.join(" ");
    for (name, value) in [
        ("run", verdict.run.as_str()),
        ("seed", &seed),
        ("target", &verdict.target),
        ("workload", &verdict.workload),
        ("nemesis", &verdict.nemesis),
        ("defects", &defects_on),
        ("version", &verdict.ordeal),
    ] {
        let value = escaped(value);
        let _ = writeln!(out, "      <property name=\"{name}\" value=\"{value}\"/>");
    }
    out.push_str("    </properties>\n");
    let class = escaped(&format!("ordeal.{}.{}", verdict.target, verdict.workload));
    for (axis, answer) in verdict.axes() {
        let _ = write!(out, "    <testcase classname=\"{class}\" name=\"{axis}\"");
        let element = match answer.validity {
            Validity::Valid => {
                out.push_str("/>\n");
                continue;
            }
            Validity::Unknown => "error",
            Validity::Invalid => "failure",
        };
        let summary = escaped(&answer.summary);
        let details = escaped(&details(run, axis));
        let validity = answer.validity;
        let _ = write!(
            out,
            ">\n      <{element} type=\"{validity}\" message=\"{summary}\">"
        );
        let _ = write!(out, "{details}</{element}>\n    </testcase>\n");
    }
    let mut words = story(run);
    words.extend(defects(verdict));
    words.push(format!("reproduce: {}", run.reproduce));
    let words = escaped(&words.join("\n"));
    let _ = write!(
        out,
        "    <system-out>{words}</system-out>\n  </testsuite>\n</testsuites>\n"
    );
    out
}

/// The anomalies of one axis, and the way back to them.
fn details(run: &RunView<'_>, axis: &str) -> String {
    let mut text = String::from("\n");
    for (_, _, anomaly) in anomalies(run.verdict).iter().filter(|(of, ..)| *of == axis) {
        let _ = write!(text, "{}: {}\n\n", heading(anomaly), anomaly.message);
    }
    let _ = writeln!(text, "reproduce: {}", run.reproduce);
    text
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// The text as XML: markup escaped, and the control characters that XML 1.0 has no way to write
/// left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{Sample, assert_well_formed};

    #[test]
    fn a_valid_run_passes_four_cases() {
        let xml = junit(&Sample::small().view());
        assert_well_formed(&xml);
        assert!(
            xml.contains("tests=\"4\" failures=\"0\" errors=\"0\""),
            "{xml}"
        );
        assert_eq!(xml.matches("<testcase ").count(), 4);
    }

    #[test]
    fn invalid_is_a_failure_and_unknown_an_error() {
        let mut sample = Sample::violated();
        sample.verdict.coverage.validity = Validity::Unknown;
        let xml = junit(&sample.view());
        assert_well_formed(&xml);
        assert!(xml.contains("failures=\"1\" errors=\"1\""), "{xml}");
        assert!(xml.contains("<failure type=\"invalid\""), "{xml}");
        assert!(xml.contains("<error type=\"unknown\""), "{xml}");
        assert!(xml.contains("reproduce: ordeal run --seed 7"), "{xml}");
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut sample = Sample::violated();
        sample.verdict.consistency.summary = "\"/></testcase>\u{0}\u{1b}&\n".into();
        let xml = junit(&sample.view());
        assert_well_formed(&xml);
        assert!(!xml.contains(['\u{0}', '\u{1b}']), "{xml}");
        assert!(xml.contains("&quot;/&gt;&lt;/testcase&gt;"), "{xml}");
    }
}
