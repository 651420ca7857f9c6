//! A scenario on its stage: what the script says is done with the levers, and seen with the eyes.
//!
//! Everything that is decided is decided in [`Play`]; here are the threads, the clock and the
//! workers' gate.

use super::gate::Gate;
use super::observer::Cluster;
use super::recorder::{Counters, FaultLine, Recorder};
use ordeal_nemesis::injector::{FaultRecord, Injector, Stop};
use ordeal_nemesis::lever::Observer as _;
use ordeal_nemesis::process::State;
use ordeal_nemesis::scenario::{Act, FaultState, Play, Script, Seen, Sight, StepEvent, StepWhat};
use ordeal_nemesis::{Effect, Fault, Node, PlannedFault};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How often the script is asked what to do next.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What became of each fault so far, and what each is in words.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<BTreeMap<u32, (String, FaultState)>>>);

impl Told {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, (String, FaultState)>> {
        self.0
            .lock()
            .expect("nobody panics with what was told in hand")
    }

    /// It is proven to be in force.
    pub(super) fn installed(&self, id: u32) {
        if let Some((_, state)) = self.lock().get_mut(&id) {
            *state = FaultState::Installed;
        }
    }

    /// What it is.
    pub(super) fn words(&self, id: u32) -> Option<String> {
        self.lock().get(&id).map(|(words, _)| words.clone())
    }

    fn over(&self, record: &FaultRecord) {
        let proven = record.effect.is_installed();
        let words = match &record.effect {
            Effect::Installed(proof) => proof.to_string(),
            other => other.to_string(),
        };
        let state = FaultState::Over {
            proven,
            healed: record.healed,
            words,
        };
        if let Some(entry) = self.lock().get_mut(&record.planned.id) {
            entry.1 = state;
        }
    }
}

/// What a scenario is played with.
pub(super) struct Stage {
    pub(super) script: Script,
    pub(super) cluster: Arc<Cluster>,
    pub(super) counters: Arc<Counters>,
    pub(super) gate: Gate,
    pub(super) lines: Recorder<FaultLine>,
    pub(super) told: Told,
    /// How long a fault lasts that nothing heals, in milliseconds.
    pub(super) longest_ms: u64,
    /// Shows a step to whoever watches.
    pub(super) announce: Arc<dyn Fn(&StepEvent) + Send + Sync>,
}

/// A fault on its thread, and how it is told to heal.
struct Running<'scope> {
    planned: PlannedFault,
    heal: Stop,
    thread: ScopedJoinHandle<'scope, FaultRecord>,
}

impl Stage {
    /// Plays the script to its end, or until a stop is requested; then heals everything and lets
    /// the workers go on. `ended` is called when there are no more steps.
    pub(super) fn play(&self, injector: &Injector<'_>, ended: impl FnOnce()) -> Vec<FaultRecord> {
        if let Some(disks) = &injector.levers.disks {
            disks.remember();
        }
        let start = Instant::now();
        let mut play = Play::new(&self.script, injector.nodes, injector.seed);
        let mut records: Vec<FaultRecord> = std::thread::scope(|scope| {
            let mut running = Vec::new();
            // What was seen before the last step ended says nothing of the next.
            let mut changed = None;
            loop {
                let is_fresh = changed.is_none_or(|moment| self.cluster.is_from_after(moment));
                if !is_fresh && !injector.stop.is_requested() {
                    injector.stop.wait_for(LOOK_EVERY);
                    continue;
                }
                let now_ns = (injector.clock)();
                let turn = if injector.stop.is_requested() {
                    play.give_up(now_ns, "the run ended before it was done")
                } else {
                    play.look(&self.see(injector, start), now_ns)
                };
                let moves = turn.told.iter().any(|event| event.what != StepWhat::Begun);
                if moves || !turn.acts.is_empty() {
                    changed = Some(Instant::now());
                }
                for event in turn.told {
                    (self.announce)(&event);
                    self.lines.record(FaultLine::Step(event));
                }
                for act in turn.acts {
                    self.carry_out(act, injector, start, scope, &mut running);
                }
                if turn.end.is_some() {
                    break;
                }
                injector.stop.wait_for(LOOK_EVERY);
            }
            running.iter().for_each(|fault| fault.heal.request());
            self.gate.open();
            ended();
            running.into_iter().map(end).collect()
        });
        injector.heal_left(&mut records);
        records
    }

    fn carry_out<'scope, 'env>(
        &'env self,
        act: Act,
        injector: &'env Injector<'env>,
        start: Instant,
        scope: &'scope Scope<'scope, 'env>,
        running: &mut Vec<Running<'scope>>,
    ) {
        match act {
            Act::Hold => self.gate.close(),
            Act::Resume => self.gate.open(),
            Act::Heal(ids) => running
                .iter()
                .filter(|fault| ids.contains(&fault.planned.id))
                .for_each(|fault| fault.heal.request()),
            Act::Inject { id, fault, lasts } => {
                let planned = self.planned(id, fault, lasts, start);
                let words = planned.fault.to_string();
                self.told.lock().insert(id, (words, FaultState::Begun));
                let heal = Stop::new();
                let (mine, until) = (planned.clone(), heal.clone());
                let thread = scope.spawn(move || {
                    let record = injector.inject(&mine, &until);
                    self.told.over(&record);
                    record
                });
                running.push(Running {
                    planned,
                    heal,
                    thread,
                });
            }
        }
    }

    fn planned(
        &self,
        id: u32,
        fault: Fault,
        lasts: Option<Duration>,
        start: Instant,
    ) -> PlannedFault {
        let at_ms = millis(start.elapsed());
        let left_ms = self.longest_ms.saturating_sub(at_ms).max(1);
        PlannedFault {
            id,
            at_ms,
            for_ms: lasts.map_or(left_ms, millis),
            fault,
        }
    }

    fn see(&self, injector: &Injector<'_>, start: Instant) -> Sight {
        let processes = injector.levers.processes.as_deref();
        let node = |node: Node| {
            let view = self.cluster.view(node);
            let state = processes.map(|processes| processes.state(node));
            Seen {
                runs: matches!(state, Some(State::Running { .. } | State::Paused { .. })),
                answers: view.is_some(),
                term: view.as_ref().map_or(0, |view| view.term),
                applied: view.as_ref().and_then(|view| view.applied),
                installed: view.as_ref().and_then(|view| view.installed),
                ok: self.counters.ok_at(node),
            }
        };
        let told = self.told.lock();
        Sight {
            now_ms: millis(start.elapsed()),
            leaders: self.cluster.leaders(),
            nodes: Node::first(injector.nodes).map(node).collect(),
            under_way: self.counters.under_way(),
            faults: told
                .iter()
                .map(|(id, (_, state))| (*id, state.clone()))
                .collect(),
        }
    }
}

/// What became of it, with the time that it really lasted as its plan.
fn end(fault: Running<'_>) -> FaultRecord {
    // A lever that panics is caught where it is pulled.
    let mut record = fault.thread.join().unwrap_or_else(|_| FaultRecord {
        planned: fault.planned,
        nodes: Vec::new(),
        window_ns: None,
        effect: Effect::Indeterminate("its thread panicked".to_owned()),
        healed: false,
        met_by: Vec::new(),
    });
    if let Some((from, to)) = record.window_ns {
        record.planned.for_ms = (to.saturating_sub(from) / 1_000_000).max(1);
    }
    record
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
