//! Random histories of every model: small, concurrent, with unknown results, failures, duplicate
//! values and nil, and now and then a wrong answer.

mod object;

use std::collections::BTreeMap;

use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::model::Model;

use super::Random;
pub(crate) use object::{play_of_registers, play_of_stacks};

/// How to ask and to answer one kind of object.
pub(crate) struct Play<M: Model> {
    pub(crate) model: M,
    ask: fn(&mut Random, u64) -> M::Op,
    answer: fn(&M::State, &M::Op, &mut Random) -> M::Ret,
}

/// A history of up to seven operations, of which some may be answered wrongly.
pub(crate) fn random_history<M: Model>(play: &Play<M>, seed: u64) -> History<M::Op, M::Ret>
where
    M::Op: Clone,
{
    let mut random = Random(seed);
    let count = 2 + random.below(6);
    // One answer in so many leaves no trace in the object.
    let care = 2 + random.below(8);
    played(play, &mut random, [count, 4, care])
}

/// So many operations by so many clients, of which some may be answered wrongly.
pub(crate) fn history_of<M: Model>(
    play: &Play<M>,
    seed: u64,
    count: u64,
    clients: u64,
) -> History<M::Op, M::Ret>
where
    M::Op: Clone,
{
    let mut random = Random(seed);
    let care = 2 + random.below(8);
    played(play, &mut random, [count, clients, care])
}

/// So many operations by so many clients, all answered rightly.
pub(crate) fn long_history<M: Model>(
    play: &Play<M>,
    seed: u64,
    count: u64,
    clients: u64,
) -> History<M::Op, M::Ret>
where
    M::Op: Clone,
{
    played(play, &mut Random(seed), [count, clients, u64::MAX])
}

fn played<M: Model>(
    play: &Play<M>,
    random: &mut Random,
    [count, clients, care]: [u64; 3],
) -> History<M::Op, M::Ret>
where
    M::Op: Clone,
{
    let mut states: BTreeMap<M::Key, M::State> = BTreeMap::new();
    let mut begun = 0;
    let mut builder = HistoryBuilder::new();
    let mut open: Vec<(u64, M::Op, Option<M::Ret>)> = Vec::new();
    for now in 0.. {
        if begun < count
            && (open.len() as u64) < clients
            && (open.is_empty() || random.below(2) == 0)
        {
            let op = (play.ask)(random, begun);
            builder
                .invoke(Process(begun), Time(now), op.clone())
                .unwrap();
            open.push((begun, op, None));
            begun += 1;
            continue;
        }
        if open.is_empty() {
            break;
        }
        let place = usize::try_from(random.below(open.len() as u64)).unwrap();
        let (process, op, ret) = &mut open[place];
        let state = states.entry(play.model.key(op));
        let state = state.or_insert_with(|| play.model.init());
        if ret.is_none() {
            *ret = Some((play.answer)(state, op, random));
            if random.below(care) > 0 {
                let next = play.model.step(state, op, ret.as_ref());
                *state = next.unwrap_or_else(|| state.clone());
            }
            continue;
        }
        let outcome = match random.below(8) {
            0 => Outcome::Info(Reason::default()),
            // It did take effect, which is a lie too.
            1 if care < u64::MAX => Outcome::Fail(Reason::default()),
            _ => Outcome::Ok(ret.take().unwrap()),
        };
        builder
            .complete(Process(*process), Time(now), outcome)
            .unwrap();
        open.swap_remove(place);
    }
    builder.finish()
}

/// Something to do with every model.
pub(crate) trait Visit {
    fn visit<M: Model + Default>(&mut self, play: &Play<M>)
    where
        M::Op: Clone,
        M::Ret: Clone;
}

/// Every model's name.
pub(crate) const NAMES: [&str; 18] = [
    "registers_with_cas",
    "registers_emptied",
    "registers_of_distinct_values",
    "registers_under_keys",
    "append_strings",
    "append_strings_of_few_values",
    "append_strings_under_keys",
    "sets",
    "sets_of_distinct_elements",
    "queues",
    "queues_of_distinct_values",
    "stacks",
    "counters",
    "locks",
    "fenced_locks",
    "transactions_on_registers",
    "transactions_of_few_values",
    "nondeterministic_objects",
];

/// Shows the model of that name.
pub(crate) fn visit(name: &str, visitor: &mut impl Visit) {
    match name {
        "registers_with_cas" => visitor.visit(&object::registers_with_cas()),
        "registers_emptied" => visitor.visit(&object::registers_emptied()),
        "registers_of_distinct_values" => visitor.visit(&object::registers_of_distinct_values()),
        "registers_under_keys" => visitor.visit(&object::registers_under_keys()),
        "append_strings" => visitor.visit(&object::append_strings()),
        "append_strings_of_few_values" => visitor.visit(&object::append_strings_of_few_values()),
        "append_strings_under_keys" => visitor.visit(&object::append_strings_under_keys()),
        "sets" => visitor.visit(&object::sets()),
        "sets_of_distinct_elements" => visitor.visit(&object::sets_of_distinct_elements()),
        "queues" => visitor.visit(&object::queues()),
        "queues_of_distinct_values" => visitor.visit(&object::queues_of_distinct_values()),
        "stacks" => visitor.visit(&object::stacks()),
        "counters" => visitor.visit(&object::counters()),
        "locks" => visitor.visit(&object::locks()),
        "fenced_locks" => visitor.visit(&object::fenced_locks()),
        "transactions_on_registers" => visitor.visit(&object::transactions_on_registers()),
        "transactions_of_few_values" => visitor.visit(&object::transactions_of_few_values()),
        "nondeterministic_objects" => visitor.visit(&object::nondeterministic_objects()),
        _ => panic!("no such model: {name}"),
    }
}
