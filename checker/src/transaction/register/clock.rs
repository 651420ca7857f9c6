//! What real time adds to the reads of one register: which write came first, where reads alone do
//! not tell.
//!
//! ```text
//!   T1  ├ write x 1 ┤                           overwritten   T2 ─▶ T1    T2 was over before T3
//!   T2  ├ write x 2 ┤                                         asked, who read the 1 of T1
//!   T3                ├ read x 1 ┤              missed        T3 ─▶ T4    the 1 that T3 read was
//!   T4                  ├ write x 3 ┤                         there before T4 asked
//! ```
//!
//! Soundness, for an order that real time allows (Herlihy and Wing 1990): T2 comes before T3 by
//! time, and nothing is between T1 and T3 that writes x, so that T2 comes before T1. And T4 comes
//! after T1 by time, so that it comes after T3. Elle has the first with its option
//! `linearizable-keys?` (Kingsbury and Alvaro 2020, section 4). As there are many that were over,
//! and many that begin later, each of them leads to a gate, or from one, in a chain:
//!
//! ```text
//!   T5 ─▶ ● ──▶ ● ──▶ ● ─▶ T1           T3 ─▶ ● ──▶ ● ──▶ ●
//!         T6 ─▶┘  T2 ─▶┘                      └▶ T4 └▶ T7 └▶ T8
//! ```
//!
//! Whoever stands in the chain that leads to it, or from it, would come before itself: then the
//! chain is left or entered before, and of those on the other side the nearest few are told.

use super::super::edges::Edges;
use super::super::log::Log;
use super::super::object::Object;
use super::super::reason::Reasons;
use super::super::words::Words;
use super::{Source, source, writers};
use crate::history::Time;

/// So many of those that a chain does not reach are told one by one: of a right history few can be.
const NEAR: usize = 16;

/// The edges of one register that time adds.
pub(super) fn edges(object: &Object<'_>, log: &Log, happened: &[bool], edges: &mut Edges<'_>) {
    let begun = writers(object, log, happened);
    if begun.len() < 2 {
        return;
    }
    let is_over = |place: &&u32| log.returned(**place).is_some();
    let mut over: Vec<u32> = begun.iter().filter(is_over).copied().collect();
    over.sort_by_key(|place| log.returned(*place));
    let before = Before::chain(over, edges);
    let after = After::chain(begun, edges);
    for read in &object.reads {
        let Source::Writer(writer) = source(object, log, read.value()) else {
            continue;
        };
        if writer == read.reader {
            continue;
        }
        before.connect(log.invoked(read.reader), writer, log, edges);
        if let Some(written) = log.returned(writer) {
            after.connect(read.reader, written, log, edges);
        }
    }
}

/// Writers in the order in which they were over, and after each a gate that it and all before it
/// lead to.
struct Before {
    over: Vec<u32>,
    gates: Vec<u32>,
}

impl Before {
    fn chain(over: Vec<u32>, edges: &mut Edges<'_>) -> Self {
        let mut gates: Vec<u32> = Vec::with_capacity(over.len());
        for writer in &over {
            let gate = edges.gate();
            edges.connect(*writer, gate, Reasons::OVER);
            if let Some(last) = gates.last() {
                edges.connect(*last, gate, Reasons::ANY);
            }
            gates.push(gate);
        }
        Before { over, gates }
    }

    /// Who was over before a reader of that writer asked came before that writer.
    fn connect(&self, asked: Time, writer: u32, log: &Log, edges: &mut Edges<'_>) {
        let is_before = |place: &u32| log.returned(*place) < Some(asked);
        let end = self.over.partition_point(is_before);
        let own = self.over[..end].iter().rposition(|place| *place == writer);
        let chained = own.unwrap_or(end);
        if let Some(last) = chained.checked_sub(1) {
            edges.connect(self.gates[last], writer, Reasons::ANY);
        }
        let behind = own.map_or(end, |own| own + 1);
        for other in self.over[behind..end].iter().rev().take(NEAR) {
            edges.connect(*other, writer, Reasons::OVER);
        }
    }
}

/// Writers in the order in which they began, and before each a gate that leads to it and to all
/// after it.
struct After {
    begun: Vec<u32>,
    gates: Vec<u32>,
}

impl After {
    fn chain(begun: Vec<u32>, edges: &mut Edges<'_>) -> Self {
        let gates: Vec<u32> = begun.iter().map(|_| edges.gate()).collect();
        for (gate, writer) in gates.iter().zip(&begun) {
            edges.connect(*gate, *writer, Reasons::ANY);
        }
        for pair in gates.windows(2) {
            edges.connect(pair[0], pair[1], Reasons::ANY);
        }
        After { begun, gates }
    }

    /// Who began after the write that a reader saw was over comes after that reader.
    fn connect(&self, reader: u32, written: Time, log: &Log, edges: &mut Edges<'_>) {
        let is_before = |place: &u32| log.invoked(*place) <= written;
        let start = self.begun.partition_point(is_before);
        let own = self
            .begun
            .binary_search(&reader)
            .ok()
            .filter(|own| *own >= start);
        let chained = own.map_or(start, |own| own + 1);
        if let Some(gate) = self.gates.get(chained) {
            edges.connect(reader, *gate, Reasons::MISSED);
        }
        for other in self.begun[start..own.unwrap_or(start)].iter().take(NEAR) {
            edges.connect(reader, *other, Reasons::MISSED);
        }
    }
}

/// Why that follows for these two, in words.
pub(super) fn because(
    object: &Object<'_>,
    words: Words<'_>,
    (from, to): (u32, u32),
    (t, u): (&str, &str),
    why: Reasons,
) -> Option<String> {
    let (log, name) = (words.0, object.name);
    let value = |place: u32| {
        let last = object.writes_of(place).last()?;
        Some(object.writes[last as usize].value)
    };
    if why == Reasons::MISSED {
        let (seen, other) = (object.read_of(from)?.value()?, value(to)?);
        let written = log.returned(object.place(object.writer(seen)?))?;
        let invoked = log.invoked(to);
        return (written < invoked).then(|| {
            format!(
                "{t} read {name} as {seen}, which was written by {written}, before {u} asked \
                 ({invoked}) to write {other}"
            )
        });
    }
    let (over, lost) = (log.returned(from)?, value(from)?);
    let mut reads = object.reads.iter();
    let (reader, kept) = reads.find_map(|read| {
        let seen = read.value()?;
        let is_theirs = object.place(object.writer(seen)?) == to && read.reader != to;
        (is_theirs && over < log.invoked(read.reader)).then_some((read.reader, seen))
    })?;
    let (who, asked) = (words.who(reader), log.invoked(reader));
    Some(format!(
        "{t} had written {lost} to {name} ({over}) before {who} asked ({asked}) and read the \
         {kept} of {u}"
    ))
}
