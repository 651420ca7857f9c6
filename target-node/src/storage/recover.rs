//! From the bytes of all segments back to the log, or a refusal.
//!
//! A crash may cut the last write short: a torn tail, which nobody was ever told about, and which
//! is dropped. Damage in what was once durable is another thing: entries that this node has
//! acknowledged may be gone, and a node that forgets them and votes can lose them for all. The
//! sync marks tell the two apart.
//!
//! ```text
//!   … records │ mark "durable up to here" │ records ✗ records            torn: cut at ✗
//!   … records ✗ records │ mark beyond ✗ │ …                              corrupt: refuse
//! ```
//!
//! A mark is written right after each sync and becomes durable with the next one, so what is
//! unprotected is at most the last write before the machine lost power.

use std::path::Path;

use super::StorageError;
use super::record::{self, ALIGNMENT, Chain, Found, Record};
use super::segment::{self, HEAD, Head};
use crate::raft::{Entry, HardState, Index, LogId, Recovered};

/// What recovery had to leave out, if anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repair {
    /// Bytes of a torn tail, of no record that anybody was told about.
    pub(crate) torn_bytes: u64,
    /// The newest snapshot, where it could not be read and an older state took its place. No
    /// entry is lost by it.
    pub(crate) unreadable: Option<LogId>,
}

/// Why recovery refuses: which file, where, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Corruption {
    pub(super) sequence: u64,
    pub(super) offset: u64,
    pub(super) reason: String,
}

impl Corruption {
    /// As the reason why a node refuses to start, with its log in `dir`.
    pub(super) fn into_error(self, dir: &Path) -> StorageError {
        StorageError::Corrupt {
            path: segment::path(dir, self.sequence),
            offset: self.offset,
            reason: self.reason,
        }
    }
}

/// What the segments say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replay {
    /// All but the snapshot itself.
    pub(super) recovered: Recovered,
    /// The last snapshot that the log names.
    pub(super) snapshot: Option<LogId>,
    /// The one before it, where the log still leads from that one to the last: then it will do
    /// in its place.
    pub(super) older: Option<LogId>,
    /// What the older one ends with, 0 for the empty state: no file that is needed from there on
    /// may go. Where the last snapshot stands for the whole log, its own end.
    pub(super) floor: Index,
    /// Where the log ended when the first file was begun, and the place of that file.
    pub(super) files: Vec<(u64, Index)>,
    /// Where the next record belongs in the last file.
    pub(super) end: usize,
    /// The chain of all records up to there.
    pub(super) chain: Chain,
    /// The last file says that it is not the last.
    goes_on: bool,
    /// Bytes from `end` to the last one that is not zero; to be cleared before anything is
    /// written, or they could be read as records one day.
    pub(super) torn_bytes: usize,
}

/// Reads all segments, each with the place that its file's name tells, in order.
pub(super) fn replay(segments: &[(u64, Vec<u8>)], owner: u64) -> Result<Replay, Corruption> {
    let (replay, corruption) = survey(segments, owner);
    corruption.map_or(Ok(replay), Err)
}

/// As [`replay`], but with what was read before the place that is corrupt.
pub(super) fn survey(segments: &[(u64, Vec<u8>)], owner: u64) -> (Replay, Option<Corruption>) {
    let mut replay = Replay {
        recovered: Recovered::default(),
        snapshot: None,
        older: None,
        floor: 0,
        files: Vec::new(),
        end: 0,
        chain: Chain::default(),
        goes_on: false,
        torn_bytes: 0,
    };
    let end = replay.take_segments(segments, owner);
    (replay, end.err())
}

fn check_head(
    sequence: u64,
    expected: u64,
    bytes: &[u8],
    owner: u64,
) -> Result<Head, &'static str> {
    let head = Head::decode(bytes).ok_or("the head of the file is damaged")?;
    if head.owner != owner {
        return Err("the file belongs to another node");
    }
    if head.sequence != sequence || sequence != expected {
        return Err("a file is missing before this one");
    }
    if head.capacity != bytes.len() as u64 {
        return Err("the file has not the size that it was laid out with");
    }
    Ok(head)
}

