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
//! tells all those before. The argument for each edge: a list only grows, so whoever saw a beginning of it looked before the next element
//! came; and an element of a transaction that happened, if it had been there when the longest read
//! looked, would be in it.

use super::effort::Effort;
use super::graph::{Edges, NONE};
use super::object::{Fate, Object, Transactions, fate};
use super::reason::Reasons;
use super::violations::Violations;
use super::words::Words;
use super::{Elements, Kind};

/// Finds the order of a list, and what is wrong with its reads by themselves; marks who happened.
pub(super) fn agree(
    object: &mut Object<'_>,
    history: &Transactions,
    happened: &mut [bool],
    effort: &Effort,
    violations: &mut Violations,
) {
    let longest = longest(object);
    let Some(longest) = longest.map(|at| object.reads[at].seen) else {
        return;
    };
    let order = longest.iter();
    object.order = order
        .map(|value| object.writer(value).unwrap_or(NONE))
        .collect();
    effort.hold(size_of::<u32>() * object.order.len());
    for write in object.order.iter().filter(|write| **write != NONE) {
        happened[object.place(*write) as usize] = true;
    }
    object.is_doubled = doubled(longest).is_some();
    let mut odd = Vec::new();
    for (at, read) in object.reads.iter_mut().enumerate() {
        effort.tick();
        if longest.starts_with(read.seen) {
            let length = u32::try_from(read.seen.len()).expect("nobody reads 2^32 elements");
            read.length = length - read.own;
        } else {
            odd.push(at);
        }
    }
    let list = List {
        object,
        words: Words {
            kind: Kind::ListAppend,
            history,
        },
        longest,
    };
    list.disagreements(&odd, happened, violations);
    list.elements(violations);
    list.lost_updates(violations);
}

/// An element that is in it twice.
fn doubled(elements: &Elements) -> Option<i64> {
    let mut values: Vec<i64> = elements.iter().collect();
    values.sort_unstable();
    let twice = values.windows(2).find(|pair| pair[0] == pair[1]);
    twice.map(|pair| pair[0])
}

/// The first of the longest reads.
fn longest(object: &Object<'_>) -> Option<usize> {
    let reads = object.reads.iter().enumerate();
    let longest = reads.max_by_key(|(at, read)| (read.seen.size(), std::cmp::Reverse(*at)));
    longest.map(|(at, _)| at)
}

struct List<'a, 'h> {
    object: &'a Object<'h>,
    words: Words<'a>,
    longest: &'h Elements,
}

impl List<'_, '_> {
    /// Reads that are no beginning of the longest.
    fn disagreements(&self, odd: &[usize], happened: &mut [bool], violations: &mut Violations) {
        let object = self.object;
        let name = object.name;
        for read in odd.iter().map(|at| &object.reads[*at]) {
            let reader = self.reader(self.longest.len().saturating_sub(1));
            let places = [reader.unwrap_or(read.reader), read.reader];
            violations.push("incompatible-order", &places, || {
                let (longest, seen) = (Words::list(self.longest), Words::list(read.seen));
                let who = self.words.introduce(&places);
                format!(
                    "{who}. T1 read {name} as {longest} and T2 as {seen}: neither is the beginning \
                     of the other"
                )
            });
            for value in read.seen.iter() {
                self.origin(value, read.reader, read.seen, violations);
                if let Some(write) = object.writer(value) {
                    happened[object.place(write) as usize] = true;
                }
            }
            self.twice(read.seen, read.reader, violations);
        }
    }

    /// The first reader who saw the element at that place of the order.
    fn reader(&self, at: usize) -> Option<u32> {
        let mut reads = self.object.reads.iter();
        let saw = |length: u32, own: u32| length != NONE && (length + own) as usize > at;
        let first = reads.find(|read| saw(read.length, read.own));
        first.map(|read| read.reader)
    }

    /// What is wrong with the longest read, and with who saw how much of it.
    fn elements(&self, violations: &mut Violations) {
        let object = self.object;
        for (at, write) in object.order.iter().enumerate() {
            let is_fine =
                *write != NONE && fate(self.words.history, object.place(*write)) != Fate::Fail;
            if !is_fine {
                let value = self
                    .longest
                    .iter()
                    .nth(at)
                    .expect("the order is of the longest read");
                let reader = self.reader(at).expect("somebody read the longest");
                let seen = object
                    .read_of(reader)
                    .map_or(self.longest, |read| read.seen);
                self.origin(value, reader, seen, violations);
            }
        }
        if let Some(reader) = self.reader(self.longest.len().saturating_sub(1)) {
            self.twice(self.longest, reader, violations);
        }
        self.out_of_turn(violations);
        for read in object.reads.iter().filter(|read| read.length != NONE) {
            let last = (read.length as usize).checked_sub(1);
            let last = last.map_or(NONE, |last| object.order[last]);
            if last != NONE && !object.is_last(last) && object.place(last) != read.reader {
                self.intermediate(read.reader, last, violations);
            }
        }
    }

