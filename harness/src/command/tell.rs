//! Tells what a run found: the files for people and machines, and the last words on the terminal.

use crate::args::{RESULTS, RunArgs};
use crate::console::{print, say};
use crate::report::{self, FaultView, NodeView, RunView};
use crate::run::{Evidence, Setting};
use crate::store::{RunFolder, StoreError};
use crate::verdict::{Exit, Verdict};
use ordeal_nemesis::process::Death;
use ordeal_nemesis::{Effect, Node};
use std::fs;
use std::path::Path;

/// How many lines of a node's log a report shows.
const LOG_LINES: usize = 40;

/// Writes verdict and reports into the run's folder, and the summary to the terminal.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn tell(
    setting: &Setting,
    evidence: &Evidence,
    verdict: &Verdict,
    args: &RunArgs,
) -> Result<(), StoreError> {
    let folder = &setting.folder;
    let main = evidence.milestones.main;
    let faults: Vec<FaultView> = evidence
        .faults
        .iter()
        .map(|record| FaultView::of(record, main))
        .collect();
    let nodes: Vec<NodeView> = Node::first(evidence.plan.processes())
        .map(|node| node_view(node, setting, evidence))
        .collect();
    let path = for_a_person(folder.path());
    let view = RunView {
        verdict,
        history: &evidence.events,
        faults: &faults,
        observations: &evidence.cluster,
        clocks: &evidence.clocks,
        nodes: &nodes,
        plan: &evidence.plan.to_toml(),
        facts: &facts(evidence),
        folder: &path,
        reproduce: &reproduce(&path, args),
        steps: &evidence.steps,
    };
    let stored = store(folder, verdict, &view);
    if stored.is_ok() && verdict.exit() == Exit::Valid && !args.keep_data {
        folder.drop_node_data()?;
    }
    // Told whatever became of the files.
    if let Err(error) = print(&report::text(&view)) {
        say(format_args!(
            "ordeal: cannot write to stdout: {error}; {path} has all of it"
        ));
    }
    stored
}

fn store(folder: &RunFolder, verdict: &Verdict, view: &RunView<'_>) -> Result<(), StoreError> {
    let json = serde_json::to_vec_pretty(verdict).expect("a verdict is plain data");
    folder.write("verdict.json", &json)?;
    folder.write("report.html", report::html(view).as_bytes())?;
    folder.write("summary.md", report::markdown(view).as_bytes())?;
    folder.write("junit.xml", report::junit(view).as_bytes())
}

fn facts(evidence: &Evidence) -> Vec<(String, String)> {
    let read =
        |path| fs::read_to_string(path).map_or("unknown".to_owned(), |text| text.trim().into());
    let mut facts = vec![
        ("ordeal".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("kernel".to_owned(), read("/proc/sys/kernel/osrelease")),
    ];
    facts.extend(evidence.mechanisms.iter().cloned());
    facts
}

/// The very plan, faults included.
fn reproduce(folder: &str, args: &RunArgs) -> String {
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "ordeal".to_owned());
    let mut words = vec![program, "run".to_owned(), format!("{folder}/plan.toml")];
    if args.results != Path::new(RESULTS) {
        words.extend(["--results".to_owned(), args.results.display().to_string()]);
    }
    if args.keep_data {
        words.push("--keep-data".to_owned());
    }
    words
        .iter()
        .map(|word| quoted(word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Relative to where the person is, if it is below.
fn for_a_person(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    below.as_deref().unwrap_or(path).display().to_string()
}

fn node_view(node: Node, setting: &Setting, evidence: &Evidence) -> NodeView {
    let name = node.to_string();
    let log = setting.folder.file("nodes").join(&name).join("log.txt");
    let log = fs::read(log).map_or(String::new(), |bytes| {
        String::from_utf8_lossy(&bytes).into()
    });
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    NodeView {
        restarts: restarts(node, evidence),
        unplanned_deaths: evidence
            .deaths
            .iter()
            .filter(|(_, death)| death.node == node)
            .map(|(at, death)| (*at, how(death)))
            .collect(),
        log_tail: tail,
        name,
    }
}

/// How a node ended unasked: its status, and what it panicked with.
fn how(death: &Death) -> String {
    match &death.panic {
        Some(words) => format!("{}: {words}", death.status),
        None => death.status.clone(),
    }
}

/// How often a fault ended the node and another process took its place.
fn restarts(node: Node, evidence: &Evidence) -> u64 {
    let restarted = evidence
        .faults
        .iter()
        .flat_map(|record| match &record.effect {
            Effect::Installed(proof) => proof.restarted(),
            _ => Vec::new(),
        });
    restarted.filter(|restarted| *restarted == node).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_a_shell() {
        assert_eq!(
            quoted("results/runs/x-1/plan.toml"),
            "results/runs/x-1/plan.toml"
        );
        assert_eq!(quoted("my results/ünï"), "'my results/ünï'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