/// The offset of a sync mark behind `end` that speaks of more than `end`, if there is one.
fn mark_beyond(bytes: &[u8], end: usize, used: usize, salt: u64) -> Option<usize> {
    let mut candidates = (end.next_multiple_of(ALIGNMENT)..used).step_by(ALIGNMENT);
    candidates.find(|&offset| {
        matches!(record::decode(bytes, offset, salt),
            Found::Record(Record::SyncMark(durable, _), _) if durable > end as u64)
    })
}

/// How long the file is without the zeros at its end.
fn used(bytes: &[u8]) -> usize {
    const PAGE: usize = 4096;
    let is_used = |page: &&[u8]| **page != [0; PAGE][..page.len()];
    let Some(last) = bytes.chunks(PAGE).rposition(|page| is_used(&page)) else {
        return 0;
    };
    let page = bytes
        .chunks(PAGE)
        .nth(last)
        .expect("the page was just seen");
    let within = page
        .iter()
        .rposition(|&byte| byte != 0)
        .expect("the page is used");
    last * PAGE + within + 1
}

type Refusal = (usize, &'static str);

impl Replay {
    fn take_segments(&mut self, segments: &[(u64, Vec<u8>)], owner: u64) -> Result<(), Corruption> {
        for (place, (sequence, bytes)) in segments.iter().enumerate() {
            let corrupt = |offset: usize, reason: &str| Corruption {
                sequence: *sequence,
                offset: offset as u64,
                reason: reason.to_owned(),
            };
            let first = segments[0].0;
            let expected = first + place as u64;
            let head =
                check_head(*sequence, expected, bytes, owner).map_err(|why| corrupt(0, why))?;
            if place == 0 {
                self.recovered.base.index = head.base;
            }
            self.files.push((*sequence, head.base));
            if place == 0 {
                self.chain = head.chain;
            } else if (head.previous_end, head.chain) != (self.end as u64, self.chain) {
                return Err(corrupt(0, "the file before it does not end as it ended"));
            }
            let (end, damage) = self
                .take_records(bytes, head.salt())
                .map_err(|(offset, why)| corrupt(offset, why))?;
            let used = used(bytes);
            if let Some(offset) = mark_beyond(bytes, end, used, head.salt()) {
                let what = damage.unwrap_or("a record is missing");
                let proof =
                    format!("{what}, but the mark at byte {offset} shows that it was durable");
                return Err(corrupt(end, &proof));
            }
            self.end = end;
            self.torn_bytes = used.saturating_sub(end);
        }
        if let Some((sequence, _)) = segments.last().filter(|_| self.goes_on) {
            return Err(Corruption {
                sequence: *sequence,
                offset: self.end as u64,
                reason: format!(
                    "file {} of the log, in which it goes on, is gone",
                    sequence + 1
                ),
            });
        }
        self.check_snapshot().map_err(|reason| Corruption {
            sequence: segments.first().map_or(1, |&(sequence, _)| sequence),
            offset: 0,
            reason: reason.to_owned(),
        })
    }

    /// Takes all records up to the first place that has none: that place, and what is wrong there
    /// if it is not simply empty.
    fn take_records(
        &mut self,
        bytes: &[u8],
        salt: u64,
    ) -> Result<(usize, Option<&'static str>), Refusal> {
        let mut offset = HEAD;
        self.goes_on = false;
        loop {
            match record::decode(bytes, offset, salt) {
                Found::Record(Record::GoesOn(_), _) => {
                    self.goes_on = true;
                    return Ok((offset, None));
                }
                Found::Record(record, next) => {
                    self.take(record, offset).map_err(|why| (offset, why))?;
                    self.chain = self.chain.extended(bytes, offset);
                    offset = next;
                }
                Found::Nothing => return Ok((offset, None)),
                Found::Damage(why) => return Ok((offset, Some(why))),
            }
        }
    }

    /// A valid record that contradicts those before it was not written by this code: refused.
    fn take(&mut self, record: Record, offset: usize) -> Result<(), &'static str> {
        match record {
            Record::Entry(entry) => take_entry(&mut self.recovered, entry),
            Record::HardState(new) => {
                let is_successor = is_successor(self.recovered.hard_state, new);
                self.recovered.hard_state = new;
                is_successor.then_some(()).ok_or("term or vote went back")
            }
            Record::TruncateFrom(first) => self.take_cut(first),
            Record::Snapshot(last, drops_log) => self.take_mark(last, drops_log),
            Record::SyncMark(durable, _) if durable > offset as u64 => {
                Err("a sync mark speaks of the future")
            }
            Record::GoesOn(_) => unreachable!("the records of a file end before it"),
            Record::SyncMark(_, chain) => (chain == self.chain)
                .then_some(())
                .ok_or("the records before this mark are not those that were written last"),
        }
    }
}

