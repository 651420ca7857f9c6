//! Zones: near-linear where every written value is another (Gibbons and Korach 1997, section 4).
//!
//! ```text
//!   write a  ├───┤                              zone of a: from f, the first return, to s, the
//!   read a          ├────┤                      last call among a's operations. Forward (f < s):
//!   cas a→b               ├───┤                 a was certainly there all the time between.
//!   read b                  ├──┤                a and b are one block: b directly follows a.
//!            call  f     s
//! ```
//!
//! Each value is there once, from its write to the next. Values joined by a successful
//! compare-and-set follow one another directly: they form a *block*. Block A must come before B if
//! some operation of A returns before some operation of B is called: `f(A) < s(B)`.
//!
//! **Sound for invalid.** A read of what nobody wrote, two swaps away from one value, a block whose
//! own operations are in the wrong order in time, and two blocks that each must come before the
//! other are contradictions by themselves. **Complete without failed compare-and-sets:** a cycle
//! A before B before C before A always contains such a pair (take the one with the least `f`), so
//! that else some order of the blocks fits, and [`sequence`] writes it down.
//!
//! An operation of unknown result happened if its value was seen. One whose value nobody saw may
//! be taken as never happened, or be put between two blocks.
//!
//! A failed compare-and-set from `a` says: at some moment `a` was not there. If a was certainly
//! there throughout, that is a contradiction; if `a` was seen before it and not after, `a` must
//! have gone before it returned, and so on: such bounds tighten the zones. What is left over,
//! [`sequence`] tries to fit in, and if it cannot, it says nothing.

mod block;
mod sequence;

use rustc_hash::FxHashMap;

use super::meter::Meter;
use super::problem::{OPEN, Problem};
use crate::model::{Model, RegisterStep};
use block::Blocks;

/// What the zones say, or the order of values of a queue.
pub(crate) enum Zones {
    /// This order explains everything.
    Order(Vec<u32>),
    /// These operations contradict each other, whatever the others did.
    Contradiction(Vec<u32>),
    /// Not such an object, not all values distinct, or too tangled by failed compare-and-sets.
    Undecided,
}

const NONE: u32 = u32::MAX;
/// What a value and its operations take in all tables, about.
const BYTES: usize = 160;
/// The initial value.
const NIL: u32 = 0;

/// An operation, with its values numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Read(u32),
    Write(u32),
    /// From, to; open ones too.
    Swap(u32, u32),
    /// It found something else.
    Miss(u32),
}

/// What is known of one value.
#[derive(Clone, Copy, Debug)]
struct Value {
    writer: u32,
    /// The swap away from it.
    consumer: u32,
    /// It was certainly there at some time.
    is_present: bool,
    /// The first return among its writer and its readers, and whose it is.
    early: Bound,
    /// The last call among its writer, its readers and its consumer.
    late: Bound,
}

/// A rank, and the operation that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bound {
    rank: i64,
    place: u32,
}

/// Decides, if the model is a register whose written values are all distinct.
pub(crate) fn decide<M: Model>(problem: &Problem<'_, M>, meter: &mut Meter) -> Zones {
    let Some(mut register) = Register::new(problem, meter) else {
        return Zones::Undecided;
    };
    let steps = [Register::find_present, Register::bound, Register::tighten];
    for step in steps {
        if let Err(contradiction) = step(&mut register) {
            return Zones::Contradiction(register.close(contradiction));
        }
    }
    let blocks = match Blocks::new(&register) {
        Ok(blocks) => blocks,
        Err(contradiction) => return Zones::Contradiction(register.close(contradiction)),
    };
    match sequence::write_down(&register, &blocks, meter) {
        Some(order) if problem.replays(&order) => Zones::Order(order),
        _ => Zones::Undecided,
    }
}

/// Operations that contradict each other.
type Contradiction = Vec<u32>;

