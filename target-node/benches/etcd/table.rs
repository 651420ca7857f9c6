//! From latencies to a table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::client::Operation;

/// What is asked, and by how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) operation: Operation,
    pub(crate) clients: usize,
}

/// One measurement of one cell of one cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Sample {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list of a few hundred thousand"
    )]
    pub(crate) fn new(mut latencies: Vec<Duration>, period: Duration) -> Self {
        latencies.sort_unstable();
        let count = latencies.len();
        let at = |share: f64| {
            let place = (count as f64 * share) as usize;
            latencies[place.min(count - 1)].as_secs_f64() * 1e6
        };
        Self {
            per_second: count as f64 / period.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
        }
    }
}

/// All measurements: of ours first, and of etcd second.
#[derive(Debug, Default)]
pub(crate) struct Table {
    cells: BTreeMap<Cell, [Vec<Sample>; 2]>,
}

impl Table {
    pub(crate) fn add(&mut self, cell: Cell, which: usize, sample: Sample) {
        self.cells.entry(cell).or_default()[which].push(sample);
    }
}

/// What of a sample is compared, and whether more of it is better.
type Measure = (&'static str, fn(&Sample) -> f64, bool);

const MEASURES: [Measure; 3] = [
    ("per second", |sample| sample.per_second, true),
    ("p50 µs", |sample| sample.p50_us, false),
    ("p99 µs", |sample| sample.p99_us, false),
];

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| operation | clients | measure | target-node | etcd | times as good |"
        )?;
        writeln!(f, "|---|---:|---|---:|---:|---:|")?;
        for (Cell { operation, clients }, [ours, theirs]) in &self.cells {
            for (name, of, is_more_better) in MEASURES {
                let us = median(ours.iter().map(of));
                write!(f, "| {operation:?} | {clients} | {name} | {us:.0} |")?;
                if theirs.is_empty() {
                    writeln!(f, " | |")?;
                    continue;
                }
                let them = median(theirs.iter().map(of));
                let ratios = ours
                    .iter()
                    .zip(theirs)
                    .map(|(us, them)| match is_more_better {
                        true => of(us) / of(them),
                        false => of(them) / of(us),
                    });
                let ratio = median(ratios);
                writeln!(f, " {them:.0} | {ratio:.2} |")?;
            }
        }
        Ok(())
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
