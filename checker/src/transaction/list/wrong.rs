//! What is wrong with the reads of one list, without a cycle of dependencies.
//!
//! ```text
//!   longest    1  2  9  3        9: nobody appended it (garbage-read), or who did failed (G1a)
//!   T3         1  3              no beginning of the longest (incompatible-order)
//!   T4         1                 T1 appended 1 and 2 together (G1b)
//! ```

use super::super::log::Fate;
use super::super::object::{Object, Read};
use super::super::violations::Violations;
use super::super::words::Words;
use super::super::{Elements, graph::NONE};

/// A list, and its longest read.
pub(super) struct List<'a, 'h> {
    pub(super) object: &'a Object<'h>,
    pub(super) words: Words<'a>,
    pub(super) longest: &'a Elements,
}

impl<'h> List<'_, 'h> {
    /// Tells all of it; marks who is seen to have happened by reads that fit no order.
    pub(super) fn tell(&self, odd: &[usize], happened: &mut [bool], violations: &mut Violations) {
        self.disagreements(odd, happened, violations);
        self.elements(violations);
        self.out_of_turn(violations);
        self.read_ahead(violations);
        self.intermediate(violations);
        self.lost_updates(violations);
    }

    /// Reads that are no beginning of the longest.
    fn disagreements(&self, odd: &[usize], happened: &mut [bool], violations: &mut Violations) {
        let object = self.object;
        let name = object.name;
        for read in odd.iter().map(|at| &object.reads[*at]) {
            violations.push("incompatible-order", || {
                let reader = self.reader(self.longest.len().saturating_sub(1));
                let places = vec![reader, read.reader];
                let (longest, seen) = (
                    Words::list(self.longest),
                    Words::list(&self.object.seen(read)),
                );
                let who = self.words.introduce(&places);
                let told = format!(
                    "{who}.\nT1 read {name} as {longest} and T2 as {seen}: neither is the \
                     beginning of the other"
                );
                (places, told)
            });
            let seen = object.seen(read);
            for value in seen.iter() {
                self.origin(value, || read, violations);
                if let Some(write) = object.writer(value) {
                    happened[object.place(write) as usize] = true;
                }
            }
            self.twice(&seen, read.reader, violations);
        }
    }

    /// The first reader who saw the element at that place of the order.
    fn read_at(&self, at: usize) -> &Read {
        let mut reads = self.object.reads.iter();
        let saw = |read: &&Read| read.length != NONE && read.count() > at;
        let first = reads.find(saw);
        first.expect("the order is that of a read")
    }

    fn reader(&self, at: usize) -> u32 {
        self.read_at(at).reader
    }

    /// What is wrong with the elements of the longest read.
    fn elements(&self, violations: &mut Violations) {
        let object = self.object;
        let order = object.order.iter().zip(self.longest.iter());
        for (at, (write, value)) in order.enumerate() {
            let failed = |write: u32| self.words.0.fate(object.place(write)) == Fate::Fail;
            if *write == NONE || failed(*write) {
                self.origin(value, || self.read_at(at), violations);
            }
        }
        if let Some(last) = self.longest.len().checked_sub(1) {
            self.twice(self.longest, self.reader(last), violations);
        }
    }

    /// G1a, or what nobody wrote at all.
    fn origin<'r>(&self, value: i64, read: impl FnOnce() -> &'r Read, violations: &mut Violations)
    where
        'h: 'r,
    {
        let name = self.object.name;
        let Some(write) = self.object.writer(value) else {
            violations.push("garbage-read", || {
                let read = read();
                let (who, seen) = (
                    self.words.introduce(&[read.reader]),
                    Words::list(&self.object.seen(read)),
                );
                let told = format!("{who}.\nT1 read {name} as {seen}, and nobody appended {value}");
                (vec![read.reader], told)
            });
            return;
        };
        let writer = self.object.place(write);
        if self.words.0.fate(writer) == Fate::Fail {
            violations.push("G1a", || {
                let read = read();
                let places = vec![writer, read.reader];
                let (who, seen) = (
                    self.words.introduce(&places),
                    Words::list(&self.object.seen(read)),
                );
                let told = format!(
                    "{who}.\nT2 read {name} as {seen}, with the {value} of T1, which failed"
                );
                (places, told)
            });
        }
    }

    fn twice(&self, seen: &Elements, reader: u32, violations: &mut Violations) {
        let Some(value) = doubled(seen) else {
            return;
        };
        let name = self.object.name;
        violations.push("duplicate-elements", || {
            let (who, seen) = (self.words.introduce(&[reader]), Words::list(seen));
            let told = format!(
                "{who}.\nT1 read {name} as {seen}: {value} is in it twice, and was appended once"
            );
            (vec![reader], told)
        });
    }

    /// Appends of one transaction in another order than it made them.
    fn out_of_turn(&self, violations: &mut Violations) {
        let (object, name) = (self.object, self.object.name);
        let position = object.positions();
        for (at, pair) in object.writes.windows(2).enumerate() {
            let (first, second) = (position[at], position[at + 1]);
            let is_turned = first != NONE && second != NONE && first > second;
            if !is_turned || pair[0].place != pair[1].place {
                continue;
            }
            violations.push("incompatible-order", || {
                let places = vec![pair[0].place, self.reader(first as usize)];
                let who = self.words.introduce(&places);
                let (one, two) = (pair[0].value, pair[1].value);
                let told = format!(
                    "{who}.\nT1 appended {one} to {name} before {two}, T2 read {two} before {one}"
                );
                (places, told)
            });
        }
    }

    /// Reads of what the reader appended only later.
    fn read_ahead(&self, violations: &mut Violations) {
        let (object, name) = (self.object, self.object.name);
        for (write, at) in object.writes.iter().zip(object.positions()) {
            let read = object.read_of(write.place);
            // What is in no order is at [`NONE`], behind whatever was read.
            let is_ahead = |read: &&Read| read.length != NONE && at < read.length;
            if read.filter(is_ahead).is_some() {
                violations.push("internal", || {
                    let (who, value) = (self.words.introduce(&[write.place]), write.value);
                    let told =
                        format!("{who}.\nT1 read {value} in {name} before it appended that itself");
                    (vec![write.place], told)
                });
            }
        }
    }

    /// Reads that end between two appends of one transaction.
    fn intermediate(&self, violations: &mut Violations) {
        let (object, name) = (self.object, self.object.name);
        for read in object.reads.iter().filter(|read| read.length != NONE) {
            let last = (read.length as usize).checked_sub(1);
            let last = last.map_or(NONE, |last| object.order[last]);
            if last == NONE || object.is_last(last) {
                continue;
            }
            let writer = object.place(last);
            if writer == read.reader || self.words.0.fate(writer) == Fate::Fail {
                continue;
            }
            violations.push("G1b", || {
                let places = vec![writer, read.reader];
                let who = self.words.introduce(&places);
                let value = |write: u32| object.writes[write as usize].value;
                let (one, next) = (value(last), value(last + 1));
                let told = format!(
                    "{who}.\nT2 saw T1's {one} in {name}, without T1's {next} that follows"
                );
                (places, told)
            });
        }
    }

    /// Two that read the same and then both appended: one did not see the other's.
    fn lost_updates(&self, violations: &mut Violations) {
        let (object, name) = (self.object, self.object.name);
        let reads = object.reads.iter().filter(|read| read.length != NONE);
        let updates = reads.filter(|read| object.is_written_by(read.reader));
        let mut updates: Vec<_> = updates.map(|read| (read.length, read.reader)).collect();
        updates.sort_unstable();
        for pair in updates.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            violations.push("lost-update", || {
                let places = vec![pair[0].1, pair[1].1];
                let who = self.words.introduce(&places);
                let read = object.read_of(places[0]).expect("it is among the reads");
                let seen = object.seen(read);
                let seen = seen.iter().take(pair[0].0 as usize).collect();
                let seen = Words::list(&seen);
                let told = format!(
                    "{who}.\nBoth appended to {name} when it was {seen}: neither saw what the \
                     other did"
                );
                (places, told)
            });
        }
    }
}

/// An element that is in it twice.
pub(super) fn doubled(elements: &Elements) -> Option<i64> {
    let mut values: Vec<i64> = elements.iter().collect();
    values.sort_unstable();
    let twice = values.windows(2).find(|pair| pair[0] == pair[1]);
    twice.map(|pair| pair[0])
}
