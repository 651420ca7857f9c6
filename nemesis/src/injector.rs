//! The injector: runs a schedule with the levers, and says of every fault what became of it.

mod admin;
mod attempt;
mod cause;
mod clock;
mod cut;
mod disk;
mod left;
mod life;
mod member;
mod power;
mod processes;
mod shape;
mod squeeze;
mod stop;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use self::attempt::Attempt;
pub use self::stop::Stop;
use crate::{
    fault::FaultClass,
    lever::{Levers, Observer},
    node::{Edge, Node},
    proof::{Effect, Proof},
    schedule::{PlannedFault, Schedule},
};

/// One line of `faults.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultEvent {
    /// When, in nanoseconds on the harness's clock.
    pub time_ns: u64,
    /// The planned fault's id.
    pub fault: u32,
    /// Its class.
    pub class: FaultClass,
    /// What happened to it.
    pub what: Step,
    /// The nodes concerned, once they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// The edges concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
    /// The evidence, where there is some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The same for a person.
    pub message: String,
}

/// The steps in a fault's life.
///
/// ```text
///  injecting ──▶ installed ──▶ healing ──▶ healed
///      │  └──────────────────────▲  └────▶ no-effect | indeterminate
///      └▶ skipped | indeterminate
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The target is known and the lever about to be pulled.
    Injecting,
    /// It is proven to be in force.
    Installed,
    /// The lever is about to be put back.
    Healing,
    /// It is gone, and that was verified.
    Healed,
    /// It was not tried.
    Skipped,
    /// It was in place and changed nothing.
    NoEffect,
    /// It may or may not have happened, or may not be fully undone.
    Indeterminate,
}

/// What became of one planned fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// What was planned.
    pub planned: PlannedFault,
    /// The nodes it was done to, or that its cut names.
    pub nodes: Vec<Node>,
    /// From the lever pulled to the lever put back, in nanoseconds on the harness's clock.
    pub window_ns: Option<(u64, u64)>,
    /// What it did.
    pub effect: Effect,
    /// Whether nothing of it is left. `false` only when healing failed.
    pub healed: bool,
    /// The processes that met it, of a fault that may end a process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub met_by: Vec<(Node, u32)>,
}

/// How long the injector waits for what it does not control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// For a leader to be known when a fault wants one.
    pub leader: Duration,
    /// For a restarted process to serve.
    pub serving: Duration,
    /// For a node that serves on a damaged disk to find out, from the others, that it must not.
    pub refusal: Duration,
    /// For the first members to be back after a heal: other faults may still be in the way.
    pub members: Duration,
}

impl FaultRecord {
    /// The same, unless something of it may be left after all.
    fn unless_healed(self, healed: bool) -> Self {
        let healed = self.healed && healed;
        Self { healed, ..self }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            leader: Duration::from_secs(1),
            serving: Duration::from_secs(10),
            refusal: Duration::from_millis(300),
            members: Duration::from_secs(30),
        }
    }
}

/// Everything a run of a schedule needs.
pub struct Injector<'a> {
    /// How many nodes the cluster has at first.
    pub nodes: u16,
    /// How many spares run besides.
    pub spares: u16,
    /// What can be pulled.
    pub levers: &'a Levers,
    /// Who is asked about leaders and restarted nodes.
    pub observer: &'a dyn Observer,
    /// The harness's clock, in nanoseconds.
    pub clock: &'a (dyn Fn() -> u64 + Sync),
    /// Gets every event as it happens.
    pub sink: &'a (dyn Fn(FaultEvent) + Sync),
    /// Ends the run early.
    pub stop: &'a Stop,
    /// The plan's seed: where the fates of packets come from.
    pub seed: u64,
    /// How long to wait.
    pub patience: Patience,
}

impl Injector<'_> {
    /// Runs the schedule, counted from now; returns when every fault is healed, in the schedule's
    /// order. Blocks: call it on a thread of its own.
    ///
    /// Each fault has its own thread, so one that is slow holds up no other. When a stop is
    /// requested, faults in force are healed at once and the others skipped.
    pub fn run(&self, schedule: &Schedule) -> Vec<FaultRecord> {
        if let Some(disks) = &self.levers.disks {
            disks.remember();
        }
        let start = Instant::now();
        let mut records = thread::scope(|scope| -> Vec<FaultRecord> {
            let mut running = Vec::new();
            for planned in &schedule.faults {
                let due = start + Duration::from_millis(planned.at_ms);
                let stopped = self.stop.wait_until(due);
                let attempt = Attempt::new(self, planned, start);
                running.push(if stopped {
                    Begun::Over(Box::new(
                        attempt.skip("the run was stopped before its time"),
                    ))
                } else {
                    let name = format!("fault {}", planned.id);
                    match thread::Builder::new()
                        .name(name)
                        .spawn_scoped(scope, || attempt.run())
                    {
                        Ok(thread) => Begun::Running(planned, thread),
                        Err(error) => {
                            let why = format!("no thread to inject it with: {error}");
                            let attempt = Attempt::new(self, planned, start);
                            Begun::Over(Box::new(attempt.fail(&why)))
                        }
                    }
                });
            }
            running
                .into_iter()
                .map(|begun| self.end(begun, start))
                .collect()
        });
        self.heal_left(&mut records);
        records
    }

    /// Injects one fault now and heals it when its time is over or `until` is requested; blocks so
    /// long. For whoever decides as it goes: see [`crate::scenario`].
    ///
    /// Before the first one, the disks have to [remember](crate::disk::Disks::remember) how they
    /// are; after the last one, [`Injector::heal_left`] tries again what could not be healed.
    pub fn inject(&self, planned: &PlannedFault, until: &Stop) -> FaultRecord {
        let one = Injector {
            stop: until,
            patience: self.patience.clone(),
            ..*self
        };
        let at_once = Duration::from_millis(planned.at_ms);
        let now = Instant::now();
        let start = now.checked_sub(at_once).unwrap_or(now);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            Attempt::new(&one, planned, start).run()
        }));
        ended.unwrap_or_else(|_| FaultRecord {
            healed: false,
            ..Attempt::new(&one, planned, start).fail("its thread panicked")
        })
    }

    fn end(&self, begun: Begun<'_, '_>, start: Instant) -> FaultRecord {
        match begun {
            Begun::Over(record) => *record,
            Begun::Running(planned, thread) => thread.join().unwrap_or_else(|_| {
                let attempt = Attempt::new(self, planned, start);
                FaultRecord {
                    healed: false,
                    ..attempt.fail("its thread panicked")
                }
            }),
        }
    }
}

enum Begun<'scope, 'plan> {
    Over(Box<FaultRecord>),
    Running(&'plan PlannedFault, ScopedJoinHandle<'scope, FaultRecord>),
}
