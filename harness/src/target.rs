//! What can be put on trial: how a node is started, asked, and looked at.
//!
//! Everything that knows a particular system is behind these three traits. An answer is classified
//! here and nowhere else: `Fail` only where it is proven that the operation never took effect.

mod raft;
pub use raft::Raft;

use ordeal_checker::history::{EventError, Outcome, Reason};
use ordeal_nemesis::lever::{Order, OrderKind, Standing};
use ordeal_workloads::{Name as WorkloadName, Op, Ret};
use std::collections::BTreeSet;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A future behind a trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A system that can be put on trial.
pub trait Target: Send + Sync {
    /// Its name on the command line and in a plan.
    fn name(&self) -> &str;

    /// What it is, in one line.
    fn summary(&self) -> &str;

    /// What it can serve.
    fn workloads(&self) -> &[WorkloadName];

    /// Defects that can be switched on in it, each with what it does wrong.
    fn defects(&self) -> Vec<(&'static str, &'static str)>;

    /// How to start one node.
    fn command(&self, node: &NodeSpec<'_>) -> NodeProgram;

    /// Where clients reach a node.
    fn client_address(&self, node: Ipv4Addr) -> SocketAddr;

    /// A client of one node, for one process.
    ///
    /// # Errors
    /// If no client can be made at all.
    fn client(&self, node: SocketAddr, deadline: Duration) -> Result<Box<dyn Client>, ClientError>;

    /// Looks at one node from the outside, on a path that no fault is on.
    ///
    /// # Errors
    /// If no client can be made at all.
    fn probe(&self, node: SocketAddr, deadline: Duration) -> Result<Box<dyn Probe>, ClientError>;

    /// Which orders of an administrator its nodes take when they are started with these flags.
    fn orders(&self, _flags: &[String]) -> BTreeSet<OrderKind> {
        BTreeSet::new()
    }

    /// An administrator of one node, used from inside the node's own namespace, where no fault is
    /// in the way; none where it takes no orders.
    ///
    /// # Errors
    /// If no client can be made at all.
    fn administrator(
        &self,
        _node: Ipv4Addr,
        _deadline: Duration,
    ) -> Result<Option<Box<dyn Administrator>>, ClientError> {
        Ok(None)
    }
}

/// What a node must know to start.
#[derive(Clone, Copy, Debug)]
pub struct NodeSpec<'a> {
    /// Its number, from 1.
    pub id: u16,
    /// The addresses of all nodes; node 1 first.
    pub addresses: &'a [Ipv4Addr],
    /// How many of them are members at first; the others wait to be taken in.
    pub members: u16,
    /// Names the cluster, so that nodes of two runs never talk to each other.
    pub cluster: &'a str,
    /// Where it keeps its data.
    pub data_dir: &'a Path,
    /// Derived from the run's seed.
    pub seed: u64,
    /// Defects to switch on.
    pub defects: &'a [String],
    /// Further flags, as the target's own command line spells them.
    pub flags: &'a [String],
    /// The program to run instead of the bundled one.
    pub binary: Option<&'a Path>,
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// One logical process's connection to one node.
pub trait Client: Send {
    /// Does `op` once; never retries.
    fn invoke<'a>(&'a mut self, op: &'a Op) -> Boxed<'a, Completion>;
}

/// A look at one node.
pub trait Probe: Send {
    /// What the node says of itself; `None` where it does not answer.
    fn look(&mut self) -> Boxed<'_, Option<View>>;

    /// Makes the node the one that leads, where nobody else decides that: the epoch it leads now,
    /// or why not. Targets that elect their leaders leave it as it is.
    fn promote(&mut self) -> Boxed<'_, Result<u64, String>> {
        Box::pin(async { Err("this target elects its leaders".to_owned()) })
    }
}

/// Whoever may give orders to one node.
pub trait Administrator: Send {
    /// Gives one order, once.
    fn order<'a>(&'a mut self, order: &'a Order) -> Boxed<'a, Result<(), Disobedience>>;

    /// Where the node stands, or why it does not say.
    fn standing(&mut self) -> Boxed<'_, Result<Standing, String>>;
}

