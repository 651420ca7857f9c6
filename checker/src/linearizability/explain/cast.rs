//! Which operations of a contradiction are drawn, and what the signs mean.

use super::drawing::{Row, drawing};
use super::words::{DRAWN_MAX, wrapped};
use crate::linearizability::{Contradiction, Step, Telling};

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
    let mut rows: Vec<Row<'_>> = contradiction
        .minimal
        .iter()
        .chain(helpers.map(|step| &step.telling))
        .chain(&contradiction.late)
        .map(|telling| Row {
            telling,
            mark: match rank(telling) {
                Some((rank, true)) => rank.to_string(),
                Some((rank, false)) => format!("({rank})"),
                None if is_stuck(telling) => "✗".to_owned(),
                None => String::new(),
            },
            remark: match &contradiction.late {
                Some(late) if late.operation == telling.operation => "too late",
                _ => "",
            },
        })
        .collect();
    rows.sort_by_key(|row| (row.telling.invoked, row.telling.operation));
    let hidden = rows.len().saturating_sub(DRAWN_MAX);
    let hint = match hidden {
        0 => String::new(),
        1 => "… 1 earlier operation is not drawn\n".to_owned(),
        more => format!("… {more} earlier operations are not drawn\n"),
    };
    let rows = &rows[hidden..];
    let has_open = rows.iter().any(|row| row.telling.returned.is_none());
    let legend = legend(&contradiction.steps, has_open, contradiction.late.is_some());
    format!("{hint}{}\n{}", drawing(rows), wrapped(&legend))
}

/// What the signs of a drawing mean.
fn legend(steps: &[Step], has_open: bool, has_late: bool) -> String {
    let mut legend = String::from("├──┤ from call to return");
    if has_open {
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
    if has_late {
        legend.push_str(" ← too late: began after all of that had ended, and does not count.");
    }
    legend
}
