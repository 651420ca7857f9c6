//! Orderly stops, crash loops and kills while a node starts: proven by the processes reaped, and by
//! the one that serves in the end.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{
    FaultRecord,
    attempt::Attempt,
    processes::{each, spaced},
};
use crate::{
    fault::{CrashLoop, StartKill},
    node::Node,
    process::{Lifecycle, ProcessError, State},
    proof::{CrashLooped, Effect, Proof, StartKilled, Successor},
};

/// How long a node that was told to end may take for it.
const ORDER_WITHIN: Duration = Duration::from_secs(5);

/// How often a start is tried to be met before it is over, each time in half the time.
const START_KILLS_MAX: u32 = 6;

const NO_PROCESSES: &str = "there are no processes that can be ended here";

impl Attempt<'_> {
    /// SIGTERM; started again when healed, or at once.
    pub(super) fn stop(mut self, nodes: &BTreeSet<Node>, at_once: bool) -> FaultRecord {
        let Some(processes) = self.injector.levers.processes.as_deref() else {
            return self.skip(NO_PROCESSES);
        };
        let what = format!("stop {}", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let done = at_the_same_time(nodes, |node| processes.terminate(node, ORDER_WITHIN));
        let (mut stopped, errors) = sorted(done);
        if stopped.is_empty() {
            return self.nothing_done(&errors);
        }
        self.pulled();
        let in_order = stopped.iter().all(|one| one.in_order);
        if in_order {
            self.installed(&Proof::Stopped {
                processes: stopped.clone(),
            });
        }
        if !at_once {
            self.hold();
        }
        let mut healed = !lingers(&errors);
        let mut trouble = in_words(&errors);
        let ended: BTreeSet<Node> = stopped.iter().map(|one| one.node).collect();
        if !at_once {
            self.healing();
        }
        let (serving, all_run) = self.bring_up(processes, &ended, &mut trouble);
        healed &= all_run;
        for (node, successor) in serving {
            let mut stopped = stopped.iter_mut();
            if let Some(one) = stopped.find(|one| one.node == node) {
                one.successor = Some(successor);
            }
        }
        if at_once {
            self.healing();
        }
        let proof = Proof::Stopped { processes: stopped };
        if in_order {
            return self.finish(proven(proof, &trouble), healed);
        }
        trouble.insert(0, proof.to_string());
        self.finish(Effect::Indeterminate(trouble.join("; ")), healed)
    }

    pub(super) fn crash_loop(mut self, nodes: &BTreeSet<Node>, fault: &CrashLoop) -> FaultRecord {
        let Some(processes) = self.injector.levers.processes.as_deref() else {
            return self.skip(NO_PROCESSES);
        };
        let what = format!("kill {} as often as it comes up", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let (killed, errors) = each(nodes, |node| processes.kill(node));
        if killed.is_empty() {
            return self.nothing_done(&errors);
        }
        self.pulled();
        let hit: BTreeSet<Node> = killed.iter().map(|one| one.node).collect();
        let again = at_the_same_time(&hit, |node| {
            Ok(self.kill_again(processes, node, fault.kills))
        });
        let (again, _) = sorted(again);
        let mut looped: Vec<CrashLooped> = Vec::new();
        let mut trouble = in_words(&errors);
        for (first, (mut pids, why)) in killed.into_iter().zip(again) {
            pids.insert(0, first.pid);
            trouble.extend(why);
            looped.push(CrashLooped {
                node: first.node,
                pids,
                successor: None,
            });
        }
        let is_loop = looped.iter().any(|one| one.pids.len() > 1);
        if is_loop {
            self.installed(&Proof::CrashLooped {
                nodes: looped.clone(),
            });
        }
        self.healing();
        let down: BTreeSet<Node> = hit
            .iter()
            .copied()
            .filter(|node| !matches!(processes.state(*node), State::Running { .. }))
            .collect();
        let (mut serving, all_run) = self.bring_up(processes, &down, &mut trouble);
        for node in &hit - &down {
            match self.await_up(processes, node) {
                Ok(successor) => serving.push((node, successor)),
                Err(why) => trouble.push(why),
            }
        }
        for (node, successor) in serving {
            if let Some(one) = looped.iter_mut().find(|one| one.node == node) {
                one.successor = Some(successor);
            }
        }
        let healed = all_run && !lingers(&errors);
        if !is_loop && trouble.is_empty() {
            let why = "it did not come up a second time while there was time to kill it".to_owned();
            return self.finish(Effect::NoEffect(why), healed);
        }
        self.finish(
            proven(Proof::CrashLooped { nodes: looped }, &trouble),
            healed,
        )
    }

    /// Starts a node and kills it once it serves, until it was killed often enough (it was once) or
    /// it is time to heal. Returns whom it killed, and what went wrong.
    fn kill_again(
        &self,
        processes: &dyn Lifecycle,
        node: Node,
        kills: u16,
    ) -> (Vec<u32>, Option<String>) {
        let mut pids = Vec::new();
        while pids.len() + 1 < usize::from(kills) && !self.is_over() {
            let pid = match processes.start(node) {
                Ok(pid) => pid,
                Err(error) => return (pids, Some(error.to_string())),
            };
            while !self.injector.observer.serving(node, pid) {
                let runs = matches!(processes.state(node), State::Running { .. });
                if self.is_over() || !runs {
                    return (pids, None);
                }
                self.look_again();
            }
            match processes.kill(node) {
                Ok(killed) => pids.push(killed.pid),
                Err(error) => return (pids, Some(error.to_string())),
            }
        }
        (pids, None)
    }

    pub(super) fn kill_starting(
        mut self,
        nodes: &BTreeSet<Node>,
        fault: &StartKill,
    ) -> FaultRecord {
        let Some(processes) = self.injector.levers.processes.as_deref() else {
            return self.skip(NO_PROCESSES);
        };
        let what = format!("kill {}, and once more while it starts", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let (killed, mut errors) = each(nodes, |node| processes.kill(node));
        if killed.is_empty() {
            return self.nothing_done(&errors);
        }
        self.pulled();
        let hit: BTreeSet<Node> = killed.iter().map(|one| one.node).collect();
        let done = at_the_same_time(&hit, |node| self.kill_one_starting(processes, node, fault));
        let (mut done, more) = sorted(done);
        errors.extend(more);
        let met = done.iter().any(|one| !one.was_up);
        if met {
            self.installed(&Proof::StartKilled {
                processes: done.clone(),
            });
        }
        self.hold();
        self.healing();
        let mut trouble = in_words(&errors);
        let (serving, all_run) = self.bring_up(processes, &hit, &mut trouble);
        for (node, successor) in serving {
            if let Some(one) = done.iter_mut().find(|one| one.node == node) {
                one.successor = Some(successor);
            }
        }
        let healed = all_run && !lingers(&errors);
        if !met && trouble.is_empty() {
            let why = "it was up before it was killed, however soon".to_owned();
            return self.finish(Effect::NoEffect(why), healed);
        }
        self.finish(
            proven(Proof::StartKilled { processes: done }, &trouble),
            healed,
        )
    }

    /// Starts a node and kills it after a drawn time. One that is up by then is started once more,
    /// and killed in half the time.
    fn kill_one_starting(
        &self,
        processes: &dyn Lifecycle,
        node: Node,
        fault: &StartKill,
    ) -> Result<StartKilled, ProcessError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed_of(node));
        let mut after = fault.within.mul_f64(rng.random_range(0.0..=1.0));
        let mut tries = 1;
        loop {
            let pid = processes.start(node)?;
            let started = Instant::now();
            thread::sleep(after);
            let _ = processes.pause(node)?;
            let killed_after = started.elapsed();
            let was_up = processes.listens(node)? || self.injector.observer.serving(node, pid);
            let killed = processes.kill(node)?;
            if !was_up || tries == START_KILLS_MAX {
                let killed_after_us = killed_after.as_micros();
                return Ok(StartKilled {
                    node,
                    pid: killed.pid,
                    killed_after_us: u64::try_from(killed_after_us).unwrap_or(u64::MAX),
                    was_up,
                    successor: None,
                });
            }
            (tries, after) = (tries + 1, after / 2);
        }
    }

    /// Starts these nodes, all at once, then waits until each serves. Returns who does, and whether
    /// all run.
    pub(super) fn bring_up(
        &self,
        processes: &dyn Lifecycle,
        nodes: &BTreeSet<Node>,
        trouble: &mut Vec<String>,
    ) -> (Vec<(Node, Successor)>, bool) {
        let mut all_run = true;
        let mut started = BTreeSet::new();
        for node in nodes {
            // A kill that failed may have left it running: then it is up already.
            if matches!(processes.state(*node), State::Running { .. }) {
                started.insert(*node);
                continue;
            }
            match processes.start(*node) {
                Ok(_) => drop(started.insert(*node)),
                Err(error) => {
                    all_run = false;
                    trouble.push(error.to_string());
                }
            }
        }
        let mut serving = Vec::new();
        for node in started {
            match self.await_up(processes, node) {
                Ok(successor) => serving.push((node, successor)),
                Err(why) => trouble.push(why),
            }
        }
        (serving, all_run)
    }

    /// Waits until whoever runs now serves.
    fn await_up(&self, processes: &dyn Lifecycle, node: Node) -> Result<Successor, String> {
        let looked = Instant::now();
        let pid = match processes.state(node) {
            State::Running { pid } => pid,
            other => return Err(format!("{node} does not run: {other:?}")),
        };
        let serving_after_ms = self.await_serving(processes, node, pid, looked)?;
        Ok(Successor {
            pid,
            serving_after_ms,
        })
    }
}

