//! Is what is left of a history still a contradiction? Asked some dozen times of one history, so
//! that everything that stays the same is made once.
//!
//! ```text
//!   places   0 1 2 …      every operation as it is when forgotten: open from the beginning
//!            n n+1 …      every operation as it is known
//!
//!   events   call 0 · call 2 ·┊· call n+1 · ret n+1 · call n+3 · ret n+3
//!            forgotten: 0, 2  ┊  known: 1, 3
//! ```
//!
//! One problem holds each operation twice, with one table of classes, states and steps. A re-check
//! is a choice of its events, and a [`Glance`] at them. What cannot be seen at a glance goes
//! through all algorithms, as a history of its own.

use super::core::{Fact, Ops};
use super::means::Means;
use super::recall::Recalled;
use crate::history::{Operation, Recall, Time};
use crate::linearizability::class::Classes;
use crate::linearizability::glance::{Glance, Sight};
use crate::linearizability::portfolio::{self, Answer};
use crate::linearizability::problem::{Event, Problem, counts};
use crate::linearizability::reachable::reachable;
use crate::model::Model;
use crate::verdict::Validity;

/// Configurations for each re-check; a fact that takes more to be found needless is kept.
const STATES_MAX: u64 = 20_000;
/// So few operations are told minimally whatever that takes; and for each of their re-checks.
pub(super) const SMALL: usize = 16;
const SMALL_STATES_MAX: u64 = 1_000_000;
/// Of those, for a glance.
const GLANCE_MAX: u64 = 4_000;
/// Work for one event, or one configuration, of a glance.
const GLANCE_WORK: u64 = 30;
/// An operation that has no such place.
const NONE: u32 = u32::MAX;

/// Every operation twice.
pub(super) struct Twins<'a, M: Model> {
    pub(super) operations: Vec<Operation<&'a M::Op, Option<&'a M::Ret>>>,
    /// Per place: which operation that is.
    of: Vec<usize>,
    /// Per operation: its place when forgotten, if it then means anything.
    forgotten: Vec<u32>,
}

impl<'a, M: Model> Twins<'a, M> {
    /// Of operations in order of call.
    pub(super) fn new(model: &'a M, universe: &Ops<'a, M>) -> Self {
        let mut twins = Twins {
            operations: Vec::with_capacity(2 * universe.len()),
            of: Vec::with_capacity(2 * universe.len()),
            forgotten: vec![NONE; universe.len()],
        };
        let borrowed = Recalled::new(model, &[]);
        for recall in [Recall::Forgotten, Recall::Known] {
            for (number, op) in universe.iter().enumerate() {
                let twin = op.recalled(recall);
                if !counts(&borrowed, &twin) {
                    continue;
                }
                if recall == Recall::Forgotten {
                    let place = u32::try_from(twins.of.len()).expect("a place is 32 bits");
                    twins.forgotten[number] = place;
                }
                twins.operations.push(twin);
                twins.of.push(number);
            }
        }
        twins
    }

    /// Where an operation stands when it is forgotten.
    fn place_of(&self, number: usize) -> Option<u32> {
        Some(self.forgotten[number]).filter(|place| *place != NONE)
    }
}

/// What is taken as known: all that was learned by then, but for what is forgotten.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) until: Time,
    /// Per operation.
    pub(super) is_forgotten: Vec<bool>,
}

impl Known {
    fn recall<O, R>(&self, number: usize, op: &Operation<O, R>) -> Recall {
        match op.returned() {
            _ if self.is_forgotten[number] => Recall::Forgotten,
            Some(returned) if returned <= self.until => Recall::Known,
            _ => Recall::Begun,
        }
    }

    /// The same, with these forgotten too.
    pub(super) fn without(&self, numbers: &[usize]) -> Known {
        let mut fewer = self.clone();
        for number in numbers {
            fewer.is_forgotten[*number] = true;
        }
        fewer
    }