    /// G1a, or what nobody wrote at all.
    fn origin(&self, value: i64, reader: u32, seen: &Elements, violations: &mut Violations) {
        let name = self.object.name;
        let seen = || Words::list(seen);
        let Some(write) = self.object.writer(value) else {
            violations.push("garbage-read", &[reader], || {
                let who = self.words.introduce(&[reader]);
                let seen = seen();
                format!("{who}. T1 read {name} as {seen}, and nobody appended {value} to it")
            });
            return;
        };
        let writer = self.object.place(write);
        if fate(self.words.history, writer) == Fate::Fail {
            violations.push("G1a", &[writer, reader], || {
                let who = self.words.introduce(&[writer, reader]);
                let seen = seen();
                format!("{who}. T2 read {name} as {seen}, with the {value} of T1, which failed")
            });
        }
    }

    fn twice(&self, seen: &Elements, reader: u32, violations: &mut Violations) {
        let Some(value) = doubled(seen) else {
            return;
        };
        let name = self.object.name;
        violations.push("duplicate-elements", &[reader], || {
            let (who, seen) = (self.words.introduce(&[reader]), Words::list(seen));
            format!(
                "{who}. T1 read {name} as {seen}: {value} is in it twice, and was appended once"
            )
        });
    }

    /// Appends of one transaction in another order than it made them, and reads of what the
    /// reader appended only later.
    fn out_of_turn(&self, violations: &mut Violations) {
        let (object, name) = (self.object, self.object.name);
        let mut position = vec![NONE; object.writes.len()];
        for (at, write) in (0..).zip(&object.order) {
            if *write != NONE {
                position[*write as usize] = at;
            }
        }
        for (at, pair) in object.writes.windows(2).enumerate() {
            let (first, second) = (position[at], position[at + 1]);
            let is_turned = first != NONE && second != NONE && first > second;
            if !is_turned || pair[0].place != pair[1].place {
                continue;
            }
            let writer = pair[0].place;
            let reader = self.reader(first as usize).unwrap_or(writer);
            violations.push("incompatible-order", &[writer, reader], || {
                let who = self.words.introduce(&[writer, reader]);
                let (one, two) = (pair[0].value, pair[1].value);
                format!(
                    "{who}. T1 appended {one} to {name} before {two}, T2 read {two} before {one}"
                )
            });
        }
        for (write, at) in object.writes.iter().zip(position) {
            let read = object.read_of(write.place);
            let Some(read) = read.filter(|read| read.length != NONE) else {
                continue;
            };
            if at < read.length {
                violations.push("internal", &[write.place], || {
                    let who = self.words.introduce(&[write.place]);
                    let value = write.value;
                    format!("{who}. T1 read {value} in {name} before it appended that itself")
                });
            }
        }
    }

    fn intermediate(&self, reader: u32, last: u32, violations: &mut Violations) {
        let (object, name) = (self.object, self.object.name);
        let writer = object.place(last);
        violations.push("G1b", &[writer, reader], || {
            let who = self.words.introduce(&[writer, reader]);
            let (value, next) = (
                object.writes[last as usize].value,
                object.writes[last as usize + 1].value,
            );
            format!("{who}. T2 saw T1's {value} in {name} without the {next} that T1 appended too")
        });
    }

    /// Two that read the same and then both appended: one did not see the other's.
    fn lost_updates(&self, violations: &mut Violations) {
        let (object, name) = (self.object, self.object.name);
        let reads = object.reads.iter().filter(|read| read.length != NONE);
        let updates = reads.filter(|read| object.is_written_by(read.reader));
        let mut updates: Vec<_> = updates.map(|read| (read.length, read.reader)).collect();
        updates.sort_unstable();
        for pair in updates.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let places = [pair[0].1, pair[1].1];
            violations.push("lost-update", &places, || {
                let who = self.words.introduce(&places);
                let read = object.read_of(places[0]).expect("it is among the reads");
                let seen = read.seen.iter().take(pair[0].0 as usize).collect();
                let seen = Words::list(&seen);
                format!(
                    "{who}. Both appended to {name} when it was {seen}: neither saw what the other \
                     did"
                )
            });
        }
    }
}

