//! All transactions, packed into some fifty bytes each.
//!
//! ```text
//!   entries     p3, asked 10, over 20, ok, ─┐       32 bytes each, in order of invocation
//!   steps       append 0 1 · saw 1 (0, 12) ◀┘       one after the other, in as few as that takes
//!   names       0: x   1: y
//!   versions    of each list, what it was seen to hold
//! ```
//!
//! What was asked is forgotten once it is answered: the answer repeats it. What a list was seen to
//! hold is kept once ([`Versions`]), which is most of a history.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::versions::{Version, Versions};
use super::{Elements, Kind, Name, Step};
use crate::history::{History, Outcome, Process, Time};

/// What was asked, and what became of it; after [`Log::finish`] in order of invocation.
pub(crate) struct Log {
    kind: Kind,
    names: Vec<Name>,
    numbers: FxHashMap<Name, u32>,
    /// By object.
    versions: Vec<Versions>,
    entries: Vec<Entry>,
    /// The ranks in which they were asked, where those are not their places.
    asked: Option<Vec<u32>>,
    steps: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Entry {
    process: Process,
    invoked: Time,
    completed: Time,
    /// Where its steps begin, and its fate in the last two bits.
    steps: u64,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Ok,
    Fail,
    Info,
}

/// One step: to which object, by its number, and what.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Did(pub(super) u32, pub(super) Deed);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Deed {
    Append(i64),
    Write(i64),
    /// A read whose answer is not known.
    Ask,
    Saw(Seen),
}

/// What a read saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Seen {
    /// A list.
    List(Version),
    /// A register.
    Value(Option<i64>),
}

impl Log {
    pub(crate) fn new(kind: Kind) -> Self {
        Log {
            kind,
            names: Vec::new(),
            numbers: FxHashMap::default(),
            versions: Vec::new(),
            entries: Vec::new(),
            asked: None,
            steps: Vec::new(),
        }
    }

    /// Those of a history.
    pub(super) fn of(kind: Kind, history: &History<Vec<Step>, Vec<Step>>) -> Self {
        let mut log = Log::new(kind);
        for transaction in history.operations() {
            let rank = log.ask(transaction.process(), transaction.invoked());
            let (fate, steps) = match transaction.outcome() {
                Outcome::Ok(did) => (Fate::Ok, did),
                Outcome::Fail(_) => (Fate::Fail, transaction.op()),
                Outcome::Info(_) => (Fate::Info, transaction.op()),
            };
            let completed = transaction.completed().unwrap_or_default();
            log.end(rank, completed, fate, steps);
        }
        log.finish();
        log
    }

    /// A transaction is asked for: the rank to end it by. Until then its result is unknown, and
    /// what it asked too.
    pub(crate) fn ask(&mut self, process: Process, invoked: Time) -> usize {
        self.entries.push(Entry {
            process,
            invoked,
            completed: invoked,
            steps: u64::MAX,
        });
        self.entries.len() - 1
    }

    /// What became of it, with the steps of its answer; of its question where it has none.
    pub(crate) fn end(&mut self, rank: usize, completed: Time, fate: Fate, steps: &[Step]) {
        let did: Vec<Did> = steps.iter().map(|step| self.packed(step)).collect();
        let at = self.steps.len() as u64;
        let steps = std::mem::take(&mut self.steps);
        self.steps = postcard::to_extend(&did, steps).expect("numbers can be written");
        let entry = &mut self.entries[rank];
        entry.completed = completed;
        entry.steps = at << 2 | fate as u64;
    }

    /// Nothing more comes: they are put in order of invocation.
    pub(crate) fn finish(&mut self) {
        self.versions.iter_mut().for_each(Versions::finish);
        self.numbers = FxHashMap::default();
        if self.entries.is_sorted_by_key(|entry| entry.invoked) {
            return;
        }
        let count = u32::try_from(self.entries.len()).expect("transactions are numbered by u32");
        let mut asked: Vec<u32> = (0..count).collect();
        asked.sort_by_key(|rank| self.entries[*rank as usize].invoked);
        self.entries.sort_by_key(|entry| entry.invoked);
        self.asked = Some(asked);
    }

    fn packed(&mut self, step: &Step) -> Did {
        let object = self.number(step.name());
        let deed = match step {
            Step::Append(_, value) => Deed::Append(*value),
            Step::Write(_, value) => Deed::Write(*value),
            Step::Read(_, None) => Deed::Ask,
            Step::Read(_, Some(seen)) => Deed::Saw(match self.kind {
                Kind::RwRegister if seen.len() < 2 => Seen::Value(seen.iter().next()),
                _ => Seen::List(self.versions[object as usize].see(seen)),
            }),
        };
        Did(object, deed)
    }

