//! The phases of a run, one after another.

use super::Setting;
use super::gate::Gate;
use super::injection::{ActiveFaults, Injection, Watchers};
use super::left::left;
use super::live::Live;
use super::observer::{Observation, Watch};
use super::recorder::{FaultLine, HistoryRecorder, Recorder};
use super::recovery;
use super::rig::{Rig, RigError};
use super::wall::ClockReading;
use super::watch::{Violation, watch};
use super::worker::{Bench, Pace, Phase, Session, work};
use crate::plan::Plan;
use crate::target::ClientError;
use ordeal_checker::history::{Process, Time};
use ordeal_nemesis::injector::FaultRecord;
use ordeal_nemesis::process::Death;
use ordeal_workloads::{Key, Op};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// A cluster that serves nobody this long after its start does not work at all.
const FIRST_WRITE_WITHIN: Duration = Duration::from_secs(20);
/// How often to look for a leader while there is none.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Between two attempts of a final read.
const FINAL_READ_PAUSE: Duration = Duration::from_millis(100);

/// A run between its first process and its last.
pub(super) struct Trial<'a> {
    plan: Plan,
    setting: &'a Setting,
    rig: Rig,
    watch: Watch,
    bench: Bench,
    faults: Recorder<FaultLine>,
    gate: Gate,
    live: Arc<Live>,
    active: ActiveFaults,
    violation: Violation,
    workers: JoinSet<Result<BTreeSet<Key>, ClientError>>,
    main_begun: CancellationToken,
    clients_stop: CancellationToken,
    used: BTreeSet<Key>,
    /// The harness's own processes, one for each node, apart from all workers.
    probers: Vec<Session>,
    /// A retired process is followed by the one this much further on.
    stride: u64,
    probes: Arc<AtomicU64>,
}

