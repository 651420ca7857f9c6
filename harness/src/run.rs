//! One run, from the first process to the last line of evidence.
//!
//! ```text
//!   start ─▶ first write ─▶ warm-up ─▶ main ──────────────▶ recovery ─▶ final reads ─▶ stop
//!                           clients … … … … … … … … … … ┤   every node    every node
//!                                      └ faults come and go, all healed ┘
//! ```
//!
//! Where a heal fails for good there is no recovery to ask for: the rest happens all the same, and
//! the verdict says which fault was still in force.
//!
//! Ctrl-C cuts the main phase short: what is installed is healed, and everything after it happens
//! as if the time were up. A second one ends the process, and the sandbox with it.

mod administration;
mod coverage;
mod gate;
mod injection;
mod judge;
mod left;
mod live;
pub(crate) mod observer;
mod recorder;
mod recovery;
mod rig;
mod scene;
mod stage;
mod trial;
mod wall;
mod watch;
mod worker;

pub(crate) use judge::judge;
pub(crate) use observer::Observation;
pub(crate) use recovery::Recovery;
pub(crate) use rig::RigError;
pub(crate) use wall::ClockReading;

use crate::clock::Clock;
use crate::plan::Plan;
use crate::store::RunFolder;
use crate::target::Target;
use ordeal_checker::history::{Event, Time};
use ordeal_nemesis::disk::DiskBackend;
use ordeal_nemesis::injector::FaultRecord;
use ordeal_nemesis::network::Backend;
use ordeal_nemesis::process::Death;
use ordeal_nemesis::sandbox::Sandbox;
use ordeal_nemesis::scenario::StepEvent;
use ordeal_workloads::{Op, Workload};
use recorder::{FaultLine, HistoryRecorder, Recording, record};
use rig::Rig;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use trial::Trial;

/// What a run needs besides its plan.
pub(crate) struct Setting {
    /// What is put on trial.
    pub(crate) target: Arc<dyn Target>,
    /// What clients do.
    pub(crate) workload: Arc<dyn Workload>,
    /// Where the evidence goes.
    pub(crate) folder: RunFolder,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// Where everything happens.
    pub(crate) sandbox: Sandbox,
    /// What carries packets.
    pub(crate) backend: Backend,
    /// What makes disks ill, where faults do that.
    pub(crate) disks: Option<DiskBackend>,
    /// Ctrl-C.
    pub(crate) interrupt: CancellationToken,
}

/// Everything that a run left, in memory as on disk.
pub(crate) struct Evidence {
    /// What was planned.
    pub(crate) plan: Plan,
    /// What clients saw.
    pub(crate) events: Vec<Event>,
    /// What became of each planned fault.
    pub(crate) faults: Vec<FaultRecord>,
    /// What became of each step of its scenario.
    pub(crate) steps: Vec<StepEvent>,
    /// Who led when, as seen from outside.
    pub(crate) cluster: Vec<Observation>,
    /// How wrong wall clocks were when, where faults made them wrong.
    pub(crate) clocks: Vec<ClockReading>,
    /// Nodes that ended without having been told to, and when.
    pub(crate) deaths: Vec<(Time, Death)>,
    /// Which nodes served again after the last heal, and when.
    pub(crate) recovery: Recovery,
    /// By which means the faults were injected: name and value.
    pub(crate) mechanisms: Vec<(String, String)>,
    /// When the phases began.
    pub(crate) milestones: Milestones,
    /// Why the main phase ended before its time.
    pub(crate) interrupted: Option<String>,
}

/// When the phases of a run began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Milestones {
    /// The first write was acknowledged.
    pub(crate) first_write: Time,
    /// Faults may come.
    pub(crate) main: Time,
    /// Clients have stopped, and everything is healed that can be.
    pub(crate) healed: Time,
}

/// When a fault was over: of a cut whose end TCP's own back-off outlasted, when old connections
/// carried data again. That is not the target's fault.
fn healed_ns(record: &FaultRecord) -> Option<u64> {
    let (_, to) = record.window_ns?;
    Some(to.saturating_add(recovery::backoff_ms(record).unwrap_or(0) * 1_000_000))
}

/// Waits until the cluster serves; who is interrupted before that leaves it stopped.
async fn begun(mut trial: Trial<'_>) -> Result<(Trial<'_>, Time), RigError> {
    match trial.first_write().await {
        Ok(first_write) => Ok((trial, first_write)),
        Err(RigError::InterruptedEarly) => {
            trial.stop().await?;
            Err(RigError::InterruptedEarly)
        }
        Err(error) => Err(error),
    }
}

/// Runs the plan; the evidence is on disk when it returns.
///
/// # Errors
/// Only if the harness failed: whatever the target does is evidence.
pub(crate) async fn run(plan: Plan, setting: &Setting) -> Result<Evidence, RigError> {
    let folder = &setting.folder;
    let (history, history_recording) = HistoryRecorder::create(&folder.file("history.jsonl"))?;
    let (faults, faults_recording) = record(&folder.file("faults.jsonl"), |_, _| {})?;
    let (lines, cluster_recording) = record(&folder.file("cluster.jsonl"), |_, _| {})?;
    let rig = Rig::start(&plan, setting)?;
    let mut mechanisms = rig.mechanisms();
    let readings = rig.clocks.as_ref();
    let readings = readings.map(|_| record(&folder.file("clocks.jsonl"), |_, _| {}));
    let (readings, clocks_recording) = readings.transpose()?.unzip();
    let trial = Trial::new(
        plan,
        setting,
        rig,
        history,
        faults,
        &lines,
        readings.as_ref(),
    )?;
    let (mut trial, first_write) = begun(trial).await?;
    let main = trial.warm_up().await;
    let ended = trial.main_phase().await?;
    let records = ended.records;
    let healed = setting.clock.now();
    let last_heal = records.iter().filter_map(healed_ns).max();
    let last_heal = last_heal.map_or(healed, Time);
    let served = match &ended.left {
        Some(_) => Vec::new(),
        None => trial.recover(last_heal).await?,
    };
    trial.final_reads().await?;
    drop((lines, readings));
    mechanisms.extend(trial.unasked_losses());
    let (plan, deaths) = trial.stop().await?;
    let lines = faults_recording.finish()?.into_iter();
    let steps = lines.filter_map(|line| match line {
        FaultLine::Step(event) => Some(event),
        FaultLine::Fault(_) => None,
    });
    let events = history_recording.finish()?;
    let probe = setting.workload.probe(0);
    let kinds = probe.each_ref().map(Op::f);
    let recovery = Recovery {
        backoff_ms: records.iter().filter_map(recovery::backoff_ms).max(),
        not_asked: ended.left,
        ..recovery::recovery(last_heal, &served, &events, kinds, plan.recovery_bound.0)
    };
    Ok(Evidence {
        plan,
        events,
        faults: records,
        steps: steps.collect(),
        cluster: cluster_recording.finish()?,
        clocks: clocks_recording
            .map(Recording::finish)
            .transpose()?
            .unwrap_or_default(),
        deaths,
        recovery,
        mechanisms,
        milestones: Milestones {
            first_write,
            main,
            healed,
        },
        interrupted: ended.interrupted,
    })
}
