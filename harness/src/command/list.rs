//! `ordeal list`: what there is to choose from.

use crate::console::{end, print};
use crate::plan;
use crate::target::Targets;
use crate::verdict::Exit;
use ordeal_checker::format::Format;
use ordeal_checker::judge::Subject;
use ordeal_nemesis::planner::Nemesis;
use ordeal_workloads::Name as WorkloadName;

/// Prints targets, workloads, nemeses and defects, and what `ordeal check` knows.
pub(crate) fn list(targets: &Targets) -> Exit {
    end(print(&all(targets)), Exit::Valid)
}

fn all(targets: &Targets) -> String {
    let mut out = String::new();
    section(
        &mut out,
        "targets",
        targets.iter().map(|t| (t.name(), t.summary())),
    );
    let workloads = WorkloadName::ALL;
    section(
        &mut out,
        "workloads",
        workloads.iter().map(|w| (w.as_str(), w.summary())),
    );
    let nemeses = Nemesis::ALL;
    section(
        &mut out,
        "nemeses",
        nemeses.iter().map(|n| (n.name(), n.description())),
    );
    let scenarios = plan::summaries();
    section(
        &mut out,
        "scenarios",
        scenarios
            .iter()
            .map(|(name, words)| (*name, words.as_str())),
    );
    for target in targets.iter() {
        let orders = target.orders(&[]).into_iter();
        let orders: Vec<String> = orders.map(|kind| kind.to_string()).collect();
        let takes = match orders.is_empty() {
            true => "none: no fault can be about its members, leaders or logs".to_owned(),
            false => orders.join(", "),
        };
        section(
            &mut out,
            &format!("orders of an administrator that {} takes", target.name()),
            [("", takes.as_str())],
        );
        section(
            &mut out,
            &format!("defects of {}", target.name()),
            target.defects(),
        );
    }
    section(
        &mut out,
        "models that check knows",
        Subject::ALL.map(|(name, model)| (name, model.summary())),
    );
    section(
        &mut out,
        "formats that check reads",
        Format::ALL.map(|(name, format)| (name, format.summary())),
    );
    out
}

fn section<'a>(out: &mut String, title: &str, lines: impl IntoIterator<Item = (&'a str, &'a str)>) {
    out.push_str(&format!("{title}\n"));
    let lines: Vec<(&str, &str)> = lines.into_iter().collect();
    let longest = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let width = longest.max(22);
    for (name, summary) in lines {
        out.push_str(&format!("  {name:<width$} {summary}\n"));
    }
    out.push('\n');
}