struct Register<'p> {
    calls: &'p [u32],
    returns: &'p [u32],
    events: &'p [super::problem::Event],
    steps: Vec<Step>,
    values: Vec<Value>,
    /// Per value that was certainly there: who shows that.
    witnesses: Vec<u32>,
}

impl<'p> Register<'p> {
    /// `None` where it is no register, a value has two possible writers, or the budget is spent.
    fn new<M: Model>(problem: &'p Problem<'_, M>, meter: &mut Meter) -> Option<Self> {
        let nowhere = Bound {
            rank: i64::MAX,
            place: NONE,
        };
        let never = Bound {
            rank: -1,
            place: NONE,
        };
        let unknown = Value {
            writer: NONE,
            consumer: NONE,
            is_present: false,
            early: nowhere,
            late: never,
        };
        let mut numbers: FxHashMap<Option<i64>, u32> = FxHashMap::default();
        numbers.insert(None, NIL);
        let mut values = vec![Value {
            is_present: true,
            early: never,
            ..unknown
        }];
        let mut steps = Vec::with_capacity(problem.operations.len());
        for (place, operation) in (0..).zip(problem.operations) {
            if !meter.tick(BYTES * values.len()) {
                return None;
            }
            let step = problem
                .model
                .as_register(operation.op(), operation.outcome().ok())?;
            let mut number = |value: Option<i64>| {
                let next = u32::try_from(values.len()).expect("at most two values an operation");
                let number = *numbers.entry(value).or_insert(next);
                if number == next {
                    values.push(unknown);
                }
                number
            };
            let step = match step {
                RegisterStep::Read(value) => Step::Read(number(value)),
                RegisterStep::Write(new) => Step::Write(number(Some(new))),
                RegisterStep::Cas {
                    expect,
                    new,
                    swapped,
                } => match swapped {
                    Some(false) => Step::Miss(number(expect)),
                    _ if expect == Some(new) => Step::Read(number(expect)),
                    _ => Step::Swap(number(expect), number(Some(new))),
                },
            };
            if let Step::Write(new) | Step::Swap(_, new) = step {
                let writer = &mut values[new as usize].writer;
                if *writer != NONE {
                    return None;
                }
                *writer = place;
            }
            steps.push(step);
        }
        Some(Register {
            calls: &problem.calls,
            returns: &problem.returns,
            events: &problem.events,
            steps,
            witnesses: vec![NONE; values.len()],
            values,
        })
    }

    /// With the writers of all that they saw, for without them they would not even be possible;
    /// and with those who show that what is of unknown result happened.
    fn close(&self, mut places: Contradiction) -> Contradiction {
        // Nil has no writer, so that some of the places may be none.
        places.retain(|place| *place != NONE);
        let mut at = 0;
        while at < places.len() {
            if let Step::Read(value) | Step::Swap(value, _) | Step::Miss(value) =
                self.steps[places[at] as usize]
            {
                let writer = self.values[value as usize].writer;
                if writer != NONE && !places.contains(&writer) {
                    places.push(writer);
                }
            }
            if let Step::Write(value) | Step::Swap(_, value) = self.steps[places[at] as usize] {
                let witness = self.witnesses[value as usize];
                let is_shown = self.is_open(places[at]) && witness != NONE;
                if is_shown && !places.contains(&witness) {
                    places.push(witness);
                }
            }
            at += 1;
        }
        places
    }

    fn is_open(&self, place: u32) -> bool {
        self.returns[place as usize] == OPEN
    }

    fn call(&self, place: u32) -> i64 {
        i64::from(self.calls[place as usize])
    }

    /// The rank of the return, beyond all others where there is none.
    fn ret(&self, place: u32) -> i64 {
        i64::from(self.returns[place as usize])
    }

