//! What the reads of one register tell.
//!
//! ```text
//!   T1   write x 1                     wr   T1 → T2, T1 → T3    who wrote what was read
//!   T2   read x 1, write x 2           ww   T1 → T2             T2 overwrote what it had read
//!   T3   read x 1                      rw   T3 → T2             T3 read what T2 overwrote
//!   T4   read x nil                    rw   T4 → T1, T4 → T2    nothing was written before T4
//! ```
//!
//! After Kingsbury and Alvaro 2020 (Elle), section 4: a register is *recoverable*, each version
//! tells who wrote it, and its order comes of the first version and of writes that follow reads.
//! The argument: whoever reads a value and then writes does both at once in a serial order,
//! so that its value comes directly after the one that it read. Nobody writes nil, so that whoever
//! reads it looked before every write. Which of two other writes was first only real time can tell
//! (`register/clock.rs`); where it does not, nothing is made of it.
//!
//! **A value that nobody wrote** is what the register held before, if it is the only such value
//! of that register, nil included: only one value can be there at first. Two of them are a
//! `garbage-read`. One that is not nil is counted ([`Serializability::unwritten`]), and no edge
//! comes of it: it may as well be of somebody whose transactions are not in the history.
//!
//! [`Serializability::unwritten`]: super::Serializability::unwritten

mod clock;

use std::collections::BTreeMap;

use super::edges::Edges;
use super::effort::Effort;
use super::log::{Fate, Log};
use super::object::Object;
use super::reason::Reasons;
use super::violations::Violations;
use super::words::Words;

/// What is wrong with reads by themselves; marks who happened. True where a value was read that
/// nobody wrote and that may have been there at first.
pub(super) fn agree(
    object: &Object<'_>,
    log: &Log,
    happened: &mut [bool],
    effort: &Effort,
    violations: &mut Violations,
) -> bool {
    let words = Words(log);
    let name = object.name;
    // By the value that nobody wrote, its first reader; nil is one.
    let mut unwritten: BTreeMap<Option<i64>, u32> = BTreeMap::new();
    for read in &object.reads {
        effort.tick();
        let (reader, seen) = (read.reader, read.value());
        let Some((value, write)) = seen.and_then(|value| Some((value, object.writer(value)?)))
        else {
            unwritten.entry(seen).or_insert(reader);
            continue;
        };
        let writer = object.place(write);
        if log.fate(writer) == Fate::Fail {
            violations.push("G1a", || {
                let places = vec![writer, reader];
                let who = words.introduce(&places);
                let told =
                    format!("{who}.\nT2 read {value} from {name}, which T1 wrote, and T1 failed");
                (places, told)
            });
            continue;
        }
        happened[writer as usize] = true;
        if writer == reader {
            violations.push("internal", || {
                let who = words.introduce(&[reader]);
                let told =
                    format!("{who}.\nT1 read {value} from {name} before it wrote that itself");
                (vec![reader], told)
            });
        } else if !object.is_last(write) {
            violations.push("G1b", || {
                let places = vec![writer, reader];
                let who = words.introduce(&places);
                let told =
                    format!("{who}.\nT2 read the {value} from {name} that T1 itself overwrote");
                (places, told)
            });
        }
    }
    garbage(object, words, &unwritten, violations);
    lost_updates(object, words, violations);
    unwritten.keys().any(Option::is_some)
}

/// At most one value can have been there at first.
fn garbage(
    object: &Object<'_>,
    words: Words<'_>,
    unwritten: &BTreeMap<Option<i64>, u32>,
    violations: &mut Violations,
) {
    let mut values = unwritten.iter();
    let (Some((first, one)), name) = (values.next(), object.name) else {
        return;
    };
    for (second, other) in values {
        violations.push("garbage-read", || {
            let places = vec![*one, *other];
            let who = words.introduce(&places);
            let (first, second) = (Words::value(*first), Words::value(*second));
            let told = format!(
                "{who}.\nT1 read {first} and T2 {second} from {name}: nobody wrote either, and \
                 only one can have been there at first"
            );
            (places, told)
        });
    }
}

