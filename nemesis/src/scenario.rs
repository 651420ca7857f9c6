//! Scripted scenarios: steps that come one after the other, each when the one before is done.
//!
//! ```text
//!  [[scenario.step]] ──▶ Step ──▶ Script ──checked──▶ Play ◀── Sight (what is seen now)
//!     (text)             (data)                        └────▶ Act  (inject, heal, hold, resume)
//! ```
//!
//! Pure: a [`Play`] is asked again and again what to do next, with what was seen; whoever asks it
//! has the levers, the clock and the eyes. Same script, same seed and same sights: same acts.
//!
//! | step | is done when |
//! |---|---|
//! | `let = "old"`, `is = "$leader"` | the nodes are known, and from then on meant by `$old` |
//! | `inject = "kill $old"`, `as = "crash"`, `for = "2s"` | it is proven to be in force |
//! | `admin = "transfer $follower"`, `admin = "grow n6"` | it is proven to be done |
//! | `heal = "crash"`, `heal = "all"` | it is gone, and that was verified |
//! | `wait = "leader is not $old"`, `within = "5s"` | it holds; not in time: the scenario ends |
//! | `wait = "2s"` | so much time has passed |
//! | `expect = "leader is $new"`, `within = "1s"`, `for = "2s"` | it was seen to hold, or not to |
//! | `workload = "hold"`, `workload = "resume"` | no operation is under way; at once |
//!
//! A wait that is missed says that the scenario did not come about; an expectation that fails says
//! something about the target, and the scenario goes on.

mod condition;
mod duration;
mod overlap;
mod play;
mod script;
mod sight;
mod step;
mod template;
mod timeline;

pub use self::condition::{Condition, ConditionError};
pub use self::play::{Act, End, Play, StepEvent, StepWhat, Turn};
pub use self::script::{Script, ScriptError};
pub use self::sight::{FaultState, Seen, Sight};
pub use self::step::{Heal, Step, StepDraft, StepError, Workload};
pub use self::template::{Template, TemplateError};
pub use self::timeline::Close;
