//! Counters: what a read must have seen at least, and can have seen at most.
//!
//! ```text
//!   p1  ├─ add 5 ─┤                          5 are in it for certain, and 2 perhaps:
//!   p2               ├─ read → 4 ─┤          it saw 5 at least, and 7 at most
//!   p3                   ├─ add 2 ─┤
//!
//!   p1  ├─ read → 9 ─┤                       nothing was ever taken away, so that a later
//!   p2                 ├─ read → 8 ─┤        read sees no less
//! ```
//!
//! The bounds are those of Jepsen's checker for counters (Kingsbury, `jepsen.checker/counter`), and
//! the same between two reads of which one returned before the other was called. They are found in
//! one pass, however many adds there are; which of them a read contradicts is then told by few
//! operations.
//!
//! **Sound for invalid:** in any order the sum before a read is made up of all that returned before
//! it was called, and of some of what was called before it returned. So it is no less than what is
//! sure and positive, and all that is negative. Between two reads lies all that was called after
//! the first returned, and that returned before the second was called. What is at most is the same
//! with all signs changed. Sums are exact: where they could overflow, nothing is said.
//!
//! Nothing is said of valid: that is for [`sum`](super::sum).

use super::meter::Meter;
use super::problem::Problem;
use super::sum::steps;
use super::zone::Zones;
use crate::model::{CounterStep, Model};

/// Looks for a read that saw too little or too much.
pub(crate) fn decide<M: Model>(problem: &Problem<'_, M>, meter: &mut Meter) -> Zones {
    let Some(steps) = steps(problem) else {
        return Zones::Undecided;
    };
    if !meter.tick(2 * size_of::<CounterStep>() * steps.len()) {
        return Zones::Undecided;
    }
    let negated: Vec<CounterStep> = steps.iter().map(negate).collect();
    let wrong = [steps, negated].map(|steps| Sweep::new(problem, &steps).run());
    let first = wrong.into_iter().flatten().min_by_key(|wrong| wrong.rank);
    first.map_or(Zones::Undecided, |wrong| Zones::Contradiction(wrong.core))
}

fn negate(step: &CounterStep) -> CounterStep {
    match step {
        CounterStep::Add(by) => CounterStep::Add(-by),
        CounterStep::Read(seen) => CounterStep::Read(-seen),
    }
}

/// What some read saw too little for.
struct Wrong {
    /// The rank of its return.
    rank: usize,
    core: Vec<u32>,
}

/// A read, and the rank of its return.
#[derive(Clone, Copy)]
struct Past {
    place: u32,
    seen: i64,
    rank: usize,
}

/// What was so when a read was called.
struct Begun {
    place: u32,
    rank: usize,
    /// What is positive of all that had returned.
    sure: i64,
    /// The read that saw most of all that had returned, and the last one.
    highest: Option<Past>,
    latest: Option<Past>,
}

struct Sweep<'s, 'p, 'a, M: Model> {
    problem: &'p Problem<'a, M>,
    steps: &'s [CounterStep],
    begun: Vec<Begun>,
    sure: i64,
    /// What is negative of all that was called.
    least: i64,
    highest: Option<Past>,
    latest: Option<Past>,
}

impl<'s, 'p, 'a, M: Model> Sweep<'s, 'p, 'a, M> {
    fn new(problem: &'p Problem<'a, M>, steps: &'s [CounterStep]) -> Self {
        Sweep {
            problem,
            steps,
            begun: Vec::new(),
            sure: 0,
            least: 0,
            highest: None,
            latest: None,
        }
    }

    /// The first read that saw too little.
    fn run(mut self) -> Option<Wrong> {
        for (rank, event) in self.problem.events.iter().enumerate() {
            let place = event.place();
            match (self.steps[place as usize], event.is_return()) {
                (CounterStep::Add(by), false) => self.least += by.min(0),
                (CounterStep::Add(by), true) => self.sure += by.max(0),
                (CounterStep::Read(_), false) => self.begun.push(Begun {
                    place,
                    rank,
                    sure: self.sure,
                    highest: self.highest,
                    latest: self.latest,
                }),
                (CounterStep::Read(seen), true) => {
                    let read = Past { place, seen, rank };
                    if let Some(core) = self.returned(read) {
                        return Some(Wrong { rank, core });
                    }
                }
            }
        }
        None
    }

    /// What that read contradicts, and itself.
    fn returned(&mut self, read: Past) -> Option<Vec<u32>> {
        let at = self.begun.iter().position(|one| one.place == read.place);
        let begun = self.begun.swap_remove(at.expect("it was called"));
        // More than that must be sure, for it to be too little.
        let missing = read.seen - self.least;
        let since = |past: Past| self.adds(past.rank, begun.rank);
        let by_one = || (missing < 0).then(Vec::new);
        let by_two = || {
            let past = begun.highest.filter(|past| past.seen > missing)?;
            Some(vec![past.place])
        };
        let by_last = || {
            let past = begun.latest?;
            let mut core = enough(since(past), missing - past.seen)?;
            core.push(past.place);
            Some(core)
        };
        let by_all = || {
            let is_too_little = begun.sure > missing;
            is_too_little.then(|| enough(self.adds(0, begun.rank), missing))?
        };
        // Of as many rather adds than a read, which takes adds to be explained.
        let others = [by_all(), by_two(), by_last()].into_iter().flatten();
        let core = by_one().or_else(|| others.min_by_key(Vec::len));
        if let Some(mut core) = core {
            core.push(read.place);
            return Some(core);
        }
        if self.highest.is_none_or(|past| past.seen <= read.seen) {
            self.highest = Some(read);
        }
        self.latest = Some(read);
        None
    }

