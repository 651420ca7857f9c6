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

/// What is known to have come back.
pub(super) fn result<R>(ret: Option<&Option<R>>) -> Option<R>
where
    R: Copy,
{
    ret.copied().flatten()
}

/// Nothing where it happened and its result is not known, which no monitor knows of.
fn whole<R>(ret: Option<&Option<R>>) -> Option<()> {
    (!matches!(ret, Some(None))).then_some(())
}

impl<'a, M: Model> Recalled<'a, M> {
    pub(super) fn new(
        model: &'a M,
        operations: &[&Operation<&'a M::Op, Option<&'a M::Ret>>],
    ) -> Self {
        let all = operations.iter();
        let all = all.map(|op| (*op.op(), result(op.outcome().ok())));
        Recalled {
            model,
            all: all.collect(),
        }
    }
}

impl<'a, M: Model> Model for Recalled<'a, M> {
    type Op = &'a M::Op;
    /// Nothing where it happened, and nothing is known of what came back.
    type Ret = Option<&'a M::Ret>;
    type State = M::State;
    type Key = M::Key;

    fn init(&self) -> M::State {
        self.model.init()
    }

    fn step(
        &self,
        state: &M::State,
        op: &&'a M::Op,
        ret: Option<&Option<&'a M::Ret>>,
    ) -> Option<M::State> {
        let next = self.model.step(state, op, result(ret))?;
        Some(self.model.fold(next, &self.all))
    }

    fn key(&self, op: &&'a M::Op) -> M::Key {
        self.model.key(op)
    }

    fn is_read(&self, op: &&'a M::Op, ret: Option<&Option<&'a M::Ret>>) -> bool {
        self.model.is_read(op, result(ret))
    }

    fn as_register(
        &self,
        op: &&'a M::Op,
        ret: Option<&Option<&'a M::Ret>>,
    ) -> Option<RegisterStep> {
        whole(ret)?;
        self.model.as_register(op, result(ret))
    }

    fn as_queue(&self, op: &&'a M::Op, ret: Option<&Option<&'a M::Ret>>) -> Option<QueueStep> {
        whole(ret)?;
        self.model.as_queue(op, result(ret))
    }

    fn as_set<'b>(
        &self,
        op: &'b &'a M::Op,
        ret: Option<&'b Option<&'a M::Ret>>,
    ) -> Option<SetStep<'b>> {
        whole(ret)?;
        self.model.as_set(*op, result(ret))
    }

    fn as_counter(&self, op: &&'a M::Op, ret: Option<&Option<&'a M::Ret>>) -> Option<CounterStep> {
        whole(ret)?;
        self.model.as_counter(op, result(ret))
    }

    fn marks(&self, op: &&'a M::Op, ret: Option<&Option<&'a M::Ret>>, say: &mut dyn FnMut(Mark)) {
        let has_result = whole(ret).is_some();
        let mut left = |mark| match mark {
            Mark::Left(..) => say(mark),
            // Nobody knows whether it did what that is needed for.
            Mark::Seen(..) | Mark::Needed(..) if has_result => say(mark),
            Mark::Seen(..) | Mark::Needed(..) => {}
        };
        self.model.marks(op, result(ret), &mut left);
    }

    fn state_bytes(&self, state: &M::State) -> usize {
        self.model.state_bytes(state)
    }

    fn describe(&self, op: &&'a M::Op, ret: Option<&Option<&'a M::Ret>>) -> String {
        self.model.describe(op, result(ret))
    }

    fn describe_instead(
        &self,
        state: &M::State,
        op: &&'a M::Op,
        ret: Option<&Option<&'a M::Ret>>,
    ) -> Option<String> {
        self.model.describe_instead(state, op, result(ret))
    }

    fn describe_state(&self, state: &M::State) -> String {
        self.model.describe_state(state)
    }
}
