//! A history that is judged while it grows, against the verdict of each of its beginnings.

use crate::support::{Random, seeds};
use ordeal_checker::budget::Budget;
use ordeal_checker::history::{HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::linearizability::{Monitor, MonitorError, check};
use ordeal_checker::model::{
    CasRegister, FifoQueue, Keyed, Model, PerKey, RegisterOp, RegisterRet,
};
use ordeal_checker::model::{SequenceOp, SequenceRet};
use ordeal_checker::verdict::Validity;

/// What happens at one time.
#[derive(Clone, Debug)]
enum Step<O, R> {
    Invoke(O),
    Complete(Outcome<R>),
}

type Event<M> = (Time, Process, Step<<M as Model>::Op, <M as Model>::Ret>);
type Events<M> = Vec<Event<M>>;

/// What clients ask, and what they may hear: an object that now and then does not do as it says.
struct Play<M: Model> {
    model: M,
    ask: fn(&mut Random, u64) -> M::Op,
    answer: fn(&M::State, &M::Op, &mut Random) -> M::Ret,
    /// The object's state as one of the whole, for keys.
    keys: usize,
    key: fn(&M::Op) -> usize,
}

/// Up to `count` operations by up to `clients`; one return in `honest` is a lie.
fn events<M: Model>(play: &Play<M>, seed: u64, [count, clients, honest]: [u64; 3]) -> Events<M>
where
    M::Op: Clone,
{
    let mut random = Random(seed);
    let mut states = vec![play.model.init(); play.keys];
    let mut events: Events<M> = Vec::new();
    let mut open: Vec<(Process, M::Op, Option<M::Ret>)> = Vec::new();
    let (mut begun, mut now) = (0, 0);
    while begun < count || !open.is_empty() {
        now += random.below(2);
        let is_full = open.len() as u64 >= clients;
        if begun < count && !is_full && (open.is_empty() || random.below(2) == 0) {
            let op = (play.ask)(&mut random, begun);
            events.push((Time(now), Process(begun), Step::Invoke(op.clone())));
            open.push((Process(begun), op, None));
            begun += 1;
            continue;
        }
        let place = usize::try_from(random.below(open.len() as u64)).unwrap();
        let (process, op, ret) = &mut open[place];
        let state = &mut states[(play.key)(op)];
        if ret.is_none() {
            let answer = (play.answer)(state, op, &mut random);
            if random.below(honest) > 0 {
                *state = play.model.step(state, op, Some(&answer)).unwrap();
            }
            *ret = Some(answer);
            continue;
        }
        let outcome = match random.below(16) {
            0 => Outcome::Info(Reason::default()),
            // It did take effect, which is another lie.
            1 if honest < u64::MAX => Outcome::Fail(Reason::default()),
            _ => Outcome::Ok(ret.take().unwrap()),
        };
        events.push((Time(now), *process, Step::Complete(outcome)));
        open.swap_remove(place);
    }
    events
}

/// The verdict on the events so far, what is open being unknown.
fn verdict_of<M: Model>(
    model: &M,
    events: &[Event<M>],
) -> ordeal_checker::linearizability::Linearizability
where
    M::Op: Clone,
    M::Ret: Clone,
{
    let mut builder = HistoryBuilder::new();
    for (at, process, step) in events {
        match step.clone() {
            Step::Invoke(op) => builder.invoke(*process, *at, op).unwrap(),
            Step::Complete(outcome) => builder.complete(*process, *at, outcome).unwrap(),
        }
    }
    check(model, &builder.finish(), &Budget::default())
}

fn feed<M: Model>(monitor: &mut Monitor<M>, (at, process, step): Event<M>) {
    match step {
        Step::Invoke(op) => monitor.invoke(process, at, op).unwrap(),
        Step::Complete(outcome) => monitor.complete(process, at, outcome).unwrap(),
    };
}

/// After every instant: a violation is told exactly if the history up to then has one. True if it
/// has in the end.
fn is_told_at_once<M: Model + Clone>(play: &Play<M>, seed: u64) -> bool
where
    M::Op: Clone,
    M::Ret: Clone,
{
    let events = events(play, seed, [4 + seed % 12, 4, 12]);
    let mut monitor = Monitor::new(play.model.clone(), Budget::default());
    for (at, event) in events.iter().enumerate() {
        feed(&mut monitor, event.clone());
        if events
            .get(at + 1)
            .is_some_and(|(time, ..)| *time == event.0)
        {
            continue;
        }
        let was_told = monitor.violation().is_some();
        let told = monitor.advance(Time(event.0.0 + 1)).unwrap().cloned();
        let expected = verdict_of(&play.model, &events[..=at]);
        assert_eq!(
            told.is_some(),
            expected.validity() == Validity::Invalid,
            "seed {seed}, after event {at}: {events:?}"
        );
        if let Some(told) = told.filter(|_| !was_told) {
            assert!(
                expected.keys.contains(&told.keys[0]),
                "seed {seed}: the explanation is that of the history up to then"
            );
        }
    }
    let is_told = monitor.violation().is_some();
    let (_, verdict) = monitor.finish();
    assert_eq!(verdict, verdict_of(&play.model, &events), "seed {seed}");
    is_told
}

fn registers() -> Play<PerKey<u8, CasRegister>> {
    Play {
        model: PerKey::default(),
        ask: |random, _| {
            let key = u8::try_from(random.below(2)).unwrap();
            let mut value = || i64::try_from(random.below(3)).unwrap();
            let (expect, new) = (Some(value()), value());
            let op = match random.below(3) {
                0 => RegisterOp::Read,
                1 => RegisterOp::Write(new),
                _ => RegisterOp::Cas { expect, new },
            };
            Keyed::new(key, op)
        },
        answer: |state, op, _| match op.op {
            RegisterOp::Read => RegisterRet::Value(*state),
            RegisterOp::Write(_) | RegisterOp::WriteNil => RegisterRet::Written,
            RegisterOp::Cas { expect, .. } | RegisterOp::CasNil { expect } => {
                RegisterRet::Swapped(*state == expect)
            }
        },
        keys: 2,
        key: |op| usize::from(op.key),
    }
}

fn queue() -> Play<FifoQueue> {
    Play {
        model: FifoQueue,
        ask: |random, begun| match random.below(2) {
            0 => SequenceOp::Put(i64::try_from(begun / 2).unwrap()),
            _ => SequenceOp::Take,
        },
        answer: |state, op, _| match op {
            SequenceOp::Put(_) => SequenceRet::Done,
            SequenceOp::Take => SequenceRet::Taken(state.front().copied()),
        },
        keys: 1,
        key: |_| 0,
    }
}

/// With `ORDEAL_MONITOR_SEEDS=0..3000` on as many histories of each kind.
#[test]
fn a_violation_is_told_at_the_first_instant_at_which_it_is_certain() {
    let count = |told: &dyn Fn(u64) -> bool| {
        let seeds = seeds("ORDEAL_MONITOR_SEEDS", 0..500);
        let all = seeds.clone().count();
        let told = seeds.filter(|seed| told(*seed)).count();
        let few = all / 20;
        assert!(
            (few..=all - few).contains(&told),
            "both kinds are there: {told} of {all}"
        );
    };
    count(&|seed| is_told_at_once(&registers(), seed));
    count(&|seed| is_told_at_once(&queue(), seed));
}

#[test]
fn in_a_long_history_a_violation_is_told_while_it_goes_on() {
    for clients in [1, 3, 10] {
        let mut events = events(&registers(), 1, [4_000, clients, u64::MAX]);
        let middle = events.len() / 2;
        let is_read = |step: &Step<_, RegisterRet>| {
            matches!(step, Step::Complete(Outcome::Ok(RegisterRet::Value(_))))
        };
        let lie = (middle..events.len())
            .find(|at| is_read(&events[*at].2))
            .unwrap();
        events[lie].2 = Step::Complete(Outcome::Ok(RegisterRet::Value(Some(9))));
        let mut monitor = Monitor::new(PerKey::<u8, CasRegister>::default(), Budget::default());
        let told = events.iter().position(|event| {
            feed(&mut monitor, event.clone());
            monitor.violation().is_some()
        });
        let told = told.unwrap();
        assert!(
            lie < told && told < lie + lie / 8,
            "{clients} clients: at {lie}, told at {told}"
        );
    }
}

#[test]
fn events_out_of_order_are_refused_and_change_nothing() {
    let mut monitor = Monitor::new(CasRegister, Budget::default());
    monitor
        .invoke(Process(1), Time(5), RegisterOp::Read)
        .unwrap();
    let late = monitor.invoke(Process(2), Time(4), RegisterOp::Read);
    assert_eq!(
        late.unwrap_err(),
        MonitorError::OutOfOrder(Time(4), Time(5))
    );
    let busy = monitor.invoke(Process(1), Time(6), RegisterOp::Read);
    assert!(matches!(busy, Err(MonitorError::Malformed(_))));
    let (history, verdict) = monitor.finish();
    assert_eq!(history.len(), 1);
    assert_eq!(verdict.validity(), Validity::Valid);
}
