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

use super::effort::Effort;
use super::graph::NONE;
use super::log::{Deed, Did, Fate, Log, Seen};
use super::versions::{Version, Versions};
use super::violations::Violations;
use super::words::Words;
use super::{Elements, Kind, Name};

/// A value, and the transaction that wrote it, by its place in the history.
pub(super) struct Write {
    pub(super) value: i64,
    pub(super) place: u32,
}

/// What a transaction saw of others in one object.
pub(super) struct Read {
    pub(super) reader: u32,
    /// So many of a list's last elements the reader had appended itself.
    pub(super) own: u32,
    /// How much of a list's order it saw, without its own; [`NONE`] where it fits no order. Of a
    /// register one value or none.
    pub(super) length: u32,
    /// Which version of a list, or which value of a register, in as few bytes as that takes.
    seen: [u8; 8],
}

/// One list or register.
pub(super) struct Object<'h> {
    pub(super) name: &'h Name,
    pub(super) versions: &'h Versions,
    /// In the order of transactions, and of their steps.
    pub(super) writes: Vec<Write>,
    /// In the order of transactions.
    pub(super) reads: Vec<Read>,
    /// The writes by their values; of equal ones those that may have happened come last.
    pub(super) by_value: Vec<u32>,
    /// Of a list: the writes in the order of its longest read, [`NONE`] for what nobody wrote.
    pub(super) order: Vec<u32>,
    /// Two writes of one value may both have happened: who wrote what was read is not known.
    pub(super) is_ambiguous: bool,
    /// A read shows one element twice: its order says nothing.
    pub(super) is_doubled: bool,
    own: Own,
}

/// What one transaction knows of an object by what it did itself.
#[derive(Default)]
struct Own {
    place: Option<u32>,
    read: Option<Seen>,
    /// What it wrote since.
    written: Vec<i64>,
}

/// All of them, and what is known of the transactions by then.
pub(super) struct Objects<'h> {
    pub(super) log: &'h Log,
    /// In the order in which they come up.
    pub(super) all: Vec<Object<'h>>,
    /// Their places there, by the numbers that the log gives them; [`NONE`] before they come up.
    places: Vec<u32>,
    /// True for each transaction that certainly happened: it was acknowledged, or somebody saw it.
    pub(super) happened: Vec<bool>,
    /// A transaction with a step that such objects do not have.
    pub(super) foreign: Option<u32>,
}

impl Read {
    /// Of a list.
    pub(super) fn version(&self) -> Version {
        Version::unpacked(self.seen)
    }

    /// How many elements of a list's order, its own included.
    pub(super) fn count(&self) -> usize {
        (self.length + self.own) as usize
    }

    /// Of a register.
    pub(super) fn value(&self) -> Option<i64> {
        (self.length > 0).then(|| i64::from_le_bytes(self.seen))
    }
}

impl<'h> Objects<'h> {
    /// As far as the effort goes; see [`Effort::is_spent`].
    pub(super) fn gather(log: &'h Log, effort: &Effort, violations: &mut Violations) -> Self {
        let mut objects = Objects {
            log,
            all: Vec::new(),
            places: vec![NONE; log.object_count()],
            happened: Vec::new(),
            foreign: None,
        };
        effort.hold(log.len());
        effort.look();
        for place in log.places() {
            if !effort.tick() {
                return objects;
            }
            objects.happened.push(log.fate(place) == Fate::Ok);
            for did in log.did(place) {
                objects.step(place, did, effort, violations);
            }
        }
        for object in &mut objects.all {
            effort.hold(size_of::<u32>() * object.writes.len());
            effort.tick();
            object.own = Own::default();
            object.index(log);
        }
        objects
    }

    fn step(&mut self, place: u32, did: Did, effort: &Effort, violations: &mut Violations) {
        let (log, Did(number, deed)) = (self.log, did);
        match (log.kind(), deed) {
            (Kind::ListAppend, Deed::Write(_) | Deed::Saw(Seen::Value(_)))
            | (Kind::RwRegister, Deed::Append(_) | Deed::Saw(Seen::List(_))) => {
                self.foreign = self.foreign.or(Some(place));
            }
            (_, Deed::Append(value) | Deed::Write(value)) => {
                effort.hold(size_of::<Write>());
                let object = self.object(number, effort);
                object.writes.push(Write { value, place });
                object.own_of(place).written.push(value);
            }
            (_, Deed::Saw(seen)) if log.fate(place) == Fate::Ok => {
                effort.hold(size_of::<Read>());
                let object = self.object(number, effort);
                let fits = match seen {
                    Seen::List(version) => object.list_read(place, version),
                    Seen::Value(value) => object.register_read(place, value),
                };
                if let Err(did) = fits {
                    violations.push("internal", || {
                        let (who, name) = (Words(log).introduce(&[place]), log.name(number));
                        let seen = Words(log).seen(number, seen);
                        let told = format!("{who}.\nT1 {did} {name}, and then read it as {seen}");
                        (vec![place], told)
                    });
                }
            }
            (_, Deed::Saw(_) | Deed::Ask) => {}
        }
    }