/// Who read each value, or nil, and then wrote; in the order of transactions. A value that nobody
/// wrote is left out, and so is one whose writer failed or is the reader.
fn updates(object: &Object<'_>, log: &Log) -> BTreeMap<Option<i64>, Vec<u32>> {
    let mut updates: BTreeMap<Option<i64>, Vec<u32>> = BTreeMap::new();
    for read in &object.reads {
        let seen = read.value();
        if source(object, log, seen) != Source::Nobody && object.is_written_by(read.reader) {
            updates.entry(seen).or_default().push(read.reader);
        }
    }
    updates
}

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Nil: it was there at first.
    Start,
    Writer(u32),
    /// Nobody who is known, or who can have.
    Nobody,
}

fn source(object: &Object<'_>, log: &Log, seen: Option<i64>) -> Source {
    let Some(value) = seen else {
        return Source::Start;
    };
    let writer = object.writer(value).map(|write| object.place(write));
    match writer {
        Some(writer) if log.fate(writer) != Fate::Fail => Source::Writer(writer),
        _ => Source::Nobody,
    }
}

fn lost_updates(object: &Object<'_>, words: Words<'_>, violations: &mut Violations) {
    let name = object.name;
    for (seen, updaters) in updates(object, words.0) {
        for pair in updaters.windows(2) {
            violations.push("lost-update", || {
                let (who, seen) = (words.introduce(pair), Words::value(seen));
                let told = format!(
                    "{who}.\nBoth wrote to {name} when it was {seen}: neither saw what the \
                     other did"
                );
                (pair.to_vec(), told)
            });
        }
    }
}

/// The edges of one register.
pub(super) fn edges(
    object: &Object<'_>,
    log: &Log,
    happened: &[bool],
    effort: &Effort,
    edges: &mut Edges<'_>,
) {
    let updates = updates(object, log);
    let mut at_start = Vec::new();
    for read in &object.reads {
        effort.tick();
        let (reader, seen) = (read.reader, read.value());
        match source(object, log, seen) {
            Source::Nobody => continue,
            Source::Start => at_start.push((reader, Reasons::RW)),
            Source::Writer(writer) => {
                edges.connect(writer, reader, Reasons::WR);
                if object.is_written_by(reader) {
                    edges.connect(writer, reader, Reasons::WW);
                }
            }
        }
        if let Some((first, others)) = updates.get(&seen).and_then(|all| all.split_first()) {
            // Of several updates one is lost: a cycle of each with the first says all of it.
            edges.connect(reader, *first, Reasons::RW);
            if reader == *first {
                others
                    .iter()
                    .for_each(|other| edges.connect(reader, *other, Reasons::RW));
            }
        }
    }
    edges.connect_all(&at_start, &writers(object, log, happened));
    clock::edges(object, log, happened, edges);
}

/// Who certainly wrote to it, each once, in order of invocation.
fn writers(object: &Object<'_>, log: &Log, happened: &[bool]) -> Vec<u32> {
    let mut writers: Vec<u32> = object.writes.iter().map(|write| write.place).collect();
    writers.dedup();
    writers.retain(|place| happened[*place as usize] && log.fate(*place) != Fate::Fail);
    writers
}

/// Why the transaction `from` came before `to` by what they did to this register, in words.
pub(super) fn because(
    object: &Object<'_>,
    words: Words<'_>,
    (from, to): (u32, u32),
    names: (&str, &str),
    why: Reasons,
) -> Option<String> {
    if why == Reasons::OVER || why == Reasons::MISSED {
        return clock::because(object, words, (from, to), names, why);
    }
    let (t, u, name) = (names.0, names.1, object.name);
    let value = |write: u32| object.writes[write as usize].value;
    let seen = |place: u32| Some(object.read_of(place)?.value());
    let written = object.writes_of(to).next();
    if why == Reasons::WW || why == Reasons::WR {
        let read = seen(to)??;
        let is_theirs = object.place(object.writer(read)?) == from;
        return is_theirs.then(|| match written {
            Some(write) if why == Reasons::WW => {
                let two = value(write);
                format!("{t} wrote {read} to {name}, which {u} read and overwrote with {two}")
            }
            _ => format!("{t} wrote {read} to {name}, and {u} read it"),
        });
    }
    let two = value(written?);
    match (seen(from)?, seen(to)) {
        (None, _) => Some(format!("{t} read {name} as nil, and {u} wrote {two} to it")),
        (Some(one), Some(Some(other))) if one == other => Some(format!(
            "{t} read {name} as {one}, which {u} read too and overwrote with {two}"
        )),
        _ => None,
    }
}
