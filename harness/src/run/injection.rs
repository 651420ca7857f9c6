//! The nemesis at work: the injector on a thread of its own, and what is installed right now.

use super::gate::Gate;
use super::live::Live;
use super::observer::Cluster;
use super::recorder::{Counters, FaultLine, Recorder};
use super::rig::{Rig, RigError};
use super::stage::{Stage, Told};
use crate::clock::Clock;
use crate::plan::Plan;
use ordeal_nemesis::clock::Clocks;
use ordeal_nemesis::injector::{FaultEvent, FaultRecord, Injector, Patience, Step, Stop};
use ordeal_nemesis::lever::Levers;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The faults that are installed now, by id, in words.
#[derive(Clone, Debug, Default)]
pub(super) struct ActiveFaults(Arc<Mutex<BTreeMap<u32, String>>>);

impl ActiveFaults {
    /// In the order of their injection.
    pub(super) fn in_words(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, String>> {
        self.0
            .lock()
            .expect("nobody panics with the faults in hand")
    }

    fn follow(&self, event: &FaultEvent, fault: &str) {
        match event.what {
            Step::Injecting | Step::Installed | Step::Healing => {
                self.lock().insert(event.fault, fault.to_owned());
            }
            Step::Healed | Step::Skipped | Step::NoEffect | Step::Indeterminate => {
                self.lock().remove(&event.fault);
            }
        }
    }
}

/// A cluster may need a while to find a leader, and a node to come back.
const PATIENCE: Patience = Patience {
    leader: Duration::from_secs(3),
    serving: Duration::from_secs(10),
    refusal: Duration::from_secs(2),
    members: Duration::from_secs(30),
};

/// A schedule being run.
pub(super) struct Injection {
    stop: Stop,
    records: oneshot::Receiver<Vec<FaultRecord>>,
    /// There are no more steps.
    ended: CancellationToken,
}

/// Who hears of what happens besides the file, and what a scenario needs of the clients.
pub(super) struct Watchers {
    pub(super) live: Arc<Live>,
    pub(super) counters: Arc<Counters>,
    pub(super) gate: Gate,
}

/// The stage of the plan's scenario, if it has one.
fn stage(
    plan: &Plan,
    cluster: &Arc<Cluster>,
    lines: &Recorder<FaultLine>,
    told: &Told,
    watchers: &Watchers,
) -> Option<Stage> {
    let scenario = plan.scenario.as_ref()?;
    let live = watchers.live.clone();
    Some(Stage {
        script: scenario.script.clone(),
        cluster: cluster.clone(),
        counters: watchers.counters.clone(),
        gate: watchers.gate.clone(),
        lines: lines.clone(),
        told: told.clone(),
        longest_ms: plan.time.as_millis(),
        announce: Arc::new(move |event| live.announce_step(event)),
    })
}

impl Injection {
    /// Begins to run the plan's schedule, counted from now.
    pub(super) fn start(
        plan: &Plan,
        rig: &Rig,
        cluster: Arc<Cluster>,
        clock: Clock,
        lines: Recorder<FaultLine>,
        active: ActiveFaults,
        watchers: Watchers,
    ) -> Result<Self, RigError> {
        let levers = Levers {
            processes: Some(rig.processes.clone()),
            network: Some(rig.network.clone()),
            disks: rig.disks.clone(),
            clocks: rig.clocks.clone().map(|clocks| clocks as Arc<dyn Clocks>),
            admin: rig.admin.clone(),
        };
        let (nodes, schedule, stop) = (plan.nodes, plan.schedule.clone(), Stop::new());
        let spares = plan.processes() - nodes;
        let seed = plan.seed;
        let (asked, done) = (stop.clone(), oneshot::channel());
        let (told, ended) = (Told::default(), CancellationToken::new());
        let stage = stage(plan, &cluster, &lines, &told, &watchers);
        let (live, is_over) = (watchers.live, ended.clone());
        let inject = move || {
            let in_words: BTreeMap<u32, String> = schedule
                .faults
                .iter()
                .map(|f| (f.id, f.fault.to_string()))
                .collect();
            let sink = |event: FaultEvent| {
                let scripted = told.words(event.fault);
                let fault = scripted.as_ref().or_else(|| in_words.get(&event.fault));
                let fault = fault.map_or("", String::as_str);
                active.follow(&event, fault);
                live.announce(&event, fault);
                if event.what == Step::Installed {
                    told.installed(event.fault);
                }
                lines.record(FaultLine::Fault(event));
            };
            let injector = Injector {
                nodes,
                spares,
                levers: &levers,
                observer: &*cluster,
                clock: &|| clock.now().0,
                sink: &sink,
                stop: &asked,
                seed,
                patience: PATIENCE,
            };
            let records = match &stage {
                Some(stage) => stage.play(&injector, || is_over.cancel()),
                None => injector.run(&schedule),
            };
            // Nobody listens any more only where the run has failed already.
            drop(done.0.send(records));
        };
        let name = "nemesis".to_owned();
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(inject)
            .map_err(|source| RigError::Thread { name, source })?;
        Ok(Injection {
            stop,
            records: done.1,
            ended,
        })
    }

    /// Waits until a scenario has no more steps; of a schedule, for ever.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Heals everything that is installed and waits until it is gone.
    pub(super) async fn heal(self) -> Result<Vec<FaultRecord>, RigError> {
        self.stop.request();
        self.records.await.map_err(|_| RigError::NemesisGone)
    }
}
