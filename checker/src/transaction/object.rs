//! What transactions did to each list or register, gathered object by object.
//!
//! ```text
//!   T1   append x 1, append y 1          x   writes   1 by T1, 2 by T2
//!   T2   read x [1], append x 2   ──▶        reads    [1] by T2, [1 2] by T3
//!   T3   read x [1 2]                    y   writes   1 by T1
//! ```
//!
//! On the way each transaction is held against itself: after its first read of an object, or its
//! first write to a register, it must read what it had read and written there itself. That holds
//! in every serial order, for nobody else does anything meanwhile. Only the first read tells of
//! others, and of a list that the transaction had appended to before only the part before that.

use rustc_hash::FxHashMap;

use super::effort::Effort;
use super::graph::NONE;
use super::violations::Violations;
use super::words::Words;
use super::{Elements, Kind, Name, Step};
use crate::history::{History, Operation, OperationId, Outcome};

pub(super) type Transaction = Operation<Vec<Step>, Vec<Step>>;
pub(super) type Transactions = History<Vec<Step>, Vec<Step>>;

/// A value, and the transaction that wrote it, by its place in the history.
pub(super) struct Write {
    pub(super) value: i64,
    pub(super) place: u32,
}

/// What a transaction saw of others in one object.
pub(super) struct Read<'h> {
    pub(super) reader: u32,
    /// So many of a list's last elements the reader had appended itself.
    pub(super) own: u32,
    /// How much of a list's order it saw, without its own; [`NONE`] where it fits no order.
    pub(super) length: u32,
    pub(super) seen: &'h Elements,
}

/// One list or register.
pub(super) struct Object<'h> {
    pub(super) name: &'h Name,
    /// In the order of transactions, and of their steps.
    pub(super) writes: Vec<Write>,
    /// In the order of transactions.
    pub(super) reads: Vec<Read<'h>>,
    /// The writes by their values; of equal ones those that may have happened come last.
    pub(super) by_value: Vec<u32>,
    /// Of a list: the writes in the order of its longest read, [`NONE`] for what nobody wrote.
    pub(super) order: Vec<u32>,
    /// Two writes of one value may both have happened: who wrote what was read is not known.
    pub(super) is_ambiguous: bool,
    /// A read shows one element twice: its order says nothing.
    pub(super) is_doubled: bool,
    own: Own<'h>,
}

/// What one transaction knows of an object by what it did itself.
#[derive(Default)]
struct Own<'h> {
    place: Option<u32>,
    read: Option<&'h Elements>,
    /// What it wrote since.
    written: Vec<i64>,
}

/// All of them, and what is known of the transactions by then.
pub(super) struct Objects<'h> {
    pub(super) kind: Kind,
    pub(super) history: &'h Transactions,
    pub(super) all: Vec<Object<'h>>,
    numbers: FxHashMap<&'h Name, usize>,
    /// True for each transaction that certainly happened: it was acknowledged, or somebody saw it.
    pub(super) happened: Vec<bool>,
    /// A transaction with a step that such objects do not have.
    pub(super) foreign: Option<u32>,
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Ok,
    Fail,
    Info,
}

pub(super) fn fate(history: &Transactions, place: u32) -> Fate {
    match history.get(OperationId(place as usize)).outcome() {
        Outcome::Ok(_) => Fate::Ok,
        Outcome::Fail(_) => Fate::Fail,
        Outcome::Info(_) => Fate::Info,
    }
}

/// What a transaction did, as far as anybody knows; what it asked where nobody does.
pub(super) fn steps(transaction: &Transaction) -> &[Step] {
    transaction
        .outcome()
        .ok()
        .unwrap_or_else(|| transaction.op())
}