    fn number(&mut self, name: &Name) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("objects are numbered by u32");
        self.numbers.insert(name.clone(), number);
        self.names.push(name.clone());
        self.versions.push(Versions::default());
        number
    }
}

/// What is known of a transaction, by its place.
impl Log {
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn places(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.len()).expect("transactions are numbered by u32")
    }

    /// The rank in which it was asked.
    pub(crate) fn rank(&self, place: usize) -> usize {
        self.asked
            .as_ref()
            .map_or(place, |asked| asked[place] as usize)
    }

    pub(super) fn process(&self, place: u32) -> Process {
        self.entries[place as usize].process
    }

    pub(super) fn invoked(&self, place: u32) -> Time {
        self.entries[place as usize].invoked
    }

    /// When it was over, if it certainly happened.
    pub(super) fn returned(&self, place: u32) -> Option<Time> {
        (self.fate(place) == Fate::Ok).then(|| self.entries[place as usize].completed)
    }

    pub(super) fn fate(&self, place: u32) -> Fate {
        match self.entries[place as usize].steps & 3 {
            0 => Fate::Ok,
            1 => Fate::Fail,
            _ => Fate::Info,
        }
    }

    /// What it did, as far as anybody knows; what it asked where nobody does.
    pub(super) fn did(&self, place: u32) -> Vec<Did> {
        let at = usize::try_from(self.entries[place as usize].steps >> 2);
        let bytes = at.ok().and_then(|at| self.steps.get(at..));
        let did = postcard::take_from_bytes(bytes.unwrap_or(&[0]));
        did.expect("we wrote it").0
    }

    /// The same with names.
    pub(super) fn steps(&self, place: u32) -> Vec<Step> {
        let did = self.did(place).into_iter();
        did.map(|Did(object, deed)| {
            let name = self.name(object).clone();
            match deed {
                Deed::Append(value) => Step::Append(name, value),
                Deed::Write(value) => Step::Write(name, value),
                Deed::Ask => Step::Read(name, None),
                Deed::Saw(seen) => Step::Read(name, Some(self.elements(object, seen))),
            }
        })
        .collect()
    }

    pub(super) fn name(&self, object: u32) -> &Name {
        &self.names[object as usize]
    }

    pub(super) fn versions(&self, object: u32) -> &Versions {
        &self.versions[object as usize]
    }

    pub(super) fn object_count(&self) -> usize {
        self.names.len()
    }

    fn elements(&self, object: u32, seen: Seen) -> Elements {
        match seen {
            Seen::List(version) => self.versions(object).elements(version),
            Seen::Value(value) => value.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(word: &str) -> Name {
        Name::Word(word.into())
    }

    #[test]
    fn what_goes_in_comes_out_in_order_of_invocation() {
        let mut log = Log::new(Kind::ListAppend);
        let read = |seen: &[i64]| Step::Read(name("x"), Some(Elements::from(seen)));
        let late = vec![Step::Append(name("x"), i64::MIN), read(&[3, 4])];
        let early = vec![read(&[3, 9]), Step::Read(name("y"), None)];
        let ranks = [
            (Process(7), Time(9)),
            (Process(8), Time(5)),
            (Process(9), Time(6)),
        ];
        let ranks = ranks.map(|(process, invoked)| log.ask(process, invoked));
        log.end(ranks[1], Time(10), Fate::Fail, &early);
        log.end(ranks[0], Time(11), Fate::Ok, &late);
        log.finish();
        assert_eq!(
            log.places()
                .map(|place| log.process(place).0)
                .collect::<Vec<_>>(),
            [8, 9, 7]
        );
        assert_eq!([0, 1, 2].map(|place| log.rank(place)), [1, 2, 0]);
        assert_eq!(
            [0, 1, 2].map(|place| log.fate(place)),
            [Fate::Fail, Fate::Info, Fate::Ok]
        );
        assert_eq!(
            (log.steps(0), log.steps(1), log.steps(2)),
            (early, vec![], late)
        );
        assert_eq!((log.returned(0), log.returned(2)), (None, Some(Time(11))));
    }

    #[test]
    fn a_read_takes_the_same_however_long_the_list_is() {
        let mut log = Log::new(Kind::ListAppend);
        for number in 0..1000_i64 {
            let rank = log.ask(Process(0), Time(number.cast_unsigned()));
            let seen: Elements = (0..number).collect();
            let steps = [
                Step::Append(name("x"), number),
                Step::Read(name("x"), Some(seen)),
            ];
            log.end(rank, Time(number.cast_unsigned()), Fate::Ok, &steps);
        }
        assert!(log.steps.len() < 12 * 1000, "{}", log.steps.len());
    }
}
