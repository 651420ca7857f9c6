//! Which operations of a contradiction are drawn, and what the signs mean.

use std::collections::BTreeMap;

use super::drawing::{Row, drawing};
use super::words::{DRAWN_MAX, wrapped};
use crate::history::{OperationId, Time};
use crate::linearizability::{Contradiction, Early, Telling};

/// So many helpers that do the same are drawn as one.
const ALIKE_MIN: usize = 4;

/// The drawing, and what its signs mean.
pub(super) fn drawn(contradiction: &Contradiction) -> String {
    let rank = |telling: &Telling| {
        let mut steps = (1..).zip(&contradiction.steps);
        let step = steps.find(|(_, step)| step.telling.operation == telling.operation);
        step.map(|(rank, step): (usize, _)| (rank, step.is_needed))
    };
    let is_stuck = |telling: &Telling| {
        let mut stuck = contradiction.prefix.stuck.iter();
        stuck.any(|stuck| stuck.telling.operation == telling.operation)
    };
    let needed = contradiction.minimal.iter().cloned().map(|mut telling| {
        // What came back later is not used.
        let is_late = |returned: &Time| *returned > contradiction.until;
        telling.returned = telling.returned.filter(|returned| !is_late(returned));
        telling
    });
    let helpers = helpers(contradiction);
    let (alone, many): (Vec<_>, Vec<_>) = helpers
        .into_iter()
        .partition(|alike| alike.len() < ALIKE_MIN);
    let alone = alone.into_iter().flatten();
    let told = needed.chain(alone.map(|(_, telling)| telling.clone()));
    let mut rows: Vec<Row> = told
        .map(|telling| Row {
            mark: match rank(&telling) {
                Some((rank, true)) => rank.to_string(),
                Some((rank, false)) => format!("({rank})"),
                None if is_stuck(&telling) => "✗".to_owned(),
                None => String::new(),
            },
            ..Row::of(telling)
        })
        .chain(contradiction.late.iter().map(|late| Row {
            remark: "too late",
            ..Row::of(late.clone())
        }))
        .chain(many.iter().map(|alike| helping(alike)))
        .chain(contradiction.early.iter().map(group))
        .collect();
    rows.sort_by_key(|row| (row.telling.invoked, row.telling.operation));
    let hidden = rows.len().saturating_sub(DRAWN_MAX);
    let hint = match hidden {
        0 => String::new(),
        1 => "… 1 earlier operation is not drawn\n".to_owned(),
        more => format!("… {more} earlier operations are not drawn\n"),
    };
    let rows = &rows[hidden..];
    let legend = legend(contradiction, rows);
    format!("{hint}{}\n{}", drawing(rows), wrapped(&legend))
}

/// What only helps the order, with its places there, by what it does.
fn helpers(contradiction: &Contradiction) -> Vec<Vec<(usize, &Telling)>> {
    let mut alike: BTreeMap<&str, Vec<(usize, &Telling)>> = BTreeMap::new();
    for (rank, step) in (1..).zip(&contradiction.steps) {
        if !step.is_needed {
            let telling = &step.telling;
            alike
                .entry(&telling.what)
                .or_default()
                .push((rank, telling));
        }
    }
    alike.into_values().collect()
}

/// One line for all helpers that are alike.
fn helping(alike: &[(usize, &Telling)]) -> Row {
    let ranks: Vec<usize> = alike.iter().map(|(rank, _)| *rank).collect();
    let tellings: Vec<&Telling> = alike.iter().map(|(_, telling)| *telling).collect();
    let mark = match ranks.chunk_by(|a, b| a + 1 == *b).count() {
        1 => format!("({}) to ({})", ranks[0], ranks[ranks.len() - 1]),
        _ => format!("({}) …", ranks[0]),
    };
    Row {
        mark,
        ..together(&tellings)
    }
}

/// One line for all that was over too early.
fn group(early: &Early) -> Row {
    let tellings: Vec<&Telling> = early.operations.iter().collect();
    Row {
        remark: "too early",
        ..together(&tellings)
    }
}

/// One line for all of a group, from the first call to the last return.
fn together(tellings: &[&Telling]) -> Row {
    let calls = tellings.iter().copied();
    let first = calls
        .min_by_key(|one| one.invoked)
        .expect("a group is of some");
    let mut telling = first.clone();
    telling.returned = tellings.iter().filter_map(|one| one.returned).max();
    if tellings.len() > 1 {
        telling.what = format!("{} × {}", tellings.len(), first.what);
    }
    let is_alone = |one: &&Telling| one.process == first.process;
    let name = match tellings.iter().all(is_alone) {
        true => first.process.to_string(),
        false => format!("{} …", first.process),
    };
    Row {
        name,
        ..Row::of(telling)
    }
}

/// These ranks, which follow each other: `(2)` and `(3)`, or `(2) to (9)`.
fn runs(ranks: &[usize]) -> Vec<String> {
    match ranks {
        [first, _, .., last] => vec![format!("({first}) to ({last})")],
        _ => ranks.iter().map(|rank| format!("({rank})")).collect(),
    }
}

/// What the signs of a drawing mean.
fn legend(contradiction: &Contradiction, rows: &[Row]) -> String {
    let steps = &contradiction.steps;
    let mut legend = String::from("├──┤ from call to return");
    let open = |row: &&Row| row.telling.returned.is_none();
    let open: Vec<OperationId> = rows
        .iter()
        .filter(open)
        .map(|row| row.telling.operation)
        .collect();
    let returned = |telling: &&Telling| telling.returned.is_some();
    let mut returned = contradiction.minimal.iter().filter(returned);
    if returned.any(|telling| open.contains(&telling.operation)) {
        legend.push_str(", ├┄┄▸ never returned, or only after that was wrong already");
    } else if !open.is_empty() {
        legend.push_str(", ├┄┄▸ never returned");
    }
    legend.push_str("; time goes right, not to scale. ✗ cannot come next");
    if steps.iter().any(|step| step.is_needed) {
        legend.push_str("; 1, 2, … are places in the order below");
    }
    legend.push('.');
    let helpers = (1..).zip(steps);
    let helpers: Vec<usize> = helpers
        .filter_map(|(rank, step)| (!step.is_needed).then_some(rank))
        .collect();
    let ranks: Vec<String> = helpers
        .chunk_by(|a, b| a + 1 == *b)
        .flat_map(runs)
        .collect();
    match ranks.as_slice() {
        [] => {}
        [one] if helpers.len() == 1 => legend.push_str(&format!(
            " {one} is not needed to show it: whatever was recorded of its time and result is \
             ignored, and it is put where it helps most."
        )),
        many => legend.push_str(&format!(
            " {} are not needed to show it: whatever was recorded of their times and results is \
             ignored, and they are put where they help most.",
            many.join(" ")
        )),
    }
    if contradiction.late.is_some() {
        legend.push_str(" ← too late: began when that was wrong already, and does not count.");
    }
    if !contradiction.early.is_empty() {
        legend.push_str(" ← too early: was over before it could help.");
    }
    legend
}