impl Replay {
    /// What to begin with where the last snapshot cannot be read: the older one, or the empty
    /// state. None where the log does not lead from there to its end: what the node has
    /// acknowledged would be gone.
    pub(super) fn fallback(&self) -> Option<Option<LogId>> {
        let base = self.recovered.base.index;
        let drops_log = self.older.is_none() && self.floor > 0;
        (!drops_log && base <= self.floor).then_some(self.older)
    }
}

impl Replay {
    /// The log was cut before `first`. Where it begins in the middle, because earlier files are
    /// gone, the cut may reach back behind that: what was there was replaced by what follows.
    fn take_cut(&mut self, first: Index) -> Result<(), &'static str> {
        let log = &mut self.recovered;
        let begins_in_the_middle = log.base.index > 0 && log.base.term == 0;
        if begins_in_the_middle && (1..=log.base.index).contains(&first) {
            log.base.index = first - 1;
            log.entries.clear();
            return Ok(());
        }
        let kept = first.checked_sub(log.base.index + 1);
        let kept = kept.and_then(|kept| usize::try_from(kept).ok());
        let kept = kept.filter(|&kept| kept < log.entries.len());
        let kept = kept.ok_or("a cut beyond the end of the log, or before it")?;
        log.entries.truncate(kept);
        Ok(())
    }

    /// A snapshot became durable. What it is about stands in the log, or it takes the log's place.
    fn take_mark(&mut self, last: LogId, drops_log: bool) -> Result<(), &'static str> {
        let log = &mut self.recovered;
        if drops_log {
            if self.snapshot.is_some_and(|older| last <= older) {
                return Err("a snapshot is older than the one before it");
            }
            log.base = last;
            log.entries.clear();
            (self.older, self.floor) = (None, last.index);
        } else if !log.holds(last) {
            return Err("a snapshot ends with an entry that is not in the log");
        } else if self.snapshot != Some(last) {
            self.floor = self.snapshot.map_or(0, |older| older.index);
            self.older = self.snapshot;
        }
        self.snapshot = Some(last);
        Ok(())
    }

    /// What was dropped with earlier files must be in the snapshot, and the snapshot must not
    /// speak of more than the log. Then the entry before the first one is known by name.
    fn check_snapshot(&mut self) -> Result<(), &'static str> {
        let log = &mut self.recovered;
        let snapshot = self.snapshot.unwrap_or_default();
        if log.base.index > snapshot.index {
            return Err("a file is missing before this one: no snapshot reaches so far");
        }
        if log.last().index < snapshot.index {
            return Err("entries are missing that the snapshot was made of");
        }
        let older = self.older.unwrap_or_default();
        if log.base.index == snapshot.index {
            log.base = snapshot;
        } else if log.base.index == older.index {
            log.base = older;
        } else if log.base.term == 0 && log.base.index > 0 {
            // The first file begins in the middle: its first entry is the new base.
            log.base = log.entries.remove(0).id;
        }
        Ok(())
    }
}

fn take_entry(recovered: &mut Recovered, entry: Entry) -> Result<(), &'static str> {
    if entry.id.index != recovered.last().index + 1 {
        return Err("an entry does not follow the one before it");
    }
    let term_before = recovered.last().term;
    if !(term_before..=recovered.hard_state.term).contains(&entry.id.term) {
        return Err("an entry's term is below its predecessor's or above the node's");
    }
    recovered.entries.push(entry);
    Ok(())
}

/// Terms never fall, and in one term a vote once given stays.
fn is_successor(old: HardState, new: HardState) -> bool {
    new.term > old.term || (new.term == old.term && (old.vote.is_none() || old.vote == new.vote))
}
