//! Which operations of a contradiction are drawn, and what the signs mean.

use super::drawing::{Row, drawing};
use super::words::{DRAWN_MAX, wrapped};
use crate::history::{OperationId, Time};
use crate::linearizability::{Contradiction, Early, Telling};

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
    let helpers = contradiction.steps.iter().filter(|step| !step.is_needed);
    let needed = contradiction.minimal.iter().cloned().map(|mut telling| {
        // What came back later is not used.
        let is_late = |returned: &Time| *returned > contradiction.until;
        telling.returned = telling.returned.filter(|returned| !is_late(returned));
        telling
    });
    let told = needed.chain(helpers.map(|step| step.telling.clone()));
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

/// One line for all of a group, from the first call to the last return.
fn group(early: &Early) -> Row {
    let (first, count) = (&early.operations[0], early.operations.len());
    let mut telling = first.clone();
    let all = early.operations.iter();
    telling.returned = all.filter_map(|one| one.returned).max();
    if count > 1 {
        telling.what = format!("{count} × {}", first.what);
    }
    let is_alone = |one: &Telling| one.process == first.process;
    let name = match early.operations.iter().all(is_alone) {
        true => first.process.to_string(),
        false => format!("{} …", first.process),
    };
    Row {
        name,
        remark: "too early",
        ..Row::of(telling)
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
    let ranks: Vec<String> = helpers.iter().map(|rank| format!("({rank})")).collect();
    match ranks.as_slice() {
        [] => {}
        [one] => legend.push_str(&format!(
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
