//! Objects that may do one of several things.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hash;

use super::Model;

/// A specification in which one operation can lead to several states.
pub trait Nondeterministic: Sync {
    /// What can be asked.
    type Op: Eq + Hash + fmt::Debug + Sync;
    /// What can come back.
    type Ret: Eq + Hash + fmt::Debug + Sync;
    /// What the object remembers of one key.
    type State: Clone + Ord + Hash + fmt::Debug + Send + Sync;
    /// The independent part of the object that an operation goes to.
    type Key: Clone + Ord + fmt::Debug + Send + Sync;

    /// Every state in which it may begin.
    fn init(&self) -> Vec<Self::State>;

    /// Every state that `op` with that result may lead to; none where it is impossible.
    fn step(&self, state: &Self::State, op: &Self::Op, ret: Option<&Self::Ret>)
    -> Vec<Self::State>;

    /// Where the operation goes.
    fn key(&self, op: &Self::Op) -> Self::Key;

    /// An operation and its result, in words: `read → 3`.
    fn describe(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> String {
        match ret {
            Some(ret) => format!("{op:?} → {ret:?}"),
            None => format!("{op:?} → ?"),
        }
    }
}

/// A nondeterministic object as a deterministic one: its state is the set of all that may be true.
/// An order is possible exactly if that set never becomes empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyOf<N>(pub N);

impl<N: Nondeterministic> Model for AnyOf<N> {
    type Op = N::Op;
    type Ret = N::Ret;
    type State = BTreeSet<N::State>;
    type Key = N::Key;

    fn init(&self) -> Self::State {
        self.0.init().into_iter().collect()
    }

    fn step(&self, state: &Self::State, op: &N::Op, ret: Option<&N::Ret>) -> Option<Self::State> {
        let next: BTreeSet<_> = state
            .iter()
            .flat_map(|state| self.0.step(state, op, ret))
            .collect();
        (!next.is_empty()).then_some(next)
    }

    fn key(&self, op: &N::Op) -> N::Key {
        self.0.key(op)
    }

    fn state_bytes(&self, state: &Self::State) -> usize {
        // A node of the tree takes up to eleven.
        state.len().div_ceil(8) * (11 * size_of::<N::State>() + 16)
    }

    fn describe(&self, op: &N::Op, ret: Option<&N::Ret>) -> String {
        self.0.describe(op, ret)
    }

    fn describe_state(&self, state: &Self::State) -> String {
        let states: Vec<String> = state.iter().map(|state| format!("{state:?}")).collect();
        states.join(" or ")
    }
}