    /// Those facts, in order of call.
    pub(super) fn facts<'a, M: Model>(&self, universe: &Ops<'a, M>) -> Vec<Fact<'a, M>> {
        let begun = universe.iter().enumerate();
        let begun = begun.filter(|(_, op)| op.invoked() <= self.until);
        begun
            .map(|(number, op)| (*op, self.recall(number, op)))
            .collect()
    }
}

/// Re-checks of one history.
pub(super) struct Recheck<'p, 'q, 'a, M: Model> {
    model: &'a M,
    universe: &'p Ops<'a, M>,
    twins: &'p Twins<'a, M>,
    problem: &'p Problem<'q, Recalled<'a, M>>,
    means: &'p Means,
    classes: Classes<'p, 'q, Recalled<'a, M>>,
    /// False where there are too many for a glance.
    has_few_states: bool,
    glance: Glance,
    known: Known,
    /// Per operation: one number for all with the same question and answer.
    kinds: Vec<u32>,
    /// Per operation: not known during this look.
    is_out: Vec<bool>,
    /// What is left of the problem's events by what is known.
    events: Vec<Event>,
}

impl<'p, 'q, 'a, M: Model> Recheck<'p, 'q, 'a, M> {
    /// `problem` is that of the twins.
    pub(super) fn new(
        model: &'a M,
        universe: &'p Ops<'a, M>,
        twins: &'p Twins<'a, M>,
        problem: &'p Problem<'q, Recalled<'a, M>>,
        means: &'p Means,
    ) -> Self {
        let mut classes = Classes::new(problem);
        let known = Known {
            until: Time(u64::MAX),
            is_forgotten: vec![false; universe.len()],
        };
        let mut kinds = vec![0; universe.len()];
        for (number, class) in twins.of.iter().zip(&classes.of) {
            kinds[*number] = *class;
        }
        let mut recheck = Recheck {
            kinds,
            is_out: vec![false; universe.len()],
            model,
            universe,
            twins,
            problem,
            means,
            has_few_states: reachable(problem, &mut classes).is_some(),
            classes,
            glance: Glance::default(),
            known: known.clone(),
            events: Vec::new(),
        };
        recheck.keep(known);
        recheck
    }

    /// One number for all operations with the same question and answer.
    pub(super) fn kind_of(&self, number: usize) -> u32 {
        self.kinds[number]
    }

    /// The model of the whole history.
    pub(super) fn model(&self) -> &'a M {
        self.model
    }

    /// What is known.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// The return at which all is refuted, if a glance shows it.
    pub(super) fn refuted_at(&mut self) -> Option<Time> {
        match self.look(&[]).0 {
            Sight::Refuted(place) => self.problem.operations[place as usize].returned(),
            Sight::Order(_) | Sight::Unclear => None,
        }
    }

    /// From now on no more than that is known.
    pub(super) fn keep(&mut self, known: Known) {
        let Recheck {
            universe, twins, ..
        } = *self;
        let chosen = |event: &Event| {
            let place = event.place();
            let number = twins.of[place as usize];
            let op = universe[number];
            let is_twin = twins.forgotten[number] == place;
            if op.invoked() > known.until {
                return None;
            }
            match known.recall(number, op) {
                Recall::Forgotten => is_twin.then_some(*event),
                _ if is_twin => None,
                Recall::Known | Recall::Timed | Recall::Early => Some(*event),
                Recall::Begun if event.is_return() => None,
                Recall::Begun if op.returned().is_none() => Some(*event),
                Recall::Begun => twins.place_of(number).map(Event::call),
            }
        };
        self.events.clear();
        self.events
            .extend(self.problem.events.iter().filter_map(chosen));
        self.known = known;
    }

    /// The verdict on what is known but for these, and the configurations that it took.
    pub(super) fn judge_without(&mut self, numbers: &[usize]) -> (Validity, u64) {
        let (sight, states) = self.look(numbers);
        match sight {
            Sight::Order(_) => (Validity::Valid, states),
            Sight::Refuted(_) => (Validity::Invalid, states),
            Sight::Unclear => {
                let known = self.known.without(numbers);
                let (validity, more) =
                    judge(self.model, &known.facts::<M>(self.universe), self.means);
                (validity, states + more)
            }
        }
    }

    fn look(&mut self, without: &[usize]) -> (Sight, u64) {
        if !self.has_few_states {
            return (Sight::Unclear, 0);
        }
        let twins = self.twins;
        for number in without {
            self.is_out[*number] = true;
        }
        let is_out = &self.is_out;
        let forgotten = without.iter().filter_map(|number| twins.place_of(*number));
        let is_left = |event: &&Event| !is_out[twins.of[event.place() as usize]];
        let events = forgotten.map(Event::call);
        let events = events.chain(self.events.iter().filter(is_left).copied());
        let mut meter = self.means.meter(GLANCE_MAX);
        let (problem, classes) = (self.problem, &mut self.classes);
        let sight = self.glance.look(problem, classes, &events, &mut meter);
        for number in without {
            self.is_out[*number] = false;
        }
        let work = GLANCE_WORK * (self.events.len() as u64 + meter.states());
        self.means.spend(meter.states(), work);
        (sight, meter.states())
    }
}