/// What the main phase came to.
pub(super) struct MainPhase {
    /// What became of each planned fault.
    pub(super) records: Vec<FaultRecord>,
    /// Why it ended before its time.
    pub(super) interrupted: Option<String>,
    /// What is still in force, though everything should be healed.
    pub(super) left: Option<String>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        plan: Plan,
        setting: &'a Setting,
        rig: Rig,
        mut history: HistoryRecorder,
        faults: Recorder<FaultLine>,
        lines: &Recorder<Observation>,
        readings: Option<&Recorder<ClockReading>>,
    ) -> Result<Self, RigError> {
        let promote_after = plan.promote_after.map(|after| after.0);
        let cluster = Watch::start(&rig, setting, promote_after, lines, readings)?;
        let active = ActiveFaults::default();
        let counters = history.counters();
        let live = Arc::new(Live::new(counters, cluster.cluster.clone(), active.clone()));
        rig.announce_deaths(live.clone());
        let mut violation = Violation::default();
        if plan.stop_on_violation
            && let Some(watched) = setting.workload.watch()
        {
            let (events, found) = watch(watched, live.clone()).map_err(RigError::Watch)?;
            history.watched_by(events);
            violation = found;
        }
        let bench = Bench {
            target: setting.target.clone(),
            nodes: rig.client_addresses.clone(),
            clock: setting.clock,
            recorder: history,
            deadline: plan.op_timeout.0,
        };
        let first = u64::from(plan.concurrency);
        let stride = first + u64::from(plan.nodes);
        let prober = |node| Session::new(bench.clone(), Process(first + node as u64), node, stride);
        let probers = (0..usize::from(plan.nodes)).map(prober).collect();
        Ok(Trial {
            probers,
            stride,
            plan,
            setting,
            rig,
            watch: cluster,
            bench,
            faults,
            gate: Gate::default(),
            live,
            active,
            violation,
            workers: JoinSet::new(),
            main_begun: CancellationToken::new(),
            clients_stop: CancellationToken::new(),
            used: BTreeSet::new(),
            probes: Arc::default(),
        })
    }

    /// Waits for the first acknowledged write: the cluster works before anything is done to it.
    pub(super) async fn first_write(&mut self) -> Result<Time, RigError> {
        let begun = Instant::now();
        let mut last = "no node said that it leads".to_owned();
        while begun.elapsed() < FIRST_WRITE_WITHIN {
            self.nobody_died()?;
            if self.setting.interrupt.is_cancelled() {
                return Err(RigError::InterruptedEarly);
            }
            let Some((leader, _)) = self.watch.cluster.leader() else {
                sleep(LOOK_AGAIN).await;
                continue;
            };
            let [write, _] = self.setting.workload.probe(next(&self.probes));
            if self.probers[leader]
                .invoke(&write, Phase::WarmUp)
                .await?
                .is_some()
            {
                self.as_asked()?;
                return Ok(self.setting.clock.now());
            }
            last = format!("n{} leads, but did not take {write}", leader + 1);
            sleep(LOOK_AGAIN).await;
        }
        let logs = self.setting.folder.file("nodes").display().to_string();
        Err(RigError::NeverServed {
            within: FIRST_WRITE_WITHIN,
            last,
            logs,
        })
    }

    fn nobody_died(&self) -> Result<(), RigError> {
        let Some((_, death)) = self.rig.deaths().into_iter().next() else {
            return Ok(());
        };
        let path = self
            .setting
            .folder
            .file("nodes")
            .join(death.node.to_string())
            .join("log.txt");
        let log = match death.last_words() {
            Some(words) => format!("its last words: {words}; see {}", path.display()),
            None => format!("it said nothing; see {}", path.display()),
        };
        Err(RigError::DiedAtStart {
            node: death.node,
            status: death.status,
            log,
        })
    }

    /// A plan that asks for a defect must not silently try a sound node, or the other way round.
    fn as_asked(&self) -> Result<(), RigError> {
        match self.watch.cluster.other_defects(&self.plan.defects) {
            None => Ok(()),
            Some((node, runs)) => Err(RigError::Defects {
                node,
                runs: runs.join(", "),
                asked: self.plan.defects.join(", "),
            }),
        }
    }

    /// Starts the clients and lets them work undisturbed; returns when faults may come.
    pub(super) async fn warm_up(&mut self) -> Time {
        let Plan {
            seed,
            concurrency,
            rate,
            nodes,
            ..
        } = self.plan;
        for worker in 0..concurrency {
            let node = worker as usize % usize::from(nodes);
            let process = Process(u64::from(worker));
            let session = Session::new(self.bench.clone(), process, node, self.stride);
            let generator = self.setting.workload.generator(seed, worker);
            let pace = Pace::new(seed, worker, concurrency, rate);
            let (begun, stop) = (self.main_begun.clone(), self.clients_stop.clone());
            self.workers.spawn(work(
                session,
                generator,
                pace,
                self.gate.clone(),
                begun,
                stop,
            ));
        }
        self.live.begin(self.plan.time.0 + self.plan.warm_up.0);
        tokio::select! {
            () = sleep(self.plan.warm_up.0) => {}
            () = self.setting.interrupt.cancelled() => {}
        }
        self.main_begun.cancel();
        self.setting.clock.now()
    }

    /// Clients and faults until the time is up; then everything is healed and clients stop.
    pub(super) async fn main_phase(&mut self) -> Result<MainPhase, RigError> {
        let end = Instant::now() + self.plan.time.0;
        let watchers = Watchers {
            live: self.live.clone(),
            counters: self.bench.recorder.counters(),
            gate: self.gate.clone(),
        };
        let injection = Injection::start(
            &self.plan,
            &self.rig,
            self.watch.cluster.clone(),
            self.setting.clock,
            self.faults.clone(),
            self.active.clone(),
            watchers,
        )?;
        let interrupted = tokio::select! {
            () = sleep_until(end) => None,
            () = injection.ended() => None,
            () = self.setting.interrupt.cancelled() => Some("interrupted by a signal".to_owned()),
            words = self.violation.certain() => Some(format!("stopped on a violation: {words}")),
        };
        let records = injection.heal().await?;
        let left = left(&records, &self.rig.in_force(self.plan.processes()));
        if let Some(why) = &left {
            self.live.tell(&format!(
                "{why}: whether the cluster recovers is not asked; judging what there is"
            ));
        }
        self.clients_stop.cancel();
        while let Some(worker) = self.workers.join_next().await {
            self.used.extend(worker??);
        }
        Ok(MainPhase {
            records,
            interrupted,
            left,
        })
    }

    /// Asks every node until it serves again, all at once.
    pub(super) async fn recover(&mut self, healed: Time) -> Result<Vec<Option<Time>>, RigError> {
        self.live.phase("recovery");
        let (clock, bound) = (self.setting.clock, self.plan.recovery_bound.0);
        let (workload, probes) = (self.setting.workload.clone(), self.probes.clone());
        self.of_every_node(move |mut session| {
            let (workload, probes) = (workload.clone(), probes.clone());
            async move {
                let probe = || workload.probe(next(&probes));
                let served = recovery::recover(&mut session, probe, clock, healed, bound).await;
                (session, served)
            }
        })
        .await
    }

    /// Reads at every node what the workload wants to be read at the end.
    pub(super) async fn final_reads(&mut self) -> Result<(), RigError> {
        self.live.phase("final reads");
        let reads = Arc::new(self.setting.workload.final_reads(&self.used));
        // A cluster that does not serve any more must not hold up its verdict.
        let end = Instant::now() + self.plan.recovery_bound.0;
        self.of_every_node(move |mut session| {
            let reads = reads.clone();
            async move {
                let done = read_all(&mut session, &reads, end).await;
                (session, done)
            }
        })
        .await?;
        Ok(())
    }

    /// Does the same with the harness's own process of every node, all at once, in their order.
    async fn of_every_node<T, F, W>(&mut self, work: W) -> Result<Vec<T>, RigError>
    where
        T: Send + 'static,
        F: Future<Output = (Session, Result<T, ClientError>)> + Send + 'static,
        W: Fn(Session) -> F,
    {
        let tasks: Vec<_> = self
            .probers
            .drain(..)
            .map(|session| tokio::spawn(work(session)))
            .collect();
        let mut results = Vec::new();
        for task in tasks {
            let (session, result) = task.await?;
            self.probers.push(session);
            results.push(result?);
        }
        Ok(results)
    }

    /// What the network has lost by itself so far.
    pub(super) fn unasked_losses(&self) -> Option<(String, String)> {
        self.rig.unasked_losses()
    }

    /// Ends every process; gives back the plan, and who died, be it at this very end.
    pub(super) async fn stop(self) -> Result<(Plan, Vec<(Time, Death)>), RigError> {
        self.live.end();
        let (rig, watch, nodes) = (self.rig, self.watch, self.plan.processes());
        let deaths = tokio::task::spawn_blocking(move || {
            watch.stop();
            rig.stop(nodes);
            rig.unload_disks().map(|()| rig.deaths())
        })
        .await??;
        Ok((self.plan, deaths))
    }
}

fn next(probes: &AtomicU64) -> u64 {
    probes.fetch_add(1, Relaxed) + 1
}

/// A read that fails is asked again, as another operation, until the time is up.
async fn read_all(session: &mut Session, reads: &[Op], end: Instant) -> Result<(), ClientError> {
    for read in reads {
        while session.invoke(read, Phase::Final).await?.is_none() {
            sleep(FINAL_READ_PAUSE).await;
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }
    Ok(())
}
