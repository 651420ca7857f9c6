//! Many independent objects of one kind, each under its key.

use super::{CounterStep, Mark, Model, QueueStep, RegisterStep, SetStep};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

/// An operation, and the object that it goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyed<K, O> {
    /// Which object.
    pub key: K,
    /// What is asked of it.
    pub op: O,
}

impl<K, O> Keyed<K, O> {
    /// `op` on the object under `key`.
    pub fn new(key: K, op: O) -> Self {
        Keyed { key, op }
    }
}

/// One `M` under each key of type `K`: a register becomes a key-value store.
#[derive(Clone, Copy, Debug)]
pub struct PerKey<K, M> {
    object: M,
    key: PhantomData<fn() -> K>,
}

impl<K, M> PerKey<K, M> {
    /// A family of objects like this one, all starting from its initial state.
    pub fn new(object: M) -> Self {
        PerKey {
            object,
            key: PhantomData,
        }
    }
}

impl<K, M: Default> Default for PerKey<K, M> {
    fn default() -> Self {
        PerKey::new(M::default())
    }
}

impl<K, M> Model for PerKey<K, M>
where
    K: Clone + Ord + Hash + fmt::Debug + fmt::Display + Send + Sync,
    M: Model,
{
    type Op = Keyed<K, M::Op>;
    type Ret = M::Ret;
    type State = M::State;
    type Key = (K, M::Key);

    fn init(&self) -> M::State {
        self.object.init()
    }

    fn step(&self, state: &M::State, op: &Self::Op, ret: Option<&M::Ret>) -> Option<M::State> {
        self.object.step(state, &op.op, ret)
    }

    fn key(&self, op: &Self::Op) -> Self::Key {
        (op.key.clone(), self.object.key(&op.op))
    }

    fn is_read(&self, op: &Self::Op, ret: Option<&M::Ret>) -> bool {
        self.object.is_read(&op.op, ret)
    }

    fn as_register(&self, op: &Self::Op, ret: Option<&M::Ret>) -> Option<RegisterStep> {
        self.object.as_register(&op.op, ret)
    }

    fn as_queue(&self, op: &Self::Op, ret: Option<&M::Ret>) -> Option<QueueStep> {
        self.object.as_queue(&op.op, ret)
    }

    fn as_set<'a>(&self, op: &'a Self::Op, ret: Option<&'a M::Ret>) -> Option<SetStep<'a>> {
        self.object.as_set(&op.op, ret)
    }

    fn as_counter(&self, op: &Self::Op, ret: Option<&M::Ret>) -> Option<CounterStep> {
        self.object.as_counter(&op.op, ret)
    }

    fn marks(&self, op: &Self::Op, ret: Option<&M::Ret>, say: &mut dyn FnMut(Mark)) {
        self.object.marks(&op.op, ret, say);
    }

    fn state_bytes(&self, state: &M::State) -> usize {
        self.object.state_bytes(state)
    }

    fn fold(&self, state: M::State, all: &[(&Self::Op, Option<&M::Ret>)]) -> M::State {
        let all: Vec<_> = all.iter().map(|(op, ret)| (&op.op, *ret)).collect();
        self.object.fold(state, &all)
    }

    fn helps(&self, op: &Self::Op, known: &[(&Self::Op, &M::Ret)]) -> bool {
        let known: Vec<_> = known.iter().map(|(op, ret)| (&op.op, *ret)).collect();
        self.object.helps(&op.op, &known)
    }

    fn describe(&self, op: &Self::Op, ret: Option<&M::Ret>) -> String {
        self.object.describe(&op.op, ret)
    }

    fn describe_state(&self, state: &M::State) -> String {
        self.object.describe_state(state)
    }

    fn describe_instead(
        &self,
        state: &M::State,
        op: &Self::Op,
        ret: Option<&M::Ret>,
    ) -> Option<String> {
        self.object.describe_instead(state, &op.op, ret)
    }

    fn describe_key(&self, (key, within): &Self::Key) -> Option<String> {
        Some(match self.object.describe_key(within) {
            Some(within) => format!("{key}/{within}"),
            None => key.to_string(),
        })
    }
}
