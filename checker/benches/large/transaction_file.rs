//! A history of transactions as a file of our own format, each client's one after the other.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ordeal_checker::history::{Event, EventKind, Process, Time};
use ordeal_checker::transaction::{Name, Step};
use serde_json::{Value, json};

use super::transactions::Transactions;

/// More than can be under way at once.
const CLIENTS: u64 = 16;

/// All of it in order of time. Transactions that were over before the first of the same client's
/// next begins are all that may be in it.
pub(crate) fn write(path: &Path, history: &Transactions) -> io::Result<()> {
    let mut events = Vec::with_capacity(2 * history.len());
    for (number, transaction) in (0_u64..).zip(history.operations()) {
        let completed = transaction.completed().expect("all are");
        let process = Process(number % CLIENTS);
        events.push((transaction.invoked(), process, EventKind::Invoke, number));
        events.push((completed, process, EventKind::Ok, number));
    }
    events.sort_by_key(|(time, ..)| *time);
    let mut out = BufWriter::new(File::create(path)?);
    for (index, (time, process, kind, number)) in (0..).zip(events) {
        let number = usize::try_from(number).expect("it is in memory");
        let transaction = &history.operations()[number];
        let steps = match kind {
            EventKind::Ok => transaction.outcome().ok().expect("all are"),
            _ => transaction.op(),
        };
        let event = Event {
            index,
            process,
            kind,
            f: "txn".into(),
            key: None,
            value: steps.iter().map(step).collect(),
            time: Time(1_000_000_000 + 5_000 * time.0),
            node: Some(format!("n{}", process.0 % 5 + 1)),
            term: None,
            log_index: None,
            error: None,
            phase: None,
        };
        serde_json::to_writer(&mut out, &event)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn step(step: &Step) -> Value {
    let name = |name: &Name| match name {
        Name::Number(number) => json!(number),
        Name::Word(word) => json!(word),
    };
    match step {
        Step::Append(list, value) => json!(["append", name(list), value]),
        Step::Write(register, value) => json!(["w", name(register), value]),
        Step::Read(list, seen) => {
            let seen = seen.as_ref().map(|seen| seen.iter().collect::<Vec<_>>());
            json!(["r", name(list), seen])
        }
    }
}