impl<'h> Objects<'h> {
    /// As far as the effort goes; see [`Effort::is_spent`].
    pub(super) fn gather(
        kind: Kind,
        history: &'h Transactions,
        effort: &Effort,
        violations: &mut Violations,
    ) -> Self {
        let mut objects = Objects {
            kind,
            history,
            all: Vec::new(),
            numbers: FxHashMap::default(),
            happened: Vec::new(),
            foreign: None,
        };
        effort.hold(history.len());
        effort.look();
        for (place, transaction) in (0..).zip(history.operations()) {
            if !effort.tick() {
                return objects;
            }
            let is_ok = transaction.outcome().ok().is_some();
            objects.happened.push(is_ok);
            for step in steps(transaction) {
                objects.step(place, step, is_ok, effort, violations);
            }
        }
        for object in &mut objects.all {
            effort.hold(size_of::<u32>() * object.writes.len());
            effort.tick();
            object.own = Own::default();
            object.index(history);
        }
        objects
    }

    fn step(
        &mut self,
        place: u32,
        step: &'h Step,
        is_ok: bool,
        effort: &Effort,
        violations: &mut Violations,
    ) {
        let kind = self.kind;
        if kind.refuses(step).is_some() {
            self.foreign = self.foreign.or(Some(place));
            return;
        }
        match (kind, step) {
            (_, Step::Append(name, value) | Step::Write(name, value)) => {
                effort.hold(size_of::<Write>());
                let object = self.object(name, effort);
                object.writes.push(Write {
                    value: *value,
                    place,
                });
                object.own_of(place).written.push(*value);
            }
            (_, Step::Read(name, Some(seen))) if is_ok => {
                effort.hold(size_of::<Read>());
                let history = self.history;
                let object = self.object(name, effort);
                let fits = match kind {
                    Kind::ListAppend => object.list_read(place, seen),
                    Kind::RwRegister => object.register_read(place, seen),
                };
                if let Err(did) = fits {
                    let words = Words { kind, history };
                    violations.push("internal", || {
                        let (who, seen) = (words.introduce(&[place]), words.seen(seen));
                        let told = format!("{who}.\nT1 {did} {name}, and then read it as {seen}");
                        (vec![place], told)
                    });
                }
            }
            (_, Step::Read(..)) => {}
        }
    }

    fn object(&mut self, name: &'h Name, effort: &Effort) -> &mut Object<'h> {
        let next = self.all.len();
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            effort.hold(size_of::<Object>() + 2 * size_of::<(&Name, usize)>());
            self.all.push(Object {
                name,
                writes: Vec::new(),
                reads: Vec::new(),
                by_value: Vec::new(),
                order: Vec::new(),
                is_ambiguous: false,
                is_doubled: false,
                own: Own::default(),
            });
        }
        &mut self.all[number]
    }

    /// The object of that name, if any transaction has it.
    pub(super) fn named(&self, name: &Name) -> Option<&Object<'h>> {
        self.numbers.get(name).map(|number| &self.all[*number])
    }
}

