//! A file of our own format, of any size: ten clients read and write registers, one after another.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ordeal_checker::history::{Event, EventKind, Process, Time};
use serde_json::{Value, json};

const CLIENTS: u64 = 10;

/// Events until the file has so many bytes. Every written value is another; each operation takes
/// effect when it returns.
pub(crate) fn write(path: &Path, bytes: u64, keys: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let count = usize::try_from(keys).expect("few keys");
    let mut registers = vec![Value::Null; count];
    let mut written = 0;
    let mut rounds = 0_u64;
    while written < bytes {
        for kind in [EventKind::Invoke, EventKind::Ok] {
            for client in 0..CLIENTS {
                let number = CLIENTS * rounds + client;
                let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
                let register = &mut registers[usize::try_from(key % keys).expect("few keys")];
                let is_read = (number >> 3).is_multiple_of(2);
                let value = if !is_read {
                    json!(number)
                } else if kind == EventKind::Ok {
                    register.clone()
                } else {
                    Value::Null
                };
                if kind == EventKind::Ok && !is_read {
                    register.clone_from(&value);
                }
                let index =
                    2 * CLIENTS * rounds + client + if kind == EventKind::Ok { CLIENTS } else { 0 };
                written += line(
                    &mut out,
                    &event(index, client, kind, is_read, key % keys, value),
                )?;
            }
        }
        rounds += 1;
    }
    out.flush()
}

fn event(index: u64, client: u64, kind: EventKind, is_read: bool, key: u64, value: Value) -> Event {
    Event {
        index,
        process: Process(client),
        kind,
        f: if is_read { "read" } else { "write" }.into(),
        key: Some(json!(format!("k{key}"))),
        value,
        time: Time(1_000_000_000 + 50_000 * index),
        node: Some(format!("n{}", client % 5 + 1)),
        term: (kind == EventKind::Ok).then_some(3),
        log_index: (kind == EventKind::Ok).then_some(index),
        error: None,
        phase: None,
    }
}

/// Gives its length.
fn line(out: &mut impl Write, event: &Event) -> io::Result<u64> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    out.write_all(&line)?;
    Ok(line.len() as u64)
}