/// Does one thing to each node, to all at the same time.
fn at_the_same_time<T: Send>(
    nodes: &BTreeSet<Node>,
    pull: impl Fn(Node) -> Result<T, ProcessError> + Sync,
) -> Vec<Result<T, ProcessError>> {
    thread::scope(|scope| {
        let pull = &pull;
        let threads: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(move || pull(*node)))
            .collect();
        let done = threads.into_iter().map(|thread| {
            let panicked = |panic| std::panic::resume_unwind(panic);
            thread.join().unwrap_or_else(panicked)
        });
        done.collect()
    })
}

fn sorted<T>(done: Vec<Result<T, ProcessError>>) -> (Vec<T>, Vec<ProcessError>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for one in done {
        match one {
            Ok(one) => good.push(one),
            Err(error) => bad.push(error),
        }
    }
    (good, bad)
}

/// One that did not go in time may go yet, and nobody would start it again.
fn lingers(errors: &[ProcessError]) -> bool {
    let is_late = |error: &ProcessError| matches!(error, ProcessError::Deadline { .. });
    errors.iter().any(is_late)
}

fn in_words(errors: &[ProcessError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// The proof, unless something else went wrong: then it cannot be said what happened.
pub(super) fn proven(proof: Proof, trouble: &[String]) -> Effect {
    if trouble.is_empty() {
        Effect::Installed(proof)
    } else {
        Effect::Indeterminate(format!("{proof}; {}", trouble.join("; ")))
    }
}
