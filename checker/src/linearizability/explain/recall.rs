//! A model whose operations are only borrowed, so that a history can be told with some of it
//! forgotten and nothing copied.

use crate::history::Operation;
use crate::model::{CounterStep, Mark, Model, QueueStep, RegisterStep, SetStep};

/// The same object, asked by reference, and no more of its states than what is known can tell
/// apart.
pub(super) struct Recalled<'a, M: Model> {
    model: &'a M,
    all: Vec<(&'a M::Op, Option<&'a M::Ret>)>,
}

impl<'a, M: Model> Recalled<'a, M> {
    pub(super) fn new(model: &'a M, operations: &[&Operation<&'a M::Op, &'a M::Ret>]) -> Self {
        let all = operations.iter();
        let all = all.map(|op| (*op.op(), op.outcome().ok().copied()));
        Recalled {
            model,
            all: all.collect(),
        }
    }
}

impl<'a, M: Model> Model for Recalled<'a, M> {
    type Op = &'a M::Op;
    type Ret = &'a M::Ret;
    type State = M::State;
    type Key = M::Key;

    fn init(&self) -> M::State {
        self.model.init()
    }

    fn step(&self, state: &M::State, op: &&'a M::Op, ret: Option<&&'a M::Ret>) -> Option<M::State> {
        let next = self.model.step(state, op, ret.copied())?;
        Some(self.model.fold(next, &self.all))
    }

    fn key(&self, op: &&'a M::Op) -> M::Key {
        self.model.key(op)
    }

    fn is_read(&self, op: &&'a M::Op, ret: Option<&&'a M::Ret>) -> bool {
        self.model.is_read(op, ret.copied())
    }

    fn as_register(&self, op: &&'a M::Op, ret: Option<&&'a M::Ret>) -> Option<RegisterStep> {
        self.model.as_register(op, ret.copied())
    }

    fn as_queue(&self, op: &&'a M::Op, ret: Option<&&'a M::Ret>) -> Option<QueueStep> {
        self.model.as_queue(op, ret.copied())
    }

    fn as_set<'b>(&self, op: &'b &'a M::Op, ret: Option<&'b &'a M::Ret>) -> Option<SetStep<'b>> {
        self.model.as_set(*op, ret.copied())
    }

    fn as_counter(&self, op: &&'a M::Op, ret: Option<&&'a M::Ret>) -> Option<CounterStep> {
        self.model.as_counter(op, ret.copied())
    }

    fn marks(&self, op: &&'a M::Op, ret: Option<&&'a M::Ret>, say: &mut dyn FnMut(Mark)) {
        self.model.marks(op, ret.copied(), say);
    }

    fn state_bytes(&self, state: &M::State) -> usize {
        self.model.state_bytes(state)
    }

    fn describe(&self, op: &&'a M::Op, ret: Option<&&'a M::Ret>) -> String {
        self.model.describe(op, ret.copied())
    }

    fn describe_instead(
        &self,
        state: &M::State,
        op: &&'a M::Op,
        ret: Option<&&'a M::Ret>,
    ) -> Option<String> {
        self.model.describe_instead(state, op, ret.copied())
    }

    fn describe_state(&self, state: &M::State) -> String {
        self.model.describe_state(state)
    }
}
