//! Operations of one key, packed into some twenty bytes each until it is their turn.
//!
//! ```text
//!   file, line by line        ─▶ key a  ▒▒▒▒▒▒▒▒▒      two keys at a time are unpacked,
//!   (nothing of it is kept)      key b  ▒▒▒▒▒      ─▶  judged, told, and forgotten
//!                                key c  ▒▒▒▒▒▒▒
//! ```
//!
//! Numbers are written as the difference from the operation before, in as few bytes as that takes
//! (the variable-length integers of postcard). What certainly did not happen, and what is of
//! unknown result and could have changed nothing, is not kept at all. So of a history there are in
//! memory its packed form, and what the search needs for the keys that it is at.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::source::{At, Place};
use crate::history::{Operation, OperationId, Process, Time};

/// How an operation was asked, and where that stands.
pub(super) struct Asked<O> {
    pub(super) process: Process,
    pub(super) op: O,
    pub(super) invoked: Time,
    pub(super) at: At,
}

/// How it was answered: when, where that stands, and with which result.
pub(super) struct Answered<R> {
    pub(super) completed: Time,
    pub(super) at: At,
    pub(super) ret: R,
}

/// The operations of one key.
#[derive(Debug)]
pub(super) struct Packed<O, R> {
    bytes: Vec<u8>,
    count: usize,
    last: Stamp,
    kind: PhantomData<fn() -> (O, R)>,
}

/// Where one operation was, from which the next one is told.
#[derive(Clone, Copy, Debug, Default)]
struct Stamp {
    invoked: Time,
    at: At,
}

/// One operation as it is written. What is mostly equal to something else is written as the
/// difference from it.
#[derive(Serialize, Deserialize)]
struct Record<O, R> {
    process: u64,
    op: O,
    invoked: i64,
    line: i64,
    event: i64,
    index: i64,
    answer: Option<Answer<R>>,
}

#[derive(Serialize, Deserialize)]
struct Answer<R> {
    took: u64,
    line: i64,
    event: i64,
    ret: R,
}

impl<O, R> Default for Packed<O, R> {
    fn default() -> Self {
        Packed {
            bytes: Vec::new(),
            count: 0,
            last: Stamp::default(),
            kind: PhantomData,
        }
    }
}

impl<O: Serialize, R: Serialize> Packed<O, R> {
    /// Adds an operation; one without an answer may have happened or not.
    pub(super) fn push(&mut self, asked: &Asked<O>, answered: Option<&Answered<R>>) {
        let line = less(asked.at.line, self.last.at.line);
        let event = less(asked.at.event, self.last.at.event);
        let record = Record {
            process: asked.process.0,
            op: &asked.op,
            invoked: less(asked.invoked.0, self.last.invoked.0),
            line,
            event: event.wrapping_sub(line),
            index: less(asked.at.index, self.last.at.index).wrapping_sub(event),
            answer: answered.map(|answered| {
                let line = less(answered.at.line, asked.at.line);
                Answer {
                    took: answered.completed.0.wrapping_sub(asked.invoked.0),
                    line,
                    event: less(answered.at.event, asked.at.event).wrapping_sub(line),
                    ret: &answered.ret,
                }
            }),
        };
        self.last = Stamp {
            invoked: asked.invoked,
            at: asked.at,
        };
        self.count += 1;
        let bytes = postcard::to_stdvec(&record).expect("numbers, texts and lists can be written");
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            // By an eighth: doubling would leave half of all memory unused.
            self.bytes
                .reserve_exact(bytes.len().max(self.bytes.len() / 8));
        }
        self.bytes.extend_from_slice(&bytes);
    }
}

impl<O: DeserializeOwned, R: DeserializeOwned> Packed<O, R> {
    /// All of them as a history has them: in order of invocation, and numbered so.
    pub(super) fn operations(&self) -> Vec<Operation<O, R>> {
        let mut operations = Vec::with_capacity(self.count);
        self.each(|Stamp { invoked, at }, record| {
            let answer = record.answer.map(|answer| {
                let completed = Time(invoked.0.wrapping_add(answer.took));
                (completed, answer.ret)
            });
            let id = OperationId(usize::try_from(at.event).expect("events were counted"));
            let process = Process(record.process);
            operations.push(Operation::new(id, process, record.op, invoked, answer));
        });
        operations.sort_unstable_by_key(|operation| (operation.invoked(), operation.id()));
        for (rank, operation) in operations.iter_mut().enumerate() {
            operation.renumber(OperationId(rank));
        }
        operations
    }

