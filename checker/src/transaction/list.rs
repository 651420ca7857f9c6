//! What the reads of one list tell.
//!
//! ```text
//!   read by T3    1  2                           the longest read is the order of x;
//!   read by T4    1  2  3                        every other is a beginning of it
//!   written by    T1 T2 T1'    and 4 by T5, which no read shows
//!
//!   ww   T1 → T2 → T1'         neighbours in the order
//!   wr   T2 → T3   T1' → T4    who wrote the last that was seen
//!   rw   T3 → T1'              who wrote the first that was not seen
//!        T1' → T5   T4 → T5    what no read shows was appended after all that one shows
//! ```
//!
//! After Kingsbury and Alvaro 2020 (Elle), section 4: a list is *traceable*, each of its versions
//! tells all those before. The argument for each edge: a list only grows, so whoever saw a
//! beginning of it looked before the next element came; and an element of a transaction that
//! happened, if it had been there when the longest read looked, would be in it.

mod because;
mod wrong;

use super::edges::Edges;
use super::effort::Effort;
use super::graph::NONE;
use super::log::{Fate, Log};
use super::object::{Object, Read};
use super::reason::Reasons;
use super::versions::Version;
use super::violations::Violations;
use super::words::Words;
pub(super) use because::because;
use wrong::{List, doubled};

/// Finds the order of a list, and what is wrong with its reads by themselves; marks who happened.
pub(super) fn agree(
    object: &mut Object<'_>,
    log: &Log,
    happened: &mut [bool],
    effort: &Effort,
    violations: &mut Violations,
) {
    let Some(version) = longest(object) else {
        return;
    };
    let longest = object.versions.elements(version);
    let order = longest.iter();
    object.order = order
        .map(|value| object.writer(value).unwrap_or(NONE))
        .collect();
    effort.hold(size_of::<u32>() * object.order.len());
    for write in object.order.iter().filter(|write| **write != NONE) {
        happened[object.place(*write) as usize] = true;
    }
    object.is_doubled = doubled(&longest).is_some();
    let (mut odd, counts) = (Vec::new(), longest.counts());
    for (at, read) in object.reads.iter_mut().enumerate() {
        effort.tick();
        if object.versions.is_beginning(read.version(), version) {
            read.length = counts[read.version().size()] - read.own;
        } else {
            odd.push(at);
        }
    }
    let list = List {
        object,
        words: Words(log),
        longest: &longest,
    };
    list.tell(&odd, happened, violations);
}

/// The first of the longest reads.
fn longest(object: &Object<'_>) -> Option<Version> {
    let versions = object.reads.iter().map(Read::version);
    versions.rev().max_by_key(|version| version.size())
}

/// The edges of one list.
pub(super) fn edges(
    object: &Object<'_>,
    log: &Log,
    happened: &[bool],
    effort: &Effort,
    edges: &mut Edges<'_>,
) {
    if object.is_doubled {
        return;
    }
    let usable = |write: u32| {
        let place = (write != NONE).then(|| object.place(write));
        place.filter(|place| log.fate(*place) != Fate::Fail)
    };
    let order: Vec<Option<u32>> = object.order.iter().map(|write| usable(*write)).collect();
    let known: Vec<u32> = order.iter().flatten().copied().collect();
    for pair in known.windows(2) {
        edges.connect(pair[0], pair[1], Reasons::WW);
    }
    // The next that can be told of, from each place on.
    let mut next = vec![None; order.len() + 1];
    for (at, writer) in order.iter().enumerate().rev() {
        next[at] = writer.or(next[at + 1]);
    }
    let mut at_end: Vec<(u32, Reasons)> = known
        .last()
        .map(|last| (*last, Reasons::WW))
        .into_iter()
        .collect();
    for read in object.reads.iter().filter(|read| read.length != NONE) {
        effort.tick();
        let length = read.length as usize;
        if let Some(last) = length.checked_sub(1).and_then(|last| order[last]) {
            edges.connect(last, read.reader, Reasons::WR);
        }
        match next[length] {
            Some(next) => edges.connect(read.reader, next, Reasons::RW),
            None => at_end.push((read.reader, Reasons::RW)),
        }
    }
    let unseen = unseen(object, log, happened);
    if !unseen.is_empty() {
        // Who wrote the last that was seen may have read it too: the stronger reason first.
        at_end.sort_by_key(|(place, why)| (*place, *why == Reasons::RW));
        at_end.dedup_by_key(|(place, _)| *place);
        edges.connect_all(&at_end, &unseen);
    }
}

/// The transactions that certainly appended what no read shows, each once, in order.
fn unseen(object: &Object<'_>, log: &Log, happened: &[bool]) -> Vec<u32> {
    let unseen = object.writes.iter().zip(object.positions());
    let unseen = unseen.filter(|(_, at)| *at == NONE);
    let mut places: Vec<u32> = unseen.map(|(write, _)| write.place).collect();
    places.dedup();
    places.retain(|place| happened[*place as usize] && log.fate(*place) != Fate::Fail);
    places
}
