//! Other people's checkers on the same histories: stateright's tester for model checking, and the
//! checker of todc-utils.
//!
//! Both are made for small histories. Stateright's takes operations that never returned and tries
//! every order; todc's is Wing and Gong's search with Lowe's cache, of complete histories. They
//! walk a model of ours; stateright has objects of its own too, on which nothing here is ours but
//! the question.

use std::marker::PhantomData;

use crate::support::play::{
    NAMES, Play, Visit, play_of_registers, play_of_stacks, random_history, visit,
};
use crate::support::seeds;
use ordeal_checker::budget::Budget;
use ordeal_checker::history::{History, Operation, Outcome};
use ordeal_checker::linearizability::check;
use ordeal_checker::model::{Model, RegisterOp, RegisterRet, SequenceOp, SequenceRet};
use ordeal_checker::verdict::Validity;
use stateright::semantics::register::{Register, RegisterOp as Asked, RegisterRet as Answered};
use stateright::semantics::vec::{VecOp, VecRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use todc_utils::{Action, History as Actions, Specification, WGLChecker};

/// One of our models as an object of stateright's. What is in flight answers nothing.
struct Ours<'m, M: Model> {
    model: &'m M,
    state: M::State,
}

impl<M: Model> Clone for Ours<'_, M> {
    fn clone(&self) -> Self {
        Ours {
            model: self.model,
            state: self.state.clone(),
        }
    }
}

impl<M: Model> SequentialSpec for Ours<'_, M>
where
    M::Op: Clone,
    M::Ret: Clone,
{
    type Op = M::Op;
    type Ret = Option<M::Ret>;

    fn invoke(&mut self, op: &M::Op) -> Option<M::Ret> {
        let next = self.model.step(&self.state, op, None);
        self.state = next.expect("the models here answer every question");
        None
    }

    fn is_valid_step(&mut self, op: &M::Op, ret: &Option<M::Ret>) -> bool {
        match self.model.step(&self.state, op, ret.as_ref()) {
            Some(next) => {
                self.state = next;
                true
            }
            None => false,
        }
    }
}

/// Calls and returns in their order; at one time calls come first.
fn events<O, R>(operations: &[&Operation<O, R>]) -> Vec<(usize, bool)> {
    let mut events = Vec::new();
    for (place, operation) in operations.iter().enumerate() {
        events.push((operation.invoked(), false, place));
        events.extend(operation.returned().map(|at| (at, true, place)));
    }
    events.sort_unstable();
    let events = events.into_iter();
    events
        .map(|(_, is_return, place)| (place, is_return))
        .collect()
}

/// Stateright's verdict, each operation on a thread of its own.
fn by_stateright<O, R, S: SequentialSpec + Clone>(
    object: S,
    operations: &[&Operation<O, R>],
    op: impl Fn(&O) -> S::Op,
    ret: impl Fn(&R) -> S::Ret,
) -> bool
where
    S::Op: Clone + std::fmt::Debug,
    S::Ret: Clone + std::fmt::Debug,
{
    let mut tester = LinearizabilityTester::new(object);
    for (place, is_return) in events(operations) {
        let operation = operations[place];
        if is_return {
            let answer = operation.outcome().ok().unwrap();
            tester.on_return(place, ret(answer)).unwrap();
        } else {
            tester.on_invoke(place, op(operation.op())).unwrap();
        }
    }
    tester.is_consistent()
}

/// One of our models as an object of todc's.
struct Theirs<M>(PhantomData<M>);

impl<M: Model + Default> Specification for Theirs<M>
where
    M::Op: Clone,
    M::Ret: Clone,
{
    type State = M::State;
    type Operation = (M::Op, Option<M::Ret>);

    fn init() -> M::State {
        M::default().init()
    }

    fn apply((op, ret): &Self::Operation, state: &M::State) -> (bool, M::State) {
        match M::default().step(state, op, ret.as_ref()) {
            Some(next) => (true, next),
            None => (false, state.clone()),
        }
    }
}

/// Todc's verdict, of a history in which everything returned.
fn by_todc<M: Model + Default>(operations: &[&Operation<M::Op, M::Ret>]) -> bool
where
    M::Op: Clone,
    M::Ret: Clone,
{
    let actions = events(operations).into_iter().map(|(place, is_return)| {
        let operation = operations[place];
        let both = (operation.op().clone(), operation.outcome().ok().cloned());
        let action = match is_return {
            true => Action::Response(both),
            false => Action::Call(both),
        };
        (place, action)
    });
    WGLChecker::<Theirs<M>>::is_linearizable(Actions::from_actions(actions.collect()))
}

/// How many histories each of them judged, valid and invalid.
#[derive(Default)]
struct Oracles {
    stateright: [u64; 2],
    todc: [u64; 2],
}