    /// Where they stand, in the same order.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places: Vec<(Time, Place)> = Vec::with_capacity(self.count);
        self.each(|Stamp { invoked, at }, record| {
            let end = record.answer.map(|answer| At {
                line: at.line.wrapping_add_signed(answer.line),
                event: at
                    .event
                    .wrapping_add_signed(answer.event.wrapping_add(answer.line)),
                ..at
            });
            places.push((invoked, Place { begin: at, end }));
        });
        places.sort_unstable_by_key(|(invoked, place)| (*invoked, place.begin.event));
        places.into_iter().map(|(_, place)| place).collect()
    }

    fn each(&self, mut take: impl FnMut(Stamp, Record<O, R>)) {
        let mut left = self.bytes.as_slice();
        let mut stamp = Stamp::default();
        for _ in 0..self.count {
            let (record, rest): (Record<O, R>, _) =
                postcard::take_from_bytes(left).expect("we wrote it");
            left = rest;
            let event = record.event.wrapping_add(record.line);
            stamp.invoked.0 = stamp.invoked.0.wrapping_add_signed(record.invoked);
            stamp.at = At {
                line: stamp.at.line.wrapping_add_signed(record.line),
                event: stamp.at.event.wrapping_add_signed(event),
                index: stamp
                    .at
                    .index
                    .wrapping_add_signed(record.index.wrapping_add(event)),
            };
            take(stamp, record);
        }
    }
}

/// The difference, which may be the long way round.
fn less(one: u64, other: u64) -> i64 {
    one.wrapping_sub(other).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RegisterOp, RegisterRet};

    fn at(number: u64) -> At {
        At {
            line: number,
            event: number / 2,
            index: u64::MAX - number,
        }
    }

    #[test]
    fn operations_come_out_in_order_of_invocation_as_they_went_in() {
        let mut packed: Packed<RegisterOp, RegisterRet> = Packed::default();
        let asked = |process, invoked, line, op| Asked {
            process: Process(process),
            op,
            invoked: Time(invoked),
            at: at(line),
        };
        let cas = RegisterOp::Cas {
            expect: None,
            new: i64::MIN,
        };
        packed.push(&asked(u64::MAX, u64::MAX - 1, 900, cas), None);
        let answered = Answered {
            completed: Time(u64::MAX),
            at: at(40),
            ret: RegisterRet::Value(Some(-1)),
        };
        packed.push(&asked(0, 5, 30, RegisterOp::Read), Some(&answered));
        packed.push(&asked(7, 5, 20, RegisterOp::Write(3)), None);
        let operations = packed.operations();
        let told: Vec<_> = operations
            .iter()
            .map(|op| (op.id().0, op.process().0, op.invoked().0, *op.op()))
            .collect();
        assert_eq!(
            told,
            [
                (0, 7, 5, RegisterOp::Write(3)),
                (1, 0, 5, RegisterOp::Read),
                (2, u64::MAX, u64::MAX - 1, cas)
            ]
        );
        assert_eq!(operations[1].returned(), Some(Time(u64::MAX)));
        let seen = operations[1].outcome().ok();
        assert_eq!(seen, Some(&RegisterRet::Value(Some(-1))));
        assert!(operations[2].outcome().is_info());
        let places = packed.places();
        assert_eq!(places[1].begin, at(30));
        let end = places[1].end.expect("it was answered");
        assert_eq!((end.line, end.event), (40, 20));
        assert_eq!((places[2].begin, places[2].end), (at(900), None));
    }

    #[test]
    fn an_operation_takes_few_bytes() {
        let mut packed: Packed<RegisterOp, RegisterRet> = Packed::default();
        for number in 0..10_000_u64 {
            let asked = Asked {
                process: Process(number % 10),
                op: RegisterOp::Write(i64::try_from(number).expect("few")),
                invoked: Time(1_000_000_000 + number * 50_000),
                at: at(number * 40),
            };
            let answered = Answered {
                completed: Time(1_000_000_000 + number * 50_000 + 40_000),
                at: at(number * 40 + 20),
                ret: RegisterRet::Written,
            };
            packed.push(&asked, Some(&answered));
        }
        assert!(packed.bytes.len() < 20 * 10_000, "{}", packed.bytes.len());
        assert!(packed.bytes.capacity() < packed.bytes.len() * 5 / 4);
    }
}