    fn object(&mut self, number: u32, effort: &Effort) -> &mut Object<'h> {
        let place = &mut self.places[number as usize];
        if *place == NONE {
            *place = u32::try_from(self.all.len()).expect("objects are numbered by u32");
            effort.hold(size_of::<Object>() + size_of::<u32>());
            self.all.push(Object {
                name: self.log.name(number),
                versions: self.log.versions(number),
                writes: Vec::new(),
                reads: Vec::new(),
                by_value: Vec::new(),
                order: Vec::new(),
                is_ambiguous: false,
                is_doubled: false,
                own: Own::default(),
            });
        }
        &mut self.all[*place as usize]
    }

    /// The object to which that was done, if it was looked at.
    pub(super) fn get(&self, did: Did) -> Option<&Object<'h>> {
        self.all.get(self.places[did.0 as usize] as usize)
    }
}

impl Object<'_> {
    fn own_of(&mut self, place: u32) -> &mut Own {
        if self.own.place != Some(place) {
            self.own.place = Some(place);
            self.own.read = None;
            self.own.written.clear();
        }
        &mut self.own
    }

    /// What it had done, in words, if it does not go with what it saw.
    fn list_read(&mut self, place: u32, seen: Version) -> Result<(), String> {
        let own = self.own_of(place);
        let before = match own.read.replace(Seen::List(seen)) {
            Some(Seen::List(before)) => Some(before),
            _ => None,
        };
        let written = std::mem::take(&mut own.written);
        let fits = match (before, written.len()) {
            (None, 0) => Ok(()),
            (Some(before), 0) if before == seen => Ok(()),
            _ => self.continues(before, &written, seen),
        };
        if before.is_none() && fits.is_ok() {
            self.read(place, written.len(), NONE, seen.packed());
        }
        fits
    }

    /// Whoever had read that before, if anything, and then appended these must see both.
    fn continues(
        &self,
        before: Option<Version>,
        written: &[i64],
        seen: Version,
    ) -> Result<(), String> {
        let seen = self.versions.elements(seen);
        let before = before.map(|before| self.versions.elements(before));
        let kept = match &before {
            None => seen.len().saturating_sub(written.len()),
            Some(before) => before.len(),
        };
        let base = before.as_ref().unwrap_or(&seen).iter().take(kept);
        if base.chain(written.iter().copied()).eq(seen.iter()) {
            return Ok(());
        }
        let appended = Words::list(&Elements::from(written));
        Err(match before.as_ref().map(Words::list) {
            None => format!("appended {appended} to"),
            Some(before) if written.is_empty() => format!("had read {before} in"),
            Some(before) => format!("had read {before} in and appended {appended} to"),
        })
    }

    fn register_read(&mut self, place: u32, seen: Option<i64>) -> Result<(), String> {
        let own = self.own_of(place);
        let written = own.written.last().copied();
        own.written.clear();
        match (written, own.read.replace(Seen::Value(seen))) {
            (Some(written), _) if Some(written) == seen => Ok(()),
            (Some(written), _) => Err(format!("wrote {written} to")),
            (None, Some(Seen::Value(before))) if before == seen => Ok(()),
            (None, Some(Seen::Value(before))) => {
                Err(format!("had read {} in", Words::value(before)))
            }
            (None, _) => {
                let value = seen.unwrap_or_default().to_le_bytes();
                self.read(place, 0, u32::from(seen.is_some()), value);
                Ok(())
            }
        }
    }

    fn read(&mut self, reader: u32, own: usize, length: u32, seen: [u8; 8]) {
        let own = u32::try_from(own).expect("nobody appends 2^32 elements at once");
        self.reads.push(Read {
            reader,
            own,
            length,
            seen,
        });
    }

    /// What that read saw of a list.
    pub(super) fn seen(&self, read: &Read) -> Elements {
        self.versions.elements(read.version())
    }

    /// Sorts the writes by their values, and looks for values that were written twice.
    fn index(&mut self, log: &Log) {
        let count = u32::try_from(self.writes.len()).expect("there are fewer than 2^32 writes");
        let writes = &self.writes;
        let mut by_value: Vec<u32> = (0..count).collect();
        by_value.sort_by_key(|at| writes[*at as usize].value);
        let fails = |at: u32| log.fate(writes[at as usize].place) == Fate::Fail;
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
    pub(super) fn read_of(&self, place: u32) -> Option<&Read> {
        let at = self.reads.binary_search_by_key(&place, |read| read.reader);
        at.ok().map(|at| &self.reads[at])
    }
}