/// Those facts as operations, what may have been at any time first. What cannot help is left out.
pub(super) fn recalled<'a, M: Model>(
    model: &'a M,
    facts: &[Fact<'a, M>],
) -> Vec<Operation<&'a M::Op, Option<&'a M::Ret>>> {
    let is_early = |recall| matches!(recall, Recall::Forgotten | Recall::Early);
    let of = |early: bool| {
        let facts = facts
            .iter()
            .filter(move |(_, recall)| is_early(*recall) == early);
        facts.map(|(op, recall)| op.recalled(*recall))
    };
    let borrowed = Recalled::new(model, &[]);
    let mut operations: Vec<_> = of(true)
        .chain(of(false))
        .filter(|op| counts(&borrowed, op))
        .collect();
    let known = facts
        .iter()
        .filter(|(_, recall)| matches!(recall, Recall::Known | Recall::Early));
    let known: Vec<_> = known
        .filter_map(|(op, _)| Some((op.op(), op.outcome().ok()?)))
        .collect();
    // What is only known to have happened may have done whatever the others make possible.
    if facts.iter().all(|(_, recall)| *recall != Recall::Timed) {
        operations.retain(|op| !op.outcome().is_info() || model.helps(op.op(), &known));
    }
    operations
}

/// True where these operations, all known, are one for certain.
pub(super) fn is_contradiction<'a, M: Model>(
    model: &'a M,
    operations: &'a [Operation<M::Op, M::Ret>],
    means: &Means,
) -> bool {
    let known: Vec<Fact<'a, M>> = operations.iter().map(|op| (op, Recall::Known)).collect();
    judge::<M>(model, &known, means).0 == Validity::Invalid
}

/// The verdict on those facts, and the configurations that it took.
pub(super) fn judge<'a, M: Model>(
    model: &'a M,
    facts: &[Fact<'a, M>],
    means: &Means,
) -> (Validity, u64) {
    if means.is_spent() {
        return (Validity::Unknown, 0);
    }
    let recalled = recalled(model, facts);
    if recalled.iter().all(|op| op.outcome().is_info()) {
        return (Validity::Valid, 0);
    }
    let operations: Vec<_> = recalled.iter().collect();
    let model = Recalled::new(model, &operations);
    let problem = Problem::new(&model, &operations);
    let states_max = match facts.len() {
        ..=SMALL => SMALL_STATES_MAX,
        _ => STATES_MAX,
    };
    let (answer, spent) = match means.open(&problem) {
        Some(search) => {
            let (answer, spent) = portfolio::decide(&problem, search.meter(means, states_max));
            search.pay(means, spent.states());
            (answer, spent)
        }
        None => portfolio::decide_unsearched(&problem, means.meter(states_max)),
    };
    let validity = match answer {
        Answer::None { .. } => Validity::Invalid,
        Answer::Order(_) => Validity::Valid,
        Answer::Spent { .. } => Validity::Unknown,
    };
    (validity, spent.states())
}
