//! One worker: a stream of operations, done one after another by one logical process at a time.
//!
//! ```text
//!   process 3 ├─ ok ─┤ ├─ fail ─┤ ├─── info (its node is cut off) ─ ─ ▸
//!   process 13                          ├─ ok ─┤ ├─ ok ─┤    the same worker goes on
//! ```
//!
//! The worker takes the time itself, right before the request and right after the answer, and owns
//! the deadline: whatever the target does, it moves on. It never asks twice.

use super::gate::Gate;
use crate::clock::Clock;
use crate::run::recorder::HistoryRecorder;
use crate::target::{Client, ClientError, Completion, Target};
use ordeal_checker::history::{Event, EventKind, Outcome, Process, Time};
use ordeal_workloads::{Generator, Key, Op, Ret, Seen, seed};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// What all workers of a run share.
#[derive(Clone)]
pub(crate) struct Bench {
    /// What is asked.
    pub(crate) target: Arc<dyn Target>,
    /// Where its nodes are; node 1 first.
    pub(crate) nodes: Vec<SocketAddr>,
    /// When everything happens.
    pub(crate) clock: Clock,
    /// Where it is taken down.
    pub(crate) recorder: HistoryRecorder,
    /// After this long a worker gives up on an answer.
    pub(crate) deadline: Duration,
}

/// A logical process at work on one node.
pub(crate) struct Session {
    bench: Bench,
    process: Process,
    node: usize,
    /// Retired processes are followed by the one this much further on.
    stride: u64,
    client: Option<Box<dyn Client>>,
}

impl Session {
    /// A process that works on that node (counted from 0).
    pub(crate) fn new(bench: Bench, process: Process, node: usize, stride: u64) -> Self {
        Session {
            bench,
            process,
            node,
            stride,
            client: None,
        }
    }

    /// Does one operation and takes it down; the result where it is known to have happened.
    ///
    /// # Errors
    /// If no client can be made: nothing was asked then, and nothing was taken down.
    pub(crate) async fn invoke(
        &mut self,
        op: &Op,
        phase: Phase,
    ) -> Result<Option<Ret>, ClientError> {
        let Bench {
            clock, deadline, ..
        } = self.bench;
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self
                .bench
                .target
                .client(self.bench.nodes[self.node], deadline)?,
        };
        self.take_down(op, clock.now(), phase, None);
        let completion = timeout(deadline, client.invoke(op)).await;
        let at = clock.now();
        let late = |_| Completion::info("TIMEOUT", format!("no answer within {deadline:?}"));
        let completion = completion.unwrap_or_else(late).harmless_if(op.is_read());
        self.take_down(op, at, phase, Some(&completion));
        match completion.outcome {
            Outcome::Ok(ret) => {
                self.client = Some(client);
                Ok(Some(ret))
            }
            // A connection that failed is not used again: an answer may still be on its way.
            Outcome::Fail(_) => Ok(None),
            Outcome::Info(_) => {
                self.process.0 += self.stride;
                Ok(None)
            }
        }
    }

    fn take_down(&self, op: &Op, time: Time, phase: Phase, completion: Option<&Completion>) {
        let (kind, value) = match completion.map(|completion| &completion.outcome) {
            None => (EventKind::Invoke, op.argument()),
            Some(Outcome::Ok(ret)) => (EventKind::Ok, ret.to_value()),
            Some(Outcome::Fail(_)) => (EventKind::Fail, Value::Null),
            Some(Outcome::Info(_)) => (EventKind::Info, Value::Null),
        };
        self.bench.recorder.record(Event {
            index: 0,
            process: self.process,
            kind,
            f: op.f().to_owned(),
            key: op.key().map(|key| json!(key)),
            value,
            time,
            node: Some(format!("n{}", self.node + 1)),
            term: completion.and_then(|completion| completion.term),
            log_index: completion.and_then(|completion| completion.log_index),
            error: completion.and_then(Completion::error),
            phase: phase.label(),
        });
    }
}

/// When in a run an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before the first fault.
    WarmUp,
    /// While faults come and go.
    Main,
    /// After the last heal, until every node has served.
    Recovery,
    /// The reads that end a run.
    Final,
}

impl Phase {
    /// How it stands in a history; the main phase goes without saying.
    pub(crate) fn label(self) -> Option<String> {
        let label = match self {
            Phase::Main => return None,
            Phase::WarmUp => "warm-up",
            Phase::Recovery => "recovery",
            Phase::Final => "final",
        };
        Some(label.to_owned())
    }
}

/// How fast one worker asks.
pub(crate) struct Pace {
    rng: ChaCha8Rng,
    mean: Duration,
    next: Instant,
}

impl Pace {
    /// The pace of one of `workers` that share `rate` operations a second.
    pub(crate) fn new(seed: u64, worker: u32, workers: u32, rate: u32) -> Self {
        let mean = Duration::from_secs_f64(f64::from(workers) / f64::from(rate));
        let mut rng = seed::derive(seed, "pace", u64::from(worker));
        let first = mean.mul_f64(rng.random_range(0.0..1.0));
        Pace {
            rng,
            mean,
            next: Instant::now() + first,
        }
    }

    /// Waits for the next turn. Gaps are drawn evenly from nothing to twice the mean; turns that
    /// were missed while an operation was stuck are not made up for.
    pub(crate) async fn turn(&mut self) {
        sleep_until(self.next).await;
        let gap = self.mean.mul_f64(self.rng.random_range(0.0..2.0));
        self.next = (self.next + gap).max(Instant::now());
    }
}

/// Does operations until told to stop; returns the keys that it used.
///
/// # Errors
/// If no client can be made.
pub(super) async fn work(
    mut session: Session,
    mut generator: Box<dyn Generator>,
    mut pace: Pace,
    gate: Gate,
    main_begun: CancellationToken,
    stop: CancellationToken,
) -> Result<BTreeSet<Key>, ClientError> {
    let (mut seen, mut used) = (Seen::default(), BTreeSet::new());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(used),
            () = async { pace.turn().await; gate.pass().await } => {}
        }
        let phase = if main_begun.is_cancelled() {
            Phase::Main
        } else {
            Phase::WarmUp
        };
        let op = generator.next_intent().with(&seen);
        used.extend(op.key());
        if let Some(ret) = session.invoke(&op, phase).await? {
            seen.learn(&op, &ret);
        }
    }
}
