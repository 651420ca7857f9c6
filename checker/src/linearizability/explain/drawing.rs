//! A few operations as lines, in order of call, on an axis of their calls and returns.

use super::Telling;
use crate::history::Time;

/// Bars are drawn that wide; what does not fit is compressed, and labels go beside them.
const WIDTH: usize = 96;
/// A longer label goes beside its bar.
const LABEL_MAX: usize = 40;

/// One operation, and what stands before its line.
pub(super) struct Row<'t> {
    pub(super) telling: &'t Telling,
    pub(super) mark: String,
    pub(super) remark: &'static str,
}

/// The drawing, a line each.
pub(super) fn drawing(rows: &[Row<'_>]) -> String {
    let axis = Axis::of(rows);
    let widest = |width: fn(&Row<'_>) -> usize| rows.iter().map(width).max().unwrap_or(0);
    let marks = widest(|row| row.mark.chars().count());
    let names = widest(|row| row.telling.process.to_string().len());
    let mut drawing = String::new();
    for row in rows {
        let Row {
            telling,
            mark,
            remark,
        } = row;
        let name = telling.process.to_string();
        let bar = axis.bar(telling);
        let remark = match *remark {
            "" => String::new(),
            remark => format!("   ← {remark}"),
        };
        let line = format!("{mark:>marks$}  {name:<names$}  {bar}{remark}");
        drawing.push_str(line.trim_end());
        drawing.push('\n');
    }
    drawing
}

/// Where each moment stands.
struct Axis {
    times: Vec<Time>,
    columns: Vec<usize>,
    end: usize,
}

impl Axis {
    /// Each bar as long as its label needs; all the same where that is too wide.
    fn of(rows: &[Row<'_>]) -> Axis {
        let mut times: Vec<Time> = rows
            .iter()
            .flat_map(|row| [Some(row.telling.invoked), row.telling.returned])
            .flatten()
            .collect();
        times.sort_unstable();
        times.dedup();
        let place = |time: Time| times.partition_point(|at| *at < time);
        let mut columns: Vec<usize> = Vec::new();
        for (at, time) in times.iter().enumerate() {
            let after = columns.last().map_or(0, |column| column + 3);
            let ending = rows
                .iter()
                .filter(|row| row.telling.returned == Some(*time));
            let fits = ending
                .filter(|row| place(row.telling.invoked) < at)
                .map(|row| columns[place(row.telling.invoked)] + label_width(row.telling) + 5);
            columns.push(fits.max().unwrap_or(0).max(after));
        }
        let is_wide = columns.last().is_some_and(|last| *last > WIDTH);
        if is_wide {
            let gap = (WIDTH / times.len()).max(2);
            columns = (0..times.len()).map(|at| at * gap).collect();
        }
        let open = rows.iter().filter(|row| row.telling.returned.is_none());
        let ends = open.map(|row| {
            let from = columns[times.partition_point(|at| *at < row.telling.invoked)];
            from + label_width(row.telling) + 5
        });
        let last = columns.last().map_or(0, |last| last + 3);
        Axis {
            end: ends.max().unwrap_or(0).clamp(last, last + LABEL_MAX),
            times,
            columns,
        }
    }

    fn column(&self, time: Time) -> usize {
        self.columns[self.times.partition_point(|at| *at < time)]
    }

    fn bar(&self, telling: &Telling) -> String {
        let from = self.column(telling.invoked);
        let (line, head) = match telling.returned {
            Some(_) => ('─', '┤'),
            None => ('┄', '▸'),
        };
        let to = telling.returned.map_or(self.end, |at| self.column(at));
        let room = to.max(from + 2) - from - 1;
        let label = format!(" {} ", super::words::brief(&telling.what));
        let width = label.chars().count();
        let fits = width + 2 <= room;
        let spare = if fits { room - width } else { room };
        let lines = |count: usize| std::iter::repeat_n(line, count).collect::<String>();
        let inner = if fits { label.as_str() } else { "" };
        let beside = if fits { "" } else { label.trim_end() };
        format!(
            "{}├{}{inner}{}{head}{beside}",
            " ".repeat(from),
            lines(spare / 2),
            lines(spare - spare / 2)
        )
    }
}

fn label_width(telling: &Telling) -> usize {
    match telling.what.chars().count() {
        width if width > LABEL_MAX => 0,
        width => width,
    }
}
