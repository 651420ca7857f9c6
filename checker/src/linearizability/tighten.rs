//! What was seen by then had happened by then: windows that shrink, and results that become known.
//!
//! ```text
//!   p1   ├── write 7 ─ ─ ─ ─ ─ ─ ─ ▸          nobody knows whether it happened, or when
//!   p2          ├── read → 7 ──┤
//!                              ┊
//!   p1   ├── write 7 ──────────┤              only p1 can have written the 7 that p2 saw:
//!   p2          ├── read → 7 ──┤              it happened, before p2's read returned
//! ```
//!
//! (Gibbons and Korach 1997, section 4, call the first return among a value's operations the end of
//! its write; this is the same for any object, and for values of which only some are distinct.)
//!
//! A model says which [marks](Mark) an operation leaves, and which its result shows. Where one
//! operation alone can have left a mark that was seen, it comes before whoever saw it in every
//! order; so it is in every order, and whatever was called after the observer had returned comes
//! after it too. Its return can be moved to just before the observer's, and then the same holds for
//! what it has seen itself.
//!
//! **Sound for both verdicts:** no order is lost, for each that explains the results obeys that
//! already; and none is gained, for an earlier return only forbids. An operation that returns
//! before it is called is a contradiction, together with those who saw it.

use rustc_hash::FxHashMap;

use super::problem::{Event, Problem};
use crate::model::{Mark, Model};

/// Marks that several operations can have left.
const MANY: u32 = u32::MAX;

/// Operations that contradict each other.
type Contradiction = Vec<u32>;

/// The same question with earlier returns; `None` where there is nothing to gain.
pub(super) fn tightened<'a, M: Model>(
    problem: &Problem<'a, M>,
) -> Result<Option<Problem<'a, M>>, Contradiction> {
    let mut writers: FxHashMap<(i64, i64), u32> = FxHashMap::default();
    for place in 0..problem.len() {
        say(problem, place, |mark| {
            if let Mark::Left(part, value) = mark {
                let writer = writers.entry((part, value)).or_insert(place);
                *writer = if *writer == place { place } else { MANY };
            }
        });
    }
    if writers.is_empty() {
        return Ok(None);
    }
    let mut bounds = Bounds {
        problem,
        writers,
        returns: problem.returns.clone(),
        moved: Vec::new(),
    };
    for event in problem.events.iter().filter(|event| event.is_return()) {
        bounds.spread(event.place())?;
    }
    if bounds.moved.is_empty() {
        return Ok(None);
    }
    let Bounds { moved, returns, .. } = bounds;
    Ok(Some(problem.with_events(events(problem, &returns, &moved))))
}

fn say<M: Model>(problem: &Problem<'_, M>, place: u32, mut mark: impl FnMut(Mark)) {
    let operation = problem.operations[place as usize];
    let ret = operation.outcome().ok();
    problem.model.marks(operation.op(), ret, &mut mark);
}

struct Bounds<'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    /// The one operation that can have left each mark, or [`MANY`].
    writers: FxHashMap<(i64, i64), u32>,
    /// The earliest return known of each operation, as a rank of the problem's.
    returns: Vec<u32>,
    /// What returns earlier, by rank: each before those that it was moved for.
    moved: Vec<u32>,
}

impl<M: Model> Bounds<'_, '_, M> {
    /// Whoever left what `observer` has seen returned before it did. Observers come in the order of
    /// their returns, so that each operation is moved once.
    fn spread(&mut self, observer: u32) -> Result<(), Contradiction> {
        let rank = self.problem.returns[observer as usize];
        if self.returns[observer as usize] < rank {
            return Ok(());
        }
        let from = self.moved.len();
        let mut chain = vec![(observer, observer)];
        let mut at = 0;
        while let Some((place, _)) = chain.get(at).copied() {
            at += 1;
            for writer in self.seen_by(place) {
                if self.problem.calls[writer as usize] > rank {
                    return Err(way(&chain, place, writer));
                }
                if self.returns[writer as usize] > rank {
                    self.returns[writer as usize] = rank;
                    self.moved.push(writer);
                    chain.push((writer, place));
                }
            }
        }
        self.moved[from..].reverse();
        Ok(())
    }

