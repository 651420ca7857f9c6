//! A sequential object: what one client alone would see.
//!
//! A history is right if there is an order of its operations, one after another, that the object
//! could have gone through. The model says what the object could do; the search finds the order.
//!
//! Nil is a value like any other: a read that came back empty is an observation, and is checked.
//! Without that a cluster that lost everything would look linearizable.
//!
//! # What is there
//!
//! | model | asked | seen |
//! |---|---|---|
//! | [`CasRegister`] | read, write, compare-and-set | the value, nil at first; whether it swapped |
//! | [`Registers`] | transactions on several registers | what each read saw, nil at first |
//! | [`AppendString`] | get, put, append | the whole string, empty at first |
//! | [`Set`] | add, remove, contains, read it whole | whether it is in; all that is |
//! | [`FifoQueue`], [`Stack`] | put, take | what came out, or that nothing was there |
//! | [`Counter`] | add, read | the sum |
//! | [`Mutex`], [`FencedLock`] | acquire, release | that it was done; the fencing token |
//!
//! [`PerKey`] makes a family of objects of one, each under its key, and [`Model::key`] splits the
//! search: keys are judged on their own, and in parallel.
//!
//! # One of one's own
//!
//! Three functions make a model. [`Model::step`] is the heart: what an operation makes of a state,
//! or `None` where it cannot have had that result there. Where the result is unknown (`None`),
//! whatever the object would have answered is right.
//!
//! ```
//! use ordeal_checker::model::Model;
//!
//! /// Hands out 0, 1, 2, …, each number once.
//! struct Sequencer;
//!
//! impl Model for Sequencer {
//!     type Op = ();
//!     type Ret = u64;
//!     type State = u64;
//!     type Key = ();
//!
//!     fn init(&self) -> u64 {
//!         0
//!     }
//!     fn step(&self, next: &u64, (): &(), given: Option<&u64>) -> Option<u64> {
//!         given.is_none_or(|given| given == next).then_some(next + 1)
//!     }
//!     fn key(&self, (): &()) {}
//! }
//!
//! assert_eq!(Sequencer.step(&4, &(), Some(&4)), Some(5));
//! assert_eq!(Sequencer.step(&4, &(), Some(&3)), None); // 3 was given before
//! assert_eq!(Sequencer.step(&4, &(), None), Some(5)); // whatever its client never heard
//! ```
//!
//! [`Model::is_read`] and [`Model::as_register`] and its like make the search faster, `describe_*`
//! its answer readable. An object that may do one of several things is a [`Nondeterministic`] in
//! [`AnyOf`]: `examples/custom_model.rs` has one of either kind.
//!
//! *Before: [`history`](crate::history) · [contents](crate) · next: the search that joins the two,
//! [`linearizability`](crate::linearizability).*

mod append;
mod counter;
mod keyed;
mod lock;
mod nondeterministic;
mod register;
mod sequence;
mod set;
mod transaction;

pub use append::{AppendOp, AppendRet, AppendString};
pub use counter::{Counter, CounterOp, CounterRet, CounterStep};
pub use keyed::{Keyed, PerKey};
pub use lock::{FencedLock, LockOp, LockRet, Mutex};
pub use nondeterministic::{AnyOf, Nondeterministic};
pub use register::{CasRegister, RegisterOp, RegisterRet, RegisterStep};
pub use sequence::{FifoQueue, QueueStep, SequenceOp, SequenceRet, Stack};
pub use set::{Set, SetOp, SetRet, SetStep};
pub use transaction::{Registers, RegistersOp};

use std::fmt;
use std::hash::Hash;

/// Something that is in an object only after some operation left it there: a value in a register,
/// an element of a set, an item of a queue. Two numbers name it, of which the first is the part of
/// the object, where it has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// This operation can have left it.
    Left(i64, i64),
    /// This operation's result is possible only where another one has left it before.
    Seen(i64, i64),
    /// What this operation leaves, it leaves only where another one has left that before.
    Needed(i64, i64),
}

/// A sequential specification.
///
/// Only [`Model::init`], [`Model::step`] and [`Model::key`] are needed; the rest makes the search
/// faster ([`Model::is_read`]) or its answer readable (`describe_*`).
pub trait Model: Sync {
    /// What can be asked.
    type Op: Eq + Hash + fmt::Debug + Sync;
    /// What can come back.
    type Ret: Eq + Hash + fmt::Debug + Sync;
    /// What the object remembers of one key.
    type State: Clone + Eq + Hash + fmt::Debug + Send + Sync;
    /// The independent part of the object that an operation goes to; `()` where it is one whole.
    ///
    /// A history is linearizable exactly if it is so key by key (Herlihy and Wing 1990, section
    /// 3.1), and a search over one key is exponentially smaller than one over all.
    type Key: Clone + Ord + fmt::Debug + Send + Sync;

    /// The object before anything was done to it.
    fn init(&self) -> Self::State;