impl Visit for Oracles {
    fn visit<M: Model + Default>(&mut self, play: &Play<M>)
    where
        M::Op: Clone,
        M::Ret: Clone,
    {
        for seed in seeds("ORDEAL_ORACLE_SEEDS", 0..1_000) {
            let history = random_history(play, seed);
            let is_valid = is_valid(&play.model, &history);
            let keys = by_key(&play.model, &history);
            let object = Ours {
                model: &play.model,
                state: play.model.init(),
            };
            let told = keys.iter().all(|operations| {
                let ret = |ret: &M::Ret| Some(ret.clone());
                by_stateright(object.clone(), operations, M::Op::clone, ret)
            });
            assert_eq!(told, is_valid, "stateright, seed {seed}: {history:?}");
            self.stateright[usize::from(!told)] += 1;
            let is_open = |op: &&Operation<M::Op, M::Ret>| op.returned().is_none();
            if keys.iter().flatten().any(is_open) {
                continue;
            }
            let told = keys.iter().all(|operations| by_todc::<M>(operations));
            assert_eq!(told, is_valid, "todc, seed {seed}: {history:?}");
            self.todc[usize::from(!told)] += 1;
        }
    }
}

fn is_valid<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    let verdict = check(model, history, &Budget::default());
    assert_ne!(verdict.validity(), Validity::Unknown, "{history:?}");
    verdict.validity() == Validity::Valid
}

/// What may have happened, key by key.
fn by_key<'h, M: Model>(
    model: &M,
    history: &'h History<M::Op, M::Ret>,
) -> Vec<Vec<&'h Operation<M::Op, M::Ret>>> {
    let mut keys: std::collections::BTreeMap<M::Key, Vec<_>> = std::collections::BTreeMap::new();
    for operation in history.operations() {
        if !matches!(operation.outcome(), Outcome::Fail(_)) {
            let key = model.key(operation.op());
            keys.entry(key).or_default().push(operation);
        }
    }
    keys.into_values().collect()
}

/// With `ORDEAL_ORACLE_SEEDS=0..10000` on as many as that for each model (in release).
#[test]
fn two_checkers_of_others_agree_on_every_model() {
    for name in NAMES {
        let mut oracles = Oracles::default();
        visit(name, &mut oracles);
        let (stateright, todc) = (oracles.stateright, oracles.todc);
        println!("{name}: stateright {stateright:?}, todc {todc:?} (valid, invalid)");
        let all = stateright[0] + stateright[1];
        assert!(
            stateright.iter().chain(&todc).all(|said| said * 200 > all),
            "{name}: of either kind there are enough to mean something"
        );
    }
}

#[test]
fn stateright_agrees_on_its_own_register() {
    let mut seen = [0; 2];
    for seed in seeds("ORDEAL_ORACLE_SEEDS", 0..2_000) {
        let history = random_history(&play_of_registers(), seed);
        let operations = by_key(&play_of_registers().model, &history).concat();
        let op = |op: &RegisterOp| match op {
            RegisterOp::Write(new) => Asked::Write(Some(*new)),
            RegisterOp::Read => Asked::Read,
            RegisterOp::WriteNil => Asked::Write(None),
            RegisterOp::Cas { .. } | RegisterOp::CasNil { .. } => panic!("its register has none"),
        };
        let ret = |ret: &RegisterRet| match ret {
            RegisterRet::Value(seen) => Answered::ReadOk(*seen),
            _ => Answered::WriteOk,
        };
        let told = by_stateright(Register(None), &operations, op, ret);
        assert_eq!(
            told,
            is_valid(&play_of_registers().model, &history),
            "seed {seed}: {history:?}"
        );
        seen[usize::from(!told)] += 1;
    }
    assert!(seen.iter().all(|seen| *seen > 50), "{seen:?}");
}

#[test]
fn stateright_agrees_on_its_own_stack() {
    let mut seen = [0; 2];
    for seed in seeds("ORDEAL_ORACLE_SEEDS", 0..2_000) {
        let history = random_history(&play_of_stacks(), seed);
        let operations = by_key(&play_of_stacks().model, &history).concat();
        let op = |op: &SequenceOp| match op {
            SequenceOp::Put(value) => VecOp::Push(*value),
            SequenceOp::Take => VecOp::Pop,
        };
        let ret = |ret: &SequenceRet| match ret {
            SequenceRet::Taken(taken) => VecRet::PopOk(*taken),
            SequenceRet::Done => VecRet::PushOk,
        };
        let told = by_stateright(Vec::new(), &operations, op, ret);
        assert_eq!(
            told,
            is_valid(&play_of_stacks().model, &history),
            "seed {seed}: {history:?}"
        );
        seen[usize::from(!told)] += 1;
    }
    assert!(seen.iter().all(|seen| *seen > 50), "{seen:?}");
}