impl<'h> Object<'h> {
    fn own_of(&mut self, place: u32) -> &mut Own<'h> {
        if self.own.place != Some(place) {
            self.own.place = Some(place);
            self.own.read = None;
            self.own.written.clear();
        }
        &mut self.own
    }

    /// What it had done, in words, if it does not go with what it saw.
    fn list_read(&mut self, place: u32, seen: &'h Elements) -> Result<(), String> {
        let own = self.own_of(place);
        let written = own.written.len();
        let (before, is_first) = (own.read.unwrap_or(seen), own.read.is_none());
        let kept = match is_first {
            true => seen.len().saturating_sub(written),
            false => before.len(),
        };
        let expected = before.iter().take(kept).chain(own.written.iter().copied());
        let fits = match expected.eq(seen.iter()) {
            true => Ok(()),
            false => {
                let appended = Words::list(&Elements::from(&own.written[..]));
                let before = Words::list(before);
                Err(match (is_first, written) {
                    (true, _) => format!("appended {appended} to"),
                    (false, 0) => format!("had read {before} in"),
                    (false, _) => format!("had read {before} in and appended {appended} to"),
                })
            }
        };
        own.read = Some(seen);
        own.written.clear();
        if is_first && fits.is_ok() {
            self.read(place, written, seen);
        }
        fits
    }

    fn register_read(&mut self, place: u32, seen: &'h Elements) -> Result<(), String> {
        let own = self.own_of(place);
        let (one, written) = (seen.iter().next(), own.written.last().copied());
        let before = own.read.replace(seen).map(|before| before.iter().next());
        own.written.clear();
        match (written, before) {
            (Some(written), _) if Some(written) == one => Ok(()),
            (Some(written), _) => Err(format!("wrote {written} to")),
            (None, Some(before)) if before == one => Ok(()),
            (None, Some(before)) => Err(format!("had read {} in", Words::value(before))),
            (None, None) => {
                self.read(place, 0, seen);
                Ok(())
            }
        }
    }

    fn read(&mut self, reader: u32, own: usize, seen: &'h Elements) {
        let own = u32::try_from(own).expect("nobody appends 2^32 elements at once");
        self.reads.push(Read {
            reader,
            own,
            length: NONE,
            seen,
        });
    }

    /// Sorts the writes by their values, and looks for values that were written twice.
    fn index(&mut self, history: &Transactions) {
        let count = u32::try_from(self.writes.len()).expect("there are fewer than 2^32 writes");
        let writes = &self.writes;
        let mut by_value: Vec<u32> = (0..count).collect();
        by_value.sort_by_key(|at| writes[*at as usize].value);
        let fails = |at: u32| fate(history, writes[at as usize].place) == Fate::Fail;
        let value = |at: u32| writes[at as usize].value;
        if by_value
            .windows(2)
            .any(|pair| value(pair[0]) == value(pair[1]))
        {
            by_value.sort_by_key(|at| (value(*at), !fails(*at)));
            let is_twice = |pair: &[u32]| value(pair[0]) == value(pair[1]) && !fails(pair[0]);
            self.is_ambiguous = by_value.windows(2).any(is_twice);
        }
        self.by_value = by_value;
    }

    /// Who wrote that value, as a place in `writes`: of several one that may have happened.
    pub(super) fn writer(&self, value: i64) -> Option<u32> {
        let value_at = |at: &u32| self.writes[*at as usize].value;
        let end = self.by_value.partition_point(|at| value_at(at) <= value);
        let last = *self.by_value.get(end.checked_sub(1)?)?;
        (value_at(&last) == value).then_some(last)
    }

    /// The transaction of that write.
    pub(super) fn place(&self, write: u32) -> u32 {
        self.writes[write as usize].place
    }

    /// True where its transaction wrote nothing more to this object.
    pub(super) fn is_last(&self, write: u32) -> bool {
        let next = self.writes.get(write as usize + 1);
        next.is_none_or(|next| next.place != self.place(write))
    }

    /// Where each write is in the order, or [`NONE`].
    pub(super) fn positions(&self) -> Vec<u32> {
        let mut positions = vec![NONE; self.writes.len()];
        for (at, write) in (0..).zip(&self.order) {
            if *write != NONE {
                positions[*write as usize] = at;
            }
        }
        positions
    }

    /// True where that transaction writes to this object.
    pub(super) fn is_written_by(&self, place: u32) -> bool {
        let mut places = self.writes_of(place);
        places.next().is_some()
    }

    /// What that transaction writes to this object, in its order.
    pub(super) fn writes_of(&self, place: u32) -> impl Iterator<Item = u32> + '_ {
        let start = self.writes.partition_point(|write| write.place < place);
        let count = u32::try_from(self.writes.len()).expect("there are fewer than 2^32 writes");
        let start = u32::try_from(start).expect("below their count");
        (start..count).take_while(move |at| self.place(*at) == place)
    }

    /// What that transaction saw of others here.
    pub(super) fn read_of(&self, place: u32) -> Option<&Read<'h>> {
        let at = self.reads.binary_search_by_key(&place, |read| read.reader);
        at.ok().map(|at| &self.reads[at])
    }
}