    /// What is positive of the adds that were called and returned between these ranks.
    fn adds(&self, from: usize, to: usize) -> Vec<(i64, u32)> {
        let events = self.problem.events[from..to].iter();
        let places = events.filter(|event| event.is_return());
        let adds = places.filter_map(|event| {
            let place = event.place();
            let is_within = self.problem.calls[place as usize] as usize >= from;
            match self.steps[place as usize] {
                CounterStep::Add(by) if by > 0 && is_within => Some((by, place)),
                _ => None,
            }
        });
        adds.collect()
    }
}

/// The fewest of these that come to more than `missing`; none of them could be left out.
fn enough(mut adds: Vec<(i64, u32)>, missing: i64) -> Option<Vec<u32>> {
    adds.sort_unstable_by_key(|(by, place)| (-by, *place));
    let (mut sum, mut chosen) = (0, Vec::new());
    for (by, place) in adds {
        if sum > missing {
            break;
        }
        sum += by;
        chosen.push(place);
    }
    (sum > missing).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use crate::budget::Budget;
    use crate::history::{History, HistoryBuilder, Outcome, Process, Time};
    use crate::linearizability::{Decision, Linearizability, check};
    use crate::model::{Counter, CounterOp, CounterRet};
    use crate::verdict::Validity;

    /// Eight thousand adds of `by`, a read after every tenth; one of them is `off`.
    fn history(by: i64, off: i64) -> History<CounterOp, CounterRet> {
        let (mut builder, mut now, mut sum) = (HistoryBuilder::new(), 0, 0);
        let mut call = |op, ret| {
            now += 10;
            let process = Process(now / 10 % 3);
            builder.invoke(process, Time(now), op).expect("it is idle");
            let end = builder.complete(process, Time(now + 5), Outcome::Ok(ret));
            end.expect("it is busy");
        };
        for number in 1..=8_000 {
            sum += by;
            call(CounterOp::Add(by), CounterRet::Added);
            if number % 10 == 0 {
                let seen = sum + if number == 6_000 { off } else { 0 };
                call(CounterOp::Read, CounterRet::Value(seen));
            }
        }
        builder.finish()
    }

    /// How many operations show that it is wrong.
    fn told(by: i64, off: i64) -> usize {
        let verdict: Linearizability =
            check(&Counter, &history(by, off), &Budget::states(10_000_000));
        assert_eq!(verdict.validity(), Validity::Invalid, "{by} {off}");
        let Decision::Invalid(contradiction) = &verdict.keys[0].decision else {
            panic!("it is invalid");
        };
        let is_told = (contradiction.is_minimal, contradiction.is_whole);
        assert_eq!(
            is_told,
            (true, true),
            "{by} {off}: {}",
            contradiction.minimal.len()
        );
        let text = verdict.explain().expect("it is told");
        assert!(text.lines().count() < 50, "{by} {off}: {text}");
        contradiction.minimal.len()
    }

    #[test]
    fn of_a_long_history_few_operations_show_that_a_read_saw_too_little() {
        // A read before it saw more.
        assert_eq!(told(2, -22), 2);
        assert_eq!(told(-2, 22), 2);
        // Ten adds, and the read before them, or what is left of those.
        assert_eq!(told(2, -2), 12);
        assert_eq!(told(2, -20), 3);
        // Nobody added as much, and no twos come to an odd sum.
        assert_eq!(told(2, 50_000), 1);
        assert_eq!(told(2, -21), 1);
    }

    #[test]
    fn a_sum_at_the_end_of_the_range_is_just_wrong() {
        for seen in [i64::MIN, i64::MIN + 1, i64::MAX] {
            let mut builder = HistoryBuilder::new();
            let op = [
                (CounterOp::Add(-2), CounterRet::Added),
                (CounterOp::Add(3), CounterRet::Added),
                (CounterOp::Read, CounterRet::Value(seen)),
                (CounterOp::Read, CounterRet::Value(1)),
            ];
            for (at, (op, ret)) in (0..).zip(op) {
                let begun = builder.invoke(Process(1), Time(10 * at), op);
                begun.expect("it is idle");
                let end = builder.complete(Process(1), Time(10 * at + 5), Outcome::Ok(ret));
                end.expect("it is busy");
            }
            let verdict = check(&Counter, &builder.finish(), &Budget::default());
            assert_eq!(verdict.validity(), Validity::Invalid, "{seen}");
            let text = verdict.explain().expect("it is told");
            assert!(text.contains(&format!("read → {seen}")), "{text}");
        }
    }

    #[test]
    fn what_helps_and_repeats_itself_is_one_row_and_one_line() {
        let verdict = check(&Counter, &history(2, -22), &Budget::states(10_000_000));
        let text = verdict.explain().expect("it is told");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for told in [
            "(1) to (5990) p1 …",
            "5990 × add 2",
            "(1–5990) let p1's add 2",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
        let last = "and 5989 more like it, the last";
        assert!(
            text.contains(last) && text.contains("holds 11980"),
            "{text}"
        );
    }

    #[test]
    fn what_is_right_stays_so() {
        let verdict = check(&Counter, &history(3, 0), &Budget::states(100_000));
        assert_eq!(verdict.validity(), Validity::Valid);
    }
}