    /// The only ones that can have left what this operation has seen.
    fn seen_by(&self, place: u32) -> Vec<u32> {
        let mut seen = Vec::new();
        say(self.problem, place, |mark| {
            if let Mark::Seen(part, value) | Mark::Needed(part, value) = mark {
                let writer = self.writers.get(&(part, value)).copied();
                seen.extend(writer.filter(|writer| *writer != MANY && *writer != place));
            }
        });
        seen
    }
}

/// From the writer that was called too late to the observer, by who saw whom.
fn way(chain: &[(u32, u32)], mut place: u32, writer: u32) -> Contradiction {
    let mut core = vec![writer, place];
    while let Some((_, by)) = chain.iter().find(|(of, by)| *of == place && of != by) {
        place = *by;
        core.push(place);
    }
    core
}

/// The events in their new order.
fn events<'p, M: Model>(
    problem: &'p Problem<'_, M>,
    returns: &'p [u32],
    moved: &'p [u32],
) -> impl Iterator<Item = Event> + 'p {
    let mut moved = moved.iter().copied().peekable();
    (0..).zip(&problem.events).flat_map(move |(rank, event)| {
        let mut here = Vec::new();
        while let Some(place) = moved.next_if(|place| returns[*place as usize] == rank) {
            here.push(Event::ret(place));
        }
        let is_moved = event.is_return() && returns[event.place() as usize] != rank;
        here.extend((!is_moved).then_some(*event));
        here
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{History, HistoryBuilder, Outcome, Process, Time};
    use crate::model::{CasRegister, RegisterOp, RegisterRet};

    type Asked = (u64, Option<u64>, RegisterOp, Option<RegisterRet>);

    fn history(operations: &[Asked]) -> History<RegisterOp, RegisterRet> {
        let mut builder = HistoryBuilder::new();
        for (process, (from, to, op, ret)) in (0..).zip(operations) {
            builder.invoke(Process(process), Time(*from), *op).unwrap();
            if let (Some(to), Some(ret)) = (to, ret) {
                let ok = Outcome::Ok(*ret);
                builder.complete(Process(process), Time(*to), ok).unwrap();
            }
        }
        builder.finish()
    }

    /// Who returns, in that order.
    fn returns(operations: &[Asked]) -> Result<Vec<u32>, Contradiction> {
        let history = history(operations);
        let operations: Vec<_> = history.operations().iter().collect();
        let problem = Problem::new(&CasRegister, &operations);
        let tight = tightened(&problem)?;
        let events = tight
            .as_ref()
            .map_or(&problem.events, |tight| &tight.events);
        let returns = events.iter().filter(|event| event.is_return());
        Ok(returns.map(|event| event.place()).collect())
    }

    const WRITTEN: Option<RegisterRet> = Some(RegisterRet::Written);

    fn saw(value: i64) -> Option<RegisterRet> {
        Some(RegisterRet::Value(Some(value)))
    }

    #[test]
    fn an_unknown_write_that_was_seen_is_known() {
        let read = (2, Some(5), RegisterOp::Read, saw(7));
        let write = (1, None, RegisterOp::Write(7), None);
        assert_eq!(returns(&[write, read]), Ok(vec![0, 1]));
    }

    #[test]
    fn swaps_that_led_to_what_was_seen_are_known_one_before_the_other() {
        let cas = |expect, new| RegisterOp::Cas {
            expect: Some(expect),
            new,
        };
        let history = [
            (1, Some(90), RegisterOp::Write(1), WRITTEN),
            (2, None, cas(1, 2), None),
            (3, None, cas(2, 3), None),
            (4, None, cas(3, 4), None),
            (5, Some(9), RegisterOp::Read, saw(3)),
        ];
        assert_eq!(returns(&history), Ok(vec![0, 1, 2, 4]));
    }

    #[test]
    fn where_two_can_have_written_it_nothing_is_known() {
        let history = [
            (1, None, RegisterOp::Write(7), None),
            (1, None, RegisterOp::Write(7), None),
            (2, Some(5), RegisterOp::Read, saw(7)),
        ];
        assert_eq!(returns(&history), Ok(vec![2]));
    }

    #[test]
    fn what_was_seen_before_it_was_asked_is_a_contradiction() {
        let history = [
            (1, Some(5), RegisterOp::Read, saw(7)),
            (8, None, RegisterOp::Write(7), None),
        ];
        assert_eq!(returns(&history), Err(vec![1, 0]));
    }
}
