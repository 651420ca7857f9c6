//! A few operations as lines, in order of call, on an axis of their calls and returns.

use super::Telling;
use super::words::{LINE_MAX, brief};
use crate::history::Time;

/// A longer label goes beside its bar.
const LABEL_MAX: usize = 40;

/// One operation, and what stands before its line.
pub(super) struct Row {
    pub(super) telling: Telling,
    /// Whose line it is.
    pub(super) name: String,
    pub(super) mark: String,
    pub(super) remark: &'static str,
}

impl Row {
    /// Its own line, with nothing beside it.
    pub(super) fn of(telling: Telling) -> Self {
        Row {
            name: telling.process.to_string(),
            telling,
            mark: String::new(),
            remark: "",
        }
    }
}

/// The drawing, a line each, none longer than a line may be.
pub(super) fn drawing(rows: &[Row]) -> String {
    let widest = |width: fn(&Row) -> usize| rows.iter().map(width).max().unwrap_or(0);
    let marks = widest(|row| row.mark.chars().count());
    let names = widest(|row| row.name.chars().count());
    let axis = Axis::of(rows, LINE_MAX.saturating_sub(marks + names + 4));
    let mut drawing = String::new();
    for row in rows {
        let (mark, name) = (&row.mark, &row.name);
        let line = format!("{mark:>marks$}  {name:<names$}  {}", axis.bar(row));
        drawing.push_str(line.trim_end());
        drawing.push('\n');
    }
    drawing
}

/// Where each moment stands.
struct Axis {
    times: Vec<Time>,
    columns: Vec<usize>,
    /// How far an operation goes that never returned.
    end: usize,
    /// So many columns there are.
    width: usize,
}

impl Axis {
    /// Each bar as long as its label needs; evenly spread where that is too wide.
    fn of(rows: &[Row], width: usize) -> Axis {
        let mut times: Vec<Time> = rows
            .iter()
            .flat_map(|row| [Some(row.telling.invoked), row.telling.returned])
            .flatten()
            .collect();
        times.sort_unstable();
        times.dedup();
        let roomy = Axis::roomy(rows, times, width);
        let is_wide = |row: &Row| {
            let (from, to) = roomy.span(&row.telling);
            let end = to.max(from + label_width(&row.telling) + 3);
            let remark = row.remark.chars().count();
            end + if remark == 0 { 0 } else { remark + 3 } >= width
        };
        if !rows.iter().any(is_wide) {
            return roomy;
        }
        // The last column is that of what never returned.
        let last = width.saturating_sub(2);
        let count = roomy.times.len().max(2) - 1;
        Axis {
            columns: (0..=count)
                .map(|at| at * last.min(3 * count) / count)
                .collect(),
            end: (last + 1).min(3 * count + 2),
            ..roomy
        }
    }

    fn roomy(rows: &[Row], times: Vec<Time>, width: usize) -> Axis {
        let place = |time: Time| times.partition_point(|at| *at < time);
        let mut columns: Vec<usize> = Vec::new();
        for (at, time) in times.iter().enumerate() {
            let after = columns.last().map_or(0, |column| column + 3);
            let ending = rows
                .iter()
                .filter(|row| row.telling.returned == Some(*time));
            let fits = ending
                .filter(|row| place(row.telling.invoked) < at)
                .map(|row| columns[place(row.telling.invoked)] + label_width(&row.telling) + 5);
            columns.push(fits.max().unwrap_or(0).max(after));
        }
        let open = rows.iter().filter(|row| row.telling.returned.is_none());
        let ends =
            open.map(|row| columns[place(row.telling.invoked)] + label_width(&row.telling) + 5);
        let last = columns.last().map_or(0, |last| last + 3);
        Axis {
            end: ends.max().unwrap_or(0).clamp(last, last + LABEL_MAX),
            times,
            columns,
            width,
        }
    }

    /// The columns of its call and of its return.
    fn span(&self, telling: &Telling) -> (usize, usize) {
        let column = |time: Time| self.columns[self.times.partition_point(|at| *at < time)];
        let from = column(telling.invoked);
        let to = telling.returned.map_or(self.end, column);
        (from, to.max(from + 1))
    }

    /// With its label inside, or else on the side where there is room for it.
    fn bar(&self, row: &Row) -> String {
        let (from, to) = self.span(&row.telling);
        let (line, head) = match row.telling.returned {
            Some(_) => ('─', '┤'),
            None => ('┄', '▸'),
        };
        let label = brief(&row.telling.what);
        let (room, inner) = (to - from - 1, format!(" {label} "));
        let spare = room
            .checked_sub(inner.chars().count())
            .filter(|spare| *spare >= 2);
        let lines = |count: usize| std::iter::repeat_n(line, count).collect::<String>();
        let bar = match spare {
            Some(spare) => {
                let (left, right) = (lines(spare / 2), lines(spare - spare / 2));
                format!("├{left}{inner}{right}{head}")
            }
            None => format!("├{}{head}", lines(room)),
        };
        let beside = match (spare, row.remark) {
            (Some(_), "") => return format!("{}{bar}", " ".repeat(from)),
            (Some(_), remark) => format!("← {remark}"),
            (None, "") => label,
            (None, remark) => format!("{label} ← {remark}"),
        };
        let (left, right) = (from, self.width.saturating_sub(to + 1));
        let room = left.max(right).saturating_sub(1);
        let beside = shortened(&beside, room);
        let width = beside.chars().count() + 1;
        if width <= right {
            format!("{}{bar} {beside}", " ".repeat(from))
        } else {
            format!("{}{beside} {bar}", " ".repeat(from - width))
        }
    }
}

/// What of it fits there.
fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let start: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{start}…")
}

fn label_width(telling: &Telling) -> usize {
    match telling.what.chars().count() {
        width if width > LABEL_MAX => 0,
        width => width,
    }
}