/// Why an order is not known to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disobedience {
    /// The node said no, and nothing has changed.
    Refused(String),
    /// No answer, or none that says.
    Unclear(String),
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// `leader`, `follower`, … in the target's words.
    pub role: String,
    /// True where it believes that it leads.
    pub leads: bool,
    /// Its term, where it has such a thing.
    pub term: u64,
    /// Its process id, where it tells: a restarted node is another process.
    pub pid: Option<u32>,
    /// Defects that it says are switched on in it.
    pub defects: Vec<String>,
    /// For how many milliseconds it has heard nothing from the node that leads it; none where it
    /// leads itself, or elects its leaders.
    pub silent_ms: Option<u64>,
    /// How far its log reaches.
    pub last: u64,
    /// The highest index that it has applied, where it tells.
    pub applied: Option<u64>,
    /// How far its wall clock is ahead of this machine's, where it tells the time.
    pub ahead: Option<Ahead>,
    /// How many snapshots it has taken from others in the place of its log since it started, where
    /// it tells.
    pub installed: Option<u64>,
}

/// How far a wall clock is ahead, by the words of whoever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// In nanoseconds, seen from the middle of question and answer.
    pub ns: i64,
    /// By how much that may be wrong: half of the time between the two.
    pub within_ns: u64,
}

/// How an operation ended, with what the target says about where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// How it ended.
    pub outcome: Outcome<Ret>,
    /// The code of a failure: `TIMEOUT`, `REFUSED`, or the target's own.
    pub code: String,
    /// The term in which it happened.
    pub term: Option<u64>,
    /// The log index at which it happened.
    pub log_index: Option<u64>,
}

impl Completion {
    /// It happened.
    pub fn ok(ret: Ret) -> Self {
        Completion {
            outcome: Outcome::Ok(ret),
            code: String::new(),
            term: None,
            log_index: None,
        }
    }

    /// It did not happen, and never will.
    pub fn fail(code: &str, why: impl Into<String>) -> Self {
        Completion {
            outcome: Outcome::Fail(Reason(why.into())),
            code: code.to_owned(),
            term: None,
            log_index: None,
        }
    }

    /// Nobody knows.
    pub fn info(code: &str, why: impl Into<String>) -> Self {
        Completion {
            outcome: Outcome::Info(Reason(why.into())),
            ..Self::fail(code, "")
        }
    }

    /// A read that failed did no harm, however it failed: it is known not to have happened.
    pub fn harmless_if(self, read: bool) -> Self {
        match self.outcome {
            Outcome::Info(reason) if read => Completion {
                outcome: Outcome::Fail(reason),
                ..self
            },
            _ => self,
        }
    }

    /// The failure as it stands in a history.
    pub fn error(&self) -> Option<EventError> {
        match &self.outcome {
            Outcome::Ok(_) => None,
            Outcome::Fail(why) | Outcome::Info(why) => Some(EventError {
                code: self.code.clone(),
                message: why.0.clone(),
            }),
        }
    }
}

/// No client can be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client: {0}")]
pub struct ClientError(#[from] reqwest::Error);

/// The targets that a binary offers.
pub struct Targets(Vec<Arc<dyn Target>>);

impl Default for Targets {
    fn default() -> Self {
        Targets(vec![Arc::new(Raft)])
    }
}

impl Targets {
    /// The bundled targets and one more.
    #[must_use]
    pub fn with(mut self, target: Arc<dyn Target>) -> Self {
        self.0.push(target);
        self
    }

    /// The target of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Target>> {
        self.iter().find(|target| target.name() == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Target>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_read_is_a_failed_one_and_an_unknown_write_stays_unknown() {
        let timeout = || Completion::info("TIMEOUT", "no answer within 1s");
        assert!(matches!(
            timeout().harmless_if(true).outcome,
            Outcome::Fail(_)
        ));
        assert!(timeout().harmless_if(false).outcome.is_info());
        assert_eq!(timeout().harmless_if(true).error().unwrap().code, "TIMEOUT");
    }

    #[test]
    fn the_bundled_target_is_found_by_name() {
        let targets = Targets::default();
        assert!(targets.get("raft").is_some());
        assert!(targets.get("paxos").is_none());
    }
}