    fn places(&self) -> impl Iterator<Item = (u32, Step)> + '_ {
        (0..).zip(self.steps.iter().copied())
    }

    /// True where the operation takes part: it has a result, or its value was seen.
    fn takes_part(&self, place: u32) -> bool {
        match self.steps[place as usize] {
            Step::Write(new) | Step::Swap(_, new) => self.values[new as usize].is_present,
            Step::Read(_) | Step::Miss(_) => !self.is_open(place),
        }
    }

    /// Marks every value that was certainly there: written, seen, or swapped away from.
    fn find_present(&mut self) -> Result<(), Contradiction> {
        let mut seen: Vec<(u32, u32)> = self
            .places()
            .filter(|(place, _)| !self.is_open(*place))
            .filter_map(|(place, step)| match step {
                Step::Read(value) | Step::Write(value) | Step::Swap(_, value) => {
                    Some((value, place))
                }
                Step::Miss(_) => None,
            })
            .collect();
        while let Some((value, witness)) = seen.pop() {
            let known = &mut self.values[value as usize];
            if value != NIL && known.writer == NONE {
                return Err(vec![witness]);
            }
            if std::mem::replace(&mut known.is_present, true) {
                continue;
            }
            let writer = known.writer;
            self.witnesses[value as usize] = witness;
            if let Step::Swap(from, _) = self.steps[writer as usize] {
                let consumer = &mut self.values[from as usize].consumer;
                let other = std::mem::replace(consumer, writer);
                if other != NONE {
                    return Err(vec![
                        self.values[from as usize].writer,
                        other,
                        writer,
                        witness,
                    ]);
                }
                seen.push((from, writer));
            }
        }
        Ok(())
    }

    /// The first return and the last call of each value.
    fn bound(&mut self) -> Result<(), Contradiction> {
        for place in 0..u32::try_from(self.steps.len()).expect("places are 32 bits") {
            if self.takes_part(place) {
                self.bound_by(place, self.call(place), self.ret(place));
            }
        }
        Ok(())
    }

    /// Takes it that `place` lies within `call` and `ret`.
    fn bound_by(&mut self, place: u32, call: i64, ret: i64) {
        let (early, late) = (Bound { rank: ret, place }, Bound { rank: call, place });
        let mut touch = |value: u32, early: Option<Bound>| {
            let value = &mut self.values[value as usize];
            value.late = value.late.max(late);
            value.early = early.map_or(value.early, |early| value.early.min(early));
        };
        match self.steps[place as usize] {
            Step::Read(value) | Step::Write(value) => touch(value, Some(early)),
            Step::Swap(from, to) => {
                touch(from, None);
                touch(to, Some(early));
            }
            Step::Miss(_) => {}
        }
    }

    /// Uses failed compare-and-sets to narrow when values came and went, until nothing changes or
    /// four rounds are done.
    fn tighten(&mut self) -> Result<(), Contradiction> {
        let misses: Vec<(u32, u32)> = self
            .places()
            .filter_map(|(place, step)| match step {
                Step::Miss(value) if self.values[value as usize].is_present => Some((place, value)),
                _ => None,
            })
            .collect();
        for _ in 0..4 {
            let mut changed = false;
            for (place, value) in &misses {
                let known = self.values[*value as usize];
                let (call, ret) = (self.call(*place), self.ret(*place));
                let (was_there, is_there) = (known.early.rank < call, known.late.rank > ret);
                if was_there && is_there {
                    let chain = [known.writer, known.early.place, *place, known.late.place];
                    return Err(chain.into_iter().filter(|place| *place != NONE).collect());
                }
                // It came only after the miss was called; or it was gone before the miss returned.
                if is_there && known.writer != NONE {
                    self.bound_by(known.writer, call, i64::MAX);
                } else if was_there && known.consumer != NONE {
                    self.bound_by(known.consumer, -1, ret);
                }
                let after = self.values[*value as usize];
                changed |= after.early != known.early || after.late != known.late;
            }
            if !changed {
                break;
            }
        }
        Ok(())
    }
}