/// The edges of one list.
pub(super) fn edges(
    object: &Object<'_>,
    history: &Transactions,
    happened: &[bool],
    effort: &Effort,
    edges: &mut Edges,
) {
    if object.is_doubled {
        return;
    }
    let usable = |write: u32| {
        let place = (write != NONE).then(|| object.place(write));
        place.filter(|place| fate(history, *place) != Fate::Fail)
    };
    let order: Vec<Option<u32>> = object.order.iter().map(|write| usable(*write)).collect();
    let known: Vec<u32> = order.iter().flatten().copied().collect();
    for pair in known.windows(2) {
        edges.connect(pair[0], pair[1], Reasons::WW);
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
        match order[length..].iter().flatten().next() {
            Some(next) => edges.connect(read.reader, *next, Reasons::RW),
            None => at_end.push((read.reader, Reasons::RW)),
        }
    }
    let unseen = unseen(object, history, happened);
    if !unseen.is_empty() {
        // Who wrote the last that was seen may have read it too: the stronger reason first.
        at_end.sort_by_key(|(place, why)| (*place, *why == Reasons::RW));
        at_end.dedup_by_key(|(place, _)| *place);
        edges.connect_all(&at_end, &unseen);
    }
}

/// The transactions that certainly appended what no read shows, each once, in order.
pub(super) fn unseen(object: &Object<'_>, history: &Transactions, happened: &[bool]) -> Vec<u32> {
    let mut is_seen = vec![false; object.writes.len()];
    for write in object.order.iter().filter(|write| **write != NONE) {
        is_seen[*write as usize] = true;
    }
    let unseen = object.writes.iter().zip(is_seen);
    let unseen = unseen.filter(|(_, is_seen)| !is_seen);
    let mut places: Vec<u32> = unseen.map(|(write, _)| write.place).collect();
    places.dedup();
    places.retain(|place| happened[*place as usize] && fate(history, *place) != Fate::Fail);
    places
}

/// Why the transaction `from` came before `to` by what they did to this list, in words.
pub(super) fn because(
    object: &Object<'_>,
    words: Words<'_>,
    (from, to): (u32, u32),
    names: (&str, &str),
    why: Reasons,
) -> Option<String> {
    let (t, u, name) = (names.0, names.1, object.name);
    let value = |write: u32| object.writes[write as usize].value;
    let position = |write: u32| object.order.iter().position(|other| *other == write);
    let usable =
        |write: &&u32| **write != NONE && fate(words.history, object.place(**write)) != Fate::Fail;
    let next = |length: usize| object.order[length..].iter().find(usable).copied();
    let is_unseen = |write: &u32| position(*write).is_none();
    let mut theirs = object.writes_of(to);
    if why == Reasons::WW {
        return object.writes_of(from).find_map(|write| {
            let one = value(write);
            let after = position(write)? + 1;
            let Some(second) = next(after) else {
                let lost = value(object.writes_of(to).find(is_unseen)?);
                return Some(format!(
                    "{t} appended {one} to {name}, the last element that any read shows, and {u} \
                     appended {lost}, which none shows"
                ));
            };
            (object.place(second) == to).then(|| {
                let (two, at) = (value(second), position(second).unwrap_or(after));
                let mut reads = object.reads.iter();
                let saw = reads.find(|read| read.length != NONE && read.seen.len() > at);
                let saw = saw.map_or(String::new(), |read| {
                    let who = super::words::who(words.history, read.reader);
                    format!(": {who} read it as {}", Words::list(read.seen))
                });
                format!("{t} appended {one} to {name}, and {u} then {two}{saw}")
            })
        });
    }
    if why == Reasons::WR {
        let read = object.read_of(to).filter(|read| read.length != NONE)?;
        let last = *object.order.get((read.length as usize).checked_sub(1)?)?;
        let is_theirs = last != NONE && object.place(last) == from;
        return is_theirs.then(|| {
            let (one, seen) = (value(last), Words::list(read.seen));
            format!("{t} appended {one} to {name}, and {u} read it as {seen}")
        });
    }
    let read = object.read_of(from).filter(|read| read.length != NONE)?;
    let seen = Words::list(read.seen);
    match next(read.length as usize) {
        Some(next) if object.place(next) == to => {
            let one = value(next);
            Some(format!(
                "{t} read {name} as {seen}, without the {one} that {u} appended"
            ))
        }
        Some(_) => None,
        None => theirs.find(is_unseen).map(|lost| {
            let lost = value(lost);
            format!(
                "{t} read {name} as {seen}, without the {lost} that {u} appended and that no read \
                 shows"
            )
        }),
    }
}