    /// What `op` makes of `state`, or `None` where it cannot have had that result there.
    ///
    /// `ret` is `None` where nobody knows the result: then whatever the object would have
    /// answered is right.
    fn step(
        &self,
        state: &Self::State,
        op: &Self::Op,
        ret: Option<&Self::Ret>,
    ) -> Option<Self::State>;

    /// Where the operation goes.
    fn key(&self, op: &Self::Op) -> Self::Key;

    /// True where this operation with this result changes no state whatever.
    ///
    /// Such an operation may be put into the order as soon as it fits, without trying anything
    /// else: no later operation can tell. With `ret` as `None`: true whatever the result, so that
    /// an operation of unknown outcome says nothing and is left out. When in doubt, `false`.
    fn is_read(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> bool {
        let _ = (op, ret);
        false
    }

    /// The operation as one on a register that begins with nil, where it is one: then histories
    /// whose written values are all distinct are decided in near-linear time.
    fn as_register(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> Option<RegisterStep> {
        let _ = (op, ret);
        None
    }

    /// The operation as one on a first-in first-out queue that is empty at first, where it is one:
    /// then histories whose values are all distinct are decided in near-linear time. `None` for an
    /// operation of unknown result that may have taken any value.
    fn as_queue(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> Option<QueueStep> {
        let _ = (op, ret);
        None
    }

    /// The operation as one on a set that is empty at first, where it is one: then histories in
    /// which no element is added twice or removed twice are decided in near-linear time. `None`
    /// for a question of unknown result.
    fn as_set<'a>(&self, op: &'a Self::Op, ret: Option<&'a Self::Ret>) -> Option<SetStep<'a>> {
        let _ = (op, ret);
        None
    }

    /// The operation as one on a counter that is zero at first, where it is one: then an order is
    /// looked for read by read, by the sums. `None` for a read of unknown result.
    fn as_counter(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> Option<CounterStep> {
        let _ = (op, ret);
        None
    }

    /// Says which [marks](Mark) this operation leaves, and which its result shows to have been
    /// left.
    ///
    /// Where only one operation can have left a mark that was seen, it certainly happened, and did
    /// so before whoever saw it returned. Who says [`Mark::Seen`] anywhere must say [`Mark::Left`]
    /// of every operation that can leave it, whatever its result, known or not. Saying nothing is
    /// always right.
    fn marks(&self, op: &Self::Op, ret: Option<&Self::Ret>, say: &mut dyn FnMut(Mark)) {
        let _ = (op, ret, say);
    }

    /// How many bytes a state takes beyond its own size: its text, its elements. The search counts
    /// them against its budget.
    fn state_bytes(&self, state: &Self::State) -> usize {
        let _ = state;
        0
    }

    /// `state`, or one state in the place of many that come to the same.
    ///
    /// Two states come to the same if no result that is known in `all` can tell them apart, now or
    /// after whatever operations of `all`. Those of unknown result are in it too. With this,
    /// violations of objects with very many states can be explained: most of what might have
    /// happened makes no difference.
    fn fold(&self, state: Self::State, all: &[(&Self::Op, Option<&Self::Ret>)]) -> Self::State {
        let _ = all;
        state
    }

    /// False where an operation of unknown result, that may have happened at any time or never,
    /// cannot help to explain these results: any order that has it, and others of unknown result,
    /// is one without it, and perhaps without some of those. Violations are then explained sooner.
    /// When in doubt, `true`.
    fn helps(&self, op: &Self::Op, known: &[(&Self::Op, &Self::Ret)]) -> bool {
        let _ = (op, known);
        true
    }

    /// An operation and its result, in words: `read → 3`. Those of one whose result is not known
    /// end in `(result unknown)` or `→ ?`, which is left out where the question alone is told.
    fn describe(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> String {
        match ret {
            Some(ret) => format!("{op:?} → {ret:?}"),
            None => format!("{op:?} → ?"),
        }
    }

    /// A state, in words that complete "the object holds …".
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// What the object would have done in this state where it was asked for `op`, and not `ret` as
    /// it was seen, in words that complete "there it would …": `return 2`. `None` where only the
    /// state is told.
    fn describe_instead(
        &self,
        state: &Self::State,
        op: &Self::Op,
        ret: Option<&Self::Ret>,
    ) -> Option<String> {
        let _ = (state, op, ret);
        None
    }

    /// A key, in words; `None` where there is only one.
    fn describe_key(&self, key: &Self::Key) -> Option<String> {
        let words = format!("{key:?}");
        (words != "()").then_some(words)
    }
}

/// What is asked, in words, without a result.
pub(crate) fn question<M: Model>(model: &M, op: &M::Op) -> String {
    let what = model.describe(op, None);
    let ends = [" (result unknown)", " → ?"];
    let asked = ends.iter().find_map(|end| what.strip_suffix(end));
    asked.unwrap_or(&what).to_owned()
}
